"""Whatever fails, the opt-out stays: an exception thrown at the beginning of every function that a run of a batch goes through.

Two people of each batch must not be resubscribed: one was unsubscribed in the register, one opted out in Salesforce, after the approval.
In each trial one function of the product throws at its first call. Nothing may then have cleared these two, and when the batch is
resumed without the fault they are still opted out on both sides. Nearly always a third, who may be resubscribed, is; a rule that throws
about somebody refuses them. Which functions there are is found by watching a run, so a guard that is added is in the trials by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from conftest import World, lead_id, org_line, worlds
from test_worker import REASON, open_episodes, states

import workbench
from workbench.resubscription import State

HOME = Path(workbench.__file__).parent
ROOMS = (
    "eligibility",
    "resubscription",
    "consent",
    "policy",
    "person",
    "evidence",
    "desk",
    "worker",
    "store",
    "salesforce",
    "trail",
)
"""Rooms that decide, read or write for a batch; what only shows things is left out."""
DECIDING = ("eligibility", "resubscription", "consent", "policy", "desk", "worker")
MOST = 700  # trials that there are people for


class ThrownError(Exception):
    """Nobody in the product expects this one."""


@dataclass(frozen=True)
class Three:
    """The people of one trial and their leads: unsubscribed here since, opted out there since, and one who may come back."""

    here: str
    there: str
    free: str
    leads: tuple[str, str, str]


def named(code: CodeType) -> str:
    return f"{Path(code.co_filename).relative_to(HOME).with_suffix('').as_posix().replace('/', '.')}.{code.co_qualname}"


def of_product(code: CodeType, rooms: tuple[str, ...] = ROOMS) -> bool:
    if not code.co_filename.startswith(str(HOME)) or code.co_name.startswith("<"):
        return False
    room = Path(code.co_filename).relative_to(HOME).with_suffix("").parts[0]
    return room in rooms


def watched(work: Callable[[], Any], rooms: tuple[str, ...] = ROOMS) -> dict[str, CodeType]:
    """Every function of the product that the work calls, in the order of their first calls."""
    seen: dict[CodeType, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.setdefault(frame.f_code)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return {named(code): code for code in seen if of_product(code, rooms)}


def struck(work: Callable[[], Any], code: CodeType) -> bool:
    """Do the work while this function throws at its first call; whether it was called."""
    called = False

    def throw(frame: FrameType, event: str, _: Any) -> None:
        nonlocal called
        if event == "call" and frame.f_code is code:
            called = True
            sys.setprofile(None)
            raise ThrownError

    sys.setprofile(throw)
    try:
        work()
    except Exception:  # noqa: BLE001 - what comes of it is the product's affair, what it left behind is looked at
        pass
    finally:
        sys.setprofile(None)
    return called


class Trials:
    """One org and one workspace with people for many trials."""

    def __init__(self, world: World, people: int) -> None:
        self.world, self.left, self.done = world, iter(range(people)), 0

    def three(self) -> tuple[str, Three]:
        """An approved batch of three people, two of whom were opted out since."""
        w, ids = self.world, [next(self.left) for _ in range(3)]
        people = [w.person(f"p{n}@example.com") for n in ids]
        for person in people:
            w.consent(person)
        made = Three(*people, leads=tuple(lead_id(n) for n in ids))  # type: ignore[arg-type]  # three of them
        plan = w.wb.propose(people, reason=REASON)
        assert plan.eligible == 3
        w.wb.approve(plan.id, plan.digest)
        w.wb.unsubscribe(f"p{ids[0]}@example.com", source="manual")
        write = {"object": "Lead", "id": made.leads[1], "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre"}
        write["at"] = "2026-06-10T10:00:00Z"  # after the consent, and long enough ago not to be waited for
        w.org.control("/write", write)
        return plan.id, made

    def kept(self, batch: str, three: Three) -> None:
        """The two opt-outs stand on both sides, and nobody said that they are done."""
        w = self.world
        assert all(w.flags(*three.leads[:2]).values())
        assert all(open_episodes(w, person) for person in (three.here, three.there))
        found = states(w, batch)
        assert State.DONE not in {found[three.here], found[three.there]}

    def try_(self, code: CodeType) -> bool:
        batch, three = self.three()
        called = struck(lambda: self.world.wb.run(batch), code)
        self.kept(batch, three)
        outcome = self.world.wb.run(batch)
        self.kept(batch, three)
        assert outcome.state == "finished", outcome.sentence
        self.done += states(self.world, batch)[three.free] is State.DONE
        return called


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    people = 3 * MOST
    with worlds(tmp_path_factory.mktemp("closed")) as make:
        yield Trials(
            make(*(org_line("Lead", lead_id(n), f"p{n}@example.com", opted_out=n % 3 != 1) for n in range(people))), people
        )


def all_of(trials: Trials, rooms: tuple[str, ...]) -> dict[str, CodeType]:
    batch, three = trials.three()
    found = watched(lambda: trials.world.wb.run(batch), rooms)
    trials.kept(batch, three)
    return found


def tried(trials: Trials, rooms: tuple[str, ...]) -> tuple[int, list[str]]:
    """How many functions threw, and those that a run did not come to this time."""
    codes = all_of(trials, rooms)
    idle = [name for name, code in codes.items() if not trials.try_(code)]
    return len(codes) - len(idle), idle


def test_no_failing_guard_loses_an_opt_out(trials: Trials) -> None:
    threw, idle = tried(trials, DECIDING)
    sys.stdout.write(f"fail closed: {threw} functions threw, 0 lost\n")
    assert threw > 60
    assert trials.done > 0.9 * threw
    assert not idle


@pytest.mark.slow
def test_no_failing_function_at_all_loses_an_opt_out(trials: Trials) -> None:
    threw, idle = tried(trials, ROOMS)
    sys.stdout.write(f"fail closed: {threw} functions threw, 0 lost; not come to: {idle}\n")
    assert threw > 200


def test_a_guard_that_says_yes_instead_is_found(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials can fail: with rules that refuse nobody, somebody who was unsubscribed is resubscribed."""
    batch, three = trials.three()
    monkeypatch.setattr("workbench.worker.course.assess", _yes)
    trials.world.wb.run(batch)
    with pytest.raises(AssertionError):
        trials.kept(batch, three)


def _yes(case: Any, policy: Any, *, now: Any) -> Any:
    from dataclasses import replace

    from workbench.eligibility import assess

    return replace(assess(case, policy, now=now), outcome="eligible", findings=())
