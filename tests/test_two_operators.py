"""Two operators at once, each with a Workbench of their own: one of them wins, the other is told, and a cap holds back the rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from conftest import World, lead_id, org_line
from test_worker import REASON, approved

from workbench.bench import Workbench
from workbench.errors import BatchError

PEOPLE = ("anna@example.com", "bea@example.com", "carl@example.com")


@pytest.fixture
def three(world) -> tuple[World, list[str]]:
    """Three people with a lead each, all unsubscribed on both sides, with sound consents."""
    lines = [org_line("Lead", lead_id(n), address, opted_out=True) for n, address in enumerate(PEOPLE, 1)]
    w = world(*lines, policy="write_cap = 1")
    people = [w.person(address) for address in PEOPLE]
    for person in people:
        w.consent(person)
    return w, people


def at_once(w: World, *works) -> list[object]:
    """What each of some operators' works gives, or the BatchError that it ends with; all begin at the same moment."""
    start = Barrier(len(works))

    def one(work):
        with Workbench.open(w.folder) as wb:
            wb.org.identity()
            start.wait(60)
            try:
                return work(wb)
            except BatchError as error:
                return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def test_a_person_proposed_by_two_operators_at_once_is_in_one_batch(three) -> None:
    w, (anna, bea, carl) = three
    plans = at_once(w, lambda wb: wb.propose([anna, bea], reason=REASON), lambda wb: wb.propose([carl, bea], reason=REASON))
    assert sorted(plan.eligible for plan in plans) == [1, 2]
    codes = {(row.person_id, row.codes) for plan in plans for row in plan.table.itertuples() if row.outcome == "refused"}
    assert codes == {(bea, "in_another_open_batch")}


def test_a_batch_approved_by_two_operators_at_once_is_approved_once(three) -> None:
    w, people = three
    plan = w.wb.propose(people, reason=REASON)
    ends = at_once(w, *(lambda wb: wb.approve(plan.id, plan.digest),) * 2)
    (refusal,) = [end for end in ends if end is not None]
    assert "The batch is approved; only a proposed one can be approved." in str(refusal)
    assert w.wb.trail.events(action="batch_approved").shape[0] == 1


def test_a_batch_run_and_cancelled_at_once_is_one_of_the_two(three) -> None:
    w, people = three
    batch = approved(w, *people)
    ran, cancelled = at_once(w, lambda wb: wb.run(batch), lambda wb: wb.cancel(batch))
    state = w.wb.batches().set_index("batch_id").state[batch]
    if state == "cancelled":
        assert isinstance(ran, BatchError) or ran.done == 1, "cancelled before it ran, or when the cap had paused it"
    else:
        assert (state, ran.done) == ("paused", 1)
        assert isinstance(cancelled, BatchError)


def test_the_cap_ends_a_run_and_the_next_one_goes_on(three) -> None:
    w, people = three
    batch = approved(w, *people)
    sentence = "The policy's cap of 1 people a run is reached."
    outcomes = [w.wb.run(batch) for _ in people]
    assert [(o.state, o.done, o.remaining, o.cause) for o in outcomes] == [
        ("paused", 1, 2, sentence),
        ("paused", 2, 1, sentence),
        ("finished", 3, 0, ""),
    ]
