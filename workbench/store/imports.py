"""The SQL of imports: whom some thousand rows could mean, in a few queries, and writing what they change, in a few statements."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.person import Person, Unsubscribe, domain_of, new_id
from workbench.store import people
from workbench.store import schema as s
from workbench.store.database import Transaction, insert_many


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
    rows = tx.execute(sa.select(p).where(p.c.person_id.in_(_these(tx, found)))).mappings().all() if found else []
    kept = _record_ids(tx, found)
    return Candidates(
        people=tuple(_person(row, tuple(kept.get(row["person_id"], ()))) for row in rows),
        erased=frozenset(row["person_id"] for row in rows if row["erased_at"] is not None),
        episodes=people.unsubscribes(tx, sorted(found)),
        former=former,
    )


def known(tx: Transaction, *, ids: Collection[str], record_ids: Collection[str], addresses: Collection[str]) -> set[str]:
    """Those of these ids (ours or Sales Connect's), Salesforce ids and normalised addresses by which `candidates` may find somebody."""
    p, stored, record = s.person.c, s.person_salesforce_id.c, s.org_record.c
    half = record.person_account.is_not(None)
    found: set[str] = set()
    for texts, columns in (
        (ids, (sa.select(p.person_id), sa.select(p.external_id))),
        (
            record_ids,
            (sa.select(stored.record_id), sa.select(record.person_account).where(half), sa.select(record.record_id).where(half)),
        ),
        (addresses, (sa.select(p.email), sa.select(s.address_change.c.old_email))),
    ):
        if texts:
            each = _each(tx, texts)
            wanted = sa.select(each.c.value).where(sa.or_(*(each.c.value.in_(column) for column in columns)))
            found.update(tx.execute(wanted).scalars())
    return found


def with_ids(tx: Transaction, external_ids: Collection[str]) -> tuple[Person, ...]:
    """The people with these ids of Sales Connect, without those who were erased."""
    return _people(tx, s.person.c.external_id.in_(_these(tx, external_ids))) if external_ids else ()


def alone_with(tx: Transaction, addresses: Collection[str]) -> tuple[Person, ...]:
    """Those who alone have one of these normalised addresses, erased people not counted."""
    found = _people(tx, s.person.c.email.in_(_these(tx, addresses))) if addresses else ()
    number = Counter(person.email for person in found)
    return tuple(person for person in found if number[person.email] == 1)


def _people(tx: Transaction, where: sa.ColumnElement[bool]) -> tuple[Person, ...]:
    rows = tx.execute(sa.select(s.person).where(where, s.person.c.erased_at.is_(None))).mappings().all()
    kept = _record_ids(tx, [row["person_id"] for row in rows])
    return tuple(_person(row, tuple(kept.get(row["person_id"], ()))) for row in rows)


def shared(tx: Transaction, *, record_ids: Collection[str], addresses: Collection[str]) -> set[str]:
    """Those of these Salesforce ids and addresses that not exactly one person has, or that lead to somebody else besides."""
    p, stored, record = s.person.c, s.person_salesforce_id.c, s.org_record.c
    half = record.person_account.is_not(None)
    found: set[str] = set()
    for texts, holder, others in (
        (
            record_ids,
            (stored.record_id, sa.true()),
            (sa.select(record.person_account).where(half), sa.select(record.record_id).where(half)),
        ),
        (addresses, (p.email, p.erased_at.is_(None)), (sa.select(s.address_change.c.old_email),)),
    ):
        if texts:
            each, (column, living) = _each(tx, texts), holder
            holders = sa.select(sa.func.count()).where(column == each.c.value, living).scalar_subquery()
            wanted = sa.or_(holders != 1, *(each.c.value.in_(other) for other in others))
            found.update(tx.execute(sa.select(each.c.value).where(wanted)).scalars())
    return found


def _former(tx: Transaction, addresses: Collection[str]) -> dict[str, dict[str, datetime]]:
    c = s.address_change.c
    last = sa.select(c.old_email, c.person_id, sa.func.max(c.changed_at).label("until")).group_by(c.old_email, c.person_id)
    found: dict[str, dict[str, datetime]] = {}
    for row in tx.execute(last.where(c.old_email.in_(_these(tx, addresses))).order_by(c.old_email, c.person_id)):
        found.setdefault(row.old_email, {})[row.person_id] = row.until
    return found


def other_halves(tx: Transaction, record_ids: Collection[str]) -> dict[str, str]:
    """For the account or the contact of a person account, as far as Salesforce was read, the id of the other one."""
    record = s.org_record
    pairs = sa.select(record.c.person_account, record.c.record_id).where(record.c.person_account.is_not(None))
    found: dict[str, str] = {}
    for column in (record.c.person_account, record.c.record_id):
        for account, contact in tx.execute(pairs.where(column.in_(_these(tx, record_ids)))):
            found |= {account: contact, contact: account}
    return found


def formerly_unsubscribed(tx: Transaction, addresses: Collection[str]) -> dict[str, str]:
    """Which of these addresses were once that of a person who is unsubscribed under another address now, with that person's id."""
    c, p = s.address_change, s.person
    chosen = sa.select(c.c.old_email, c.c.person_id).join(p, p.c.person_id == c.c.person_id)
    chosen = chosen.where(p.c.unsubscribed_at.is_not(None)).order_by(c.c.old_email, c.c.person_id)
    return {row.old_email: row.person_id for row in tx.execute(chosen.where(c.c.old_email.in_(_these(tx, addresses))))}


def known_since(tx: Transaction, file_sha256: str, kind: str) -> datetime | None:
    """When these very bytes were first taken in as this kind of file, with no other file of the kind since; None when never.

    An export that is like an earlier one, while one between them was not, says anew what the earlier one said.
    """
    run = s.import_run
    last_other = sa.select(sa.func.max(run.c.imported_at)).where(run.c.file_sha256 != file_sha256, run.c.kind == kind)
    mine = sa.select(sa.func.min(run.c.imported_at)).where(run.c.file_sha256 == file_sha256, run.c.kind == kind)
    other: datetime | None = tx.execute(last_other).scalar()
    return tx.execute(mine if other is None else mine.where(run.c.imported_at > other)).scalar()


def unindex(tx: Transaction) -> bool:
    """Drop the indexes of people and their unsubscribes by which an import looks nobody up, where there is nobody yet; whether it did that.

    They slow a first filling more than they help it; `index` makes them again at its end. A server's tables keep theirs: dropping one
    would lock out everybody else.
    """
    if tx.dialect.name != "sqlite" or tx.execute(sa.select(s.person.c.person_id).limit(1)).first() is not None:
        return False
    for one in _NOT_ASKED:
        one.drop(tx)
    return True


def index(tx: Transaction) -> None:
    """Make them again."""
    for one in _NOT_ASKED:
        one.create(tx)


_ASKED = ("ix_person_email", "ix_unsubscribe_person")
_NOT_ASKED = tuple(
    one for one in sorted({*s.person.indexes, *s.unsubscribe.indexes}, key=lambda one: str(one.name)) if one.name not in _ASKED
)


def add_people(tx: Transaction, new: Sequence[Person], *, at: datetime) -> None:
    """New people, in one statement; their Salesforce ids come with `add_record_ids`."""
    add_new(tx, [tuple(_values(p).values()) for p in new], at=at)


def add_new(tx: Transaction, new: Iterable[tuple[str | None, ...]], *, at: datetime) -> None:
    """New people as tuples in the order of `PERSON_FIELDS`: as they come from the columns of a file."""
    moment = s.instant_binder(tx.dialect)(at)
    insert_many(tx, sa.insert(s.person), [(*values, 1, moment, moment, None, None, None) for values in new])


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
    insert_many(tx, sa.insert(s.person_salesforce_id), pairs)


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
    instant = s.instant_binder(tx.dialect)
    rows = [
        (e.unsubscribe_id, e.person_id, instant(e.opted_out_at), e.source, e.detail, instant(e.recorded_at), by, None, None)
        for e in episodes
    ]
    insert_many(tx, sa.insert(s.unsubscribe), rows)
    people.restate(tx, sorted({e.person_id for e in episodes}))


def add_run(tx: Transaction, *, kind: str, file_sha256: str, operator: str, at: datetime, counts: dict[str, int]) -> str:
    """Note that a file was taken in. Returns the import's id."""
    import_id = new_id()
    row = {"import_id": import_id, "kind": kind, "file_sha256": file_sha256, "operator": operator, "imported_at": at}
    tx.execute(sa.insert(s.import_run).values(**row, counts=counts))
    return import_id


PERSON_FIELDS = (
    "person_id", "external_id", "email", "email_as_given", "domain", "first_name", "last_name", "company", "title",
)  # fmt: skip
"""The first columns of `person`: what a file says of somebody."""


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
    for row in tx.execute(sa.select(stored).where(stored.c.person_id.in_(_these(tx, person_ids))).order_by(stored.c.record_id)):
        kept.setdefault(row.person_id, []).append(row.record_id)
    return kept


def _chosen(tx: Transaction, chosen: sa.Select[Any], column: sa.Column[Any], values: Collection[str]) -> Iterator[str]:
    if values:
        yield from tx.execute(chosen.where(column.in_(_these(tx, values)))).scalars()


def _these(tx: Transaction, texts: Collection[str]) -> sa.Select[Any]:
    """A query that gives back these texts, in their order."""
    return sa.select(_each(tx, texts).c.value)


def _each(tx: Transaction, texts: Collection[str]) -> sa.FromClause:
    """A table of these texts that is bound as one value, so that a statement does not have to be made anew for each number of them."""
    if tx.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        listed = sa.bindparam(None, sorted(texts), postgresql.ARRAY(sa.Text), unique=True)
        return sa.func.unnest(listed).table_valued("value").render_derived()
    return sa.func.json_each(sa.bindparam(None, json.dumps(sorted(texts)), sa.Text, unique=True)).table_valued("value")
