"""Which words and signs the charts of the house use, for every kind of moment and mismatch there is."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from workbench import mismatch, pictures, timeline
from workbench.charts import time_lanes
from workbench.mismatch import KINDS, NAMES, KindAges, age_classes, age_names
from workbench.months import bounds
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.timeline import Moment, Span, Timeline

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
TEXT = "{http://www.w3.org/2000/svg}text"
EVERY_MOMENT = {
    *((timeline.REGISTER, kind) for kind in (timeline.OPTED_OUT, timeline.OPTED_OUT_AGAIN, timeline.CONSENT, timeline.WITHDRAWN)),
    *((timeline.REGISTER, kind) for kind in timeline.DECIDED.values()),
    *((timeline.SALESFORCE, kind) for kind in (timeline.OPTED_OUT, timeline.OPTED_OUT_AGAIN, timeline.CLEARED)),
}  # fmt: skip


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(TEXT)]


def test_every_kind_of_moment_has_a_sign_and_a_name() -> None:
    assert set(pictures.MOMENTS) == EVERY_MOMENT
    assert {kind for _, kind in EVERY_MOMENT} == set(pictures.SHAPES)
    assert set(pictures.SHAPES.values()) == set(time_lanes.SHAPES)


def test_nobody_known_is_not_drawn() -> None:
    assert pictures.person_timeline(Timeline((), (), (), 0), now=NOW) == ""


@pytest.mark.parametrize(
    ("of", "register", "salesforce"),
    [
        (Timeline((Span(NOW, None),), (), (), 0), "now unsubscribed", "no record"),
        (Timeline((Span(NOW, NOW),), (Span(None, None),), (), 1), "now subscribed", "now opted out"),
        (Timeline((Span(NOW, NOW),), (Span(NOW, NOW),), (), 1), "now subscribed", "now not opted out"),
    ],
)
def test_how_either_side_stands_is_written_at_the_end_of_its_lane(of: Timeline, register: str, salesforce: str) -> None:
    svg = pictures.person_timeline(of, now=NOW)
    assert {register, salesforce} <= set(texts(svg))
    assert f"Register: {register}. Salesforce: {salesforce}." in svg


def test_the_description_tells_the_moments_in_order() -> None:
    moments = tuple(Moment(NOW, system, kind) for system, kind in sorted(EVERY_MOMENT))
    svg = pictures.person_timeline(Timeline((), (), moments, 1), now=NOW, told=str.upper)
    assert "REGISTER: CONSENT GIVEN 2026-11-02, KEPT OPTED OUT 2026-11-02, UNSUBSCRIBED 2026-11-02" in svg


def test_every_kind_of_mismatch_has_a_name_in_plain_words() -> None:
    assert list(NAMES) == list(KINDS)
    assert len(set(NAMES.values())) == len(KINDS)
    assert not [name for name in NAMES.values() if "_" in name or len(name) > 34]


@pytest.mark.parametrize("limit", range(1, 11))
def test_classes_of_age_have_a_border_at_the_limit_and_names_without_gaps(limit: int) -> None:
    begins = age_classes(limit)
    assert begins[0] == 0
    assert limit + 1 in begins
    assert list(begins) == sorted(set(begins))
    assert len(age_names(limit)) == len(begins)


def test_the_names_of_the_classes_are_days() -> None:
    assert [str(name) for name in age_names(10)] == ["0–5", "6–8", "9–10", "11–20", "21–60", "over 60"]
    assert [str(name) for name in age_names(1)] == ["0", "1", "2", "3–6", "over 6"]


def test_kinds_with_the_most_over_the_limit_come_first() -> None:
    found = [
        KindAges(kind="relapse", numbers=(9, 0, 0, 0, 0, 0)),
        KindAges(kind="never_syncs", numbers=(0, 0, 0, 0, 1, 1200)),
        KindAges(kind="link_broken", numbers=(0, 0, 1, 2, 0, 0)),
    ]
    svg = pictures.mismatch_ages(found, limit=10)
    names = [text for text in texts(svg) if text in mismatch.NAMES.values()]
    assert names == ["unsubscribed, no Salesforce id", "linked record is gone", "resubscribed, opted out again"]
    assert "linked record is gone: 3 open, 2 over the limit." in svg
    assert "1,201" in texts(svg)
    assert pictures.mismatch_ages([], limit=10) == ""


def month(since: datetime, resubscribed: int = 0, **sources: int) -> dict[str, object]:
    return {"since": since, "resubscribed": resubscribed, **dict.fromkeys(UNSUBSCRIBE_SOURCES, 0), **sources}


def test_months_are_told_with_their_sources_the_largest_first() -> None:
    rows = [month(since, resubscribed=2, manual=1, bounce=300) for since in bounds(2026, 2, number=3)[:-1]]
    svg = pictures.unsubscribes_by_month(rows, spoken=str.upper)
    assert [t for t in texts(svg) if t in ("12", "01", "02", "2025", "2026", "so far")] == [
        "12",
        "2025",
        "01",
        "2026",
        "02",
        "so far",
    ]
    assert "903 unsubscribes and 6 resubscriptions since 2025-12. BOUNCE: 900. MANUAL: 3." in svg
    assert [t for t in texts(svg) if "BOUNCE" in t or "MANUAL" in t or "%" in t] == ["BOUNCE", "900 (100%)", "MANUAL", "3 (<1%)"]


def test_a_year_without_anything_is_not_drawn() -> None:
    assert pictures.unsubscribes_by_month([month(NOW)]) == ""
    assert pictures.unsubscribes_by_month([month(NOW, resubscribed=1)])


def test_months_cross_years() -> None:
    assert [f"{b:%Y-%m-%d}" for b in bounds(2026, 1, number=2)] == ["2025-12-01", "2026-01-01", "2026-02-01"]
    assert bounds(2026, 12, number=1)[-1] == datetime(2027, 1, 1, tzinfo=UTC)
