"""Months of the calendar in UTC: where each begins."""

from __future__ import annotations

from datetime import UTC, datetime


def first(year: int, month: int) -> datetime:
    """The first moment of a month; months below 1 and above 12 lie in the years around."""
    years, index = divmod(month - 1, 12)
    return datetime(year + years, index + 1, 1, tzinfo=UTC)


def bounds(year: int, month: int, *, number: int) -> list[datetime]:
    """The first moments of the ``number`` months of which this one is the last, and its end."""
    return [first(year, month + ahead) for ahead in range(1 - number, 2)]
