"""Charts of the house's own things, for panels and reports: which words and signs stand for what; the drawing itself is `charts`.

Words are `said`; ``told`` puts them into the language of whoever looks, English by default, and ``day`` writes a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workbench import charts, timeline
from workbench.mismatch import NAMES, KindAges, age_classes, age_names
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.said import Said, said, said_of
from workbench.timeline import REGISTER, SALESFORCE, Moment, Timeline

Told = Callable[[str], str]
Day = Callable[[datetime], str]
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
MOMENTS = {
    (REGISTER, timeline.OPTED_OUT): said("unsubscribed"),
    (REGISTER, timeline.OPTED_OUT_AGAIN): said("unsubscribed again"),
    (SALESFORCE, timeline.OPTED_OUT): said("opted out"),
    (SALESFORCE, timeline.OPTED_OUT_AGAIN): said("opted out again"),
    (SALESFORCE, timeline.CLEARED): said("opt-out cleared"),
    (REGISTER, timeline.RESUBSCRIBED): said("resubscribed"),
    (REGISTER, timeline.CONSENT): said("consent given"),
    (REGISTER, timeline.WITHDRAWN): said("consent withdrawn"),
    (REGISTER, timeline.REFUSED): said("refused"),
    (REGISTER, timeline.KEPT): said("kept opted out"),
}


def iso_day(moment: datetime) -> str:
    """A day in UTC, year first."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def person_timeline(of: Timeline, *, now: datetime, told: Told = str, day: Day = iso_day) -> str:
    """Both systems as two lanes with what happened in each, as SVG; "" where nothing is known of the person."""
    if not of.moments and not of.register and not of.salesforce:
        return ""
    here = said("now unsubscribed") if _lasts(of.register) else said("now subscribed")
    there = said("now opted out") if _lasts(of.salesforce) else said("now not opted out") if of.records else said("no record")
    upper = _lane(of, REGISTER, told(said("Register")), told(here), told=told, day=day)
    lower = _lane(of, SALESFORCE, told(said("Salesforce")), told(there), told=told, day=day)
    return charts.lanes(
        upper,
        lower,
        now=now,
        title=told(said("Register and Salesforce on one line of time")),
        says=f"{_said(upper)} {_said(lower)}",
        thick=told(said("opted out")),
        dashed=told(said("opted out, nobody knows since when")),
    )


def _lane(of: Timeline, system: str, name: str, now: str, *, told: Told, day: Day) -> charts.Lane:
    spans = of.register if system == REGISTER else of.salesforce
    signs = [_sign(moment, told, day) for moment in of.moments if moment.system == system]
    absent = system == SALESFORCE and not of.records
    return charts.Lane(name, now, [(span.since, span.until) for span in spans], signs, absent=absent)


def _sign(moment: Moment, told: Told, day: Day) -> charts.Sign:
    return charts.Sign(moment.at, SHAPES[moment.kind], told(MOMENTS[moment.system, moment.kind]), day(moment.at))


def _lasts(spans: Iterable[timeline.Span]) -> bool:
    return any(span.until is None for span in spans)


def _said(lane: charts.Lane) -> str:
    """The lane as a sentence, for whoever can't see it."""
    happened = [f"{sign.name} {sign.day}" for sign in lane.signs]
    return f"{lane.name}: {', '.join([*happened, lane.now])}."


def mismatch_ages(found: Sequence[KindAges], *, limit: int, told: Told = str) -> str:
    """Open mismatches by kind and age, as SVG, those with the most over the limit first; "" where there are none."""
    if not found:
        return ""
    allowed = age_classes(limit).index(limit + 1)
    rows = sorted(found, key=lambda kind: (-sum(kind.numbers[allowed:]), -sum(kind.numbers)))
    sentences = [
        said(
            "{kind}: {open} open, {late} over the limit.", kind=NAMES[k.kind], open=sum(k.numbers), late=sum(k.numbers[allowed:])
        )
        for k in rows
    ]
    return charts.ages(
        [
            charts.Ages(told(NAMES[kind.kind]), kind.numbers, [_figure(n, told) for n in (*kind.numbers, sum(kind.numbers))])
            for kind in rows
        ],
        classes=[told(name) for name in age_names(limit)],
        allowed=allowed,
        title=told(said("Open mismatches by kind and age")),
        says=" ".join(told(sentence) for sentence in sentences),
        within=told(said_of("within the limit of {number} business day", "within the limit of {number} business days", limit)),
        over=told(said("over the limit")),
        unit=told(said("business days")),
        together=told(said("open")),
    )


def unsubscribes_by_month(rows: Sequence[Mapping[Any, Any]], *, told: Told = str, spoken: Told = str) -> str:
    """Unsubscribes and resubscriptions month by month, and where the former came from, as SVG; "" where there are none.

    ``rows`` are those of `Workbench.unsubscribes_by_month`; ``spoken`` says what a source is called.
    """
    totals = {source: sum(row[source] for row in rows) for source in UNSUBSCRIBE_SOURCES}
    unsubscribed, resubscribed = sum(totals.values()), sum(row["resubscribed"] for row in rows)
    if not unsubscribed and not resubscribed:
        return ""
    found = sorted(((number, source) for source, number in totals.items() if number), key=lambda pair: (-pair[0], pair[1]))
    sentence = said(
        "{unsubscribed} unsubscribes and {resubscribed} resubscriptions since {month}.",
        unsubscribed=unsubscribed,
        resubscribed=resubscribed,
        month=f"{rows[0]['since']:%Y-%m}",
    )
    return charts.columns(
        [_slot(row, n, len(rows), told) for n, row in enumerate(rows)],
        [
            charts.Bar(spoken(source), number, f"{_figure(number, told)} ({_share(number / unsubscribed)})")
            for number, source in found
        ],
        up=told(said("unsubscribed")),
        down=told(said("resubscribed")),
        beside=told(said("Where unsubscribes came from")),
        title=told(said("Unsubscribes and resubscriptions by month")),
        says=" ".join([told(sentence), *(f"{spoken(source)}: {_figure(number, told)}." for number, source in found)]),
    )


def _slot(row: Mapping[Any, Any], place: int, number: int, told: Told) -> charts.Column:
    since: datetime = row["since"]
    up = sum(row[source] for source in UNSUBSCRIBE_SOURCES)
    below = told(said("so far")) if place == number - 1 else f"{since:%Y}" if place == 0 or since.month == 1 else ""
    return charts.Column(f"{since:%m}", below, up, row["resubscribed"], _figure(up, told), _figure(row["resubscribed"], told))


def _share(of: float) -> str:
    return "<1%" if of < 0.005 else f"{of:.0%}"


def _figure(number: int, told: Told) -> str:
    return told(Said.of("{number}", {"number": number}))
