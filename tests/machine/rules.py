"""The rules of the machine: one for each thing that a person, another user, a crash or a clock can do."""

from __future__ import annotations

import csv
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from conftest import CONSENTED, OPTED_OUT
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from machine.book import Book, Record
from machine.scene import FIELDS, OTHER_USER, Crash, Stage, opened
from workbench import Evidence
from workbench.bench.reviewing import SAID_BY_PEOPLE
from workbench.errors import WorkbenchError
from workbench.scratch_org.process import ScratchOrgError

REASON = "signed_form"
NUMBERS = st.integers(0, 5)
SOURCES = st.sampled_from(SAID_BY_PEOPLE)
FIELD = st.sampled_from(FIELDS)
SOON = st.sampled_from([90, 90, 5])
CRASHES = st.tuples(st.sampled_from(["commit:before", "commit:after", "http:before", "http:after"]), st.integers(1, 12))
COUNTS: Counter[str] = Counter()
"""How often each rule was carried out, and refused or crashed, in this process."""
CONSENT = {
    "purpose": "sales_email",
    "method": "paper",
    "notice_text": "Please send me your newsletter again.",
    "notice_version": "2026-05",
    "language": "en",
    "jurisdiction": "GB",
}


class Machine(RuleBasedStateMachine):
    """Three people on both sides, whatever happens to them, and after every step what has to hold."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.stage.skew, self.began = timedelta(0), self.stage.now()
        self.folder = self.stage.workspace()
        self.wb, self.other = opened(self.folder), opened(self.folder)
        changes = self.changes()
        self.book = Book(self.folder / "register.db", self.wb.org.identity().user_id, changes[-1]["number"] if changes else 0)
        self.people: list[str] = []
        self.batches: list[str] = []
        self.opted_out_from_the_start: dict[str, Any] = {}

    def changes(self) -> list[dict[str, Any]]:
        """The org's ledger of opt-outs."""
        last = self.book.ledger_begins if hasattr(self, "book") else 0
        return list(self.stage.org.control(f"/changes?since={last}")["changes"])

    @contextmanager
    def doing(self, what: str) -> Any:
        """One step: time goes by before it; a refusal is a result, and after a crash another process goes on."""
        self.began = self.stage.now()
        try:
            yield
            COUNTS[what] += 1
        except WorkbenchError:
            COUNTS[f"{what}: refused"] += 1
        except Crash:
            COUNTS[f"{what}: crashed"] += 1
            self.reopen()
        finally:
            self.stage.trouble.over()

    def reopen(self) -> None:
        """The next process."""
        self.stage.trouble.over()
        with suppress(Crash):
            self.wb.close()
        self.wb = opened(self.folder)

    def who(self, number: int) -> str:
        """One of the people."""
        return self.people[number % len(self.people)]

    def living(self, number: int, kind: str = "") -> Record | None:
        """One of the records that are still there, if there is any."""
        found = [r for r in self.book.records.values() if not r.gone and kind in ("", r.kind)]
        return found[number % len(found)] if found else None

    def act(self, name: str, **order: Any) -> dict[str, Any]:
        """Another user of the org; what the org itself does not allow is left."""
        try:
            return self.stage.org.control(f"/{name}", {"user": OTHER_USER} | order)
        except ScratchOrgError:
            COUNTS[f"{name}: not allowed by the org"] += 1
            return {}

    # --- the beginning

    @initialize(out=st.lists(st.booleans(), min_size=3, max_size=3), in_org=st.lists(st.booleans(), min_size=3, max_size=3))
    def furnish(self, out: list[bool], in_org: list[bool]) -> None:
        """Three people with a lead each, the first also with a contact; some are opted out on a side or on both."""
        lines = []
        for n, unsubscribed in enumerate(out):
            address = f"person{n}.{self.stage.examples}@example.com"
            kinds = ("Lead", "Contact") if n == 0 else ("Lead",)
            for kind in kinds:
                self.add_record(kind, address, opted_out=in_org[n])
            lines.append(self.line(address, "yes" if unsubscribed else "no", at=OPTED_OUT))
        self.stage.pass_time(300)
        with self.doing("import people"):
            self.wb.import_people(self.file("people.csv", lines))
        found = {r["email"]: r["person_id"] for r in self.book.rows("SELECT * FROM person")}
        for line in lines:
            person = found[line["email"]]
            self.people.append(person)
            self.book.addresses[person] = line["email"]
            if line["unsubscribed"] == "yes":
                self.book.opt_out(person, OPTED_OUT)
            self.consented(person, old=True)
        for record, at in self.opted_out_from_the_start.items():
            for person in self.book.owners(record):
                self.book.opt_out(person, at, record)

    def add_record(self, kind: str, address: str, *, opted_out: bool) -> None:
        """A new record in the org."""
        at = self.stage.now()
        values = {"LastName": "Person", "Email": address, FIELDS[0]: opted_out} | (
            {"Company": "Example"} if kind == "Lead" else {}
        )
        made = self.act("write", object=kind, values=values)["id"]
        self.book.records[made] = Record(made, kind, address)
        self.opted_out_from_the_start |= {made: at} if opted_out else {}

    def line(self, address: str, unsubscribed: str, *, at: Any = None) -> dict[str, str]:
        """One line of a people file."""
        stamp = at.isoformat() if at and unsubscribed == "yes" else ""
        return {"email": address, "last_name": "Person", "unsubscribed": unsubscribed, "unsubscribed_at": stamp}

    def file(self, name: str, lines: list[dict[str, str]]) -> Path:
        """A CSV file."""
        path = self.folder.parent / name
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        return path

    def consented(self, person: str, *, old: bool) -> None:
        """A sound consent: of now, or one from before everything that happens in this example."""
        form = self.folder.parent / "form.pdf"
        form.write_bytes(f"%PDF-1.7 {person} {self.stage.now()}".encode())
        given = CONSENTED if old else self.stage.now().replace(microsecond=0) - timedelta(seconds=1)
        consent = self.wb.record_consent(person=person, evidence=[Evidence.from_file(form)], given_at=given, **CONSENT)
        self.book.given[consent.consent_id] = given

    # --- in the register

    @rule(n=NUMBERS, seconds=SOON, old=st.sampled_from([False, False, True]))
    def consent(self, n: int, seconds: int, old: bool) -> None:
        """Somebody consents; or an old consent, from before this example's opt-outs, is found."""
        self.stage.pass_time(seconds)
        with self.doing("consent"):
            self.consented(self.who(n), old=old)

    @rule(n=NUMBERS)
    def withdraw(self, n: int) -> None:
        """Somebody takes the newest consent back."""
        mine = self.book.rows("SELECT consent_id FROM consent WHERE person_id = ? ORDER BY given_at DESC", self.who(n))
        with self.doing("withdraw"):
            self.stage.pass_time(5)
            if mine:
                at = self.stage.now()
                self.wb.withdraw_consent(mine[0]["consent_id"], method="email")
                self.book.withdrawn.add(mine[0]["consent_id"])
                self.book.opt_out(self.who(n), at)

    @rule(n=NUMBERS, source=SOURCES, seconds=SOON)
    def unsubscribe(self, n: int, source: str, seconds: int) -> None:
        """Somebody asks here to be left alone."""
        self.stage.pass_time(seconds)
        with self.doing("unsubscribe"):
            at = self.stage.now()
            self.wb.unsubscribe(self.who(n), source=source)
            self.book.opt_out(self.who(n), at)

    @rule(n=NUMBERS, word=st.sampled_from(["yes", "no", "no", ""]), seconds=SOON)
    def import_people(self, n: int, word: str, seconds: int) -> None:
        """A people file that says of somebody that they are unsubscribed, are not, or nothing; also of somebody erased."""
        self.stage.pass_time(seconds)
        addresses = sorted({*self.book.addresses.values(), *self.book.erased})
        address, at = addresses[n % len(addresses)], self.stage.now()
        with self.doing("import people"):
            self.wb.import_people(self.file("people.csv", [self.line(address, word, at=at)]))
            for person in [p for p, a in self.book.addresses.items() if a == address and word == "yes"]:
                self.book.opt_out(person, at)

    @rule(n=NUMBERS, seconds=SOON)
    def import_unsubscribes(self, n: int, seconds: int) -> None:
        """A file of unsubscribes."""
        self.stage.pass_time(seconds)
        address, at = self.book.addresses.get(self.who(n), "somebody.erased@example.com"), self.stage.now()
        line = {"email": address, "opted_out_at": at.isoformat(), "source": "clicked_link"}
        with self.doing("import unsubscribes"):
            if self.wb.import_unsubscribes(self.file("unsubscribes.csv", [line])).rejected == 0:
                self.book.opt_out(self.who(n), at)

    @rule(n=NUMBERS)
    def erase(self, n: int) -> None:
        """Somebody asks to be erased."""
        if len(self.people) < 2 or n > 1:  # rarely, and never everybody
            return
        person = self.who(n)
        known = {r["record_id"] for r in self.book.rows("SELECT record_id FROM link WHERE person_id = ?", person)}
        with self.doing("erase"):
            self.wb.erase(person)
            self.people.remove(person)
            self.book.erased[self.book.addresses.pop(person)] = known

    # --- in the org

    @rule(n=NUMBERS, field=FIELD, seconds=SOON)
    def opt_out_in_salesforce(self, n: int, field: str, seconds: int) -> None:
        """Another user ticks one of the two boxes."""
        self.stage.pass_time(seconds)
        with self.doing("opt-out in Salesforce"):
            if record := self.living(n):
                self.act("write", object=record.kind, id=record.record_id, values={field: True})

    @rule(n=NUMBERS, m=NUMBERS)
    def address_changed(self, n: int, m: int) -> None:
        """A record gets another address: somebody else's, or one that nobody has."""
        with self.doing("address changed"):
            if record := self.living(n):
                others = [*self.book.addresses.values(), f"new{m}.{self.stage.examples}@example.com"]
                address = others[m % len(others)]
                self.act("write", object=record.kind, id=record.record_id, values={"Email": address})
                record.email = address
                for one in self.book.opt_outs:
                    one.out_of_sight |= one.record == record.record_id

    @rule(n=NUMBERS, m=NUMBERS)
    def merge(self, n: int, m: int) -> None:
        """Two records of one kind become one."""
        with self.doing("merge"):
            loser = self.living(n)
            master = self.living(m, loser.kind) if loser else None
            done = loser and master and loser is not master
            if done and self.act("merge", object=loser.kind, master=master.record_id, loser=loser.record_id):
                loser.gone = master.record_id

    @rule(n=NUMBERS)
    def convert(self, n: int) -> None:
        """A lead becomes a contact."""
        with self.doing("convert"):
            lead = self.living(n, "Lead")
            if lead and (contact := self.act("convert", id=lead.record_id).get("contact")):
                lead.gone = contact
                self.book.records[contact] = Record(contact, "Contact", lead.email)

    @rule(n=NUMBERS)
    def delete_or_undelete(self, n: int) -> None:
        """A record goes into the recycle bin, or comes back out of it."""
        with self.doing("delete or undelete"):
            binned = [r for r in self.book.records.values() if r.gone == "bin"]
            record = binned[0] if binned else self.living(n)
            if record:
                self.act("undelete" if binned else "delete", object=record.kind, id=record.record_id)
                record.gone = "" if binned else "bin"

    # --- batches

    @rule(chosen=st.sets(NUMBERS, min_size=1, max_size=3))
    def propose(self, chosen: set[int]) -> None:
        """A batch of some of the people; it is approved in most cases, and sometimes by a wrong digest."""
        with self.doing("propose"):
            self.batches.append(self.wb.propose(sorted({self.who(n) for n in chosen}), reason=REASON).id)

    @rule(n=NUMBERS, right=st.sampled_from([True, True, True, False]))
    def approve(self, n: int, right: bool) -> None:
        """An administrator approves a batch; a digest that is not the plan's is refused."""
        if not self.batches:
            return
        batch = self.batches[-1 - n % len(self.batches)]
        with self.doing("approve"):
            digest = self.wb.plan(batch).digest
            self.wb.approve(batch, digest if right else digest[::-1])
            assert right or digest == digest[::-1], "a wrong digest was approved"

    @rule(
        chosen=st.sets(NUMBERS, min_size=1, max_size=3),
        n=NUMBERS,
        field=FIELD,
        how=st.sampled_from(["", "", "local", "org"]),
        at=st.integers(1, 8),
    )
    def batch(self, chosen: set[int], n: int, field: str, how: str, at: int) -> None:
        """Consents, a batch, its approval and its run in one go; somebody may opt out in the middle of the run, on either side."""
        self.stage.pass_time(90)
        with self.doing("batch"):
            some = sorted({self.who(i) for i in chosen})
            for person in some:
                self.consented(person, old=False)
            self.stage.pass_time(90)
            plan = self.wb.propose(some, reason=REASON)
            self.batches.append(plan.id)
            self.wb.approve(plan.id, plan.digest)
            self.began = self.stage.now()
            if how:
                self.stage.trouble.at("http:after", at, self.meanwhile(how, n, field))
            COUNTS["people done"] += self.wb.run(plan.id).done

    def meanwhile(self, how: str, n: int, field: str) -> Callable[[], None]:
        """What somebody else does in the middle of a run."""

        def local() -> None:
            at = self.stage.now()
            self.other.unsubscribe(self.who(n), source="clicked_link")
            self.book.opt_out(self.who(n), at)
            COUNTS["opt-out during a run"] += 1

        def there() -> None:
            if record := self.living(n):
                self.act("write", object=record.kind, id=record.record_id, values={field: True})
                COUNTS["opt-out during a run"] += 1

        return local if how == "local" else there

    @rule(n=NUMBERS, seconds=SOON, crash=st.none() | CRASHES, stopped=st.sampled_from([False, False, True]))
    def run_or_resume(self, n: int, seconds: int, crash: Any, stopped: bool) -> None:
        """A batch is run, or gone on with: to its end, stopped by the operator, or until the process dies."""
        if not self.batches:
            return
        self.stage.pass_time(seconds)
        stop = threading.Event()
        if stopped:
            stop.set()
        with self.doing("run"):
            if crash:
                self.stage.trouble.at(*crash, self.stage.trouble.die)
            self.wb.run(self.batches[-1 - n % len(self.batches)], stop=stop)

    @rule(n=NUMBERS)
    def undo(self, n: int) -> None:
        """A batch is undone."""
        if not self.batches:
            return
        batch = self.batches[-1 - n % len(self.batches)]
        done = self.book.rows("SELECT person_id FROM intent WHERE batch_id = ? AND state = 'DONE'", batch)
        with self.doing("undo"):
            at = self.stage.now()
            self.wb.undo(batch)
            for row in done:
                self.book.opt_out(row["person_id"], at)

    @rule(n=NUMBERS)
    def cancel(self, n: int) -> None:
        """A batch is given up."""
        if self.batches:
            with self.doing("cancel"):
                self.wb.cancel(self.batches[-1 - n % len(self.batches)])

    # --- both sides

    @rule(full=st.booleans())
    def pull(self, full: bool) -> None:
        """Salesforce is read."""
        with self.doing("pull"):
            self.wb.pull(full=full)

    @rule(crash=st.none() | CRASHES)
    def sync(self, crash: Any) -> None:
        """The nightly sync does what its rehearsal said, and nothing is left; unless its process dies."""
        with self.doing("sync"):
            told = self.wb.sync(dry_run=True)
            if crash:
                self.stage.trouble.at(*crash, self.stage.trouble.die)
            done = self.wb.sync()
            same = ("unsubscribed", "opted_out", "skipped_leased")
            assert [getattr(told, name) for name in same] == [getattr(done, name) for name in same], "not what the rehearsal said"
            assert not done.failed, "the org refused an opt-out"
            if not done.skipped_leased:
                assert self.wb.forecast().empty, "the sync left something to do"
                for one in self.book.opt_outs:
                    one.record = ""  # the register has it by now

    @rule()
    def follow_up(self) -> None:
        """Whoever is opted out again is said to have relapsed, and nobody else."""
        with self.doing("follow-up"):
            for found in self.wb.follow_up().to_dict("records"):
                rows = self.book.rows("SELECT unsubscribed_at FROM person WHERE person_id = ?", found["person_id"])
                assert found["outcome"] == "relapsed" or rows[0]["unsubscribed_at"] is None, "said to hold and is unsubscribed"

    @rule(skew=st.sampled_from([0, 0, -3600, 3600, -86400 * 400]))
    def clock(self, skew: int) -> None:
        """The clock of this computer is wrong, or right again; some time goes by for everybody."""
        with self.doing("clock"):
            self.stage.pass_time(900)
            self.stage.skew = timedelta(seconds=skew)

    # --- what has to hold

    @invariant()
    def holds(self) -> None:
        """Nothing is lost, nothing rewritten."""
        if self.people:
            wrongs = self.book.wrongs(self.changes(), began=self.began)
            assert not wrongs, "; ".join(wrongs)

    def teardown(self) -> None:
        """Everything comes to rest: then both sides agree, and the last word stands."""
        try:
            if self.people and not self.failed():
                self.come_to_rest()
        finally:
            self.stage.trouble.over()
            self.stage.skew = timedelta(0)
            for record in self.book.records.values():
                with suppress(ScratchOrgError):
                    if not record.gone:
                        self.stage.org.control("/delete", {"object": record.kind, "id": record.record_id})
                    self.stage.org.control("/purge", {"object": record.kind, "id": record.record_id})
            self.wb.close()
            self.other.close()
            shutil.rmtree(self.folder)

    def failed(self) -> bool:
        """Whether this example has failed already: the last look at both sides found something."""
        return bool(self.book.wrongs(self.changes(), began=self.began))

    def come_to_rest(self) -> None:
        """Resume, pull, sync twice, and look at both sides."""
        self.stage.skew = timedelta(0)
        for _ in range(2):
            self.stage.pass_time(900)
            for row in self.book.rows("SELECT batch_id, state FROM batch WHERE state IN ('running', 'paused')"):
                with self.doing("resume"):
                    self.wb.resume(row["batch_id"])
            for row in self.book.rows("SELECT DISTINCT batch_id FROM intent WHERE state = 'UNDOING'"):
                with self.doing("undo"):
                    self.wb.undo(row["batch_id"])
        self.wb.pull()
        self.wb.sync()
        self.stage.pass_time(900)
        self.wb.sync()
        assert self.wb.forecast().empty, "at rest the sync has something left to do"
        living = [r.record_id for r in self.book.records.values() if not r.gone]
        flags = {r.record_id: dict(r.opt_outs) for r in self.wb.org.read(record_ids=living, addresses=[], history=False).rows}
        wrongs = [*self.book.wrongs(self.changes(), began=self.stage.now()), *self.book.at_rest(flags)]
        assert not wrongs, "; ".join(wrongs)
        assert self.wb.trail.verify().ok, "the trail does not verify"
        COUNTS["examples at rest"] += 1
