"""What a row says about an opt-out, and whether that is news to the register. In doubt it is: an opt-out wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from workbench.intake import values
from workbench.person import Unsubscribe, unsubscribed

EVER = datetime(values.FIRST_YEAR, 1, 1, tzinfo=UTC)
WESTMOST, EASTMOST = timedelta(hours=12), timedelta(hours=14)  # how far local times lie behind and before UTC
LONGEST_DETAIL = values.LONGEST_TEXT

Note = Callable[[str], None]
"""Takes a sentence about a row that the operator should look at."""


@dataclass(frozen=True, kw_only=True)
class OptOut:
    """An opt-out as a file tells it: it happened between ``earliest`` and ``latest`` (``at``, where that is None).

    The register keeps ``at``, and ``latest`` of somebody who was resubscribed after ``at``: when a row was last changed is a good guess
    for a stranger, and no proof that somebody did not opt out since.
    """

    at: datetime
    earliest: datetime
    source: str
    detail: str
    latest: datetime | None = None


@dataclass(frozen=True)
class Reading:
    """How the dates of one file are read: ``zone`` for times without one, ``known_since`` is when we first saw these bytes.

    What a file says was so at the latest when it first came in: the same file again brings no news. But a feed of unsubscribes
    says it again each time it comes, so what it does not date is as late as ``undated``.
    """

    known_since: datetime
    zone: tzinfo | None = None
    undated: datetime | None = None


def said(*, flag: str, date: str, fallback: str, source: str, detail: str, reading: Reading, note: Note) -> OptOut | None:
    """The opt-out that a row of people states, or None. A value that can't be understood is an opt-out.

    ``flag`` is the Unsubscribed cell, ``date`` the date of unsubscribing, ``fallback`` when the row was last changed.
    """
    try:
        unsubscribed = values.yes_or_no(flag)
    except ValueError:
        unsubscribed = True
        if _readable(flag, reading):
            date = date or flag
        else:
            note("the Unsubscribed value is neither yes nor no, and was taken as yes")
    date = date if date.strip(" -–—") else ""
    if date and not unsubscribed:
        if flag.strip(" -–—"):
            note("the row says not unsubscribed, but has a date of unsubscribing; it was taken at its word, look at the person")
            return None
        note("the row has a date of unsubscribing and a blank Unsubscribed value, and was taken as unsubscribed")
        unsubscribed = True
    if not unsubscribed:
        return None
    return stated(date=date, fallback=fallback, source=source, detail=detail, reading=reading, note=note)


def stated(*, date: str, fallback: str = "", source: str, detail: str, reading: Reading, note: Note) -> OptOut:
    """The opt-out of a row that certainly states one, dated as well as the row allows; the detail says how."""
    earliest, at, how = _dated(date, fallback, reading, note)
    if at > (reading.undated or reading.known_since if earliest == EVER else reading.known_since):
        note("the opt-out is dated later than the import; the time of the import was taken")
        earliest, at, how = EVER, reading.known_since, "the file's date lies after the import, whose time was taken"
    found = values.source(source)
    if source and found is None:
        note("the source of the unsubscribe is none that the register knows; `import` was noted, the file's word in the detail")
        how = f"source in the file: {source}; {how}" if how else f"source in the file: {source}"
    said_there = "; ".join(part for part in (detail, how) if part)
    guessed = earliest == EVER and at < reading.known_since
    return OptOut(
        at=at,
        earliest=earliest,
        source=found or "import",
        detail=values.line_of_text(said_there[:LONGEST_DETAIL]),
        latest=reading.known_since if guessed else None,
    )


def _dated(date: str, fallback: str, reading: Reading, note: Note) -> tuple[datetime, datetime, str]:
    """Earliest and latest moment of the opt-out, and how they were found."""
    if date:
        try:
            found = values.moment(date, reading.zone, latest=True)
        except ValueError:
            note("the date of unsubscribing can't be read; the time of the import was taken")
            return EVER, reading.undated or reading.known_since, "a date that can't be read, the time of the import was taken"
        else:
            if found.zoneless and not found.day:
                note("the date of unsubscribing names no time zone; the latest moment that it can be was taken")
                return found.at - EASTMOST, _latest(found, reading), "time without a zone, the latest it can be was taken"
            begin = found.at - timedelta(days=1) if found.day else found.at
            return begin, found.at, "date without a time, its end was taken" if found.day else ""
    if fallback:
        try:
            found = values.moment(fallback, reading.zone, latest=True)
            return EVER, _latest(found, reading), "no date of unsubscribing, Updated At was taken"
        except ValueError:
            note("the Updated At value can't be read")
    note("the row does not say when the person unsubscribed; the time of the import was taken")
    return EVER, reading.undated or reading.known_since, "no date in the file, the time of the import was taken"


def _latest(found: values.Moment, reading: Reading) -> datetime:
    """The latest moment that a time can be, which is after the import only where it is so in every zone."""
    if not found.zoneless or found.day or found.at - EASTMOST > reading.known_since:
        return found.at
    return min(found.at + WESTMOST, reading.known_since)


def is_news(opt_out: OptOut, episodes: Iterable[Unsubscribe]) -> bool:
    """Whether none of a person's episodes accounts for this opt-out.

    An episode does that when it began no earlier than the opt-out can have happened, and was closed after it, if at all. So an old
    export does not reopen a person who was resubscribed since, and an opt-out after the resubscription does.
    """
    return not any(
        opt_out.earliest <= e.opted_out_at and (e.closed_at is None or (opt_out.latest or opt_out.at) < e.closed_at)
        for e in episodes
    )


def begins(opt_out: OptOut, episodes: Iterable[Unsubscribe]) -> datetime:
    """When the episode begins that an opt-out opens: not before the person was last resubscribed."""
    after = any(e.closed_at is not None and e.closed_at > opt_out.at for e in episodes)
    return opt_out.latest or opt_out.at if after else opt_out.at


def completes(opt_out: OptOut, episodes: Iterable[Unsubscribe]) -> bool:
    """Whether an opt-out that is no news adds an earlier request, or one of another source, to a person who is unsubscribed."""
    episodes = tuple(episodes)
    known = any(opt_out.earliest <= e.opted_out_at <= opt_out.at and e.source == opt_out.source for e in episodes)
    return opt_out.earliest > EVER and not known and unsubscribed(episodes)


def _readable(text: str, reading: Reading) -> bool:
    try:
        values.moment(text, reading.zone, latest=True)
    except ValueError:
        return False
    return True
