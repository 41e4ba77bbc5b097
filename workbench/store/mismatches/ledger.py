"""The table of mismatches: found ones are added or confirmed, those no longer found are resolved, none is ever deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from workbench.mismatch import (
    KINDS,
    NO_LONGER_FOUND,
    ON_TRAIL,
    KindAges,
    KindCount,
    Mismatch,
    age_classes,
    business_days,
    late_before,
)
from workbench.store import postgresql
from workbench.store import schema as s
from workbench.store.database import Transaction
from workbench.store.mismatches import near, opposed, status, ties
from workbench.store.records import own_users, relink
from workbench.trail import Event, events

t = s.mismatch
KEY = ("kind", "person_id", "record_id")
SAID = ("detail", "forecast")
COLUMNS = (*KEY, *SAID, "since")

PLAIN: tuple[Callable[[], sa.Select[Any]], ...] = (
    opposed.opted_out_only_in_salesforce,
    opposed.unsubscribed_only_locally,
    opposed.records_disagree,
    opposed.records_disagree_unlinked,
    opposed.fields_disagree,
    opposed.duplicate_address,
    opposed.orphan_opt_out,
    status.resubscribed_without_consent,
    ties.never_syncs,
    ties.link_broken,
    ties.link_to_nothing,
    ties.address_changed,
    ties.former_address,
    ties.origin_unknown,
    ties.erased_in_register,
)


class random_id(FunctionElement[str]):  # noqa: N801 - it is written like an SQL function
    """A new id of 32 hexadecimal digits for each row."""

    type = sa.String(36)
    inherit_cache = True


@compiles(random_id)
def _sqlite_id(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "lower(hex(randomblob(16)))"


@compiles(random_id, "postgresql")
def _postgresql_id(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "replace(gen_random_uuid()::text, '-', '')"


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a look at everything found: open mismatches by kind, and of the kinds on the trail those that came and went."""

    counts: dict[str, int]
    found: tuple[Mismatch, ...]
    resolved: tuple[Mismatch, ...]


class AppendEvent(Protocol):
    """Appends an event to the trail in the caller's transaction."""

    def __call__(
        self,
        tx: Transaction,
        event: Event,
        *,
        batch_id: str | None = None,
        intent_id: str | None = None,
        person_id: str | None = None,
    ) -> object:
        """Append it."""


def refresh(
    tx: Transaction,
    now: datetime,
    *,
    everything: bool = False,
    resolved_by: str = NO_LONGER_FOUND,
    append_event: AppendEvent | None = None,
) -> Refreshed:
    """Look for every kind of mismatch and bring the table in line; what is gone counts as resolved by ``resolved_by``.

    Only what was touched since the last look is looked at, and all that is joined to it; that finds what a look at ``everything``
    would. Links are brought in line first, of the same people; a login that may not do that looks, and leaves what was touched to the
    next one. ``last_seen`` is when a mismatch was last looked at. With ``append_event`` the findings that came and went (`ON_TRAIL`) are
    told to the trail.
    """
    own, links = own_users(tx), tx.dialect.name != "postgresql" or postgresql.links(tx)
    with near.joined_to_what_was_touched(tx, own) as few:
        part = few and not everything
        with _seen_now(tx, own, few=few, part=part, links=links):
            looked_at = OPEN & near.within(t.c.person_id, t.c.record_id) if part else OPEN
            _confirm(tx, now)
            resolved = _both(tx, lambda on_trail: _resolution(now, resolved_by, looked_at, on_trail=on_trail))
            found = _both(tx, lambda on_trail: _addition(now, on_trail=on_trail))
    if links:
        near.looked(tx, own, at_everything=not part)
    if append_event is not None:
        _tell(tx, append_event, found=found, resolved=resolved)
    return Refreshed(counts={c.kind: c.open for c in counts(tx, now)}, found=found, resolved=resolved)


SEEN = sa.Table(
    "seen_mismatch",
    sa.MetaData(),
    *(sa.Column(name, sa.String(40), primary_key=True) for name in KEY),
    *(sa.Column(name, sa.Text, nullable=False) for name in SAID),
    sa.Column("since", s.Instant),
    prefixes=["TEMPORARY"],
)
SAME = sa.and_(*(t.c[name] == SEEN.c[name] for name in KEY))
OPEN = t.c.resolved_at.is_(None)


def _tell(tx: Transaction, append_event: AppendEvent, *, found: tuple[Mismatch, ...], resolved: tuple[Mismatch, ...]) -> None:
    for one in found:
        records = (one.record_id,) if one.record_id else ()
        came = events.MismatchFound(mismatch_id=one.mismatch_id, kind=one.kind, records=records, detail=one.detail)
        append_event(tx, came, person_id=one.person_id or None)
    for one in resolved:
        went = events.MismatchResolved(mismatch_id=one.mismatch_id, kind=one.kind, resolved_by=one.resolved_by)
        append_event(tx, went, person_id=one.person_id or None)


@contextmanager
def _seen_now(tx: Transaction, own: Collection[str], *, few: bool, part: bool, links: bool) -> Iterator[None]:
    """Bring links in line, and fill a temporary table with everything that disagrees at this moment, or with the ``part`` of it.

    The part is what is near to what was touched, which is known where that is ``few``; links elsewhere are right then.
    """
    SEEN.create(tx, checkfirst=False)
    with near.alone(tx, keep_links=links) if few else nullcontext():
        if links:
            relink(tx)
        if part:
            _see(tx, own)
    if not part:
        _see(tx, own)
    yield
    SEEN.drop(tx, checkfirst=False)


def queries(own: Collection[str]) -> tuple[sa.Select[Any], ...]:
    """Every query about mismatches, each with the columns `COLUMNS`; ``own`` are the org users that we log in as."""
    return (*_plain_queries(), status.cleared_by_others(own), status.relapse(own))


def _see(tx: Transaction, own: Collection[str]) -> None:
    for query in queries(own):
        columns = [query.selected_columns[name] for name in COLUMNS]
        tx.execute(sa.insert(SEEN).from_select(COLUMNS, query.with_only_columns(*columns)))


@cache
def _plain_queries() -> tuple[sa.Select[Any], ...]:
    return tuple(make() for make in PLAIN)


def _confirm(tx: Transaction, now: datetime) -> None:
    """Those known already: still there, and since when, should an earlier beginning have come to light."""
    since = sa.case((SEEN.c.since < t.c.since, SEEN.c.since), else_=sa.func.coalesce(t.c.since, SEEN.c.since))
    values = {"last_seen": now, "since": since} | {name: SEEN.c[name] for name in SAID}
    tx.execute(sa.update(t).where(OPEN, SAME).values(values))


def _resolution(now: datetime, resolved_by: str, looked_at: sa.ColumnElement[bool], *, on_trail: bool) -> sa.Update:
    gone = looked_at & ~sa.exists(sa.select(SEEN.c.kind).where(SAME).correlate(t))
    return sa.update(t).where(gone, _is(t, on_trail=on_trail)).values(resolved_at=now, resolved_by=resolved_by)


def _addition(now: datetime, *, on_trail: bool) -> sa.Insert:
    moment = sa.literal(now, s.Instant())
    known = sa.exists(sa.select(t.c.mismatch_id).where(OPEN, SAME).correlate(SEEN))
    new = sa.select(random_id(), *(SEEN.c[name] for name in COLUMNS), moment, moment)
    return sa.insert(t).from_select(
        ["mismatch_id", *COLUMNS, "first_seen", "last_seen"], new.where(~known, _is(SEEN, on_trail=on_trail))
    )


def _is(table: sa.Table, *, on_trail: bool) -> sa.ColumnElement[bool]:
    return table.c.kind.in_(ON_TRAIL) if on_trail else table.c.kind.not_in(ON_TRAIL)


def _both(tx: Transaction, statement: Callable[[bool], sa.Insert | sa.Update]) -> tuple[Mismatch, ...]:
    """Do it for all kinds; only those of the trail are fetched."""
    tx.execute(statement(False))
    rows = tx.execute(statement(True).returning(*t.c)).mappings()
    return tuple(sorted((Mismatch(**r) for r in rows), key=lambda m: (m.kind, m.person_id, m.record_id)))


def list_(
    tx: Transaction,
    *,
    kind: str | None = None,
    person_id: str | None = None,
    resolved: bool = False,
    limit: int | None = None,
) -> tuple[Mismatch, ...]:
    """The open mismatches (or the resolved ones), the oldest first, with the person's or else the record's address."""
    email = sa.func.coalesce(s.person.c.email, s.org_record.c.email, "").label("email")
    query = sa.select(*t.c, email).select_from(t).where(t.c.resolved_at.is_not(None) if resolved else t.c.resolved_at.is_(None))
    query = query.outerjoin(s.person, s.person.c.person_id == t.c.person_id)
    query = query.outerjoin(s.org_record, s.org_record.c.record_id == t.c.record_id)
    for column, value in ((t.c.kind, kind), (t.c.person_id, person_id)):
        query = query if value is None else query.where(column == value)
    began = sa.func.coalesce(t.c.since, t.c.first_seen)
    rows = tx.execute(query.order_by(began, t.c.kind, t.c.person_id, t.c.record_id).limit(limit)).mappings()
    return tuple(Mismatch(**r) for r in rows)


def counts(tx: Transaction, now: datetime, *, limit: int = 10) -> tuple[KindCount, ...]:
    """Of every kind: how many are open, the oldest one's age, and how many are older than ``limit`` business days."""
    began = sa.func.coalesce(t.c.since, t.c.first_seen)
    late = sa.func.sum(sa.case((began < late_before(now, limit), 1), else_=0))
    query = sa.select(t.c.kind, sa.func.count().label("n"), sa.func.min(began).label("oldest"), late.label("late"))
    rows = {r.kind: r for r in tx.execute(query.where(t.c.resolved_at.is_(None)).group_by(t.c.kind))}
    return tuple(_count(kind, rows.get(kind), now) for kind in KINDS)


def _count(kind: str, row: sa.Row[Any] | None, now: datetime) -> KindCount:
    if row is None:
        return KindCount(kind=kind, open=0, oldest_business_days=0, over_limit=0)
    return KindCount(kind=kind, open=row.n, oldest_business_days=business_days(row.oldest, now), over_limit=int(row.late))


def ages(tx: Transaction, now: datetime, *, limit: int = 10) -> tuple[KindAges, ...]:
    """The kinds of which any mismatch is open, each with how many of it are in each class of `age_classes` for the ``limit``."""
    began = sa.func.coalesce(t.c.since, t.c.first_seen)
    first = [
        late_before(now, days - 1) for days in age_classes(limit)[1:]
    ]  # what began before it is in that class, or an older one
    older = [sa.func.sum(sa.case((began < moment, 1), else_=0)) for moment in first]
    query = sa.select(t.c.kind, sa.func.count(), *older).where(OPEN).group_by(t.c.kind)
    found = {row[0]: [int(number) for number in row[1:]] for row in tx.execute(query)}
    return tuple(
        KindAges(kind=kind, numbers=tuple(a - b for a, b in pairwise([*found[kind], 0]))) for kind in KINDS if kind in found
    )
