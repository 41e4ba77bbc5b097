"""Importing unsubscribes: every row can only add one. Who is not in the register yet is added, so that no opt-out is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.intake import columns, optouts, values
from workbench.intake.files import Row
from workbench.intake.mappings import Mappings
from workbench.intake.optouts import OptOut, Reading
from workbench.intake.people import AppendEvent
from workbench.intake.result import ImportResult, RowVerdict, Tally
from workbench.intake.roster import Entry, Roster, Sought
from workbench.intake.run import Import, Told, carried_out, given_for, in_chunks, opened
from workbench.person import Person, new_id, normalize_address
from workbench.store.database import Store, Transaction
from workbench.trail.events import UnsubscribesImported


@dataclass(frozen=True)
class UnsubscribeRow:
    """One row of a file of unsubscribes: whom it names, and the opt-out it states."""

    row: Row
    named: Sought
    email_as_given: str
    opt_out: OptOut | None  # None where the row can't be read


def import_unsubscribes(
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
    mappings: Mappings | None = None,
    told: Told | None = None,
) -> ImportResult:
    """Take in a CSV file of unsubscribes: an address or a person id a row, and as far as known date, source and detail.

    Everyone who has the address is unsubscribed; an address that nobody has becomes a new person (``imported`` counts these).
    A request older than a person's resubscription does not reopen it; one without a date counts as of now, though the same file
    came in before.

    Raises:
        InputError: the file or its columns can't be used; nothing was taken in.
        StoreError: the register is locked, full or damaged; nothing was taken in.
    """
    source = opened(file, columns.UNSUBSCRIBES, encoding)
    given = given_for(source, "unsubscribes", mapping, mappings)
    found = columns.find(source.header, columns.UNSUBSCRIBES, mapping=given.mapping, one_of=("person", "email"))
    zone = values.zone_named(timezone)

    def work(run: Import) -> tuple[RowVerdict, ...]:
        reading = Reading(run.known_since, zone, undated=run.now)
        waiting: list[_Waiting] = []
        for rows in in_chunks(run.rows()):
            _Chunk(run, [read(row, found, reading, run.tally.note) for row in rows], waiting).take_in()
        _complete(run, waiting)
        if run.tally.rejected:
            run.tally.warn("the opt-outs in rejected rows are not in the register; mend these rows and import them")
        return ()

    def closing(tx: Transaction, tally: Tally) -> None:
        append_event(tx, _event(source.path.name, source.sha256, tally))

    return carried_out(
        store,
        source,
        work,
        kind="unsubscribes",
        operator=operator,
        now=now,
        dry_run=dry_run,
        told=told,
        given=given,
        closing=closing,
    )


@dataclass
class _Waiting:
    """A row that may say more when the file ends, and whether it has added something so far.

    It is old news about a person who is not unsubscribed now, but may be then; or nobody has its address now, because it names
    its person by id.
    """

    row: UnsubscribeRow
    added: bool


def _complete(run: Import, waiting: list[_Waiting]) -> None:
    """Once everyone of the file is in: add what the rows still say, until there is nothing more, and count them."""
    before = -1
    while run.tally.unsubscribed != before:  # one row can open what another completes
        before = run.tally.unsubscribed
        for some in in_chunks(iter(waiting)):
            _Chunk(run, [w.row for w in some], waiting).take_in_again(some)
    for one in waiting:
        _count(run.tally, one.added)


def _count(tally: Tally, added: bool) -> None:
    tally.updated += added
    tally.unchanged += not added


class _Chunk:
    """Some rows, applied to the people whom they name."""

    def __init__(self, run: Import, rows: list[UnsubscribeRow], waiting: list[_Waiting]) -> None:
        self.run, self.rows, self.waiting = run, rows, waiting
        self.roster = Roster(run.tx, [row.named for row in rows])

    def take_in(self) -> None:
        for row in self.rows:
            self._take(row)
        self.roster.write(self.run.tx, now=self.run.now, by=self.run.operator)

    def take_in_again(self, waiting: list[_Waiting]) -> None:
        for one in waiting:
            living = [entry for entry in self._meant(one.row) if not entry.erased]
            one.added |= any([self._opt_out(entry, one.row) for entry in living])  # noqa: C419 - all of them, not the first
        self.roster.write(self.run.tx, now=self.run.now, by=self.run.operator)

    def _take(self, row: UnsubscribeRow) -> None:
        meant = self._meant(row)
        living = [e for e in meant if not e.erased]
        if not living and (meant or self.roster.keeps_out(row.named)):
            self.run.tally.unchanged += 1
            self.run.tally.note(row.row.line, "the person was erased on request, and stays out and suppressed")
        elif living:
            self._apply(row, living)
        elif row.named.email:
            self._opt_out(self.roster.add(self._new(row)), row)
            self.run.tally.imported += 1
        else:
            self.run.reject(row.row, refusal_of(row))

    def _apply(self, row: UnsubscribeRow, living: list[Entry]) -> None:
        added = any([self._opt_out(entry, row) for entry in living])  # noqa: C419 - all of them, not the first
        subscribed = any(all(e.closed_at for e in entry.episodes) for entry in living)
        if subscribed or (row.named.email and not self.roster.by_email(row.named.email)):
            self.waiting.append(_Waiting(row, added))
        else:
            _count(self.run.tally, added)

    def _meant(self, row: UnsubscribeRow) -> list[Entry]:
        """The person with the id and everyone with the address, now or when the opt-out was made."""
        named, at = row.named, row.opt_out.at if row.opt_out else None
        entry = self.roster.by_id(named.external_id)
        by_record = self.roster.by_record(named.record_ids)
        return list(dict.fromkeys([*([entry] if entry else by_record), *self.roster.opted_out_by(named.email, at=at)]))

    def _new(self, row: UnsubscribeRow) -> Person:
        self.run.tally.note(row.row.line, "nobody in the register has this address: added as a new person who is unsubscribed")
        return Person(person_id=new_id(), email=row.named.email, email_as_given=row.email_as_given, version=1)

    def _opt_out(self, entry: Entry, row: UnsubscribeRow) -> bool:
        if row.opt_out is None:
            return False
        wanted = optouts.is_news(row.opt_out, entry.episodes) or optouts.completes(row.opt_out, entry.episodes)
        if wanted:
            self.roster.opt_out(entry, row.opt_out, now=self.run.now)
            self.run.tally.unsubscribed += 1
        return wanted


def refusal_of(row: UnsubscribeRow) -> str:
    """Why a row that names nobody who is known can't come in."""
    if row.row.reason:
        return row.row.reason
    if row.email_as_given.count("@") > 1:
        return "the cell holds more than one address; give each a row of its own"
    if row.email_as_given:
        return "this can't be an e-mail address"
    return "nobody in the register has this id" if row.named.external_id else "the row names nobody: no id, no address"


def read(row: Row, found: columns.Columns, reading: Reading, note: Callable[[int, str], None]) -> UnsubscribeRow:
    """What a row says, whoever it means; ``note`` takes its line and a sentence about it."""
    if row.reason:
        return UnsubscribeRow(row, Sought(), "", None)
    person, email = found.read(row.cells, "person"), found.read(row.cells, "email")
    if "@" in person:
        person, email = "", email or person
    opt_out = optouts.stated(
        date=found.read(row.cells, "opted_out_at"),
        source=found.read(row.cells, "source"),
        detail=found.read(row.cells, "detail"),
        reading=reading,
        note=lambda problem: note(row.line, problem),
    )
    # Not checked for syntax: an odd address that mail once went to must be able to opt out.
    meant = normalize_address(values.undecorated(email))
    return UnsubscribeRow(row, Sought(external_id=person, record_ids=_record_ids(person), email=meant), email, opt_out)


def _record_ids(person: str) -> tuple[str, ...]:
    """The id read as Salesforce's, in case it is one."""
    try:
        return values.record_ids(person)
    except ValueError:
        return ()


def _event(file_name: str, sha256: str, tally: Tally) -> UnsubscribesImported:
    return UnsubscribesImported(
        file_name=file_name,
        file_sha256=sha256,
        rows=tally.rows,
        added=tally.unsubscribed,
        unchanged=tally.unchanged,
        rejected=tally.rejected,
    )
