"""The people of the crash tests, on both sides, with an approved batch: built once, copied for every trial."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from conftest import CONSENTED, CONTROLLER, World, contact_id, lead_id, org_line

from workbench.bench import Workbench
from workbench.person import salesforce_id_18
from workbench.scratch_org.process import start_scratch_org

REASON = "signed_form"
VICTIM = "anna"
PEOPLE = {
    # name -> opt-outs of the leads, opt-outs of the contacts
    "bea": ((True, True), (True,)),
    "carl": ((True,), (True, True)),
    "dora": ((True, True, True), ()),
    "emil": ((), (True, True, True)),
    VICTIM: ((True, False), (True,)),
    "fay": ((True, True), (True,)),
    "gus": ((True,), (True, True)),
    "hana": ((True, True), (True,)),
    "ivo": ((True,), (False,)),
    "june": ((False,), ()),
    "kai": ((), ()),
    "lea": ((True, True), (True,)),
}
"""In the batch and eligible: thirty records, twenty-seven of them opted out, so that one composite is not enough."""
WITH_A_CONVERTED_LEAD = "lea"
OPTED_OUT_THERE_ONLY = "salla"
REFUSED = "rufus"
OUTSIDE = {"olaf": ((True,), (True,)), "olga": ((False,), ())}
"""Not in the batch: one opted out on both sides, one on neither."""


@dataclass(frozen=True)
class Scene:
    """Where the master copies lie, and who is who: person ids and record ids (18 characters) by name."""

    workspace: Path
    database: Path
    batch: str
    people: dict[str, str]
    records: dict[str, tuple[str, ...]]

    @property
    def eligible(self) -> dict[str, tuple[str, ...]]:
        """The records of those who are resubscribed when nothing comes between."""
        return {self.people[n]: self.records[n] for n in (*PEOPLE, OPTED_OUT_THERE_ONLY)}


def build(folder: Path) -> Scene:
    """Make the org and the workspace, approve the batch, and leave both at rest."""
    lines, records = _records()
    data, database = folder / "org.jsonl", folder / "org.db"
    data.write_text("\n".join(lines), encoding="utf-8")
    with start_scratch_org(data=data, database=database) as org:
        wb = Workbench.init(folder / "workspace", name="crash", url=org.url, controller=CONTROLLER)
        world = World(folder / "workspace", org, wb)
        people = {name: world.person(_address(name), unsubscribed=name not in (OPTED_OUT_THERE_ONLY, "olga")) for name in records}
        for name in people.keys() - {"olaf", "olga"}:
            world.consent(people[name], given_at=CONSENTED.replace(month=2) if name == REFUSED else CONSENTED)
        plan = wb.propose([people[n] for n in people if n not in OUTSIDE], reason=REASON)
        assert (plan.eligible, plan.refused) == (len(PEOPLE) + 1, 1)
        wb.approve(plan.id, plan.digest)
        wb.close()
    _fold(database)
    return Scene(folder / "workspace", database, plan.id, people, records)


def _records() -> tuple[list[str], dict[str, tuple[str, ...]]]:
    lines: list[str] = []
    records: dict[str, tuple[str, ...]] = {}
    everyone = {**PEOPLE, OPTED_OUT_THERE_ONLY: ((True,), (True,)), REFUSED: ((True,), ()), **OUTSIDE, "": ((True,), ())}
    for name, (leads, contacts) in everyone.items():
        made = []
        for kind, make, flags in (("Lead", lead_id, leads), ("Contact", contact_id, contacts)):
            for opted_out in flags:
                record_id = salesforce_id_18(make(len(lines) + 1))
                lines.append(org_line(kind, record_id, _address(name or "nobody"), opted_out=opted_out))
                made.append(record_id)
        if name == WITH_A_CONVERTED_LEAD:
            lines.append(
                org_line("Lead", salesforce_id_18(lead_id(len(lines) + 1)), _address(name), opted_out=False, IsConverted=True)
            )
        records |= {name: tuple(made)} if name else {}
    return lines, records


def _address(name: str) -> str:
    return f"{name}@example.com"


def _fold(database: Path) -> None:
    """Everything into the one file that is copied."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
