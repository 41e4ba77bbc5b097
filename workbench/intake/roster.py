"""Whom a row means: the people that some rows could mean, kept at hand, and what the rows change about them.

Rows are applied one after the other to the people in memory; `write` then puts everything into the register in a few
statements. Nothing here closes an unsubscribe, rewrites one, or takes a person or an id away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from workbench.intake.optouts import OptOut, begins
from workbench.person import Person, Unsubscribe, new_id, unsubscribed
from workbench.store import imports, suppression
from workbench.store.database import Transaction
from workbench.store.imports import AddressChange


@dataclass(eq=False)
class Entry:
    """One person at hand: as it stands after the rows so far, and what of that is not written yet."""

    person: Person
    episodes: list[Unsubscribe] = field(default_factory=list)
    new: bool = False
    line: int = 0  # of the last row that named the person
    changed: bool = False
    erased: bool = False


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What a row offers to find its person by."""

    external_id: str = ""
    record_ids: tuple[str, ...] = ()
    email: str = ""


class Roster:
    """The people at hand while some rows are taken in."""

    def __init__(self, tx: Transaction, named: Sequence[Sought]) -> None:
        record_ids = {i for n in named for i in n.record_ids}
        self._other_half = imports.other_halves(tx, record_ids)
        found = imports.candidates(
            tx,
            ids={n.external_id for n in named if n.external_id},
            record_ids={*record_ids, *self._other_half},
            addresses={n.email for n in named if n.email},
        )
        every = {i for n in named for i in (n.external_id, n.email, *n.record_ids)}
        self._kept_out = suppression.among(tx, every)
        self._by_id: dict[str, Entry] = {}  # by our id and by Sales Connect's
        self._by_record: dict[str, list[Entry]] = {}
        self._by_email: dict[str, list[Entry]] = {}
        self._entries: list[Entry] = []
        self._episodes: list[Unsubscribe] = []
        self._changes: list[AddressChange] = []
        self._former = found.former
        self._records: list[tuple[str, str]] = []
        for person in found.people:
            episodes = list(found.episodes.get(person.person_id, ()))
            self._index(Entry(person, episodes, erased=person.person_id in found.erased))

    @property
    def ids(self) -> list[str]:
        """The ids of the people at hand."""
        return [entry.person.person_id for entry in self._entries]

    def keeps_out(self, named: Sought) -> bool:
        """Whether a row names somebody who was erased on request: by address, person id or Salesforce id."""
        return bool(self._kept_out & {named.external_id, named.email, *named.record_ids})

    def by_id(self, named: str) -> Entry | None:
        """The person with this id, ours or Sales Connect's."""
        return self._by_id.get(named) if named else None

    def by_record(self, record_ids: Collection[str]) -> list[Entry]:
        """Everyone for whom one of these Salesforce ids is stored, or the other id of the same person account."""
        both = [i for record_id in record_ids for i in (record_id, self._other_half.get(record_id, ""))]
        return _once(entry for record_id in both for entry in self._by_record.get(record_id, ()))

    def by_email(self, email: str) -> list[Entry]:
        """Everyone in the register with this normalised address."""
        return [e for e in self._by_email.get(email, ()) if e.person.email == email and not e.erased]

    def opted_out_by(self, email: str, *, at: datetime | None) -> list[Entry]:
        """Whom an opt-out of this normalised address means: who has it, and who had it when it was made, or had it last.

        ``at`` is when it was made (UTC), None where that is not known.
        """
        holders = self.by_email(email)
        before = [(self._by_id[i], until) for i, until in self._former.get(email, {}).items() if i in self._by_id]
        former = [entry for entry, until in before if not entry.erased and (not holders or (at is not None and at <= until))]
        return _once([*holders, *former])

    def add(self, person: Person) -> Entry:
        """A new person."""
        entry = Entry(person, new=True)
        self._index(entry)
        self._records += [(person.person_id, record_id) for record_id in person.salesforce_ids]
        return entry

    def change(self, entry: Entry, **fields: Any) -> bool:
        """Give a person other values; a blank never takes one away. Returns whether that made a difference."""
        old = entry.person
        new = replace(old, **{name: value for name, value in fields.items() if value})
        if new == old:
            return False
        if new.email != old.email and not entry.new:
            self._changes.append(AddressChange(old.person_id, old.email, new.email))
        self._records += [(old.person_id, i) for i in new.salesforce_ids if i not in old.salesforce_ids]
        entry.person, entry.changed = new, True
        self._index_names(entry)
        return True

    def opt_out(self, entry: Entry, opt_out: OptOut, *, now: datetime) -> None:
        """Open an episode."""
        episode = begun(opt_out, entry.person.person_id, now=now, episodes=entry.episodes)
        entry.episodes.append(episode)
        self._episodes.append(episode)

    def new(self) -> list[Entry]:
        """The people whom the rows so far have added."""
        return [e for e in self._entries if e.new]

    def left_unsubscribed(self) -> dict[str, str]:
        """The addresses that unsubscribed people had before these rows, with the people's ids."""
        changed = ((c.old_email, c.person_id, self._by_id[c.person_id].episodes) for c in self._changes)
        return {email: person_id for email, person_id, episodes in changed if unsubscribed(episodes)}

    def write(self, tx: Transaction, *, now: datetime, by: str) -> None:
        """Put everything into the register."""
        imports.add_people(tx, [e.person for e in self.new()], at=now)
        imports.add_address_changes(
            tx, self._changes, at=now
        )  # first: PostgreSQL lets no role change an address that is not kept
        imports.change_people(tx, [e.person for e in self._entries if e.changed and not e.new], at=now)
        imports.add_record_ids(tx, self._records)
        imports.add_unsubscribes(tx, self._episodes, by=by)

    def _index(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._index_names(entry)

    def _index_names(self, entry: Entry) -> None:
        person = entry.person
        self._by_id[person.person_id] = entry
        if person.external_id:
            self._by_id[person.external_id] = entry
        for names, key in ((self._by_email, person.email), *((self._by_record, i) for i in person.salesforce_ids)):
            known = names.setdefault(key, [])
            if entry not in known:
                known.append(entry)


def begun(opt_out: OptOut, person_id: str, *, now: datetime, episodes: Iterable[Unsubscribe] = ()) -> Unsubscribe:
    """The episode that an opt-out begins for a person with these ones."""
    return Unsubscribe(
        unsubscribe_id=new_id(),
        person_id=person_id,
        opted_out_at=begins(opt_out, episodes),
        source=opt_out.source,
        detail=opt_out.detail,
        recorded_at=now,
    )


def _once(entries: Iterable[Entry]) -> list[Entry]:
    return list(dict.fromkeys(entries))
