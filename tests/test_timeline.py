"""A person's way through both systems, put together from episodes, records, their history, consents and decisions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import timeline as t
from workbench.org import FieldChange, OrgRow
from workbench.person import Unsubscribe
from workbench.timeline import Moment, Span, timeline

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def episode(since: float, until: float | None = None) -> Unsubscribe:
    closed = None if until is None else day(until)
    return Unsubscribe(
        unsubscribe_id="u", person_id="p", opted_out_at=day(since), source="manual", recorded_at=day(since), closed_at=closed
    )


def row(out: bool, record_id: str = "a", **more: Any) -> OrgRow:
    stamps = {"system_modstamp": day(90), "last_modified_date": day(90), "last_modified_by": "x"}
    return OrgRow(record_id=record_id, object="Lead", email="", opt_outs={"f": out}, **stamps, **more)


def change(at: float, new: bool, record_id: str = "a", field: str = "f") -> FieldChange:
    return FieldChange(record_id=record_id, field=field, old=not new, new=new, at=day(at), by="x")


def made(**given: Any) -> t.Timeline:
    return timeline(**{"episodes": [], "rows": [], "changes": [], "consents": [], "decided": []} | given)


def kinds(of: t.Timeline, system: str) -> list[str]:
    return [moment.kind for moment in of.moments if moment.system == system]


def test_nobody_known_has_an_empty_line() -> None:
    assert made() == t.Timeline((), (), (), 0)


def test_a_resubscription_and_a_relapse_are_told_in_order() -> None:
    consents: list[Any] = [SimpleNamespace(given_at=day(5), recorded_at=day(8), withdrawn_at=day(30))]
    found = made(
        episodes=[episode(1, 10), episode(31)],
        rows=[row(True)],
        changes=[change(2, True), change(10, False), change(30, True)],
        consents=consents,
        decided=[(day(10), t.RESUBSCRIBED)],
    )
    assert found.register == (Span(day(1), day(10)), Span(day(31), None))
    assert found.salesforce == (Span(day(2), day(10)), Span(day(30), None))
    assert kinds(found, t.REGISTER) == [t.OPTED_OUT, t.CONSENT, t.RESUBSCRIBED, t.WITHDRAWN, t.OPTED_OUT_AGAIN]
    assert kinds(found, t.SALESFORCE) == [t.OPTED_OUT, t.CLEARED, t.OPTED_OUT_AGAIN]


def test_an_opt_out_within_the_second_of_the_resubscription_is_one_after_it() -> None:
    resubscribed = day(10) + timedelta(milliseconds=700)
    found = made(rows=[row(True)], changes=[change(10, True)], decided=[(resubscribed, t.RESUBSCRIBED)])
    assert kinds(found, t.SALESFORCE) == [t.OPTED_OUT_AGAIN]


def test_a_consent_without_a_time_stands_where_it_was_recorded() -> None:
    consents: list[Any] = [SimpleNamespace(given_at=None, recorded_at=day(8), withdrawn_at=None)]
    assert made(consents=consents).moments == (Moment(day(8), t.REGISTER, t.CONSENT),)


@pytest.mark.parametrize(
    ("rows", "changes", "spans"),
    [
        ([row(True)], [], [Span(None, None)]),  # no history says since when
        ([row(False)], [change(3, False)], [Span(None, day(3))]),
        ([row(False)], [change(3, True)], [Span(day(3), day(90))]),  # what the record says now has the last word
        ([row(True)], [change(3, True), change(5, False)], [Span(None, None)]),
        ([row(True), row(False, "b")], [change(3, True)], [Span(day(3), None)]),
        ([row(True, is_deleted=True)], [change(3, True)], []),
        ([row(True), row(True, "b")], [change(3, True), change(2, True, "b")], [Span(day(2), None)]),
        ([row(False)], [change(3, True), change(3, True, field="g"), change(5, False), change(6, False, field="g")], [Span(day(3), day(6))]),
    ],
)  # fmt: skip
def test_a_record_is_opted_out_while_any_of_its_fields_is(
    rows: list[OrgRow], changes: list[FieldChange], spans: list[Span]
) -> None:
    assert made(rows=rows, changes=changes).salesforce == tuple(spans)


def test_joined_spans_cover_what_the_single_ones_cover_and_no_more() -> None:
    draw = random.Random(7)
    for _ in range(300):
        single = [
            (a := draw.randrange(40), None if draw.random() < 0.1 else a + draw.randrange(1, 9)) for _ in range(draw.randrange(7))
        ]
        spans = made(episodes=[episode(since, until) for since, until in single]).register
        for half in range(100):
            moment = day(half / 2 + 0.25)
            before = any(day(since) <= moment and (until is None or moment < day(until)) for since, until in single)
            assert any(s.since <= moment and (s.until is None or moment < s.until) for s in spans if s.since) == before
        assert all(a.until is not None and b.since is not None and a.until < b.since for a, b in pairwise(spans))
