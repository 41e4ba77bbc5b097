"""What people do with the product, and the requests of it that go wrong: a small workspace and its org, put back for every cell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from conftest import CONTROLLER, World, contact_id, lead_id, org_line

from faults.operations import FIELD, WORDS, Hasty
from faults.planned import Planned
from faults.storm import cleared_after_them
from workbench.bench import Workbench
from workbench.errors import WorkbenchError
from workbench.person import salesforce_id_18
from workbench.salesforce import Patience, SalesforceOrg
from workbench.scratch_org.process import ScratchOrg, start_scratch_org
from workbench.worker import course

RECORDS = {
    # name -> lead, contact: whether opted out in Salesforce; None: no such record
    "anna": (True, True),
    "ben": (True, None),
    "erik": (True, None),  # resubscribed by another batch
    "cora": (None, False),  # unsubscribed in the register only
    "fay": (False, False),  # opts out in Salesforce after the last pull
}
REASON = "signed_form"
MOST_ROUNDS = 5


@dataclass
class Shop:
    """The workspace, its org, and how both stood in the beginning. ``us`` is our own user in Salesforce."""

    folder: Path
    scratch: ScratchOrg
    wb: Workbench
    people: dict[str, str]
    records: dict[str, tuple[str, ...]]
    batch: str = ""
    done_batch: str = ""
    us: str = ""
    waits: list[float] = field(default_factory=list)

    @property
    def databases(self) -> tuple[Path, Path]:
        """The register's and the org's."""
        return self.folder / "workspace" / "register.db", self.folder / "org.db"

    def keep(self) -> None:
        """Keep both sides as they stand."""
        for live in self.databases:
            _copy(live, live.with_suffix(".kept"))

    def put_back(self) -> SalesforceOrg:
        """Both sides as they were kept, and a new connection that knows nothing yet."""
        self.scratch.control("/faults", {"clear": True})
        self.wb.org.close()
        for live in self.databases:
            _copy(live.with_suffix(".kept"), live)
        self.waits.clear()
        org = SalesforceOrg(self.wb.org.credentials, timeouts=Hasty(), patience=Patience(sleep=self.waits.append))  # type: ignore[arg-type]
        self.wb.__dict__["org"] = self.wb._desk.__dict__["org"] = org
        return org

    def state(self) -> dict[str, Any]:
        """How both sides stand, from the databases alone: people, batches, org records, and what the register knows of these."""
        register, org = self.databases
        who = {person: name for name, person in self.people.items()}
        known = {record for mine in self.records.values() for record in mine}
        there = {r: bool(v) for kind in ("Lead", "Contact") for r, v in _select(org, f'SELECT "Id", "{FIELD}" FROM "{kind}"')}
        here = dict(_select(register, "SELECT record_id, opted_out FROM org_record"))
        return {
            "intents": sorted((who[p], state) for p, state in _select(register, "SELECT person_id, state FROM intent")),
            "unsubscribed": {who[p] for (p,) in _select(register, "SELECT person_id FROM unsubscribe WHERE closed_at IS NULL")},
            "there": {r: there[r] for r in known},
            "here": {r: bool(here.get(r)) for r in known},
            "batches": sorted(_select(register, "SELECT state FROM batch")),
        }

    def wrong(self, state: dict[str, Any]) -> list[str]:
        """Opt-outs that were lost and people who are half done."""
        ledger = _select(self.databases[1], "SELECT id, by, new FROM opt_out_ledger ORDER BY number")
        found = cleared_after_them(ledger, self.us)
        for name, ended in state["intents"]:
            out = {*(state["there"][r] for r in self.records[name]), name in state["unsubscribed"]}
            if ended in ("DONE", "ABORTED") and len(out) > 1:
                found.append(f"HALF: {name} is {ended}, and out is {out}")
        return found


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, timeout=60)) as new:
        old.backup(new)


def _select(database: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def opened(folder: Path) -> Iterator[Shop]:
    """The shop, with one batch that was run and one that is approved."""
    lines, records = [], {}
    for number, (name, flags) in enumerate(RECORDS.items(), start=1):
        made = [("Lead", lead_id(number), flags[0]), ("Contact", contact_id(number), flags[1])]
        lines += [org_line(kind, i, f"{name}@example.com", opted_out=out) for kind, i, out in made if out is not None]
        records[name] = tuple(salesforce_id_18(i) for _, i, out in made if out is not None)
    (folder / "org.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with start_scratch_org(data=folder / "org.jsonl", database=folder / "org.db") as scratch:
        wb = Workbench.init(folder / "workspace", name="shop", url=scratch.url, controller=CONTROLLER)
        world = World(folder / "workspace", scratch, wb)
        people = {name: world.person(f"{name}@example.com", unsubscribed=name != "fay") for name in RECORDS}
        shop = Shop(folder, scratch, wb, people, records)
        with closing(wb), mock.patch.object(course, "random", SimpleNamespace(uniform=lambda *_: 0.0)):  # no waiting
            _furnish(shop, world)
            yield shop


def _furnish(shop: Shop, world: World) -> None:
    shop.wb.pull(full=True)
    for names in (["erik"], ["anna", "ben"]):
        for name in names:
            world.consent(shop.people[name])
        plan = shop.wb.propose([shop.people[name] for name in names], reason=REASON)
        assert not plan.refused
        shop.wb.approve(plan.id, plan.digest)
        shop.done_batch, shop.batch = shop.batch, plan.id
        if names == ["erik"]:
            assert shop.wb.run(plan.id).done == 1
    shop.wb.pull()
    shop.us = shop.wb.org.identity().user_id
    order = {"object": "Contact", "id": shop.records["fay"][1], "user": "Preference Centre", "values": {FIELD: True}}
    shop.scratch.control("/write", order)
    shop.keep()


@dataclass(frozen=True, kw_only=True)
class Work:
    """One thing that is done, and one request of it: the ``nth`` that fits ``on`` and ``contains``. ``about`` is who gets struck."""

    do: Callable[[Shop], Any]
    on: str
    contains: str = ""
    nth: int = 1
    about: str = "anna"
    beforehand: str = ""
    repeated: tuple[int, ...] = (0,)
    """How many requests after the first of them a write is sent again whose answers are lost for good."""

    @property
    def writes(self) -> bool:
        """Whether that request changes something in Salesforce."""
        return "PATCH" in (self.contains, self.on[:5])


def _run(shop: Shop) -> Any:
    return shop.wb.run(shop.batch)


READING, CLEARING = {"on": "POST /composite$", "contains": "queryAll"}, {"on": "POST /composite$", "contains": "PATCH"}
OPTING_OUT = {"on": "PATCH /composite/sobjects$"}
WORK: dict[str, Work] = {
    "pull, changes": Work(do=lambda shop: shop.wb.pull(), on="GET /updated/$", about="fay"),
    "pull, reading": Work(do=lambda shop: shop.wb.pull(), **READING, about="fay"),
    "full pull": Work(do=lambda shop: shop.wb.pull(full=True), on="GET /queryAll/$", nth=2, about="fay"),
    "propose": Work(do=lambda shop: shop.wb.check([shop.people["anna"]], reason=REASON), **READING),
    "batch, reading": Work(do=_run, **READING),
    "batch, clearing": Work(do=_run, **CLEARING),
    "batch, reading back": Work(do=_run, **READING, nth=2),
    "batch, opting out": Work(do=_run, **OPTING_OUT, beforehand="anna"),
    "undo, reading": Work(do=lambda shop: shop.wb.undo(shop.done_batch), **READING, about="erik"),
    "undo, writing": Work(do=lambda shop: shop.wb.undo(shop.done_batch), **OPTING_OUT, about="erik", repeated=(0, 2, 4)),
    "sync, writing": Work(do=lambda shop: shop.wb.sync(), **OPTING_OUT, about="cora"),
    "sync, reading back": Work(do=lambda shop: shop.wb.sync(), **READING, nth=2, about="cora"),
    "follow-up": Work(do=lambda shop: shop.wb.follow_up(), **READING, about="erik"),
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How it ended: at first, under the fault, and at last, after the fault was gone and it was done again."""

    error: str
    first: dict[str, Any]
    last: dict[str, Any]
    sent: int
    logins: int
    drawn: int
    position: int
    """Of the request that the fault was drawn for, among all that were sent; counted from 1."""
    wrong: list[str]


NOTHING = Planned("clock_skew", {"seconds": 0})
"""A fault that is none: it shows which request the others will be meant for."""


def carry_out(shop: Shop, work: Work, fault: Planned = NOTHING, *, times: int = 1, usual: Ended | None = None) -> Ended:
    """Do it once with a fault at its request (``times`` 0: and ever after); then, where that is not the end, without.

    ``usual`` is how it ends without a fault.
    """
    org = shop.put_back()
    if work.beforehand:
        _opt_out(shop, {"after": CLEARING["on"], "contains": CLEARING["contains"]}, work.beforehand)
    _plan(shop, work, fault, times=times)
    if fault.slow and usual:
        again = (0,) if times else work.repeated if work.writes else range(org.connection.patience.tries)
        org.connection._timeouts.given_up = {usual.position + n for n in again}
    before = len(shop.scratch.control("/requests")["requests"])
    error = _attempt(shop, work)
    first = shop.state()
    log = shop.scratch.control("/requests")["requests"][before:]
    shop.scratch.control("/faults", {"clear": True})
    org.connection._timeouts.given_up = set()
    last = first if usual and first == usual.first and not error else _finished(shop, work, usual.last if usual else {})
    return Ended(
        error=error,
        first=first,
        last=last,
        sent=len([e for e in log if "/services/data" in e["path"]]),
        logins=len([e for e in log if e["path"].endswith("/token")]),
        drawn=sum(bool(e["faults"]) for e in log),
        position=next((n for n, e in enumerate(log, start=1) if e["faults"]), 0),
        wrong=shop.wrong(last) + ([] if shop.wb.trail.verify().ok else ["the trail does not verify"]),
    )


def _attempt(shop: Shop, work: Work) -> str:
    try:
        work.do(shop)
    except WorkbenchError as error:
        return WORDS[type(error)]
    return ""


def _finished(shop: Shop, work: Work, usual: dict[str, Any]) -> dict[str, Any]:
    """The state after doing it again until it is the usual one, or nothing changes any more."""
    state = shop.state()
    for _ in range(MOST_ROUNDS):
        shop.scratch.control("/clock", {"advance": 120})
        assert not _attempt(shop, work), "stopped although the fault is gone"
        before, state = state, shop.state()
        if state in (before, usual):
            return state
    raise AssertionError(f"no end after {MOST_ROUNDS} rounds: {state}")


def _plan(shop: Shop, work: Work, fault: Planned, *, times: int) -> None:
    matcher = {"on": work.on, "contains": work.contains, "nth": work.nth, "times": times}
    if fault.hook:
        _opt_out(shop, {fault.hook: matcher}, work.about, late=bool(fault.options.get("late")))
        return
    shop.scratch.control("/faults", {"plan": [{"kind": fault.kind, **matcher, **fault.options}]})


def _opt_out(shop: Shop, when: dict[str, Any], name: str, *, late: bool = False) -> None:
    record = shop.records[name][-1]
    order: dict[str, Any] = {
        "object": "Lead" if record.startswith("00Q") else "Contact",
        "id": record,
        "user": "Preference Centre",
    }
    first = {"write": order | {"values": {FIELD: False}}}
    if late:
        now = datetime.fromisoformat(shop.scratch.control("/clock", {})["now"])
        order = order | {"at": (now - timedelta(seconds=5)).isoformat()}
    shop.scratch.control("/hooks", {**when, "do": [first, {"write": order | {"values": {FIELD: True}}}]})


def word(ended: Ended, usual: Ended) -> str:
    """How it ended in the words of the table, compared with how it usually does."""
    same = ended.last == usual.last
    if (
        not ended.error
        and not same
        and all(ended.last[side] == usual.last[side] for side in ("intents", "unsubscribed", "batches"))
    ):
        return "seen" if ended.first["here"] != usual.first["here"] else "seen later"
    if ended.error:
        return ended.error if same else f"{ended.error}, kept out"
    if ended.first != usual.first:
        return "waits" if same else "kept out"
    if not same:
        return "kept out later"
    if ended.logins > usual.logins:
        return "login"
    extra = ended.sent - usual.sent
    return "-" if not extra else "again" if extra == 1 else "anew"
