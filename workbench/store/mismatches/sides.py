"""What the queries about mismatches share: who is unsubscribed, which opt-out speaks for whom, since when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from workbench.store import schema as s
from workbench.store.records import heirs

p, u, link, history = s.person, s.unsubscribe, s.link, s.org_history
stored_id, address_change, intent = s.person_salesforce_id, s.address_change, s.intent
Condition = sa.ColumnElement[bool]


class whole_second(FunctionElement[datetime]):  # noqa: N801 - it is written like an SQL function
    """A moment cut to the second, as Salesforce stamps its rows."""

    type = s.Instant()
    inherit_cache = True


@compiles(whole_second)
def _cut(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(substr({compiler.process(element.clauses, **kw)}, 1, 19) || '.000Z')"


@compiles(whole_second, "postgresql")
def _truncate(element: Any, compiler: Any, **kw: Any) -> str:
    return f"date_trunc('second', {compiler.process(element.clauses, **kw)})"


class since_opted_out(FunctionElement[datetime]):  # noqa: N801 - the same
    """When a record was last opted out; where it is a column of the record already (`portable`), that column."""

    type = s.Instant()
    inherit_cache = True


@compiles(since_opted_out)
def _worked_out(element: Any, compiler: Any, **kw: Any) -> str:
    _, expression = element.clauses
    return str(compiler.process(expression, **kw))


Record = sa.FromClause
"""`org_record`, or an alias of it."""
record = s.org_record


def live(r: Record) -> Condition:
    """The record can be written and mailed through: neither deleted, merged away nor converted."""
    return ~r.c.is_deleted & ~r.c.is_converted & r.c.merged_into.is_(None)


def suppressed(r: Record) -> Condition:
    """The record is that of somebody who was erased on request."""
    return sa.exists().where(s.suppressed_record.c.record_id == r.c.record_id).correlate(r)


active = p.c.erased_at.is_(None)
unsubscribed = active & p.c.unsubscribed_at.is_not(None)
subscribed = active & p.c.unsubscribed_at.is_(None)


def opted_out_at(r: Record) -> sa.ColumnElement[datetime]:
    """When the record was last opted out: its history's word, or else its LastModifiedDate, an upper bound.

    The history has no word on a field that is set if its last entry is that the field was cleared, or if there is none.
    """
    h, later = history.alias(), history.alias()
    field = sa.func.json_each(r.c.opt_outs).table_valued("key", "value")
    undone = sa.exists().where(
        later.c.record_id == h.c.record_id, later.c.field == h.c.field, ~later.c.new_value, later.c.at > h.c.at
    )
    told = sa.select(h.c.at).where(h.c.record_id == r.c.record_id, h.c.new_value, ~undone)
    is_set = sa.cast(field.c.value, sa.Text).in_(("1", "true"))  # a JSON true, as SQLite and as PostgreSQL write it
    untold = sa.exists(sa.select(field.c.key).where(is_set, ~sa.exists(told.where(h.c.field == field.c.key).correlate(r, field))))
    newest = told.with_only_columns(sa.func.max(h.c.at)).correlate(r).scalar_subquery()
    since = sa.func.coalesce(sa.case((untold.correlate(r), sa.null()), else_=newest), r.c.last_modified_date)
    return since_opted_out(r.c.record_id, since)


def unsubscribed_since(person: sa.FromClause) -> sa.ColumnElement[datetime]:
    """The earliest of a person's open episodes."""
    mine = sa.select(sa.func.min(u.c.opted_out_at)).where(u.c.person_id == person.c.person_id, u.c.closed_at.is_(None))
    return mine.correlate(person).scalar_subquery()


def not_fully_opted_out(r: Record) -> Condition:
    """At least one of the record's opt-out fields is not set."""
    return ~r.c.opted_out | r.c.fields_differ


def former_records(query: sa.Select[Any]) -> sa.Select[Any]:
    """A query's columns of living records with a former address of a person whom no link and no present address ties to them."""
    tied = sa.exists().where(link.c.person_id == p.c.person_id, link.c.record_id == record.c.record_id)
    query = query.select_from(address_change).join(p, p.c.person_id == address_change.c.person_id)
    query = query.join(record, record.c.email == address_change.c.old_email)
    return query.where(active, live(record), record.c.email != p.c.email, ~tied)


def left_behind() -> Condition:
    """The record is nobody's by now, by address or by a link: only its former holder speaks for it."""
    now, tie = p.alias("holder"), link.alias("tie")
    by_address = sa.exists().where(now.c.email == record.c.email, now.c.erased_at.is_(None)).correlate(record)
    return ~by_address & ~sa.exists().where(tie.c.record_id == record.c.record_id).correlate(record)


def voices() -> sa.CTE:
    """(person_id, record_id): the opted-out records that speak for a person.

    Those linked to the person; of deleted, merged and converted ones those, too, that became a linked record or have the
    person's address: neither merge nor deletion may lose an opt-out. A record that can't be cleared any more no longer speaks
    once the person gave a later consent, and we acted on it.
    """
    r, heir = record, heirs()
    direct = sa.select(link.c.person_id, r.c.record_id).join_from(link, r, r.c.record_id == link.c.record_id)
    direct = direct.where(r.c.opted_out, live(r) | ~_outdated(r, link))
    inherited = sa.select(link.c.person_id, r.c.record_id).join_from(heir, r, r.c.record_id == heir.c.dead_id)
    inherited = inherited.join(link, link.c.record_id == heir.c.heir_id).where(r.c.opted_out, ~live(r), ~_outdated(r, link))
    same = sa.select(p.c.person_id, r.c.record_id).join_from(r, p, p.c.email == r.c.email)
    same = same.where(r.c.opted_out, ~live(r), r.c.email != "", active, ~_outdated(r, p))
    return sa.union(direct, inherited, same).cte("voice")


def _outdated(r: Record, person: sa.FromClause) -> Condition:
    i, c = s.intent, s.consent
    later = sa.select(i.c.intent_id).join_from(i, c, c.c.consent_id == i.c.consent_id)
    later = later.where(i.c.person_id == person.c.person_id, i.c.state == "DONE", c.c.given_at > opted_out_at(r))
    return sa.exists(later.correlate(person, r))


def text(*parts: Any) -> sa.ColumnElement[str]:
    """Parts put together; strings are literals."""
    joined: sa.ColumnElement[str] = sa.literal("", sa.Text)
    for part in parts:
        joined = joined + (sa.literal(part, sa.Text) if isinstance(part, str) else sa.cast(part, sa.Text))
    return joined


def named(r: Record) -> sa.ColumnElement[str]:
    """``Lead 00Q…``."""
    return text(r.c.object, " ", r.c.record_id)


def finding(  # noqa: PLR0917 - the columns of one row
    kind: str, person_id: Any, record_id: Any, detail: Any, forecast: Any, since: Any
) -> sa.Select[Any]:
    """One row per mismatch of a kind; constants may be given as strings, ``since`` as None."""
    columns: Sequence[tuple[str, Any]] = (
        ("kind", kind),
        ("person_id", person_id),
        ("record_id", record_id),
        ("detail", detail),
        ("forecast", forecast),
    )
    chosen = [(sa.literal(c, sa.Text) if isinstance(c, str) else c).label(name) for name, c in columns]
    began = sa.cast(sa.null(), s.Instant()) if since is None else since
    return sa.select(*chosen, began.label("since"))
