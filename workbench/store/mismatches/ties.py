"""Kinds about the tie between person and record: missing, broken, or no longer what it was; and missing history."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from workbench import mismatch as m
from workbench.store import schema as s
from workbench.store.mismatches.sides import (
    active,
    finding,
    former_records,
    history,
    left_behind,
    link,
    live,
    named,
    not_fully_opted_out,
    opted_out_at,
    p,
    record,
    stored_id,
    suppressed,
    text,
    unsubscribed,
    unsubscribed_since,
)
from workbench.store.records import heirs

Query = sa.Select[Any]


def never_syncs() -> Query:
    """Unsubscribed people without a stored Salesforce id: Sales Connect's own sync needs one."""
    matching = sa.select(sa.func.min(link.c.record_id)).where(link.c.person_id == p.c.person_id).correlate(p).scalar_subquery()
    detail = text(
        "The person is unsubscribed and has no Salesforce id; ",
        sa.func.coalesce(text(matching, " has the same address."), "no record has the address."),
    )
    forecast = sa.case((matching.is_(None), m.NOBODY_TELLS), else_=m.FOUND_BY_ADDRESS)
    has_id = sa.exists().where(stored_id.c.person_id == p.c.person_id)
    return finding("never_syncs", p.c.person_id, "", detail, forecast, unsubscribed_since(p)).where(unsubscribed, ~has_id)


def link_broken() -> Query:
    """A stored id leads to a record that was deleted, merged or converted."""
    r, heir = record, heirs()
    successor = record.alias("successor")
    follows = sa.exists().where(heir.c.dead_id == r.c.record_id, successor.c.record_id == heir.c.heir_id, live(successor))
    became = sa.case(
        (r.c.merged_into.is_not(None), text(" was merged into ", r.c.merged_into, ".")),
        (r.c.is_deleted, " is deleted."),
        (r.c.converted_contact_id.is_not(None), text(" was converted to contact ", r.c.converted_contact_id, ".")),
        else_=" was converted.",
    )
    forecast = sa.case((follows, m.FOLLOWS), else_=m.FOLLOWS_NOTHING)
    found = finding("link_broken", p.c.person_id, r.c.record_id, text(named(r), became), forecast, r.c.last_modified_date)
    either = stored_id.c.record_id.in_((r.c.record_id, r.c.person_account))
    found = found.join_from(r, stored_id, either).join(p, p.c.person_id == stored_id.c.person_id)
    return found.where(active, ~live(r))


def link_to_nothing() -> Query:
    """A stored id that no pull has ever seen, though one was begun after the person was last changed."""
    r, snapshot = record, s.snapshot
    pulled = sa.select(sa.func.max(snapshot.c.started_at)).where(snapshot.c.finished_at.is_not(None)).scalar_subquery()
    detail = text("Salesforce does not know the record ", stored_id.c.record_id, ".")
    found = finding("link_broken", p.c.person_id, stored_id.c.record_id, detail, m.FOLLOWS_NOTHING, None)
    found = found.join_from(stored_id, p, p.c.person_id == stored_id.c.person_id)
    by_id, by_account = (sa.exists().where(column == stored_id.c.record_id) for column in (r.c.record_id, r.c.person_account))
    return found.where(active, p.c.updated_at <= pulled, ~by_id, ~by_account)


def address_changed() -> Query:
    """A person and the record linked by stored id have different addresses."""
    r = record
    detail = text("The person and ", named(r), " have different addresses: the person is ", _state(unsubscribed), ", the record is ", _state(r.c.opted_out), ".")  # fmt: skip
    found = finding("address_changed", p.c.person_id, r.c.record_id, detail, m.FOLLOWS_BOTH, r.c.last_modified_date)
    found = found.join_from(link, p, p.c.person_id == link.c.person_id).join(r, r.c.record_id == link.c.record_id)
    return found.where(link.c.how == "id", active, live(r), r.c.email != "", r.c.email != p.c.email)


def former_address() -> Query:
    """A record has an address that the person had before, and is no longer linked: the status must not stay with the address."""
    r, change = record, s.address_change
    detail = text(named(r), " has a former address of the person: the person is ", _state(unsubscribed), ", the record is ", _state(r.c.opted_out), ".")  # fmt: skip
    since = sa.func.max(change.c.changed_at)
    tonight = unsubscribed & left_behind() & not_fully_opted_out(r)
    forecast = sa.case((tonight, m.TONIGHT_FORMER_ADDRESS), else_=m.FORMER_ADDRESS)
    found = former_records(finding("address_changed", p.c.person_id, r.c.record_id, detail, forecast, since))
    return found.group_by(p.c.person_id, p.c.unsubscribed_at, p.c.erased_at, r.c.record_id, r.c.object, r.c.opted_out)


def _state(out: sa.ColumnElement[bool]) -> sa.ColumnElement[str]:
    return sa.case((out, "opted out"), else_="not opted out")


def origin_unknown() -> Query:
    """An opted-out record without history of it: tracking is off, or it is older than Salesforce keeps."""
    r = record
    told = sa.exists().where(history.c.record_id == r.c.record_id, history.c.new_value)
    person_id = sa.func.coalesce(link.c.person_id, "")
    detail = text(named(r), " is opted out, and its history does not say since when or by whom.")
    found = finding("origin_unknown", person_id, r.c.record_id, detail, m.NO_FORECAST, opted_out_at(r))
    found = found.join_from(r, link, link.c.record_id == r.c.record_id, isouter=True)
    return found.where(r.c.opted_out, live(r), ~told, ~suppressed(r))


def erased_in_register() -> Query:
    """A record of somebody who was erased on request, whom nobody has in Salesforce erased yet."""
    r, erased = record, s.suppressed_record
    detail = text(named(r), " is that of somebody who was erased here on request, and is still in Salesforce.")
    forecast = sa.case((r.c.opted_out & ~r.c.fields_differ, m.ERASE_THERE), else_=m.TONIGHT_ERASED)
    found = finding("erased_in_register", "", r.c.record_id, detail, forecast, erased.c.since)
    return found.join_from(erased, r, r.c.record_id == erased.c.record_id).where(live(r))
