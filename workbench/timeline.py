"""A person's way through both systems: since when each had them opted out, until when, and what happened at which moment.

Takes what the register and Salesforce know and returns values; drawing them is a screen's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from workbench.consent import Consent
from workbench.org import FieldChange, OrgRow
from workbench.person import Unsubscribe

REGISTER, SALESFORCE = "register", "salesforce"
OPTED_OUT, OPTED_OUT_AGAIN, RESUBSCRIBED, CLEARED = "opted_out", "opted_out_again", "resubscribed", "cleared"
CONSENT, WITHDRAWN, REFUSED, KEPT = "consent", "withdrawn", "refused", "kept"
DECIDED = {"person_resubscribed": RESUBSCRIBED, "person_refused": REFUSED, "person_aborted": KEPT}
"""Events of the trail that decided about somebody, and the moment they stand for."""


@dataclass(frozen=True, order=True)
class Moment:
    """Something that happened in one of the systems (`REGISTER`, `SALESFORCE`); ``kind`` is one of the words above."""

    at: datetime
    system: str
    kind: str


@dataclass(frozen=True)
class Span:
    """A time of being opted out. ``since`` is None where nobody knows since when, ``until`` None where it still lasts."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class Timeline:
    """Spans of being opted out in either system, apart and in order, and the moments, oldest first.

    ``records`` is how many records of the person Salesforce still has.
    """

    register: tuple[Span, ...]
    salesforce: tuple[Span, ...]
    moments: tuple[Moment, ...]
    records: int


def timeline(
    *,
    episodes: Sequence[Unsubscribe],
    rows: Iterable[OrgRow],
    changes: Sequence[FieldChange],
    consents: Iterable[Consent],
    decided: Iterable[tuple[datetime, str]],
) -> Timeline:
    """Put together what is known of one person: ``decided`` are moments with values of `DECIDED`.

    An opt-out after a resubscription is `OPTED_OUT_AGAIN`. Deleted records are left out.
    """
    living = [row for row in rows if not row.is_deleted]
    decided = list(decided)
    resubscribed = min((at for at, kind in decided if kind == RESUBSCRIBED), default=None)
    in_org = _joined([span for row in living for span in _spans_of(row, changes)])
    here = [(e.opted_out_at, OPTED_OUT) for e in episodes] + decided + _of_consents(consents)
    there = [(span.since, OPTED_OUT) for span in in_org if span.since] + [(span.until, CLEARED) for span in in_org if span.until]
    moments = [
        Moment(at, system, OPTED_OUT_AGAIN if kind == OPTED_OUT and _after(at, resubscribed) else kind)
        for system, found in ((REGISTER, here), (SALESFORCE, there))
        for at, kind in found
    ]
    in_register = _joined([Span(e.opted_out_at, e.closed_at) for e in episodes])
    return Timeline(register=in_register, salesforce=in_org, moments=tuple(sorted(moments)), records=len(living))


def _after(at: datetime, resubscribed: datetime | None) -> bool:
    return resubscribed is not None and at >= resubscribed.replace(microsecond=0)  # Salesforce tells whole seconds


def _of_consents(consents: Iterable[Consent]) -> list[tuple[datetime, str]]:
    found = []
    for consent in consents:
        found.append((consent.given_at or consent.recorded_at, CONSENT))
        if consent.withdrawn_at:
            found.append((consent.withdrawn_at, WITHDRAWN))
    return found


def _spans_of(row: OrgRow, changes: Sequence[FieldChange]) -> list[Span]:
    """When any opt-out field of the record was set, by its history; what it says now has the last word."""
    mine = [change for change in changes if change.record_id == row.record_id]
    before = {change.field: bool(change.old) for change in reversed(mine)}
    spans: list[Span] = []
    out, since = any(before.values()), None
    for change in mine:
        before[change.field] = bool(change.new)
        if any(before.values()) == out:
            continue
        if out:
            spans.append(Span(since, change.at))
        out, since = not out, change.at
    if row.opted_out:
        spans.append(Span(since if out else None, None))
    elif out:
        spans.append(Span(since, row.system_modstamp))
    return spans


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same times without overlaps."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda s: s.since.timestamp() if s.since else float("-inf")):
        last = joined[-1] if joined else None
        if last is None or (last.until is not None and span.since is not None and span.since > last.until):
            joined.append(span)
        elif last.until is not None:
            joined[-1] = Span(last.since, None if span.until is None else max(last.until, span.until))
    return tuple(joined)
