"""What the panels draw, in the words of their language; the drawing itself is `charts`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from workbench import charts, timeline
from workbench.panels.language import N_, _
from workbench.timeline import REGISTER, SALESFORCE, Moment, Timeline

SHAPES = {
    timeline.OPTED_OUT: "stop",
    timeline.OPTED_OUT_AGAIN: "again",
    timeline.RESUBSCRIBED: "go",
    timeline.CLEARED: "go",
    timeline.CONSENT: "paper",
    timeline.WITHDRAWN: "torn",
    timeline.REFUSED: "cross",
    timeline.KEPT: "cross",
}
NAMES = {
    (REGISTER, timeline.OPTED_OUT): N_("unsubscribed"),
    (REGISTER, timeline.OPTED_OUT_AGAIN): N_("unsubscribed again"),
    (SALESFORCE, timeline.OPTED_OUT): N_("opted out"),
    (SALESFORCE, timeline.OPTED_OUT_AGAIN): N_("opted out again"),
    (SALESFORCE, timeline.CLEARED): N_("opt-out cleared"),
    (REGISTER, timeline.RESUBSCRIBED): N_("resubscribed"),
    (REGISTER, timeline.CONSENT): N_("consent given"),
    (REGISTER, timeline.WITHDRAWN): N_("consent withdrawn"),
    (REGISTER, timeline.REFUSED): N_("refused"),
    (REGISTER, timeline.KEPT): N_("kept opted out"),
}


def person_timeline(of: Timeline, *, now: datetime) -> str:
    """Both systems as two lanes with what happened in each; "" where nothing is known of the person."""
    if not of.moments and not of.register and not of.salesforce:
        return ""
    upper = _lane(of, REGISTER, _("Register"), _("now unsubscribed") if _lasts(of.register) else _("now subscribed"))
    there = _("now opted out") if _lasts(of.salesforce) else _("now not opted out") if of.records else _("no record")
    lower = _lane(of, SALESFORCE, _("Salesforce"), there)
    return charts.lanes(
        upper,
        lower,
        now=now,
        title=_("Register and Salesforce on one line of time"),
        says=f"{_said(upper)} {_said(lower)}",
        thick=_("opted out"),
        dashed=_("opted out, nobody knows since when"),
    )


def _lane(of: Timeline, system: str, name: str, now: str) -> charts.Lane:
    spans = of.register if system == REGISTER else of.salesforce
    signs = [_sign(moment) for moment in of.moments if moment.system == system]
    absent = system == SALESFORCE and not of.records
    return charts.Lane(name, now, [(span.since, span.until) for span in spans], signs, absent=absent)


def _sign(moment: Moment) -> charts.Sign:
    return charts.Sign(moment.at, SHAPES[moment.kind], _(NAMES[moment.system, moment.kind]))


def _lasts(spans: Iterable[timeline.Span]) -> bool:
    return any(span.until is None for span in spans)


def _said(lane: charts.Lane) -> str:
    """The lane as a sentence, for whoever can't see it."""
    happened = [f"{sign.name} {sign.at.astimezone(UTC):%Y-%m-%d}" for sign in lane.signs]
    return f"{lane.name}: {', '.join([*happened, lane.now])}."
