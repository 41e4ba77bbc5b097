"""Date literals: which days TODAY, LAST_MONTH or LAST_N_DAYS:30 mean.

Source: "Date Formats and Date Literals" in the SOQL and SOSL Reference. Days are those of UTC, weeks start on Sunday.
LAST_N_DAYS reaches to the end of today; the other counted periods leave the present one out.
"""

from datetime import datetime, time, timedelta

_UNITS = ("WEEK", "MONTH", "QUARTER", "YEAR")
_COUNTED_UNITS = ("DAY", *_UNITS)
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"TODAY": 0, "YESTERDAY": -1, "TOMORROW": 1}
_NINETY = {"LAST_90_DAYS": "LAST_N_DAYS", "NEXT_90_DAYS": "NEXT_N_DAYS"}

PLAIN = frozenset({*_DAYS, *_NINETY, *(f"{when}_{unit}" for when in ("LAST", "THIS", "NEXT") for unit in _UNITS)})
COUNTED = frozenset(
    {
        *(f"{when}_N_{unit}S" for when in ("LAST", "NEXT") for unit in _COUNTED_UNITS),
        *(f"N_{unit}S_AGO" for unit in _COUNTED_UNITS),
    }
)


def period(name: str, number: int, now: datetime) -> tuple[datetime, datetime]:
    """Start and end (exclusive) of a literal; ``number`` counts only for those of ``COUNTED``.

    Raises:
        ValueError, OverflowError: the number leads beyond the calendar.
    """
    if name in _DAYS:
        return _span("DAY", now, _DAYS[name], _DAYS[name] + 1)
    if name in _NINETY:
        name, number = _NINETY[name], 90
    if name.endswith("_AGO"):
        return _span(name[2:-5], now, -number, 1 - number)
    when, _, unit = name.partition("_")
    if unit.startswith("N_"):
        unit = unit[2:-1]
        last = (-number, 1 if unit == "DAY" else 0)
        return _span(unit, now, *(last if when == "LAST" else (1, 1 + number)))
    first = {"LAST": -1, "THIS": 0, "NEXT": 1}[when]
    return _span(unit, now, first, first + 1)


def _span(unit: str, now: datetime, first: int, end: int) -> tuple[datetime, datetime]:
    """From the start of the unit ``first`` units away to that of the unit ``end`` away."""
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    if unit == "DAY":
        return midnight + timedelta(days=first), midnight + timedelta(days=end)
    if unit == "WEEK":
        sunday = midnight - timedelta(days=(midnight.weekday() + 1) % 7)
        return sunday + timedelta(weeks=first), sunday + timedelta(weeks=end)
    size = _MONTHS[unit]
    current = midnight.year * 12 + (midnight.month - 1) // size * size
    starts = [divmod(current + n * size, 12) for n in (first, end)]
    low, high = (midnight.replace(year=year, month=month + 1, day=1) for year, month in starts)
    return low, high
