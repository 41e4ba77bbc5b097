"""Kinds in which the two sides, or several records or people, are in different states."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from workbench import mismatch as m
from workbench.store.mismatches.sides import (
    Record,
    active,
    address_change,
    finding,
    link,
    live,
    named,
    opted_out_at,
    p,
    record,
    subscribed,
    suppressed,
    text,
    unsubscribed,
    unsubscribed_since,
    voices,
)

Query = sa.Select[Any]


def opted_out_only_in_salesforce() -> Query:
    """A record that speaks for the person is opted out, the person is not unsubscribed."""
    r, voice = record, voices()
    how = sa.case(
        (r.c.merged_into.is_not(None), text(" was opted out when it was merged into ", r.c.merged_into)),
        (r.c.is_deleted, " was opted out when it was deleted"),
        (r.c.is_converted, " was opted out when it was converted"),
        else_=" is opted out",
    )
    detail = text(named(r), how, "; the person is not unsubscribed in the register.")
    found = finding(
        "opted_out_only_in_salesforce", voice.c.person_id, voice.c.record_id, detail, m.TONIGHT_PERSON, opted_out_at(r)
    )
    return (
        found.join_from(voice, p, p.c.person_id == voice.c.person_id)
        .join(r, r.c.record_id == voice.c.record_id)
        .where(subscribed)
    )


def unsubscribed_only_locally() -> Query:
    """The person is unsubscribed, a linked record that could be written is not opted out."""
    r = record
    detail = text("The person is unsubscribed (", p.c.unsubscribe_source, "); ", named(r), " is not opted out.")
    since = unsubscribed_since(p)
    found = finding("unsubscribed_only_locally", p.c.person_id, r.c.record_id, detail, m.TONIGHT_RECORD, since)
    found = found.join_from(p, link, link.c.person_id == p.c.person_id).join(r, r.c.record_id == link.c.record_id)
    return found.where(unsubscribed, live(r), ~r.c.opted_out)


def records_disagree() -> Query:
    """A linked record is not opted out, another one of the same person is: the one that lags is named."""
    r, other, second = record, record.alias("other"), link.alias("second")
    others = sa.select(other.c.record_id).join_from(second, other, other.c.record_id == second.c.record_id)
    others = others.where(second.c.person_id == link.c.person_id, live(other), other.c.opted_out).correlate(link)
    detail = text(named(r), " is not opted out, another record of the person is: ", _least(others, other.c.record_id), ".")
    since = _least(others, opted_out_at(other))
    found = finding("records_disagree", link.c.person_id, r.c.record_id, detail, m.TONIGHT_ALL_RECORDS, since)
    found = found.join_from(link, r, r.c.record_id == link.c.record_id).join(p, p.c.person_id == link.c.person_id)
    return found.where(active, live(r), ~r.c.opted_out, sa.exists(others))


def records_disagree_unlinked() -> Query:
    """The same among records that share an address and belong to nobody in the register."""
    r, other = record, record.alias("other")
    others = sa.select(other.c.record_id).where(other.c.email == r.c.email, live(other), other.c.opted_out).correlate(r)
    detail = text(named(r), " is not opted out, another record with its address is: ", _least(others, other.c.record_id), ".")
    since = _least(others, opted_out_at(other))
    found = finding("records_disagree", "", r.c.record_id, detail, m.NOBODY_TO_TELL, since).select_from(r)
    opted_out = sa.select(other.c.email).where(live(other), other.c.opted_out)  # looked for once, not for every record
    return found.where(r.c.email != "", live(r), ~r.c.opted_out, _unlinked(r), r.c.email.in_(opted_out))


def _least(query: sa.Select[Any], column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    return query.with_only_columns(sa.func.min(column)).scalar_subquery()


def _unlinked(r: Record) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(link.c.record_id == r.c.record_id)


def fields_disagree() -> Query:
    """One opt-out field of a record is set, another is not; for each person it belongs to, or for nobody."""
    r = record
    detail = text("Only some of the opt-out fields of ", named(r), " are set.")
    forecast = sa.case((link.c.person_id.is_(None), m.NOBODY_TO_TELL), else_=m.TONIGHT_ALL_FIELDS)
    person_id = sa.func.coalesce(link.c.person_id, "")
    found = finding("fields_disagree", person_id, r.c.record_id, detail, forecast, opted_out_at(r))
    return found.join_from(r, link, link.c.record_id == r.c.record_id, isouter=True).where(
        r.c.fields_differ, live(r), ~suppressed(r)
    )


def duplicate_address() -> Query:
    """People who share an address, some unsubscribed and some not: every one of them is named."""
    mixed = sa.select(p.c.email, sa.func.count().label("people"), sa.func.count(p.c.unsubscribed_at).label("out"))
    mixed = mixed.add_columns(sa.func.min(p.c.unsubscribed_at).label("since")).where(active).group_by(p.c.email)
    shared = mixed.having(sa.func.count() > 1, sa.func.count(p.c.unsubscribed_at).between(1, sa.func.count() - 1)).cte("shared")
    detail = text(shared.c.people, " people share this address, ", shared.c.out, " of them unsubscribed.")
    joined = sa.select(link.c.record_id).join_from(link, record, record.c.record_id == link.c.record_id)
    joined = joined.where(link.c.person_id == p.c.person_id, record.c.email == p.c.email, live(record)).correlate(p)
    forecast = sa.case((unsubscribed, m.STAYS_UNSUBSCRIBED), (sa.exists(joined), m.TONIGHT_DUPLICATE), else_=m.NOT_JOINED)
    found = finding("duplicate_address", p.c.person_id, "", detail, forecast, shared.c.since)
    return found.join_from(shared, p, p.c.email == shared.c.email).where(active)


def orphan_opt_out() -> Query:
    """An opted-out record whose address nobody in the register has, or ever had."""
    r, former = record, address_change
    detail = text(named(r), " is opted out; nobody in the register has its address.")
    found = finding("orphan_opt_out", "", r.c.record_id, detail, m.IMPORT_IT, opted_out_at(r)).select_from(r)
    formerly = sa.select(former.c.old_email).join_from(former, p, p.c.person_id == former.c.person_id).where(active)
    return found.where(r.c.opted_out, live(r), r.c.email != "", _unlinked(r), r.c.email.not_in(formerly))
