"""Importing people: new ones come in, known ones are brought up to date, an opt-out is added and never taken away."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from operator import itemgetter
from pathlib import Path

from workbench.intake import columns, optouts, values
from workbench.intake.mappings import Mappings
from workbench.intake.optouts import OptOut, Reading
from workbench.intake.person_rows import TEXTS, PeopleReader, PersonRow, PersonRows
from workbench.intake.result import ImportResult, RowVerdict, Tally
from workbench.intake.roster import Entry, Roster, Sought, begun
from workbench.intake.run import Import, Told, carried_out, given_for, opened
from workbench.person import Person, domain_of, new_id, new_ids, unsubscribed
from workbench.store import imports, suppression
from workbench.store.database import Store, Transaction
from workbench.store.people import unsubscribes
from workbench.store.suppression import STAYS_OUT
from workbench.trail.event import Event
from workbench.trail.events import PeopleImported

NOT_IN = "the row was rejected, and an opt-out in it is not in the register: mend and import it"

AppendEvent = Callable[[Transaction, Event], object]
"""Puts an event on the trail within the transaction."""


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
    mappings: Mappings | None = None,
    told: Told | None = None,
) -> ImportResult:
    """Take in a CSV file of people, for instance an export of Sales Connect's people page.

    A person is found by the person id, else the Salesforce id, else the address. The same file again changes nothing. A row that
    says unsubscribed opens an unsubscribe where the register does not know of it; nothing a file says closes one. A rejected
    row still opts out whom it names. ``timezone`` (IANA name) is for times without a zone; else an opt-out is
    as late as it can be in any zone. ``mappings`` knows the mapping of files with the same columns.

    Raises:
        InputError: the file or its columns can't be used; nothing was taken in.
        StoreError: the register is locked, full or damaged; nothing was taken in.
    """
    source = opened(file, columns.PEOPLE, encoding)
    given = given_for(source, "people", mapping, mappings)
    found = columns.find(source.header, columns.PEOPLE, mapping=given.mapping, one_of=("email",))
    zone = values.zone_named(timezone)
    more = columns.more_opt_outs(source.header, found)

    def work(run: Import) -> tuple[RowVerdict, ...]:
        reader = PeopleReader(found, more, Reading(run.known_since, zone))
        for sentence in columns.passed_over(source.header, found):
            run.tally.warn(sentence)
            run.tally.overlooked += 1
        intake = _Intake(run, tells_opt_outs=bool(more) or "unsubscribed" in found)
        first = imports.unindex(run.tx)
        for rows in run.blocks():
            _Block(intake, reader.read(rows, run.tally.note)).take_in()
        for opt_outs in intake.open_opt_outs(reader):
            _Chunk(intake, opt_outs).opt_out_all_meant()
        if first:
            imports.index(run.tx)
        if run.tally.rejected and intake.tells_opt_outs:
            run.tally.warn("an opt-out in a rejected row is in the register only where a line above says so; mend these rows")
        return ()

    def closing(tx: Transaction, tally: Tally) -> None:
        append_event(tx, _event(source.path.name, source.sha256, tally))

    return carried_out(
        store, source, work, kind="people", operator=operator, now=now, dry_run=dry_run, told=told, given=given, closing=closing
    )


class _Seen:
    """Which people the rows so far have named, in eight bytes for each: a file may name millions."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, person_ids: Iterable[str]) -> None:
        self._hashes.extend(map(hash, person_ids))

    def among(self, person_ids: Collection[str]) -> set[str]:
        by_hash = {hash(person_id): person_id for person_id in person_ids}
        return {by_hash[one] for one in set(by_hash).intersection(self._hashes)} if by_hash else set()


ALONE, TOGETHER, REJECTED = range(3)
"""How a row was taken in whose opt-out is open: its person alone, with others that might be meant at hand, or not at all."""


@dataclass
class _Intake:
    """What all rows of a file share. Opt-outs are open whose rows may concern people who come further down.

    These are the rejected rows, and those that name no person id: they speak for everyone with their Salesforce id or address.
    Only their lines are kept; the file is read once more for what they say.
    """

    run: Import
    tells_opt_outs: bool
    seen: _Seen = field(default_factory=_Seen)
    _open: array[int] = field(default_factory=lambda: array("Q"))
    _how: bytearray = field(default_factory=bytearray)

    def keep_open(self, lines: Mapping[int, int]) -> None:
        """Of some rows below each other, those whose opt-outs are open: how they were taken in, by line."""
        for line in sorted(lines):
            self._open.append(line)
            self._how.append(lines[line])

    def open_opt_outs(self, reader: PeopleReader) -> Iterator[list[PersonRow]]:
        """Once everyone of the file is in: the rows of open opt-outs that may mean somebody else than whom they opted out."""
        at = 0
        for rows in self.run.blocks_again() if self._open else ():
            how: dict[int, int] = {}
            while at < len(self._open) and self._open[at] <= rows.lines[-1]:
                how[self._open[at]] = self._how[at]
                at += 1
            if how:
                again = reader.read(rows.only([place for place, line in enumerate(rows.lines) if line in how]), _in_silence)
                if others := list(self._meaning_others(again, how)):
                    yield others

    def _meaning_others(self, rows: PersonRows, how: Mapping[int, int]) -> Iterator[PersonRow]:
        """What has one person, and never had another, means the one whom it opted out."""
        record_ids = {one for ids in rows.record_ids for one in ids}
        shared = imports.shared(self.run.tx, record_ids=record_ids, addresses={e for e in rows.emails if e})
        for place, (line, ids, email) in enumerate(zip(rows.rows.lines, rows.record_ids, rows.emails, strict=True)):
            if how[line] != ALONE or not shared.isdisjoint(ids or (email,)):
                yield replace(rows.row(place), refusal=NOT_IN if how[line] == REJECTED else "")


def _in_silence(_line: int, _problem: str) -> None:
    """What there is to say about a row was said when it was read first."""


class _Block:
    """Some rows of a file. Most of them mean nobody at hand but themselves, and are taken in as columns; the others one by one."""

    def __init__(self, intake: _Intake, rows: PersonRows) -> None:
        self.intake, self.run, self.rows = intake, intake.run, rows
        self.open: dict[int, int] = {}
        self.entangled: set[str] = set()  # what several of the rows name, or an erased person had

    def take_in(self) -> None:
        strangers, others = self._strangers()
        self._add(strangers)
        if others:
            self._take_known(others)
        self.intake.keep_open(self.open)

    def _take_known(self, places: list[int]) -> None:
        """Rows that name somebody who is known, or one another: those that say nothing new at once, the others one by one."""
        same = self._as_stored(places)
        others = sorted({*places} - {*same.values()})
        chunk = self._chunk(others)
        while both := same.keys() & {*chunk.roster.ids}:  # what one row says of them, another may change before or after it
            others = sorted([*others, *(same.pop(person_id) for person_id in both)])
            chunk = self._chunk(others)
        self.run.tally.unchanged += len(same)
        self.intake.seen.add(same)
        for place in same.values():
            if place in self.rows.opt_outs and not self.rows.external_ids[place]:
                self.open[self.rows.rows.lines[place]] = ALONE
        chunk.take_in()
        self.open |= chunk.open

    def _chunk(self, places: list[int]) -> _Chunk:
        return _Chunk(self.intake, [self.rows.row(place) for place in places])

    def _strangers(self) -> tuple[list[int], list[int]]:
        """The places of the rows of which nothing is known by which somebody could be found, neither here nor in the register; the others."""
        rows = self.rows
        ids, addresses = [i for i in rows.external_ids if i], [e for e in rows.emails if e]
        record_ids = [i for some in rows.record_ids for i in some]
        known = imports.known(self.run.tx, ids=ids, record_ids=record_ids, addresses=addresses)
        self.entangled = {*suppression.among(self.run.tx, chain(ids, record_ids, addresses))}
        for keys in (ids, record_ids, addresses):
            self.entangled |= _twice(keys)
        known |= self.entangled
        if not known and not rows.refusals:
            return list(range(len(rows))), []
        strangers: list[int] = []
        others: list[int] = []
        for place, (external_id, some, email) in enumerate(zip(rows.external_ids, rows.record_ids, rows.emails, strict=True)):
            stranger = known.isdisjoint((external_id, email, *some)) and place not in rows.refusals
            (strangers if stranger else others).append(place)
        return strangers, others

    def _add(self, places: list[int]) -> None:
        """New people, as the columns have them."""
        if not places:
            return
        rows, run = self.rows, self.run
        chosen = itemgetter(*places) if len(places) > 1 else lambda column: (column[places[0]],)
        ids = new_ids(len(places))
        emails = chosen(rows.emails)
        people = zip(
            ids,
            (external_id or None for external_id in chosen(rows.external_ids)),
            emails,
            chosen(rows.emails_as_given),
            map(domain_of, emails),
            *(chosen(rows.texts[name]) for name in TEXTS),
            strict=True,
        )
        imports.add_new(run.tx, people, at=run.now)
        imports.add_record_ids(run.tx, [(i, one) for i, some in zip(ids, chosen(rows.record_ids), strict=True) for one in some])
        opt_outs = [(i, place) for i, place in zip(ids, places, strict=True) if place in rows.opt_outs]
        imports.add_unsubscribes(run.tx, [begun(rows.opt_outs[place], i, now=run.now) for i, place in opt_outs], by=run.operator)
        for _, place in opt_outs:
            if not rows.external_ids[place]:
                self.open[rows.rows.lines[place]] = ALONE
        run.tally.imported += len(ids)
        run.tally.unsubscribed += len(opt_outs)
        self.intake.seen.add(ids)

    def _as_stored(self, places: list[int]) -> dict[str, int]:
        """People whom rows name by person id, or by nothing but an address, and describe as the register does; the place of each row."""
        rows, tx = self.rows, self.run.tx
        by_id: dict[str, int] = {}
        by_email: dict[str, int] = {}
        for place in places:
            external_id, email, ids = rows.external_ids[place], rows.emails[place], rows.record_ids[place]
            if place not in rows.refusals and self.entangled.isdisjoint((external_id, email, *ids)):
                if external_id:
                    by_id[external_id] = place
                elif not ids:
                    by_email[email] = place
        found = [(by_id[one.external_id], one) for one in imports.with_ids(tx, by_id)]
        found += [(by_email[one.email], one) for one in imports.alone_with(tx, by_email)]
        same = {one.person_id: place for place, one in found if self._says_nothing_new(place, one)}
        unsubscribed_there = [person_id for person_id, place in same.items() if place in rows.opt_outs]
        episodes = unsubscribes(tx, unsubscribed_there)
        news = {i for i in unsubscribed_there if optouts.is_news(rows.opt_outs[same[i]], episodes.get(i, ()))}
        news |= self.intake.seen.among(same)
        return {person_id: place for person_id, place in same.items() if person_id not in news}

    def _says_nothing_new(self, place: int, person: Person) -> bool:
        rows = self.rows
        given = (rows.emails[place], rows.emails_as_given[place], *(rows.texts[name][place] for name in TEXTS))
        stored = (person.email, person.email_as_given, person.first_name, person.last_name, person.company, person.title)
        return all(not new or new == old for new, old in zip(given, stored, strict=True)) and set(rows.record_ids[place]) <= set(
            person.salesforce_ids
        )


def _twice(keys: Sequence[str]) -> set[str]:
    """Those that are there more than once."""
    if len(set(keys)) == len(keys):
        return set()
    return {key for key, number in Counter(keys).items() if number > 1}


class _Chunk:
    """Some rows, applied to the people whom they name."""

    def __init__(self, intake: _Intake, rows: list[PersonRow]) -> None:
        self.intake, self.run, self.rows = intake, intake.run, rows
        self.roster = Roster(self.run.tx, [row.named for row in rows])
        self.seen = intake.seen.among(self.roster.ids)
        self.open: dict[int, int] = {}

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
            self.open[row.row.line] = REJECTED if refusal else TOGETHER
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
        if entry.person.person_id in self.seen:
            self.run.tally.note(
                row.row.line, "an earlier row names the same person; the later values count, an opt-out on either stays"
            )
        else:
            self.intake.seen.add((entry.person.person_id,))
            self.seen.add(entry.person.person_id)


def _another(person: Person, named: Sought, *, record_ids: bool) -> bool:
    """Whether a person can't be the one whom a row names: another person id, or (where asked) other Salesforce ids."""
    if named.external_id and person.external_id:
        return True
    return record_ids and bool(named.record_ids and person.salesforce_ids)


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
