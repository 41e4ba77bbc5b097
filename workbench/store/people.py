"""People and their unsubscribes: reading, adding, closing. An unsubscribe is never deleted and never rewritten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from workbench.errors import InputError
from workbench.person import Person, Unsubscribe, domain_of, new_id, normalize_address
from workbench.said import said
from workbench.store import schema as s
from workbench.store import suppression
from workbench.store.database import Transaction, portions

_open = s.unsubscribe.c.closed_at.is_(None)


def by_ids(tx: Transaction, person_ids: Iterable[str]) -> dict[str, Person]:
    """People by id; ids that the register does not know are left out."""
    return {p.person_id: p for some in portions(person_ids) for p in _people(tx, s.person.c.person_id.in_(some))}


def by_address(tx: Transaction, address: str) -> tuple[Person, ...]:
    """Everyone whose address equals this one once both are normalised."""
    return _people(tx, s.person.c.email == normalize_address(address))


def find(tx: Transaction, named: str) -> Person:
    """The one person that an address or a person id names.

    Raises:
        InputError: nobody, or several people sharing the address; or somebody who was erased on request.
    """
    found = by_address(tx, named) if "@" in named else tuple(by_ids(tx, [named]).values())
    if len(found) > 1:
        raise InputError(
            said("{found} people share this address", found=len(found)),
            said("Name one by id: {found}.", found=", ".join(p.person_id for p in found)),
        )
    if not found and suppression.holds(tx, named):
        raise InputError(
            suppression.STAYS_OUT, said("Nobody may be mailed there; what is left of them is that they are kept out.")
        )
    if not found and (before := _had(tx, named)):
        raise InputError(
            said("nobody in the register has this address any more; {before} had it before", before=", ".join(before)),
            said("Name one of them by id.") if len(before) > 1 else said("Name the person by id."),
        )
    if not found:
        raise InputError(
            said("nobody in the register has this address or id"), said("Check the spelling, or import the person first.")
        )
    return found[0]


def _had(tx: Transaction, address: str) -> tuple[str, ...]:
    """The ids of the people who had this address before."""
    change = s.address_change.c
    chosen = sa.select(change.person_id).where(change.old_email == normalize_address(address)).distinct()
    return tuple(tx.execute(chosen.order_by(change.person_id)).scalars())


def _people(tx: Transaction, where: sa.ColumnElement[bool]) -> tuple[Person, ...]:
    rows = (
        tx.execute(sa.select(s.person).where(where, s.person.c.erased_at.is_(None)).order_by(s.person.c.person_id))
        .mappings()
        .all()
    )
    stored = s.person_salesforce_id
    ids: dict[str, list[str]] = defaultdict(list)
    chosen = sa.select(stored).where(stored.c.person_id.in_([r["person_id"] for r in rows])).order_by(stored.c.record_id)
    for row in tx.execute(chosen):
        ids[row.person_id].append(row.record_id)
    former: dict[str, list[str]] = defaultdict(list)
    change = s.address_change
    for row in tx.execute(
        sa.select(change.c.person_id, change.c.old_email).where(change.c.person_id.in_([r["person_id"] for r in rows]))
    ):
        former[row.person_id].append(row.old_email)
    return tuple(
        Person(
            person_id=r["person_id"],
            email=r["email"],
            email_as_given=r["email_as_given"],
            version=r["version"],
            first_name=r["first_name"],
            last_name=r["last_name"],
            company=r["company"],
            title=r["title"],
            external_id=r["external_id"] or "",
            salesforce_ids=tuple(ids[r["person_id"]]),
            former_emails=tuple(sorted({e for e in former[r["person_id"]] if e != r["email"]})),
        )
        for r in rows
    )


def ids_by_any_id(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """Person ids by our own id or by Sales Connect's."""
    p = s.person.c
    found: dict[str, str] = {}
    for some in portions(ids):
        chosen = sa.select(p.person_id, p.external_id).where(
            p.person_id.in_(some) | p.external_id.in_(some), p.erased_at.is_(None)
        )
        for row in tx.execute(chosen):
            found |= {row.person_id: row.person_id} | ({row.external_id: row.person_id} if row.external_id else {})
    return found


def ids_by_address(tx: Transaction, addresses: Sequence[str]) -> dict[str, list[str]]:
    """Person ids by normalised address; several where people share one."""
    p = s.person.c
    found: dict[str, list[str]] = defaultdict(list)
    for some in portions(addresses):
        for row in tx.execute(
            sa.select(p.email, p.person_id).where(p.email.in_(some), p.erased_at.is_(None)).order_by(p.person_id)
        ):
            found[row.email].append(row.person_id)
    return found


def sharers(tx: Transaction, people: Sequence[Person]) -> dict[str, int]:
    """For each person id, how many other people of the register share the address or a linked Salesforce record."""
    shared: dict[str, set[str]] = defaultdict(set)
    by_address = ids_by_address(tx, [p.email for p in people])
    for person in people:
        shared[person.person_id].update(by_address.get(person.email, ()))
    mine, other = s.link.alias(), s.link.alias()
    pairs = sa.select(mine.c.person_id, other.c.person_id.label("other_id")).join(other, mine.c.record_id == other.c.record_id)
    for some in portions([p.person_id for p in people]):
        for row in tx.execute(pairs.where(mine.c.person_id.in_(some), mine.c.person_id != other.c.person_id)):
            shared[row.person_id].add(row.other_id)
    stored = s.person_salesforce_id
    for some in portions([record_id for p in people for record_id in p.salesforce_ids]):
        owners = defaultdict(set)
        for row in tx.execute(sa.select(stored).where(stored.c.record_id.in_(some))):
            owners[row.record_id].add(row.person_id)
        for person in people:
            shared[person.person_id].update(*(owners[record_id] for record_id in person.salesforce_ids if record_id in owners))
    return {p.person_id: len(shared[p.person_id] - {p.person_id}) for p in people}


def unsubscribes(tx: Transaction, person_ids: Iterable[str]) -> dict[str, tuple[Unsubscribe, ...]]:
    """All episodes, open and closed, oldest first, by person id."""
    u = s.unsubscribe
    ordered = sa.select(u).order_by(u.c.person_id, u.c.opted_out_at, u.c.unsubscribe_id)
    episodes: dict[str, list[Unsubscribe]] = defaultdict(list)
    found = (r for some in portions(person_ids) for r in tx.execute(ordered.where(u.c.person_id.in_(some))).mappings())
    for r in found:
        episodes[r["person_id"]].append(
            Unsubscribe(
                unsubscribe_id=r["unsubscribe_id"],
                person_id=r["person_id"],
                opted_out_at=r["opted_out_at"],
                source=r["source"],
                detail=r["detail"],
                recorded_at=r["recorded_at"],
                closed_at=r["closed_at"],
            )
        )
    return {person_id: tuple(found) for person_id, found in episodes.items()}


def add(tx: Transaction, person: Person, *, at: datetime) -> None:
    """A new person with its stored Salesforce ids; the caller made the id."""
    tx.execute(
        sa.insert(s.person).values(
            person_id=person.person_id,
            external_id=person.external_id or None,
            email=person.email,
            email_as_given=person.email_as_given,
            domain=domain_of(person.email),
            first_name=person.first_name,
            last_name=person.last_name,
            company=person.company,
            title=person.title,
            version=1,
            created_at=at,
            updated_at=at,
        )
    )
    if person.salesforce_ids:
        tx.execute(
            sa.insert(s.person_salesforce_id), [{"person_id": person.person_id, "record_id": i} for i in person.salesforce_ids]
        )


def unsubscribe(
    tx: Transaction, person_id: str, *, opted_out_at: datetime, source: str, detail: str, recorded_at: datetime, recorded_by: str
) -> str:
    """Open an episode; always allowed. Returns its id."""
    episode = new_id()
    tx.execute(
        sa.insert(s.unsubscribe).values(
            unsubscribe_id=episode,
            person_id=person_id,
            opted_out_at=opted_out_at,
            source=source,
            detail=detail,
            recorded_at=recorded_at,
            recorded_by=recorded_by,
        )
    )
    restate(tx, [person_id])
    return episode


def close_unsubscribes(tx: Transaction, intents: Mapping[str, str], *, at: datetime) -> dict[str, tuple[str, ...]]:
    """Close every open episode of some people, each on behalf of one resubscription: intent ids by person id.

    Returns the ids of the closed episodes by person id; people without any are left out.
    """
    u = s.unsubscribe
    open_ones = sa.select(u.c.unsubscribe_id, u.c.person_id).where(u.c.person_id.in_(list(intents)), _open)
    episodes: dict[str, list[str]] = defaultdict(list)
    for row in tx.execute(open_ones.order_by(u.c.unsubscribe_id)):
        episodes[row.person_id].append(row.unsubscribe_id)
    if episodes:
        closing = sa.update(u).where(u.c.person_id == sa.bindparam("who"), _open)
        mine = [{"who": person_id, "closed_by_intent": intents[person_id]} for person_id in episodes]
        tx.execute(closing.values(closed_at=at), mine)
    restate(tx, list(intents))
    return {person_id: tuple(ids) for person_id, ids in episodes.items()}


def restate(tx: Transaction, person_ids: Sequence[str] | None = None) -> None:
    """Bring the copies on `person` (unsubscribed_at, unsubscribe_source) in line with the episodes and raise the version.

    ``None`` restates everyone (after a bulk import); only people whose copies differ get a new version then.
    """
    p, u = s.person, s.unsubscribe
    newest = sa.select(u.c.opted_out_at).where(u.c.person_id == p.c.person_id, _open)
    newest = newest.order_by(u.c.opted_out_at.desc(), u.c.unsubscribe_id.desc()).limit(1)
    source = newest.with_only_columns(u.c.source)
    change = sa.update(p).values(
        unsubscribed_at=newest.scalar_subquery(), unsubscribe_source=source.scalar_subquery(), version=p.c.version + 1
    )
    if person_ids is None:
        tx.execute(change.where(p.c.unsubscribed_at.is_distinct_from(newest.scalar_subquery())))
    else:
        for some in portions(person_ids):
            tx.execute(change.where(p.c.person_id.in_(some)))
