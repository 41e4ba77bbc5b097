"""What names a person: every address, id and Salesforce record that the register knows of somebody who is to be erased."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from workbench.person import normalize_address, spellings
from workbench.store import leases, people
from workbench.store import schema as s
from workbench.store.database import Transaction

OPEN_BATCHES = ("proposed", "approved", "running", "paused")


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What names one person. ``records`` are the 18-character ids of the Salesforce records that are theirs."""

    person_id: str
    addresses: frozenset[str]
    external_id: str
    records: frozenset[str]

    @property
    def identifiers(self) -> frozenset[str]:
        """Everything by which this person could come in again."""
        return frozenset({*self.addresses, *self.records, self.external_id} - {""})

    @property
    def spelt(self) -> frozenset[str]:
        """Every spelling of the addresses, in lower case: how they may stand in texts and files."""
        return frozenset(form.lower() for address in self.addresses for form in spellings(address))


def of_people(tx: Transaction, person_ids: Sequence[str]) -> tuple[Traces, ...]:
    """The traces of these people, in their order.

    An address that somebody else in the register has now is left out where it is only that of a record or consent: it is theirs.
    """
    addresses, records = _addresses(tx, person_ids), _records(tx, person_ids)
    taken = people.ids_by_address(tx, sorted({normalize_address(a) for some in addresses.values() for a in some} - {""}))
    named = people.by_ids(tx, person_ids)
    found = []
    for person_id in person_ids:
        others = {a for a in addresses[person_id] if set(taken.get(normalize_address(a), ())) - set(person_ids)}
        person = named[person_id]
        found.append(
            Traces(
                person_id=person_id,
                addresses=frozenset(addresses[person_id] - others - {""}) | {person.email, person.email_as_given},
                external_id=person.external_id,
                records=frozenset(records[person_id]),
            )
        )
    return tuple(found)


def _addresses(tx: Transaction, person_ids: Sequence[str]) -> dict[str, set[str]]:
    p, change, link, row = s.person.c, s.address_change.c, s.link.c, s.org_record.c
    found: dict[str, set[str]] = defaultdict(set)
    for query in (
        sa.select(p.person_id, p.email, p.email_as_given).where(p.person_id.in_(person_ids)),
        sa.select(change.person_id, change.old_email, change.new_email).where(change.person_id.in_(person_ids)),
        sa.select(link.person_id, row.email, row.email_as_given)
        .join_from(s.link, s.org_record, row.record_id == link.record_id)
        .where(link.person_id.in_(person_ids)),
    ):
        for person_id, *its in tx.execute(query):
            found[person_id].update(its)
    for person_id, document in tx.execute(
        sa.select(s.consent.c.person_id, s.consent.c.document).where(s.consent.c.person_id.in_(person_ids))
    ):
        found[person_id].add(str(document.get("email", "")))
    return found


def _records(tx: Transaction, person_ids: Sequence[str]) -> dict[str, set[str]]:
    """Records by link, by stored id, by what a batch wrote, and whatever has the person's address."""
    stored, link, p, row = s.person_salesforce_id.c, s.link.c, s.person.c, s.org_record.c
    found: dict[str, set[str]] = defaultdict(set)
    for query in (
        sa.select(stored.person_id, stored.record_id).where(stored.person_id.in_(person_ids)),
        sa.select(link.person_id, link.record_id).where(link.person_id.in_(person_ids)),
        sa.select(p.person_id, row.record_id)
        .join_from(s.person, s.org_record, row.email == p.email)
        .where(p.person_id.in_(person_ids), p.email != ""),
    ):
        for person_id, record_id in tx.execute(query):
            found[person_id].add(record_id)
    return found


def blockers(tx: Transaction, person_ids: Sequence[str], *, now: datetime) -> tuple[str, ...]:
    """Why these people can't be erased now, in sentences; empty when they can."""
    i, b = s.intent.c, s.batch.c
    held = sa.select(i.person_id, b.batch_id, b.state).join_from(s.intent, s.batch, b.batch_id == i.batch_id)
    held = held.where(i.person_id.in_(person_ids), b.state.in_(OPEN_BATCHES) | i.holds_person)
    said = [f"person {r.person_id} is in the batch {r.batch_id}, which is {r.state}" for r in tx.execute(held)]
    busy = sorted(leases.held(tx, person_ids, now=now))
    said += [f"person {person_id} is being worked on by a batch or the sync" for person_id in busy]
    shared = _sharers(tx, person_ids)
    for person_id, others in sorted(shared.items()):
        said.append(f"person {person_id} shares an address or a Salesforce record with {', '.join(sorted(others))}")
    return tuple(said)


def _sharers(tx: Transaction, person_ids: Iterable[str]) -> dict[str, set[str]]:
    """Who else in the register has the same address or Salesforce record as one of these people, by person."""
    wanted = list(person_ids)
    mine, other = s.person.alias("mine"), s.person.alias("other")
    same = sa.select(mine.c.person_id, other.c.person_id.label("other_id")).join_from(mine, other, mine.c.email == other.c.email)
    same = same.where(other.c.erased_at.is_(None))
    pairs = [same.where(mine.c.person_id.in_(wanted), other.c.person_id.not_in(wanted))]
    for table in (s.link, s.person_salesforce_id):
        one, two = table.alias("one"), table.alias("two")
        joined = sa.select(one.c.person_id, two.c.person_id.label("other_id"))
        joined = joined.join_from(one, two, one.c.record_id == two.c.record_id)
        pairs.append(joined.where(one.c.person_id.in_(wanted), two.c.person_id.not_in(wanted)))
    found: dict[str, set[str]] = defaultdict(set)
    for query in pairs:
        for row in tx.execute(query):
            found[row.person_id].add(row.other_id)
    return found


def counts(tx: Transaction, person_ids: Sequence[str]) -> dict[str, int]:
    """How much of each kind the register holds about these people."""
    kinds = {
        "detail of an unsubscribe": (s.unsubscribe, s.unsubscribe.c.detail != ""),
        "consent": (s.consent, sa.true()),
        "link to Salesforce": (s.link, sa.true()),
        "former address": (s.address_change, sa.true()),
        "batch item": (s.intent, sa.true()),
        "mismatch": (s.mismatch, sa.true()),
    }
    count = sa.select(sa.func.count())
    return {
        what: tx.execute(count.select_from(table).where(table.c.person_id.in_(person_ids), also)).scalar_one()
        for what, (table, also) in kinds.items()
    }


def formers_of_others(tx: Transaction, traces: Sequence[Traces]) -> int:
    """How many former addresses of people who stay are addresses of those who are erased; they are not taken from them."""
    change, addresses = s.address_change.c, sorted({a for t in traces for a in t.addresses})
    theirs = change.old_email.in_(addresses) | change.new_email.in_(addresses)
    ids = [t.person_id for t in traces]
    return int(tx.execute(sa.select(sa.func.count()).where(theirs, change.person_id.not_in(ids))).scalar_one())
