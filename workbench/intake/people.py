"""Importing people: new ones come in, known ones are brought up to date, an opt-out is added and never taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from workbench.intake import columns, optouts, values
from workbench.intake.files import Row
from workbench.intake.optouts import OptOut, Reading
from workbench.intake.result import ImportResult, RowVerdict, Tally
from workbench.intake.roster import Entry, Roster, Sought
from workbench.intake.run import Import, carried_out, in_chunks, opened
from workbench.person import Person, new_id, unsubscribed
from workbench.store import imports
from workbench.store.database import Store, Transaction
from workbench.store.suppression import STAYS_OUT
from workbench.trail.event import Event
from workbench.trail.events import PeopleImported

T = TypeVar("T")
NOT_IN = "the row was rejected, and an opt-out in it is not in the register: mend and import it"
TEXTS = ("first_name", "last_name", "company", "title")

AppendEvent = Callable[[Transaction, Event], object]
"""Puts an event on the trail within the transaction."""


@dataclass(frozen=True, kw_only=True)
class PersonRow:
    """One row of a file of people; ``refusal`` says why it can't come in ("" when it can)."""

    row: Row
    named: Sought
    email_as_given: str
    texts: Mapping[str, Any]  # names, company and title, as `TEXTS` has them
    opt_out: OptOut | None
    refusal: str


def import_people(
    store: Store,
    file: Path | str,
    *,
    operator: str,
    now: datetime,
    append_event: AppendEvent,
    mapping: Mapping[str, str] | None = None,
    dry_run: bool = False,
    encoding: str | None = None,
    timezone: str | None = None,
) -> ImportResult:
    """Take in a CSV file of people, for instance an export of Sales Connect's people page.

    A person is found by the person id, else the Salesforce id, else the address. The same file again changes nothing. A row that
    says unsubscribed opens an unsubscribe where the register does not know of it; nothing a file says closes one. A rejected
    row still opts out whom it names. ``timezone`` (IANA name) is for times without a zone; else an opt-out is
    as late as it can be in any zone.

    Raises:
        InputError: the file or its columns can't be used; nothing was taken in.
        StoreError: the register is locked, full or damaged; nothing was taken in.
    """
    source = opened(file, columns.PEOPLE, encoding)
    found = columns.find(source.header, columns.PEOPLE, mapping=mapping, one_of=("email",))
    zone = values.zone_named(timezone)
    more = columns.more_opt_outs(source.header, found)

    def work(run: Import) -> tuple[RowVerdict, ...]:
        reading = Reading(run.known_since, zone)
        for sentence in columns.passed_over(source.header, found):
            run.tally.warn(sentence)
            run.tally.overlooked += 1
        intake = _Intake(run, tells_opt_outs=bool(more) or "unsubscribed" in found)
        for rows in in_chunks(run.rows()):
            _Chunk(intake, [_read(row, found, more, reading=reading, tally=run.tally) for row in rows]).take_in()
        for open_rows in in_chunks(iter(intake.open_opt_outs)):
            _Chunk(intake, open_rows).opt_out_all_meant()
        if run.tally.rejected and intake.tells_opt_outs:
            run.tally.warn("an opt-out in a rejected row is in the register only where a line above says so; mend these rows")
        return ()

    def closing(tx: Transaction, tally: Tally) -> None:
        append_event(tx, _event(source.path.name, source.sha256, tally))

    return carried_out(store, source, work, kind="people", operator=operator, now=now, dry_run=dry_run, closing=closing)


@dataclass
class _Intake:
    """What all rows of a file share. ``open_opt_outs`` are rows whose opt-out may concern people who come further down.

    These are the rejected rows, and those that name no person id: they speak for everyone with their Salesforce id or address.
    """

    run: Import
    tells_opt_outs: bool
    seen: set[str] = field(default_factory=set)
    open_opt_outs: list[PersonRow] = field(default_factory=list)


class _Chunk:
    """Some rows, applied to the people whom they name."""

    def __init__(self, intake: _Intake, rows: list[PersonRow]) -> None:
        self.intake, self.run, self.rows = intake, intake.run, rows
        self.roster = Roster(self.run.tx, [row.named for row in rows])

    def take_in(self) -> None:
        for row in self.rows:
            self._take(row)
        self._opt_out_successors()
        self.roster.write(self.run.tx, now=self.run.now, by=self.run.operator)

    def _opt_out_successors(self) -> None:
        """A new person with an address that an unsubscribed person had before may be that person: unsubscribed, too."""
        new = self.roster.new()
        formerly = imports.formerly_unsubscribed(self.run.tx, {e.person.email for e in new}) | self.roster.left_unsubscribed()
        for entry in new:
            other = formerly.get(entry.person.email)
            if other is None or unsubscribed(entry.episodes):
                continue
            detail = f"the address was that of the unsubscribed person {other} before"
            opt_out = OptOut(at=self.run.now, earliest=optouts.EVER, source="import", detail=detail)
            self.roster.opt_out(entry, opt_out, now=self.run.now)
            self.run.tally.unsubscribed += 1
            self.run.tally.note(
                entry.line, "a new person has the former address of a person who is unsubscribed, and is unsubscribed, too"
            )

    def opt_out_all_meant(self) -> None:
        """Once everyone of the file is in: opt out whomever the rows name."""
        for row in self.rows:
            self._opt_out_meant(row)
        self.roster.write(self.run.tx, now=self.run.now, by=self.run.operator)

    def _take(self, row: PersonRow) -> None:
        entry, refusal = (None, row.refusal) if row.refusal else self._find(row)
        if not refusal and self.roster.keeps_out(row.named):
            refusal = STAYS_OUT
        if row.opt_out and (refusal or not row.named.external_id):
            self.intake.open_opt_outs.append(replace(row, refusal=refusal))
        if refusal:
            self.run.reject(row.row, refusal)
            if row.row.reason and self.intake.tells_opt_outs:
                self.run.tally.note(row.row.line, NOT_IN)
        elif entry is None:
            self._add(row)
        else:
            self._update(entry, row)

    def _find(self, row: PersonRow) -> tuple[Entry | None, str]:
        """The person whom the row means, None for a new one; or why that can't be told."""
        named = row.named
        entry = self.roster.by_id(named.external_id)
        if entry is None:
            sharing = [e for e in self.roster.by_record(named.record_ids) if not _another(e.person, named, record_ids=False)]
            same = [e for e in sharing if e.person.email == named.email]
            if not sharing:
                sharing = [e for e in self.roster.by_email(named.email) if not _another(e.person, named, record_ids=True)]
            found = same if len(same) == 1 else sharing
            if len(found) > 1 and not named.external_id:
                return None, "several people in the register could be meant; add the Person ID"
            entry = found[0] if len(found) == 1 else None
        if entry is not None and entry.erased:
            return None, STAYS_OUT
        return entry, ""

    def _add(self, row: PersonRow) -> None:
        person = Person(
            person_id=new_id(),
            email=row.named.email,
            email_as_given=row.email_as_given,
            version=1,
            external_id=row.named.external_id,
            salesforce_ids=row.named.record_ids,
            **row.texts,
        )
        self._note_sharing(row, person)
        entry = self.roster.add(person)
        self.run.tally.imported += 1
        self._opt_out([entry], row)
        self._seen(entry, row)

    def _update(self, entry: Entry, row: PersonRow) -> None:
        before = entry.person
        ids = tuple(sorted({*before.salesforce_ids, *row.named.record_ids}))
        external = row.named.external_id if not before.external_id and row.named.external_id != before.person_id else ""
        changed = self.roster.change(
            entry,
            email=row.named.email,
            email_as_given=row.email_as_given,
            external_id=external,
            salesforce_ids=ids if len(ids) > len(before.salesforce_ids) else (),
            **row.texts,
        )
        if entry.person.email != before.email or len(ids) > len(before.salesforce_ids):
            self._note_sharing(row, entry.person)
        if entry.person.email != before.email and unsubscribed(entry.episodes):
            self.run.tally.note(row.row.line, "an unsubscribed person has a new address, and stays unsubscribed")
        opted_out = self._opt_out([entry], row)
        self.run.tally.updated += changed or opted_out
        self.run.tally.unchanged += not (changed or opted_out)
        self._seen(entry, row)

    def _opt_out_meant(self, row: PersonRow) -> None:
        named = self._meant(row)
        meant = [e for e in named if not e.erased]
        if named and not meant:  # what is left of them is suppressed for good
            return
        self._opt_out(meant, row)
        if row.refusal:
            self._note_rejected(row, meant)

    def _note_rejected(self, row: PersonRow, meant: list[Entry]) -> None:
        self.run.tally.note(
            row.row.line,
            "the row was rejected, but the people whom it names are unsubscribed as it says" if meant else NOT_IN,
        )

    def _meant(self, row: PersonRow) -> list[Entry]:
        named, at = row.named, row.opt_out.at if row.opt_out else None
        entry = self.roster.by_id(named.external_id)
        return [entry] if entry else self.roster.by_record(named.record_ids) or self.roster.opted_out_by(named.email, at=at)

    def _opt_out(self, entries: list[Entry], row: PersonRow) -> bool:
        news = [e for e in entries if row.opt_out and optouts.is_news(row.opt_out, e.episodes)]
        for entry in news:
            if row.opt_out:
                self.roster.opt_out(entry, row.opt_out, now=self.run.now)
        self.run.tally.unsubscribed += len(news)
        return bool(news)

    def _note_sharing(self, row: PersonRow, person: Person) -> None:
        if any(e.person.person_id != person.person_id for e in self.roster.by_email(person.email)):
            self.run.tally.note(row.row.line, "the address is that of another person, too; both are in the register")
        if any(e.person.person_id != person.person_id for e in self.roster.by_record(row.named.record_ids)):
            self.run.tally.note(row.row.line, "the Salesforce id is stored for another person, too")

    def _seen(self, entry: Entry, row: PersonRow) -> None:
        entry.line = row.row.line
        if entry.person.person_id in self.intake.seen:
            self.run.tally.note(
                row.row.line, "an earlier row names the same person; the later values count, an opt-out on either stays"
            )
        self.intake.seen.add(entry.person.person_id)


def _another(person: Person, named: Sought, *, record_ids: bool) -> bool:
    """Whether a person can't be the one whom a row names: another person id, or (where asked) other Salesforce ids."""
    if named.external_id and person.external_id:
        return True
    return record_ids and bool(named.record_ids and person.salesforce_ids)


def _read(row: Row, found: columns.Columns, more: Sequence[int], *, reading: Reading, tally: Tally) -> PersonRow:
    def cell(field: str) -> str:
        return found.read(row.cells, field)

    if row.reason:
        return PersonRow(row=row, named=Sought(), email_as_given="", texts={}, opt_out=None, refusal=row.reason)
    refusals: list[str] = []
    opt_out = optouts.said(
        flag=_flag([cell("unsubscribed"), *(row.cells[i].strip() for i in more)]),
        date=cell("unsubscribed_at"),
        fallback=cell("updated_at"),
        source=cell("unsubscribe_source"),
        detail=cell("unsubscribe_detail"),
        reading=reading,
        note=lambda problem: tally.note(row.line, problem),
    )
    named = Sought(
        external_id=_or_refuse(values.line_of_text, cell("external_id"), "", refusals),
        record_ids=_or_refuse(values.record_ids, cell("salesforce_id"), (), refusals),
        email=_or_refuse(values.address, cell("email"), "", refusals),
    )
    texts = {name: _or_refuse(values.line_of_text, cell(name), "", refusals) for name in TEXTS}
    return PersonRow(
        row=row,
        named=named,
        email_as_given=cell("email"),
        texts=texts,
        opt_out=opt_out,
        refusal="; ".join(dict.fromkeys(refusals)),
    )


def _flag(cells: Sequence[str]) -> str:
    """Of several cells that may say unsubscribed, the first that does not say no; else the first that says anything."""
    said = [cell for cell in cells if cell.strip(" -–—")]
    return next((cell for cell in said if not _is_no(cell)), said[0] if said else "")


def _is_no(cell: str) -> bool:
    try:
        return not values.yes_or_no(cell)
    except ValueError:
        return False


def _or_refuse(read: Callable[[str], T], text: str, otherwise: T, refusals: list[str]) -> T:
    try:
        return read(text)
    except ValueError as error:
        refusals.append(str(error))
        return otherwise


def _event(file_name: str, sha256: str, tally: Tally) -> PeopleImported:
    return PeopleImported(
        file_name=file_name,
        file_sha256=sha256,
        rows=tally.rows,
        added=tally.imported,
        changed=tally.updated,
        unchanged=tally.unchanged,
        opted_out=tally.unsubscribed,
        rejected=tally.rejected,
    )
