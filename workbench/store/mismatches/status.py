"""Kinds about what became of an opt-out: ended without consent, or back again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from workbench import mismatch as m
from workbench.store import schema as s
from workbench.store.database import Transaction
from workbench.store.mismatches.sides import (
    Record,
    active,
    finding,
    history,
    intent,
    link,
    live,
    named,
    opted_out_at,
    p,
    record,
    text,
    u,
    whole_second,
)
from workbench.store.records import own_users

Query = sa.Select[Any]
WRITING = ("SENT", "VERIFIED", "DONE", "ABORTING", "ABORTED", "UNDOING", "UNDONE")  # our request to clear may have left


def _done() -> sa.CTE:
    """(person_id, done_at): when each person was last resubscribed by us."""
    done = sa.select(intent.c.person_id, sa.func.max(intent.c.done_at).label("done_at")).where(intent.c.state == "DONE")
    return done.group_by(intent.c.person_id).cte("done")


def _new_episodes(done: sa.CTE) -> sa.Select[Any]:
    """Open episodes that were recorded, or took place, after the person was resubscribed."""
    later = (u.c.recorded_at >= done.c.done_at) | (u.c.opted_out_at >= done.c.done_at)
    return sa.select(u.c.source).where(u.c.person_id == done.c.person_id, u.c.closed_at.is_(None), later).correlate(done)


def _new_opt_outs(done: sa.CTE) -> sa.Select[Any]:
    """Linked records that are opted out and were changed after the person was resubscribed (Salesforce stamps whole seconds).

    A record that was read back as not opted out when the person was resubscribed was changed afterwards, whatever its stamps say: a
    transaction that began before our change and was committed after it has the stamps of its beginning.
    """
    r = record
    after = (r.c.system_modstamp >= whole_second(done.c.done_at)) | (opted_out_at(r) >= whole_second(done.c.done_at))
    cleared = sa.exists().where(intent.c.person_id == link.c.person_id, intent.c.state == "DONE", _was_verified(r))
    after |= cleared.correlate(link, r)  # the link's person, not `done`'s: Spark looks only one query upwards
    found = sa.select(r.c.record_id).join_from(link, r, r.c.record_id == link.c.record_id)
    return found.where(link.c.person_id == done.c.person_id, live(r), r.c.opted_out, after).correlate(done)


def _was_verified(r: Record) -> sa.ColumnElement[bool]:
    """Whether the record is among those that an intent read back before it was done; its list of them is JSON."""
    return sa.cast(intent.c.base, sa.Text).contains(r.c.record_id)


def opted_out_by() -> sa.ColumnElement[str]:
    """The user who opted the record out: its history's word, or else who changed the record last."""
    h, r = history.alias(), record
    told = sa.select(h.c.by).where(h.c.record_id == r.c.record_id, h.c.new_value).order_by(h.c.at.desc()).limit(1)
    return sa.func.coalesce(told.correlate(r).scalar_subquery(), r.c.last_modified_by)


def relapse(own: Collection[str]) -> Query:
    """Resubscribed by us, opted out again. It was the sync unless an episode has another source, or another user ticked the box.

    ``own`` are the org users that we log in as: what they opt out, a sync of ours or of Sales Connect wrote.
    """
    done = _done()
    episodes, opt_outs = _new_episodes(done), _new_opt_outs(done)
    asked = sa.exists(episodes.where(u.c.source != "salesforce_sync")) | sa.exists(opt_outs.where(opted_out_by().not_in(own)))
    since = _earlier(_least(episodes, u.c.opted_out_at), _least(opt_outs, opted_out_at(record)))
    detail = text(
        "Resubscribed by us, then opted out again",
        sa.func.coalesce(text(", in the register (", _least(episodes, u.c.source), ")"), ""),
        sa.func.coalesce(text(", in Salesforce (", _least(opt_outs, record.c.record_id), " by ", _least(opt_outs, opted_out_by()), ")"), ""),
        sa.case((asked, ": a new opt-out."), else_=": by a sync, without a new request."),
    )  # fmt: skip
    forecast = sa.case((asked, m.RELAPSE_REQUEST), else_=m.RELAPSE_SYNC)
    found = finding("relapse", done.c.person_id, "", detail, forecast, since).add_columns(
        sa.case((asked, m.NEW_REQUEST), else_=m.SYNC).label("cause")
    )
    found = found.join_from(done, p, p.c.person_id == done.c.person_id)
    return found.where(active, sa.exists(episodes) | sa.exists(opt_outs))


def relapses(tx: Transaction) -> dict[str, m.Relapse]:
    """Everyone whom we resubscribed and who is opted out again, by person id."""
    found = tx.execute(relapse(own_users(tx)))
    return {r.person_id: m.Relapse(person_id=r.person_id, cause=r.cause, detail=r.detail) for r in found}


def _least(query: sa.Select[Any], column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    return query.with_only_columns(sa.func.min(column)).scalar_subquery()


def _earlier(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.case((one <= other, one), else_=sa.func.coalesce(other, one))


def resubscribed_without_consent() -> Query:
    """All of a person's episodes are closed, and one of them without an intent that had a consent on file."""
    c, still_open = s.consent, u.alias("still_open")
    covered = sa.select(intent.c.intent_id).join_from(intent, c, c.c.consent_id == intent.c.consent_id)
    covered = covered.where(intent.c.intent_id == u.c.closed_by_intent, intent.c.person_id == u.c.person_id)
    number = sa.func.count()
    detail = text("Closed in the register without a consent on file; unsubscribes: ", number, ", the first was ", sa.func.min(u.c.unsubscribe_id), ".")  # fmt: skip
    found = finding("resubscribed_without_consent", u.c.person_id, "", detail, m.FINDING, sa.func.min(u.c.closed_at))
    found = found.join_from(u, p, p.c.person_id == u.c.person_id).group_by(u.c.person_id)
    back = sa.exists().where(still_open.c.person_id == u.c.person_id, still_open.c.closed_at.is_(None))
    return found.where(active, u.c.closed_at.is_not(None), ~sa.exists(covered.correlate(u)), ~back)


def cleared_by_others(own: Collection[str]) -> Query:
    """The same in Salesforce: a record that isn't opted out, because somebody else than an intent of ours cleared it last."""
    r, h, later = record, history, history.alias("later")
    ours = (
        sa.select(intent.c.intent_id).where(intent.c.person_id == link.c.person_id, intent.c.state.in_(WRITING)).correlate(link)
    )
    person_id = sa.func.coalesce(link.c.person_id, "")
    detail = text("The opt-out of ", named(r), " was cleared by ", sa.func.min(h.c.by), ", not by a resubscription of ours.")
    found = finding("resubscribed_without_consent", person_id, r.c.record_id, detail, m.FINDING, sa.func.max(h.c.at))
    found = found.join_from(h, r, r.c.record_id == h.c.record_id).join(link, link.c.record_id == r.c.record_id, isouter=True)
    newest = ~sa.exists().where(later.c.record_id == h.c.record_id, later.c.field == h.c.field, later.c.at > h.c.at)
    cleared = ~h.c.new_value & sa.func.coalesce(h.c.old_value, sa.true())
    found = found.where(cleared, newest, live(r), ~r.c.opted_out, h.c.by.not_in(own) | ~sa.exists(ours))
    return found.group_by(link.c.person_id, r.c.record_id, r.c.object)
