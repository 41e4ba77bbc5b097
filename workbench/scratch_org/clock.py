"""The org's clock, and how Salesforce writes instants: whole seconds in UTC."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)


class Clock:
    """The real time plus an offset; it can be moved and stopped, so a test need not wait."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self.offset = offset
        self.frozen_at: datetime | None = None

    def now(self) -> datetime:
        """The org's present, aware, in UTC."""
        return self.frozen_at or datetime.now(UTC) + self.offset

    def set(self, at: datetime) -> None:
        """Make ``at`` the present."""
        self.offset = at - datetime.now(UTC)
        if self.frozen_at:
            self.frozen_at = at

    def freeze(self, frozen: bool) -> None:
        """Stop the clock, or let it run on from where it stopped."""
        if frozen:
            self.frozen_at = self.now()
        elif self.frozen_at:
            at, self.frozen_at = self.frozen_at, None
            self.set(at)


def stamp(at: datetime) -> str:
    """An instant as the REST API writes it: ``2026-04-16T19:00:00.000+0000``. Sorts by time as text."""
    return f"{at.astimezone(UTC).isoformat()[:19]}.000+0000"


def instant(text: str) -> datetime:
    """The instant that an ISO 8601 text with a zone names.

    Raises:
        ValueError: the text is no instant, or has no zone.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"Not an instant with a zone: {text!r}")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"Beyond the calendar: {text}") from error


def http_date(at: datetime) -> str:
    """``Thu, 16 Apr 2026 19:00:00 GMT``."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


def from_http_date(text: str) -> datetime:
    """The instant of an HTTP date.

    Raises:
        ValueError: the text has another form (Salesforce answers 400 then).
    """
    return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
