"""Full disk, locked register, clock set back, power cut: one sentence and exit 2 (or nothing at all), and the resume loses nothing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from faults import shortages
from faults.harness import Trial
from faults.oracle import Judgement
from faults.programme import Stage, Tally
from faults.test_crashes import nothing_lost

FULL = {
    "workbench: The disk is full.\n  Free some space, then run the same command again; nothing was half-written.\n",
    "workbench: The disk refused to write.\n  Check the disk and its free space, then run the same command again.\n",
}
LOCKED = {
    "workbench: The register is locked by another process.\n  Wait until the other command has ended, then run this one again.\n"
}
TORN = (0.02, 0.5, 0.98)


def told(stage: Stage, tally: Tally, trials: Iterable[Trial], sentences: set[str]) -> int:
    """Play trials whose first process is a command that meets with a shortage; how many commands gave up, with one sentence."""
    gave_up = 0
    for trial in trials:
        found = stage.play(trial)
        tally.add(trial, found)
        first = found.said[0]
        assert first["code"] in (0, 2), first
        if first["code"] == 2:
            gave_up += 1
            assert first["talk"] in sentences or first["talk"].endswith(tuple(sentences)), first["talk"]
    nothing_lost(tally)
    return gave_up


def test_a_register_that_can_not_grow(stage: Stage, tally: Tally) -> None:
    pages = shortages.pages_of(stage.scene)
    gave_up = told(stage, tally, (shortages.full_register(pages + more, turn=more) for more in (0, 1, 3, 7)), FULL)
    assert gave_up >= 3


def test_a_disk_that_is_full_in_the_middle_of_the_log(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    sizes = list(shortages.log_sizes(undisturbed))
    gave_up = told(stage, tally, (shortages.full_disk(size) for size in sizes[:: max(len(sizes) // 5, 1)]), FULL)
    assert gave_up >= 4


def test_a_register_that_another_process_has_locked(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    sent = [line["n"] for line in undisturbed.journal if line["what"] in ("read", "clear") and line["at"] == "http:after"]
    assert told(stage, tally, map(shortages.locked, sent[::2]), LOCKED) == tally.faults["lock"] == len(sent[::2])


def test_a_clock_that_goes_backwards(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    after_reads = [line["n"] for line in undisturbed.journal if line["what"] == "read" and line["at"] == "http:after"]
    stage.play_all([shortages.set_back(n, back) for n, back in zip(after_reads, shortages.BACKWARDS * 2, strict=False)], tally)
    nothing_lost(tally)
    assert tally.faults["clock"] == tally.trials
    assert tally.states["DONE"] > 0


def test_a_power_cut_in_the_middle_of_a_commit(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    commits = [line["n"] for line in undisturbed.journal if line["at"] == "tx:after"]
    stage.play_all(shortages.power_cuts(commits, torn=(0.5,)), tally)
    nothing_lost(tally)
    assert tally.kills == tally.trials == len(commits)


@pytest.mark.slow
def test_a_register_that_can_not_grow_at_any_page(stage: Stage, tally: Tally) -> None:
    pages, gave_up = shortages.pages_of(stage.scene), 0
    while told(stage, tally, [shortages.full_register(pages, turn=pages)], FULL):
        pages, gave_up = pages + 1, gave_up + 1
    tally.name += f": {gave_up} pages at which it was full"
    assert gave_up >= 5


@pytest.mark.slow
def test_a_disk_that_is_full_at_every_page_of_the_log(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    sizes = list(shortages.log_sizes(undisturbed))
    gave_up = told(stage, tally, (shortages.full_disk(size, turn=turn) for turn, size in enumerate(sizes)), FULL)
    tally.name += f": {gave_up} of {len(sizes)} pages"
    assert gave_up >= len(sizes) * 0.9


@pytest.mark.slow
def test_a_register_that_another_process_has_locked_from_any_boundary(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    free = [line["n"] for line in undisturbed.journal if line["at"] != "tx:before"]
    assert told(stage, tally, map(shortages.locked, free), LOCKED) >= len(free) - 2


@pytest.mark.slow
def test_a_clock_that_goes_backwards_at_any_boundary(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    stage.play_all([shortages.set_back(n, back) for n in range(1, tally.boundaries + 1) for back in shortages.BACKWARDS], tally)
    nothing_lost(tally)


@pytest.mark.slow
def test_a_power_cut_at_every_boundary(stage: Stage, tally: Tally) -> None:
    stage.play_all(shortages.power_cuts(range(1, tally.boundaries + 1), torn=(0.0, *TORN, 1.0)), tally)
    nothing_lost(tally)
    assert tally.kills == tally.trials
