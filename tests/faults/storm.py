"""A pull, a batch and a sync while everything goes wrong: every kind of fault by chance, opt-outs on both sides, resumed to the end.

    python tests/faults/storm.py [--people 2000] [--rate 0.05] [--seed 1] [--broken NAME]

Each kind has a lottery of its own, with this rate for every request. Between reading and clearing, and behind the clear, other
users opt people out in Salesforce, and people unsubscribe in the register. Whoever says at the end what was lost asks the org's
ledger of changes and the two databases, not the engine. Prints figures as JSON; ends with 1 when anything was lost or half done.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
os.environ.setdefault("WORKBENCH_NO_KEYRING", "1")

from conftest import CONSENTED, CONTROLLER, OPTED_OUT, contact_id, lead_id, org_line  # noqa: E402

from faults.boundaries import meaning  # noqa: E402
from faults.broken import BROKEN  # noqa: E402
from workbench.bench import Workbench  # noqa: E402
from workbench.errors import WorkbenchError  # noqa: E402
from workbench.person import salesforce_id_18  # noqa: E402
from workbench.salesforce import Patience, SalesforceOrg, Timeouts  # noqa: E402
from workbench.salesforce import org as door  # noqa: E402
from workbench.scratch_org.faults import KINDS  # noqa: E402
from workbench.scratch_org.process import ScratchOrg, start_scratch_org  # noqa: E402
from workbench.worker import course  # noqa: E402

OPTIONS: dict[str, dict[str, Any]] = {
    "slow": {"seconds": 2.5, "when": "after"},
    "503": {"retry_after": 1},
    "html": {"status": 200},
    "error": {"status": 400, "code": "MALFORMED_QUERY"},
}
PATIENCE = 2.0  # seconds that a client waits for an answer
MOST_ROUNDS = 2_000
A_RUN = 25  # people; many runs make many requests
CENTRE, LATE = "Preference Centre", 30


@dataclass
class Storm:
    """One storm: the people on both sides, what was injected, and how often the work had to be taken up again."""

    scratch: ScratchOrg
    folder: Path
    chance: random.Random
    owner: dict[str, str]
    share: float
    injected: Counter[str] = field(default_factory=Counter)
    opted_out: dict[str, set[str]] = field(default_factory=lambda: {"salesforce": set(), "register": set()})
    breaks: Counter[str] = field(default_factory=Counter)
    last_cleared: list[str] = field(default_factory=list)
    quiet: bool = False

    def before(self, request: Any) -> None:
        """What befalls somebody right before a request leaves."""
        what, rows = meaning(request)
        if what == "clear":
            self.last_cleared = rows
        if self.quiet or not self.last_cleared or what not in ("clear", "read") or self.chance.random() >= self.share:
            return
        self.quiet = True
        self.strike(self.chance.choice(self.last_cleared), self.chance.choice(("salesforce", "late", "register")))
        self.quiet = False

    def strike(self, record: str, how: str) -> None:
        """Opt one person out, in Salesforce (or by a transaction that began earlier), or in the register."""
        self.injected[how] += 1
        if how == "register":
            person = self.owner[record]
            with Workbench.open(self.folder) as other:
                other.unsubscribe(person, source="clicked_link")
            self.opted_out["register"].add(person)
            return
        now = self.scratch.control("/clock", {"advance": 0})["now"]
        kind = "Lead" if record.startswith("00Q") else "Contact"
        order: dict[str, Any] = {"object": kind, "id": record, "user": CENTRE}
        self.scratch.control("/write", order | {"values": {"HasOptedOutOfEmail": False}})
        if how == "late":
            order["at"] = _earlier(now)
        self.scratch.control("/write", order | {"values": {"HasOptedOutOfEmail": True}})
        self.opted_out["salesforce"].add(record)

    def until_done(self, step: Any, done: Any) -> Any:
        """Carry a step out, again after each error, until it says that it is done."""
        for _ in range(MOST_ROUNDS):
            try:
                result = step()
            except WorkbenchError as error:
                self.breaks[type(error).__name__] += 1
                continue
            if done(result):
                return result
            self.breaks["waiting"] += 1
            self.scratch.control("/clock", {"advance": 120})
        raise RuntimeError(f"not done after {MOST_ROUNDS} rounds: {self.breaks}")


def _earlier(now: str) -> str:
    from datetime import datetime, timedelta

    return (datetime.fromisoformat(now) - timedelta(seconds=LATE)).isoformat()


def people(folder: Path, count: int, chance: random.Random) -> dict[str, list[str]]:
    """The people's files and the org's records, all opted out; record ids by address."""
    records: dict[str, list[str]] = {}
    lines = []
    for number in range(count):
        address = f"person{number}@example.com"
        for _ in range(chance.choice((1, 1, 2, 3))):
            kind, make = chance.choice((("Lead", lead_id), ("Contact", contact_id)))
            record_id = salesforce_id_18(make(len(lines) + 1))
            lines.append(org_line(kind, record_id, address, opted_out=True))
            records.setdefault(address, []).append(record_id)
    (folder / "org.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "scans").mkdir()
    (folder / "scans" / "form.pdf").write_bytes(b"%PDF-1.7 forms, signed by everybody")
    opted = {"unsubscribed": "yes", "unsubscribed_at": OPTED_OUT.isoformat(), "unsubscribe_source": "clicked_link"}
    _written(folder / "people.csv", [{"email": address, "last_name": "Person", **opted} for address in records])
    given = {
        "given_at": CONSENTED.isoformat(), "controller": CONTROLLER, "purpose": "sales_email", "method": "paper",
        "notice_text": "Please send me your newsletter again.", "notice_version": "2026-05", "language": "en",
        "jurisdiction": "GB", "evidence": "form.pdf",
    }  # fmt: skip
    _written(folder / "consents.csv", [{"email": address, **given} for address in records])
    return records


def _written(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def workspace(folder: Path, scratch: ScratchOrg) -> None:
    """A workspace with everybody in it, whose runs take a few people each."""
    home = folder / "workspace"
    Workbench.init(home, name="storm", url=scratch.url, controller=CONTROLLER).close()
    (home / "policy.toml").write_text(f'controller = "{CONTROLLER}"\nwrite_cap = {A_RUN}\nsync_cap = 100000\n', encoding="utf-8")
    with Workbench.open(home) as wb:
        imported = wb.import_people(folder / "people.csv"), wb.import_consents(folder / "consents.csv", folder / "scans")
        assert not any(result.rejected for result in imported), imported


def approved(wb: Workbench) -> str:
    """The batch of everybody, approved."""
    plan = wb.propose(wb.people(), reason="signed_form")
    assert not plan.refused, plan.table
    wb.approve(plan.id, plan.digest)
    return plan.id


def impatient(wb: Workbench, scratch: ScratchOrg) -> SalesforceOrg:
    """The workbench's connection, with a short patience and without real waiting."""
    org = SalesforceOrg(wb.org.credentials, timeouts=Timeouts(read=PATIENCE), patience=Patience(sleep=lambda _: None))
    wb.__dict__["org"] = org
    wb._desk.__dict__["org"] = org
    return org


def raged(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The whole storm; gives the figures."""
    chance = random.Random(options.seed)
    records = people(folder, options.people, chance)
    with start_scratch_org(data=folder / "org.jsonl", database=folder / "org.db") as scratch:
        workspace(folder, scratch)
        with Workbench.open(folder / "workspace") as wb, closing(impatient(wb, scratch)) as org, smaller_pages():
            batch = approved(wb)
            owner = {record: person.person_id for person in wb.people().itertuples() for record in records[person.email]}
            storm = Storm(scratch, folder / "workspace", chance, owner, options.share)
            send = org.connection._session.send

            def struck(request: Any, **more: Any) -> Any:
                storm.before(request)
                return send(request, **more)

            org.connection._session.send = struck  # type: ignore[method-assign]  # the real one, with opt-outs before it
            for kind in sorted(KINDS):
                lottery = {"rate": options.rate, "kinds": [kind], "seed": f"{options.seed}:{kind}", "options": OPTIONS}
                scratch.control("/faults", lottery)
            storm.until_done(lambda: wb.pull(full=True), lambda _: True)
            if options.broken:
                BROKEN[options.broken]()
            outcome = storm.until_done(lambda: wb.run(batch), lambda ended: ended.state == "finished")
            storm.quiet = True
            storm.until_done(wb.sync, lambda ended: not ended.failed)
            drawn = Counter({e["kinds"][0]: e["drawn"] for e in scratch.control("/state")["lotteries"]})
            scratch.control("/faults", {"clear": True})
            wb.pull(full=True)
            wb.sync()
            again = wb.run(batch)
            trail = wb.trail.verify().ok
        losses = judged(storm, folder, records)
        losses += [] if trail else ["the trail does not verify"]
        losses += [] if again == outcome else ["running the finished batch again changed it"]
        requests = len(scratch.control("/requests")["requests"])
    return {
        "people": options.people,
        "records": len(owner),
        "outcome": outcome.sentence,
        "done": outcome.done,
        "aborted": outcome.aborted,
        "refused": outcome.refused,
        "requests": requests,
        "drawn": dict(sorted(drawn.items())),
        "injected": dict(storm.injected),
        "taken up again": dict(storm.breaks),
        "losses": losses,
    }


def smaller_pages() -> Any:
    """A bulk job with pages even for a few people; and no waiting between repeated requests."""
    return mock.patch.multiple(door, MOST_BY_REST=10)


def judged(storm: Storm, folder: Path, records: dict[str, list[str]]) -> list[str]:
    """What is wrong at the end, by the ledger and the databases alone."""
    register, org = folder / "workspace" / "register.db", folder / "org.db"
    states = dict(_select(register, "SELECT person_id, state FROM intent"))
    unsubscribed = {row[0] for row in _select(register, "SELECT person_id FROM unsubscribe WHERE closed_at IS NULL")}
    flags = {row[0]: bool(row[1]) for kind in ("Lead", "Contact") for row in _select(org, _FLAGS.format(kind))}
    us = _select(org, """SELECT "Id" FROM "User" WHERE "Name" = 'Workbench Integration'""")[0][0]
    theirs: dict[str, list[str]] = {}
    for record, person in storm.owner.items():
        theirs.setdefault(person, []).append(record)
    wrong = cleared_after_them(_select(org, "SELECT id, by, new FROM opt_out_ledger ORDER BY number"), us)
    wrong += [f"LOST: {r} was opted out in Salesforce and is not" for r in storm.opted_out["salesforce"] if not flags[r]]
    wrong += [f"LOST: {p} had unsubscribed and is subscribed" for p in storm.opted_out["register"] - unsubscribed]
    struck = {storm.owner[r] for r in storm.opted_out["salesforce"]} | storm.opted_out["register"]
    for person, mine in theirs.items():
        wrong += half_done(person, states[person], [flags[r] for r in mine], person in unsubscribed, struck=person in struck)
    return wrong


_FLAGS = 'SELECT "Id", "HasOptedOutOfEmail" FROM "{}"'


def cleared_after_them(ledger: list[Any], us: str) -> list[str]:
    """Opt-outs of others in Salesforce that we cleared."""
    set_by_others: set[str] = set()
    lost = []
    for record, by, new in ledger:
        if by != us:
            (set_by_others.add if new else set_by_others.discard)(record)
        elif not new and record in set_by_others:
            lost.append(f"LOST: the opt-out of {record} in Salesforce was cleared")
    return lost


def half_done(person: str, state: str, flags: list[bool], unsubscribed: bool, *, struck: bool) -> list[str]:
    """After the last sync both sides say the same of everybody; who was not struck is resubscribed unless we turned back."""
    if state not in ("DONE", "ABORTED", "REFUSED"):
        return [f"{person} has no end: {state}"]
    out = [*flags, unsubscribed]
    wrong = [f"HALF: {person} is {state}, and out is {out}"] if len(set(out)) > 1 else []
    if state != "DONE" and not all(out):
        wrong.append(f"{person} is {state} and not opted out everywhere: {out}")
    if struck and not all(out):
        wrong.append(f"LOST: {person} opted out while the batch ran, and is not: {out}")
    if state == "DONE" and not struck and any(out):
        wrong.append(f"{person} is done and opted out for no reason")
    return wrong


def _select(database: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def main() -> None:
    """Rage, and print what came of it."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=2000)
    options.add_argument("--rate", type=float, default=0.05, help="of each kind of fault, at each request")
    options.add_argument("--share", type=float, default=0.2, help="of reads and clears of a run before which somebody opts out")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--broken", choices=sorted(BROKEN), default="")
    course.random = SimpleNamespace(uniform=lambda *_: 0.0)  # type: ignore[assignment]  # no waiting between attempts
    with tempfile.TemporaryDirectory() as folder:
        found = raged(Path(folder), options.parse_args())
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    sys.exit(bool(found["losses"]))


if __name__ == "__main__":
    main()
