"""Random kills, opt-outs and faults, as many as there is time for; the same trials for the same seed, but for what happens by time."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from faults.harness import Event, Process, Trial
from faults.scene import OPTED_OUT_THERE_ONLY, PEOPLE

EVERYBODY = (*PEOPLE, OPTED_OUT_THERE_ONLY)
FAULTS = ("503", "expire_token", "reset_before", "reset_after", "lock", "html", "403_concurrent")
RATE = 0.06  # of all requests
LONGEST_LIFE = 0.6  # seconds until a process is killed by time
MOST_KILLS = 4


def trials(seed: int, *, boundaries: int, until: float) -> Iterator[Trial]:
    """Trials until a moment of `time.monotonic`: one to four kills each, half by step and half by time, then a run to the end."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        killed = tuple(_killed(chance, boundaries) for _ in range(chance.randint(1, MOST_KILLS)))
        last = Process(events=_some(chance, boundaries), meanwhile=_meanwhile(chance))
        yield Trial(processes=(*killed, last), faults=_lottery(chance), sync=True)


def _killed(chance: random.Random, boundaries: int) -> Process:
    if chance.random() < 0.5:
        return Process(kill_at=chance.randint(1, boundaries), events=_some(chance, boundaries))
    return Process(kill_after=chance.uniform(0.01, LONGEST_LIFE), events=_some(chance, boundaries), meanwhile=_meanwhile(chance))


def _some(chance: random.Random, boundaries: int) -> tuple[Event, ...]:
    """What happens at boundaries of this process: mostly opt-outs, sometimes an edit, seldom a late request."""
    kinds = chance.choices(
        ("local", "salesforce", "late_commit", "edit", "late"), weights=(6, 5, 2, 1, 1), k=chance.randint(0, 3)
    )
    return tuple(Event(what=what, who=chance.choice(EVERYBODY), at=chance.randint(0, boundaries)) for what in kinds)


def _meanwhile(chance: random.Random) -> tuple[Event, ...]:
    if chance.random() < 0.5:
        return ()
    what = chance.choice(("local", "salesforce"))
    return (Event(what=what, who=chance.choice(EVERYBODY), after=chance.uniform(0, LONGEST_LIFE)),)


def _lottery(chance: random.Random) -> tuple[dict[str, Any], ...]:
    return ({"rate": RATE, "kinds": list(FAULTS), "seed": chance.getrandbits(32)},)
