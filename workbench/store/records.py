"""Org rows as last read, the history of their opt-outs, snapshots, and which record belongs to whom.

A row is only ever replaced by a newer one. A record that vanished keeps its last known opt-out: it is marked deleted, not
forgotten.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.org import FieldChange, OrgRow, Reading
from workbench.person import new_id
from workbench.store import incoming, postgresql
from workbench.store import schema as s
from workbench.store.database import Transaction, insert_many, portions

FIELDS_READ = "org.fields_read"
OWN_ORG = "org.id"
OWN_USERS = "org.own_users"

_r, _h, _l, _p, _ids, _snap = s.org_record, s.org_history, s.link, s.person, s.person_salesforce_id, s.snapshot

live = ~_r.c.is_deleted & ~_r.c.is_converted & _r.c.merged_into.is_(None)
"""Rows of `org_record` that can be written and mailed through: neither deleted, merged away nor converted."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One finished pull; the org's changes are known up to ``covered_until``, by the org's clock."""

    snapshot_id: str
    kind: str
    org_id: str
    started_at: datetime
    covered_until: datetime
    finished_at: datetime
    counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Link:
    """Person and record belong together: ``how`` is ``id`` (stored, or what that record became) or ``address``."""

    person_id: str
    record_id: str
    how: str


def upsert_rows(
    tx: Transaction,
    rows: Sequence[OrgRow],
    *,
    snapshot_id: str,
    seen_at: datetime,
    asked_at: datetime | None = None,
    now: datetime | None = None,
) -> None:
    """Store rows by record id; that each was seen is noted always, its values only if they aren't older than the stored ones.

    Of two rows with one SystemModstamp (whole seconds) the one seen later counts. A transaction that began before ours and is
    committed after it brings an older stamp: its opt-out counts if it was asked for (``asked_at``) after the stored row was seen.
    Where the stored row was seen later than ``now`` the clock was ahead then, and nobody can tell which was first: an opt-out counts.
    Records of people who were erased are stored without address and name, so that they stay opted out and nobody comes back by
    them.
    """
    if not rows:
        return
    columns = incoming.without_erased(tx, incoming.storable_columns(incoming.columns_of(rows)), since=seen_at)
    insert = _insert(tx, _r)
    new, old = insert.excluded, _r.c
    newer = (new.system_modstamp > old.system_modstamp) | (
        (new.system_modstamp == old.system_modstamp) & (new.seen_at >= old.seen_at)
    )
    clock_was_ahead = old.seen_at > _literal(tx, now) if now else sa.false()
    late = clock_was_ahead if asked_at is None else clock_was_ahead | (old.seen_at < _literal(tx, asked_at))
    newer |= new.opted_out & ~old.opted_out & late
    values = {
        c.name: sa.case((newer, new[c.name]), else_=c) for c in old if c.name not in ("record_id", "seen_at", "snapshot_id")
    }
    values["seen_at"] = sa.case(((new.seen_at > old.seen_at) | clock_was_ahead, new.seen_at), else_=old.seen_at)
    values["snapshot_id"] = new.snapshot_id
    statement = insert.on_conflict_do_update(index_elements=["record_id"], set_=values)
    insert_many(tx, statement, incoming.values(columns, snapshot_id=snapshot_id, seen_at=seen_at))


def _literal(tx: Transaction, moment: datetime) -> sa.ColumnElement[Any]:
    """A moment inside the statement, which takes rows only."""
    return sa.literal_column(f"'{s.instant_binder(tx.dialect)(moment)}'", s.Instant())


def _as_row(r: sa.RowMapping) -> OrgRow:
    return OrgRow(
        record_id=r["record_id"],
        object=r["object"],
        email=r["email_as_given"],
        opt_outs=r["opt_outs"],
        system_modstamp=r["system_modstamp"],
        last_modified_date=r["last_modified_date"],
        last_modified_by=r["last_modified_by"],
        first_name=r["first_name"],
        last_name=r["last_name"],
        company=r["company"],
        is_deleted=r["is_deleted"],
        is_converted=r["is_converted"],
        converted_contact_id=r["converted_contact_id"],
        merged_into=r["merged_into"],
        bounced_at=r["bounced_at"],
        person_account=r["person_account"],
    )


def upsert_history(tx: Transaction, changes: Sequence[FieldChange]) -> None:
    """Add history rows; those already known are left alone. A new value that can't be told is kept as opted out."""
    if changes:
        instant = s.instant_binder(tx.dialect)
        values = [
            (c.record_id, c.field, instant(c.at), c.new is not False, c.old, c.by, incoming.storable(c.by_name)) for c in changes
        ]
        insert_many(tx, _insert(tx, _h).on_conflict_do_nothing(), values)


def mark_missing(tx: Transaction, record_ids: Iterable[str], *, seen_at: datetime) -> int:
    """Mark records that the org no longer knows as deleted; returns how many were not marked before."""
    marked = 0
    for ids in portions(record_ids):
        gone = sa.update(_r).where(_r.c.record_id.in_(ids), ~_r.c.is_deleted, _r.c.seen_at <= seen_at)
        marked += tx.execute(gone.values(is_deleted=True, seen_at=seen_at)).rowcount
    return marked


def store_reading(
    tx: Transaction,
    reading: Reading,
    *,
    seen_at: datetime,
    asked_at: datetime | None = None,
    snapshot_id: str | None = None,
) -> None:
    """Store what was read about some people: rows, history, and ids that the org no longer knows. Links are left as they are.

    ``asked_at``: see `upsert_rows`. Without ``snapshot_id`` the rows count as part of the last snapshot.
    """
    if snapshot_id is None:
        last = last_snapshot(tx)
        snapshot_id = last.snapshot_id if last else ""
    upsert_rows(tx, reading.rows, snapshot_id=snapshot_id, seen_at=seen_at, asked_at=asked_at, now=seen_at)
    upsert_history(tx, reading.history)
    mark_missing(tx, reading.missing, seen_at=seen_at)


def begin_snapshot(tx: Transaction, *, kind: str, org_id: str, started_at: datetime) -> str:
    """Open a snapshot (``full`` or ``delta``); returns its id, under which rows are stored."""
    snapshot_id = new_id()
    if kind == "full":  # everything is looked at when it ends: what it touches need not be noted row by row
        tx.execute(sa.delete(s.touched))
    tx.execute(sa.insert(_snap).values(snapshot_id=snapshot_id, kind=kind, org_id=org_id, started_at=started_at, counts={}))
    return snapshot_id


def unseen(tx: Transaction, snapshot_id: str) -> dict[str, int]:
    """By object, how many records that were there are not in this full snapshot (or seen otherwise since it began)."""
    query = sa.select(_r.c.object, sa.func.count().label("n")).where(_not_seen(tx, snapshot_id)).group_by(_r.c.object)
    return {r.object: r.n for r in tx.execute(query)}


def _not_seen(tx: Transaction, snapshot_id: str) -> sa.ColumnElement[bool]:
    started: datetime = tx.execute(sa.select(_snap.c.started_at).where(_snap.c.snapshot_id == snapshot_id)).scalar_one()
    return ~_r.c.is_deleted & (_r.c.snapshot_id != snapshot_id) & (_r.c.seen_at < started)


def finish_snapshot(
    tx: Transaction, snapshot_id: str, *, covered_until: datetime, finished_at: datetime, counts: Mapping[str, int]
) -> int:
    """Close a snapshot. After a full one, records that it did not see are marked deleted; returns how many."""
    mine = _snap.c.snapshot_id == snapshot_id
    vanished = 0
    if tx.execute(sa.select(_snap.c.kind).where(mine)).scalar_one() == "full":
        vanished = tx.execute(sa.update(_r).where(_not_seen(tx, snapshot_id)).values(is_deleted=True)).rowcount
    done = {"covered_until": covered_until, "finished_at": finished_at, "counts": dict(counts)}
    tx.execute(sa.update(_snap).where(mine).values(done))
    return vanished


def last_snapshot(tx: Transaction, *, kind: str | None = None, begun_by: datetime | None = None) -> Snapshot | None:
    """The finished pull that covers the most by the org's clock, of all or of one kind; None before the first.

    ``begun_by`` leaves out those that are dated later, by a clock that was ahead.
    """
    newest = sa.select(_snap).where(_snap.c.finished_at.is_not(None))
    newest = newest if kind is None else newest.where(_snap.c.kind == kind)
    newest = newest if begun_by is None else newest.where(_snap.c.started_at <= begun_by)
    found = (
        tx.execute(newest.order_by(_snap.c.covered_until.desc(), _snap.c.finished_at.desc()).limit(1)).mappings().one_or_none()
    )
    return Snapshot(**found) if found else None


def bind_org(tx: Transaction, org_id: str) -> None:
    """Note that this register belongs to an org, for good: the first one that is named here."""
    tx.execute(_insert(tx, s.setting).values(name=OWN_ORG, value=org_id).on_conflict_do_nothing())


def org_of(tx: Transaction) -> str | None:
    """The id of the org that this register belongs to; None before anything was asked of one."""
    first = sa.select(_snap.c.org_id).order_by(_snap.c.started_at, _snap.c.snapshot_id).limit(1)
    return _setting(tx, OWN_ORG) or tx.execute(first).scalar()  # registers from before the note know it from their first pull


def remember_own_user(tx: Transaction, user_id: str) -> None:
    """Note that we are logged in to the org as this user: what it changed, we did."""
    users = own_users(tx)
    if user_id and user_id not in users:
        _keep_setting(tx, OWN_USERS, json.dumps(sorted({*users, user_id})))


def remember_fields(tx: Transaction, fields: Iterable[str]) -> None:
    """Note that every record was read with these opt-out fields."""
    _keep_setting(tx, FIELDS_READ, json.dumps(sorted(fields)))


def fields_read(tx: Transaction) -> frozenset[str]:
    """The opt-out fields of the last full reading; none where none is noted."""
    value = _setting(tx, FIELDS_READ)
    return frozenset(json.loads(value)) if value else frozenset()


def own_users(tx: Transaction) -> frozenset[str]:
    """The org users that we have ever been logged in as."""
    value = _setting(tx, OWN_USERS)
    return frozenset(json.loads(value)) if value else frozenset()


def _setting(tx: Transaction, name: str) -> str | None:
    return tx.execute(sa.select(s.setting.c.value).where(s.setting.c.name == name)).scalar()


def _keep_setting(tx: Transaction, name: str, value: str) -> None:
    insert = _insert(tx, s.setting).values(name=name, value=value)
    tx.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value}))


def rows_by_ids(tx: Transaction, record_ids: Iterable[str]) -> dict[str, OrgRow]:
    """Rows by record id; ids that were never read are left out."""
    found: dict[str, OrgRow] = {}
    for ids in portions(record_ids):
        found |= {r["record_id"]: _as_row(r) for r in tx.execute(sa.select(_r).where(_r.c.record_id.in_(ids))).mappings()}
    return found


def any_stored(tx: Transaction) -> bool:
    """Whether any row was ever read."""
    return tx.execute(sa.select(_r.c.record_id).limit(1)).first() is not None


def unindex(tx: Transaction) -> None:
    """Drop the indexes of the rows, which slow a first filling more than they help it; `index` makes them again at its end."""
    if tx.dialect.name == "postgresql" and not postgresql.owns(tx):
        return
    for one in _r.indexes:
        one.drop(tx, checkfirst=True)


def index(tx: Transaction) -> None:
    """Make the indexes of the rows that are not there."""
    for one in sorted(_r.indexes, key=lambda one: str(one.name)):
        one.create(tx, checkfirst=True)


def news(tx: Transaction, rows: Sequence[OrgRow]) -> tuple[int, int]:
    """How many rows, not yet stored, are new or changed, and how many are newly deleted."""
    columns = incoming.columns_of(rows)
    known: dict[str, tuple[str, bool]] = {}
    stamp = sa.type_coerce(_r.c.system_modstamp, sa.String) if tx.dialect.name == "sqlite" else _r.c.system_modstamp
    for ids in portions(columns.record_id):
        query = sa.select(_r.c.record_id, stamp, _r.c.is_deleted).where(_r.c.record_id.in_(ids))
        known |= {r: (at if isinstance(at, str) else s.instant_text(at), gone) for r, at, gone in tx.execute(query)}
    changed = deleted = 0
    for record_id, stamped, gone in zip(columns.record_id, columns.system_modstamp, columns.is_deleted, strict=True):
        before, was_gone = known.get(record_id, ("", False))
        changed += stamped > before
        deleted += gone and not was_gone
    return changed, deleted


def live_among(tx: Transaction, record_ids: Iterable[str]) -> int:
    """How many of these records are stored and not marked as deleted."""
    return sum(
        tx.execute(sa.select(sa.func.count()).where(_r.c.record_id.in_(ids), ~_r.c.is_deleted)).scalar_one()
        for ids in portions(record_ids)
    )


def owners(tx: Transaction, record_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Everyone linked to each record, by record id; records of nobody are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for ids in portions(record_ids):
        query = sa.select(_l.c.record_id, _l.c.person_id).where(_l.c.record_id.in_(ids))
        for x in tx.execute(query.order_by(_l.c.record_id, _l.c.person_id)):
            found[x.record_id].append(x.person_id)
    return {record_id: tuple(people) for record_id, people in found.items()}


def rows_of_people(tx: Transaction, person_ids: Iterable[str]) -> dict[str, tuple[OrgRow, ...]]:
    """The rows linked to each person, deleted ones included, by id; people without any are left out."""
    found: dict[str, list[OrgRow]] = defaultdict(list)
    for ids in portions(person_ids):
        query = sa.select(_l.c.person_id, _r).join_from(_l, _r, _r.c.record_id == _l.c.record_id)
        for r in tx.execute(query.where(_l.c.person_id.in_(ids)).order_by(_l.c.person_id, _r.c.record_id)).mappings():
            found[r["person_id"]].append(_as_row(r))
    return {person_id: tuple(rows) for person_id, rows in found.items()}


def history_of(tx: Transaction, record_ids: Iterable[str]) -> tuple[FieldChange, ...]:
    """What is known of the opt-out fields' changes, oldest first."""
    found = []
    for ids in portions(record_ids):
        for r in tx.execute(sa.select(_h).where(_h.c.record_id.in_(ids))).mappings():
            old, new, rest = r["old_value"], r["new_value"], {k: r[k] for k in ("record_id", "field", "at", "by", "by_name")}
            found.append(FieldChange(old=old, new=new, **rest))
    return tuple(sorted(found, key=lambda c: (c.at, c.record_id, c.field)))


def linked(tx: Transaction, person_ids: Iterable[str]) -> dict[str, tuple[Link, ...]]:
    """Each person's links, by record id; people without any are left out."""
    found: dict[str, list[Link]] = defaultdict(list)
    for ids in portions(person_ids):
        for r in tx.execute(sa.select(_l).where(_l.c.person_id.in_(ids)).order_by(_l.c.person_id, _l.c.record_id)).mappings():
            found[r["person_id"]].append(Link(**r))
    return {person_id: tuple(links) for person_id, links in found.items()}


def people_of(tx: Transaction, record_ids: Iterable[str]) -> frozenset[str]:
    """Everyone whom one of these records belongs to by link, stored id or equal address."""
    people: set[str] = set()
    for ids in portions(record_ids):
        by_address = sa.select(_p.c.person_id).join(_r, _r.c.email == _p.c.email).where(_r.c.record_id.in_(ids), _r.c.email != "")
        by_link = sa.select(_l.c.person_id).where(_l.c.record_id.in_(ids))
        by_id = sa.select(_ids.c.person_id).where(_ids.c.record_id.in_(ids))
        by_account = sa.select(_ids.c.person_id).join(_r, _r.c.person_account == _ids.c.record_id).where(_r.c.record_id.in_(ids))
        people.update(tx.execute(sa.union(by_link, by_id, by_account, by_address)).scalars())
    return frozenset(people)


def heirs() -> sa.CTE:
    """(dead_id, heir_id): what each merged or converted record became, over several steps; a person account is its contact."""
    merged, converted = _r.c.merged_into, _r.c.converted_contact_id
    became = sa.func.coalesce(merged, converted)
    heir_of = (  # each is read from an index of the few that have one
        sa.select(_r.c.record_id.label("dead_id"), merged.label("heir_id")).where(merged > ""),
        sa.select(_r.c.record_id, converted).where(converted > "", merged.is_(None)),
        sa.select(_r.c.person_account, _r.c.record_id).where(_r.c.person_account > ""),
    )
    heir = sa.select(sa.union_all(*heir_of).subquery()).cte("heir", recursive=True)
    further = sa.select(heir.c.dead_id, became).join_from(heir, _r, _r.c.record_id == heir.c.heir_id).where(became.is_not(None))
    return heir.union(further)  # without "all": a circle ends


def relink(tx: Transaction, person_ids: Sequence[str] | None = None) -> None:
    """Bring the links of some people, or of everyone, in line with stored ids and addresses.

    By stored id first (deleted records too, so that their opt-out is not lost), then by what a stored merged or converted record
    became, then by equal normalised address (records that are not deleted). Only differences are written.
    """
    if person_ids is None:
        _relink(tx, None)
    else:
        for ids in portions(person_ids):
            _relink(tx, ids)


def _relink(tx: Transaction, person_ids: Sequence[str] | None) -> None:
    stored, account, became, same_address = _by_id(), _by_account(), _by_heir(), _by_address()

    def holds(wanted: sa.Select[Any]) -> sa.ColumnElement[bool]:
        pair = wanted.where(_p.c.person_id == _l.c.person_id, _r.c.record_id == _l.c.record_id)
        return sa.exists(pair.correlate(_l))

    by_id = holds(stored) | holds(account) | holds(became)
    wanted = sa.case((_l.c.how == "id", by_id), else_=holds(same_address) & ~by_id)
    tx.execute(sa.delete(_l).where(*_within(_l.c.person_id, person_ids), ~wanted))
    for how, source in (("id", stored), ("id", account), ("id", became), ("address", same_address)):
        new = source.add_columns(sa.literal(how)).where(*_within(_p.c.person_id, person_ids))
        known = sa.exists().where(_l.c.person_id == _p.c.person_id, _l.c.record_id == _r.c.record_id)
        tx.execute(sa.insert(_l).from_select(["person_id", "record_id", "how"], new.where(~known).distinct()))


def links() -> sa.CompoundSelect[Any]:
    """(person_id, record_id, how): every link as `relink` would make it, from people, stored ids and records alone."""
    by_id = sa.union(_by_id(), _by_account(), _by_heir()).cte("by_id")
    same = _by_address()
    other = sa.exists().where(by_id.c.person_id == _p.c.person_id, by_id.c.record_id == _r.c.record_id).correlate(_p, _r)
    how = sa.literal("address", sa.Text).label("how")
    return sa.union_all(
        sa.select(by_id.c.person_id, by_id.c.record_id, sa.literal("id", sa.Text).label("how")),
        same.add_columns(how).where(~other),
    )


def _by_id() -> sa.Select[Any]:
    query = sa.select(_p.c.person_id, _r.c.record_id).join_from(_p, _ids, _ids.c.person_id == _p.c.person_id)
    return query.join(_r, _r.c.record_id == _ids.c.record_id).where(_p.c.erased_at.is_(None))


def _by_account() -> sa.Select[Any]:
    query = sa.select(_p.c.person_id, _r.c.record_id).join_from(_p, _ids, _ids.c.person_id == _p.c.person_id)
    return query.join(_r, _r.c.person_account == _ids.c.record_id).where(_p.c.erased_at.is_(None))


def _by_heir() -> sa.Select[Any]:
    heir = heirs()
    query = sa.select(_p.c.person_id, _r.c.record_id).join_from(heir, _ids, _ids.c.record_id == heir.c.dead_id)
    query = query.join(_p, _p.c.person_id == _ids.c.person_id).join(_r, _r.c.record_id == heir.c.heir_id)
    return query.where(_p.c.erased_at.is_(None), live)


def _by_address() -> sa.Select[Any]:
    query = sa.select(_p.c.person_id, _r.c.record_id).join_from(_p, _r, _r.c.email == _p.c.email)
    return query.where(_p.c.erased_at.is_(None), _r.c.email != "", ~_r.c.is_deleted, _r.c.merged_into.is_(None))


def _within(column: sa.ColumnElement[str], person_ids: Sequence[str] | None) -> tuple[sa.ColumnElement[bool], ...]:
    return () if person_ids is None else (column.in_(person_ids),)


def _insert(tx: Transaction, table: sa.Table) -> Any:
    """INSERT with ON CONFLICT, which both databases have and standard SQL has not."""
    if tx.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
