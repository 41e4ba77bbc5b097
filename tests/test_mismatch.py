"""Ages in business days, and the types that carry a mismatch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import mismatch
from workbench.mismatch import KINDS, ON_TRAIL, Mismatch, business_days, late_before

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-11-23T08:00", "2026-11-23T23:59", 0),  # the day of receipt does not count
        ("2026-11-23T23:59", "2026-11-24T00:00", 1),
        ("2026-11-20T12:00", "2026-11-22T12:00", 0),  # Friday to Sunday
        ("2026-11-20T12:00", "2026-11-23T12:00", 1),  # Friday to Monday
        ("2026-11-21T12:00", "2026-11-23T12:00", 1),  # Saturday to Monday
        ("2026-11-09T12:00", "2026-11-23T12:00", 10),  # two weeks
        ("2026-11-24T12:00", "2026-11-23T12:00", 0),  # a clock that was set back
    ],
)
def test_business_days(start, end, days):
    assert business_days(at(start), at(end)) == days


@given(MOMENTS, MOMENTS)
def test_business_days_agree_with_numpy(start, end):
    day = timedelta(days=1)
    expected = np.busday_count((start + day).date(), (end + day).date()) if start <= end else 0
    assert business_days(start, end) == expected


@given(MOMENTS, MOMENTS, st.integers(0, 30))
def test_late_is_what_is_older_than_the_limit(start, now, limit):
    assert (start < late_before(now, limit)) == (business_days(start, now) > limit)


def test_days_are_days_in_utc():
    tokyo = timezone(timedelta(hours=9))
    assert business_days(datetime(2026, 11, 24, 8, tzinfo=tokyo), at("2026-11-24T01:00")) == 1


def example(**changes) -> Mismatch:
    values = {
        "mismatch_id": "m",
        "kind": "never_syncs",
        "person_id": "p",
        "record_id": "",
        "detail": "",
        "forecast": "",
        "since": None,
        "first_seen": at("2026-11-09T12:00"),
        "last_seen": at("2026-11-20T12:00"),
        "email": "ann@example.com",
    }
    return Mismatch(**(values | changes))


def test_age_runs_from_the_beginning_or_else_from_first_sight():
    now = at("2026-11-23T12:00")
    assert example().age_business_days(now) == 10
    assert example(since=at("2026-11-02T12:00")).age_business_days(now) == 15


def test_age_stops_when_it_is_resolved():
    assert example(resolved_at=at("2026-11-10T12:00")).age_business_days(at("2027-01-01T00:00")) == 1


def test_its_repr_carries_no_address():
    assert "example.com" not in repr(example())


def test_thirteen_kinds_of_which_the_findings_are_on_the_trail():
    assert len(KINDS) == 13
    assert set(ON_TRAIL) < set(KINDS)


def test_every_forecast_is_a_sentence_without_an_address():
    sentences = [
        v for k, v in vars(mismatch).items() if k.isupper() and isinstance(v, str) and " " in v and k != "NO_LONGER_FOUND"
    ]
    assert len(sentences) > 10
    assert all(s[0].isupper() and s.endswith(".") and "@" not in s for s in sentences)
