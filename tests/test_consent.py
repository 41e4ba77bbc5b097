"""A consent counts from the earliest moment its record allows, and holds until it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from workbench.consent import Consent, Evidence

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
CONSENT = Consent(
    consent_id="c1",
    person_id="p1",
    email="ann@example.com",
    controller="Example Company",
    purpose="sales_email",
    given_at=datetime(2026, 10, 1, 9, 30, 5, tzinfo=UTC),
    recorded_at=NOW,
    recorded_by="op1",
)


@pytest.mark.parametrize(
    ("given_at", "precision", "expected"),
    [
        (datetime(2026, 10, 1, 9, 30, 5, 900_000, tzinfo=UTC), "second", "2026-10-01T09:30:05+00:00"),
        (datetime(2026, 10, 1, 9, 30, 5, tzinfo=timezone(timedelta(hours=9))), "second", "2026-10-01T00:30:05+00:00"),
        (datetime(2026, 10, 1, 9, 30, 5, tzinfo=timezone(timedelta(hours=9))), "day", "2026-09-30T15:00:00+00:00"),
        (datetime(2026, 10, 1, 23, 59, tzinfo=timezone(timedelta(hours=-8))), "day", "2026-10-01T08:00:00+00:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=0), "second", "2026-10-25T00:30:00+00:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "second", "2026-10-25T01:30:00+00:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "day", "2026-10-24T22:00:00+00:00"),
        (datetime(2018, 11, 4, 12, 0, tzinfo=ZoneInfo("America/Sao_Paulo")), "day", "2018-11-04T03:00:00+00:00"),
    ],
    ids=["truncated", "zone", "day in zone", "day west", "DST first", "DST second", "day of DST", "day without midnight"],
)
def test_a_consent_counts_from(given_at: datetime, precision: str, expected: str) -> None:
    counted = replace(CONSENT, given_at=given_at, given_at_precision=precision).counts_from
    assert counted is not None
    assert counted.isoformat() == expected


def test_without_time_or_zone_a_consent_counts_from_nowhere() -> None:
    assert replace(CONSENT, given_at=None).counts_from is None
    assert replace(CONSENT, given_at=datetime(2026, 10, 1, 9, 30)).counts_from is None  # noqa: DTZ001 - the point of the test


def test_an_unknown_precision_counts_as_a_day() -> None:
    counted = replace(CONSENT, given_at_precision="minute").counts_from
    assert counted == datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize("state", ["withdrawn", "refused", "invalidated"])
def test_states_in_which_a_consent_is_withdrawn(state: str) -> None:
    assert replace(CONSENT, state=state).withdrawn(NOW)


def test_a_withdrawal_counts_from_its_moment() -> None:
    consent = replace(CONSENT, withdrawn_at=NOW)
    assert consent.withdrawn(NOW)
    assert not consent.withdrawn(NOW - timedelta(seconds=1))
    assert not CONSENT.withdrawn(NOW)


def test_a_consent_expires_at_its_moment() -> None:
    consent = replace(CONSENT, valid_until=NOW)
    assert consent.expired(NOW)
    assert not consent.expired(NOW - timedelta(seconds=1))
    assert replace(CONSENT, state="expired").expired(NOW)
    assert not CONSENT.expired(NOW)


def test_a_consent_prints_without_the_address_or_the_notice() -> None:
    text = repr(replace(CONSENT, email="zoe@example.com", notice_text="Zoe", evidence=(Evidence(original_name="zoe.pdf"),)))
    assert "zoe" not in text.lower()


def test_evidence_of_a_file_is_named_but_not_read() -> None:
    evidence = Evidence.from_file(Path("no/such/folder/form.pdf"))
    assert (evidence.original_name, evidence.media_type, evidence.sha256) == ("form.pdf", "application/pdf", "")
    assert Evidence.from_file("signed").media_type == "application/octet-stream"
