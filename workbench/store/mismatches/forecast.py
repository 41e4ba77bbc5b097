"""What tonight's sync would write: the smallest set of opt-outs after which no link joins an opted-out side to another one.

Opt-outs travel along links: from a record to its people, from a person to their records, and on. Records that can't be written
(deleted, merged, converted) pass their own opt-out on and receive none.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from workbench.mismatch import OPT_OUT_RECORD, UNSUBSCRIBE_PERSON, Change, Excluded
from workbench.said import said
from workbench.store.database import Transaction
from workbench.store.mismatches.sides import (
    Condition,
    active,
    former_records,
    left_behind,
    link,
    live,
    not_fully_opted_out,
    p,
    record,
    subscribed,
    suppressed,
    unsubscribed,
    voices,
)


def forecast(tx: Transaction, *, resubscribed: Iterable[str] = ()) -> tuple[Change, ...]:
    """Every opt-out that tonight's sync would write, each target once, people first, ordered by id.

    ``resubscribed``: people (at most a batch of them) to be taken as resubscribed on both sides already, for a forecast with a
    batch. People without a linked record are never in it: nobody tells either side. Records of people who were erased on request
    are opted out, too.
    """
    world = _World(tx, frozenset(resubscribed))
    speaking, people = world.speaking(), world.people()
    targets = world.targets()
    unsubscribing = [_person(i, speaking.get(i), targets) for i in sorted(people)]
    opting_out = [_record(i, about, people) for i, about in targets.items()]
    former = world.former()
    opting_out += [_former(record_id, person_id) for record_id, person_id in former.items() if record_id not in targets]
    opting_out += [_erased(i) for i in world.suppressed() if i not in targets and i not in former]
    return (*unsubscribing, *sorted(opting_out, key=lambda change: change.record_id))


def left_with_former_address(tx: Transaction, person_id: str) -> tuple[str, ...]:
    """Living records, opted out or not, that kept a former address of the person and are nobody else's now; ids in order."""
    query = former_records(sa.select(record.c.record_id)).where(p.c.person_id == person_id, left_behind()).distinct()
    return tuple(tx.execute(query.order_by(record.c.record_id)).scalars())


def excluded(tx: Transaction) -> tuple[Excluded, ...]:
    """Records linked to unsubscribed people that are not opted out, and why the sync leaves them alone."""
    r = record
    query = sa.select(p.c.person_id, r.c.record_id, r.c.merged_into, r.c.is_deleted, r.c.converted_contact_id)
    query = query.join_from(p, link, link.c.person_id == p.c.person_id).join(r, r.c.record_id == link.c.record_id)
    rows = tx.execute(query.where(unsubscribed, ~r.c.opted_out, ~live(r)).order_by(p.c.person_id, r.c.record_id))
    return tuple(Excluded(person_id=x.person_id, record_id=x.record_id, why=_why_not(x)) for x in rows)


def _why_not(row: Any) -> str:
    if row.merged_into:
        return f"The record was merged into {row.merged_into}."
    if row.is_deleted:
        return "The record is deleted."
    return f"The record was converted{f' to {row.converted_contact_id}' if row.converted_contact_id else ''}."


class _Target:
    """A record to be opted out: whether one of its fields is set already, and the people it is linked to."""

    def __init__(self) -> None:
        self.half = False
        self.unsubscribed: list[str] = []
        self.others: list[str] = []


def _person(person_id: str, speaking: str | None, targets: dict[str, _Target]) -> Change:
    if speaking:
        why = said("The linked record {record} is opted out.", record=speaking)
        return Change(action=UNSUBSCRIBE_PERSON, person_id=person_id, record_id=speaking, why=why)
    via = min(i for i, about in targets.items() if person_id in about.others)
    why = said("The linked record {record} is opted out tonight: least permissive wins.", record=via)
    return Change(action=UNSUBSCRIBE_PERSON, person_id=person_id, record_id=via, why=why, direct=False)


def _record(record_id: str, about: _Target, people: frozenset[str]) -> Change:
    following = min(about.unsubscribed or [i for i in about.others if i in people])
    direct = bool(about.unsubscribed) or about.half
    if about.half:
        why = said("Only some of its opt-out fields are set.")
    elif direct:
        why = said("Its person is unsubscribed.")
    else:
        why = said("Another record of its person is opted out: least permissive wins.")
    return Change(action=OPT_OUT_RECORD, person_id=following, record_id=record_id, why=why, direct=direct)


def _former(record_id: str, person_id: str) -> Change:
    why = said("It has a former address of its person, who is unsubscribed.")
    return Change(action=OPT_OUT_RECORD, person_id=person_id, record_id=record_id, why=why)


def _erased(record_id: str) -> Change:
    why = said("Its person was erased on request: nobody may be mailed through it.")
    return Change(action=OPT_OUT_RECORD, person_id="", record_id=record_id, why=why)


def _listed(tx: Transaction, ids: Iterable[str]) -> sa.Select[Any]:
    """Ids as a query with one bound value: of a batch of 100,000 people there are more than a statement may have values."""
    one = sa.bindparam(None, json.dumps(sorted(ids)), sa.Text)
    if tx.dialect.name == "postgresql":
        return sa.select(sa.func.jsonb_array_elements_text(sa.cast(one, JSONB)).table_valued("value").c.value)
    return sa.select(sa.func.json_each(one).table_valued("value").c.value)


class _World:
    """The register and the org's records as they stand, or as they would after a batch."""

    def __init__(self, tx: Transaction, resubscribed: frozenset[str]) -> None:
        self.tx = tx
        self.ids = ids = _listed(tx, resubscribed) if resubscribed else None
        self.unsubscribed: Condition = unsubscribed
        self.subscribed: Condition = subscribed
        self.opted_out: Condition = record.c.opted_out
        self.half: Condition = record.c.fields_differ
        if ids is None:
            return
        self.unsubscribed = unsubscribed & p.c.person_id.not_in(ids)
        self.subscribed = subscribed | (active & p.c.person_id.in_(ids))
        cleared = sa.select(link.c.record_id).where(link.c.person_id.in_(ids))
        spared = live(record) & record.c.record_id.in_(cleared)
        self.opted_out = record.c.opted_out & ~spared
        self.half = record.c.fields_differ & ~spared

    def _speaking(self) -> sa.Select[Any]:
        """(person_id, record_id): an opted-out record that speaks for somebody who is not unsubscribed."""
        voice, r = voices(), record
        query = sa.select(voice.c.person_id, sa.func.min(voice.c.record_id).label("record_id"))
        query = query.join_from(voice, p, p.c.person_id == voice.c.person_id).join(r, r.c.record_id == voice.c.record_id)
        return query.where(self.subscribed, self.opted_out).group_by(voice.c.person_id)

    def speaking(self) -> dict[str, str]:
        """The record that says so, by person id."""
        return {r.person_id: r.record_id for r in self.tx.execute(self._speaking())}

    def _changing(self) -> sa.CTE:
        """(person_id): everyone to be unsubscribed, over any number of links."""
        speaking, out = self._speaking().cte("speaking"), p.alias("out")
        joined = self._joined_with(out).where(*self._is_unsubscribed(out))
        seed = sa.union(sa.select(speaking.c.person_id), joined).cte("seed")
        changing = sa.select(seed.c.person_id).cte("changing", recursive=True)
        return changing.union(self._joined_with(changing))  # without "all": a circle ends

    def _joined_with(self, start: sa.FromClause) -> sa.Select[Any]:
        """Who is not unsubscribed and shares a record, itself not opted out yet, with somebody of ``start``."""
        theirs, back, r = link.alias("theirs"), link.alias("back"), record
        path = sa.select(back.c.person_id).join_from(start, theirs, theirs.c.person_id == start.c.person_id)
        path = path.join(r, r.c.record_id == theirs.c.record_id).join(back, back.c.record_id == theirs.c.record_id)
        # A subquery, not a join: whoever plans this must start from the few, not from all who are not unsubscribed.
        willing = sa.exists(sa.select(p.c.person_id).where(p.c.person_id == back.c.person_id, self.subscribed).correlate(back))
        return path.where(live(r), ~self.opted_out, willing)

    def _is_unsubscribed(self, out: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
        spared = () if self.ids is None else (out.c.person_id.not_in(self.ids),)
        return (out.c.erased_at.is_(None), out.c.unsubscribed_at.is_not(None), *spared)

    def people(self) -> frozenset[str]:
        """The people to be unsubscribed."""
        return frozenset(self.tx.execute(sa.select(self._changing().c.person_id)).scalars())

    def former(self) -> dict[str, str]:
        """Records not, or only partly, opted out that kept a former address of an unsubscribed person and are nobody else's now."""
        query = former_records(sa.select(record.c.record_id, sa.func.min(p.c.person_id).label("person_id")))
        query = query.where(self.unsubscribed, left_behind(), not_fully_opted_out(record))
        found = query.group_by(record.c.record_id).order_by(record.c.record_id)
        return {row.record_id: row.person_id for row in self.tx.execute(found)}

    def suppressed(self) -> tuple[str, ...]:
        """Records of people who were erased that are not, or only partly, opted out."""
        query = sa.select(record.c.record_id).where(suppressed(record), live(record), not_fully_opted_out(record))
        return tuple(self.tx.execute(query.order_by(record.c.record_id)).scalars())

    def targets(self) -> dict[str, _Target]:
        """The records to be opted out, with everyone they are linked to."""
        r, changing, out = record, self._changing(), p.alias("out")
        told = sa.union(
            sa.select(link.c.record_id).join(out, out.c.person_id == link.c.person_id).where(*self._is_unsubscribed(out)),
            sa.select(link.c.record_id).join(changing, changing.c.person_id == link.c.person_id),
        ).cte("told")
        query = sa.select(r.c.record_id, sa.case((self.half, 1), else_=0).label("half"), p.c.person_id)
        query = query.add_columns(sa.case((self.unsubscribed, 1), else_=0).label("out"))
        query = query.join_from(told, r, r.c.record_id == told.c.record_id).join(link, link.c.record_id == r.c.record_id)
        query = query.join(p, p.c.person_id == link.c.person_id).where(live(r), ~self.opted_out | self.half)
        found: dict[str, _Target] = defaultdict(_Target)
        for row in self.tx.execute(query):
            about = found[row.record_id]
            about.half = bool(row.half)
            (about.unsubscribed if row.out else about.others).append(row.person_id)
        return dict(found)
