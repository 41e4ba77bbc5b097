"""Random kills and faults for a time: after every trial, and the nightly sync behind it, the latest word stands on both sides."""

from __future__ import annotations

import math
import os
import time
from itertools import islice

import pytest

from faults import programme, random_kills
from faults.programme import Stage, Tally
from faults.test_crashes import nothing_lost

HOURS = float(os.environ.get("SOAK_HOURS") or 0.05)
PAIRS = int(os.environ.get("SOAK_PAIRS") or 300)
SEED = int(os.environ.get("SOAK_SEED") or 20261125)


def proven(tally: Tally) -> None:
    """Something happened: processes died, people opted out, every kind of fault was met, and both ends occurred."""
    nothing_lost(tally)
    assert tally.kills >= tally.trials / 2
    assert tally.opt_outs > 0
    assert tally.states["DONE"] > 0
    assert tally.states["ABORTED"] > 0


def test_random_kills_opt_outs_and_faults(stage: Stage, tally: Tally) -> None:
    stage.play_all(islice(random_kills.trials(SEED, boundaries=tally.boundaries, until=math.inf), 10), tally)
    proven(tally)
    assert sum(tally.faults.values()) > 0


@pytest.mark.slow
def test_random_kills_opt_outs_and_faults_for_a_time(stage: Stage, tally: Tally) -> None:
    begun = time.monotonic()
    stage.play_all(random_kills.trials(SEED, boundaries=tally.boundaries, until=begun + 3600 * HOURS), tally)
    seconds = time.monotonic() - begun
    tally.name += f" of {seconds:.0f} s, {3600 * tally.kills / seconds:.0f} kills and {3600 * tally.opt_outs / seconds:.0f} opt-outs an hour"
    proven(tally)
    assert min(tally.faults[kind] for kind in (*random_kills.FAULTS, "late")) > 0


@pytest.mark.slow
def test_pairs_of_crashes(stage: Stage, tally: Tally) -> None:
    stage.play_all(islice(programme.pairs(tally.boundaries), PAIRS), tally)
    nothing_lost(tally)
    assert tally.kills >= 1.8 * tally.trials
    assert tally.states["DONE"] > 0
    assert tally.states["ABORTED"] > 0
