"""This computer's clock is wrong: no opt-out is overlooked because of it, and no consent counts that it dated too late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import World, lead_id, org_line
from test_worker import REASON, approved, open_episodes, ran

from workbench.store import people, records
from workbench.store import schema as s

Worlds = Callable[..., World]
SECOND = timedelta(seconds=1)


@dataclass
class Clock:
    """The clock on the wall of the operator; the org's own is right."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def anna(world: Worlds) -> tuple[World, str, Clock]:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    person, clock = w.person("anna@example.com"), Clock()
    w.consent(person)
    object.__setattr__(w.wb._desk, "clock", clock)
    return w, person, clock


def opt_out(w: World, **more: Any) -> None:
    order = {"object": "Lead", "id": lead_id(1), "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre"}
    w.org.control("/write", order | more)


def late(seconds: int = 45) -> str:
    """The stamp of a transaction that began so long ago and is committed now."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("ahead", [timedelta(minutes=30), timedelta(days=400)])
@pytest.mark.parametrize("full", [False, True])
def test_an_opt_out_behind_a_reading_under_a_clock_that_was_ahead(anna: Any, ahead: timedelta, full: bool) -> None:
    w, person, clock = anna
    assert ran(w, person).done == 1
    clock.ahead = ahead
    w.wb.pull(full=full)
    clock.ahead = timedelta()
    opt_out(w, at=late())
    assert w.wb.sync().unsubscribed == 1
    assert list(w.wb.follow_up().outcome) == ["relapsed"]
    assert open_episodes(w, person) == 1
    assert all(w.flags(lead_id(1)).values())


def test_a_clock_that_was_ahead_does_not_stop_full_readings(anna: Any) -> None:
    w, _, clock = anna
    clock.ahead = timedelta(days=400)
    w.wb.pull(full=True)
    clock.ahead = timedelta()
    assert w.wb.pull().kind == "full"
    assert w.wb.pull().kind == "delta"
    with w.wb.store.read() as tx:
        newest = records.last_snapshot(tx)
        covered = tx.execute(sa.select(sa.func.max(s.snapshot.c.covered_until))).scalar_one()
    assert newest is not None
    assert newest.covered_until == covered


def test_a_consent_dated_by_a_clock_that_is_ahead_is_not_used(anna: Any) -> None:
    w, person, clock = anna
    batch = approved(w, person)
    clock.ahead = timedelta(minutes=30)
    w.consent(person, given_at=clock() - SECOND)
    plan = w.wb.propose([person], reason=REASON)
    assert plan.table.codes[0].startswith("consent_in_future")
    assert "this computer's clock is ahead" in plan.table.sentences[0]
    assert w.wb.run(batch).done == 1, "an older consent is what it was"


def test_an_opt_out_seen_in_a_run_is_later_than_the_consent_whoever_dated_it(anna: Any) -> None:
    w, person, clock = anna
    clock.ahead = timedelta(seconds=50)  # not enough to be noticed
    w.consent(person, given_at=clock() - SECOND)
    batch, original = approved(w, person), w.wb.org.clear

    def clear(writes: Any) -> Any:
        answers = original(writes)
        opt_out(w)
        return answers

    w.wb.org.clear = clear  # type: ignore[method-assign]  # the real call, with an opt-out right behind it
    assert w.wb.run(batch).aborted == 1
    with w.wb.store.read() as tx:
        newest = max(people.unsubscribes(tx, [person])[person], key=lambda e: e.recorded_at)
    assert newest.source == "salesforce_sync"
    w.wb.org.clear = original  # type: ignore[method-assign]  # as it was
    clock.ahead += timedelta(seconds=120)
    w.org.control("/clock", {"advance": 120})
    plan = w.wb.propose([person], reason=REASON)
    assert plan.eligible == 0
    assert list(plan.table.codes) == ["consent_before_opt_out"]
