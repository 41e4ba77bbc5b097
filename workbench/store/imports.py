"""The SQL of imports: whom a thousand rows could mean, in a few queries, and writing what they change, in a few statements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa

from workbench.person import Person, Unsubscribe, domain_of, new_id
from workbench.store import people
from workbench.store import schema as s
from workbench.store.database import Transaction

IDS_A_QUERY = 1_000
Item = TypeVar("Item")


@dataclass(frozen=True)
class Candidates:
    """The people whom some rows could mean; ``erased`` are the ids of those who were erased and must stay out.

    ``former`` says, by a normalised address asked for, who had it before, and until when (person id, UTC).
    """

    people: tuple[Person, ...]
    erased: frozenset[str]
    episodes: dict[str, tuple[Unsubscribe, ...]]
    former: dict[str, dict[str, datetime]]


@dataclass(frozen=True)
class AddressChange:
    """A person's address is another one from now on."""

    person_id: str
    old_email: str
    new_email: str


def candidates(tx: Transaction, *, ids: Collection[str], record_ids: Collection[str], addresses: Collection[str]) -> Candidates:
    """Everyone who has one of these ids (ours or Sales Connect's), Salesforce ids or normalised addresses, or had the address."""
    p, stored = s.person, s.person_salesforce_id
    by_record = sa.select(stored.c.person_id)
    former = _former(tx, addresses)
    found = {
        *(person_id for holders in former.values() for person_id in holders),
        *_chosen(tx, sa.select(p.c.person_id), p.c.person_id, ids),
        *_chosen(tx, sa.select(p.c.person_id), p.c.external_id, ids),
        *_chosen(tx, by_record, stored.c.record_id, record_ids),
        *_chosen(tx, sa.select(p.c.person_id), p.c.email, addresses),
    }
    rows = [row for some in _batches(sorted(found)) for row in tx.execute(sa.select(p).where(p.c.person_id.in_(some))).mappings()]
    kept = _record_ids(tx, found)
    return Candidates(
        people=tuple(_person(row, tuple(kept.get(row["person_id"], ()))) for row in rows),
        erased=frozenset(row["person_id"] for row in rows if row["erased_at"] is not None),
        episodes={k: v for some in _batches(sorted(found)) for k, v in people.unsubscribes(tx, some).items()},
        former=former,
    )


def _former(tx: Transaction, addresses: Collection[str]) -> dict[str, dict[str, datetime]]:
    c = s.address_change.c
    last = sa.select(c.old_email, c.person_id, sa.func.max(c.changed_at).label("until")).group_by(c.old_email, c.person_id)
    found: dict[str, dict[str, datetime]] = {}
    for some in _batches(sorted(addresses)):
        for row in tx.execute(last.where(c.old_email.in_(some)).order_by(c.old_email, c.person_id)):
            found.setdefault(row.old_email, {})[row.person_id] = row.until
    return found


def other_halves(tx: Transaction, record_ids: Collection[str]) -> dict[str, str]:
    """For the account or the contact of a person account, as far as Salesforce was read, the id of the other one."""
    record = s.org_record
    pairs = sa.select(record.c.person_account, record.c.record_id).where(record.c.person_account.is_not(None))
    found: dict[str, str] = {}
    for some in _batches(sorted(record_ids)):
        for account, contact in tx.execute(pairs.where(record.c.person_account.in_(some) | record.c.record_id.in_(some))):
            found |= {account: contact, contact: account}
    return found


def formerly_unsubscribed(tx: Transaction, addresses: Collection[str]) -> dict[str, str]:
    """Which of these addresses were once that of a person who is unsubscribed under another address now, with that person's id."""
    c, p = s.address_change, s.person
    chosen = sa.select(c.c.old_email, c.c.person_id).join(p, p.c.person_id == c.c.person_id)
    chosen = chosen.where(p.c.unsubscribed_at.is_not(None)).order_by(c.c.old_email, c.c.person_id)
    rows = (row for some in _batches(sorted(addresses)) for row in tx.execute(chosen.where(c.c.old_email.in_(some))))
    return {row.old_email: row.person_id for row in rows}


def known_since(tx: Transaction, file_sha256: str, kind: str) -> datetime | None:
    """When these very bytes were first taken in as this kind of file, with no other file of the kind since; None when never.

    An export that is like an earlier one, while one between them was not, says anew what the earlier one said.
    """
    run = s.import_run
    last_other = sa.select(sa.func.max(run.c.imported_at)).where(run.c.file_sha256 != file_sha256, run.c.kind == kind)
    mine = sa.select(sa.func.min(run.c.imported_at)).where(run.c.file_sha256 == file_sha256, run.c.kind == kind)
    other: datetime | None = tx.execute(last_other).scalar()
    return tx.execute(mine if other is None else mine.where(run.c.imported_at > other)).scalar()


def add_people(tx: Transaction, new: Sequence[Person], *, at: datetime) -> None:
    """New people, in one statement; their Salesforce ids come with `add_record_ids`."""
    if new:
        tx.execute(sa.insert(s.person), [{**_values(p), "version": 1, "created_at": at, "updated_at": at} for p in new])


def change_people(tx: Transaction, changed: Sequence[Person], *, at: datetime) -> None:
    """Write people as they are now; each gets a new version."""
    if not changed:
        return
    fields = [name for name in _values(changed[0]) if name != "person_id"]
    change = sa.update(s.person).where(s.person.c.person_id == sa.bindparam("its_id"))
    change = change.values({name: sa.bindparam(f"new_{name}") for name in fields})
    change = change.values(version=s.person.c.version + 1, updated_at=sa.bindparam("new_at"))
    rows = [
        {"its_id": p.person_id, "new_at": at, **{f"new_{k}": v for k, v in _values(p).items() if k in fields}} for p in changed
    ]
    tx.execute(change, rows)


def add_record_ids(tx: Transaction, pairs: Sequence[tuple[str, str]]) -> None:
    """Note (person id, Salesforce id) pairs that are not noted yet."""
    if pairs:
        tx.execute(sa.insert(s.person_salesforce_id), [{"person_id": person, "record_id": record} for person, record in pairs])


def add_address_changes(tx: Transaction, changes: Sequence[AddressChange], *, at: datetime) -> None:
    """Note former addresses, so that an opt-out can be followed from one to the next."""
    rows = [
        {
            "change_id": new_id(),
            "person_id": c.person_id,
            "old_email": c.old_email,
            "new_email": c.new_email,
            "changed_at": at,
        }
        for c in changes
    ]
    if rows:
        tx.execute(sa.insert(s.address_change), rows)


def add_unsubscribes(tx: Transaction, episodes: Sequence[Unsubscribe], *, by: str) -> None:
    """Open episodes, and bring the people's copies and versions in line."""
    if not episodes:
        return
    names = ("unsubscribe_id", "person_id", "opted_out_at", "source", "detail", "recorded_at")
    tx.execute(sa.insert(s.unsubscribe), [{**{n: getattr(e, n) for n in names}, "recorded_by": by} for e in episodes])
    for some in _batches(sorted({e.person_id for e in episodes})):
        people.restate(tx, some)


def add_run(tx: Transaction, *, kind: str, file_sha256: str, operator: str, at: datetime, counts: dict[str, int]) -> str:
    """Note that a file was taken in. Returns the import's id."""
    import_id = new_id()
    row = {"import_id": import_id, "kind": kind, "file_sha256": file_sha256, "operator": operator, "imported_at": at}
    tx.execute(sa.insert(s.import_run).values(**row, counts=counts))
    return import_id


def _values(person: Person) -> dict[str, Any]:
    return {
        "person_id": person.person_id,
        "external_id": person.external_id or None,
        "email": person.email,
        "email_as_given": person.email_as_given,
        "domain": domain_of(person.email),
        "first_name": person.first_name,
        "last_name": person.last_name,
        "company": person.company,
        "title": person.title,
    }


def _person(row: Any, record_ids: tuple[str, ...]) -> Person:
    return Person(
        **{n: row[n] for n in ("person_id", "email", "email_as_given", "version", "first_name", "last_name", "company", "title")},
        external_id=row["external_id"] or "",
        salesforce_ids=record_ids,
    )


def _record_ids(tx: Transaction, person_ids: Collection[str]) -> dict[str, list[str]]:
    stored = s.person_salesforce_id
    kept: dict[str, list[str]] = {}
    for some in _batches(sorted(person_ids)):
        for row in tx.execute(sa.select(stored).where(stored.c.person_id.in_(some)).order_by(stored.c.record_id)):
            kept.setdefault(row.person_id, []).append(row.record_id)
    return kept


def _chosen(tx: Transaction, chosen: sa.Select[Any], column: sa.Column[Any], values: Collection[str]) -> Iterator[str]:
    for some in _batches(sorted(values)):
        yield from tx.execute(chosen.where(column.in_(some))).scalars()


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    left = iter(items)
    while some := list(islice(left, IDS_A_QUERY)):
        yield some
