"""SIGKILL at every step, and opt-outs at every step: nothing is lost, nothing stays half."""

from __future__ import annotations

from itertools import chain

import pytest

from faults import programme
from faults.harness import Event, Process, Trial
from faults.oracle import Judgement
from faults.programme import VICTIMS, Stage, Tally
from faults.scene import PEOPLE


def nothing_lost(tally: Tally) -> None:
    assert not tally.lost, "\n".join(f"{trial}: {'; '.join(losses)}" for trial, losses in tally.lost)


def test_without_any_fault_everybody_eligible_is_resubscribed(undisturbed: Judgement) -> None:
    assert not undisturbed.losses
    assert undisturbed.states == {"DONE": len(PEOPLE) + 1, "REFUSED": 1}
    assert len(undisturbed.journal) >= 30
    assert sum(line["what"] == "clear" and line["at"] == "http:before" for line in undisturbed.journal) >= 2


def test_killed_at_every_boundary_with_and_without_an_opt_out_before_the_resume(stage: Stage, tally: Tally) -> None:
    trials = list(programme.kills(tally.boundaries))
    stage.play_all(trials, tally)
    nothing_lost(tally)
    assert tally.kills == len(trials) == tally.boundaries >= 30
    assert (tally.cells, tally.opt_outs) == (3 * tally.boundaries, 2 * tally.boundaries)
    assert tally.states["DONE"] > 0
    assert tally.states["ABORTED"] > 0


def test_an_opt_out_beside_our_change_in_the_same_request_wins(stage: Stage, tally: Tally) -> None:
    trials = list(programme.inside(stage.scene))[:2]
    stage.play_all(trials, tally)
    nothing_lost(tally)
    assert tally.opt_outs == tally.states["ABORTED"] == len(trials)


def test_a_record_that_somebody_edits_meanwhile_leaves_nobody_half(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    cleared = next(line["n"] for line in undisturbed.journal if line["what"] == "clear" and line["at"] == "http:after")
    events = tuple(Event(what="edit", who=victim, at=cleared) for victim in VICTIMS)
    stage.play_all([Trial(processes=(Process(events=events),))], tally)
    nothing_lost(tally)
    assert tally.states["ABORTED"] == len(VICTIMS)


def test_a_request_that_arrives_after_its_process_died_changes_nothing(
    stage: Stage, undisturbed: Judgement, tally: Tally
) -> None:
    left = next(line["n"] for line in undisturbed.journal if line["what"] == "clear")
    stage.play_all(programme.late_requests((0, 15, 20, 30), killed_at=left), tally)
    nothing_lost(tally)
    assert (tally.kills, tally.faults["late"]) == (4, 4)


@pytest.mark.slow
def test_killed_at_every_boundary_whoever_opts_out_before_the_resume(stage: Stage, tally: Tally) -> None:
    trials = list(programme.kills(tally.boundaries, turns=range(1, len(programme.OFTEN))))
    stage.play_all(trials, tally)
    nothing_lost(tally)
    assert tally.kills == len(trials)


@pytest.mark.slow
@pytest.mark.parametrize("victim", VICTIMS)
def test_disturbed_at_every_boundary_and_inside_every_request(
    stage: Stage, undisturbed: Judgement, tally: Tally, victim: str
) -> None:
    trials = chain(programme.disturbances(undisturbed.journal, victim=victim), programme.inside(stage.scene, victim=victim))
    stage.play_all(trials, tally)
    nothing_lost(tally)


@pytest.mark.slow
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_at_every_boundary_of_turning_back(stage: Stage, tally: Tally, victim: str) -> None:
    opt_out = programme.opt_out_behind_the_clear(stage.scene, victim)
    turning_back = stage.play(Trial(hooks=(opt_out,)))
    trials = list(programme.crashes_of_an_abort(stage.scene, len(turning_back.journal), victim))
    stage.play_all(trials, tally)
    nothing_lost(tally)
    assert tally.kills == tally.states["ABORTED"] == len(trials)


@pytest.mark.slow
def test_a_late_request_at_every_boundary_of_the_resume(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    left = [line["n"] for line in undisturbed.journal if line["what"] == "clear" and line["at"] == "http:before"]
    for n in left:
        stage.play_all(programme.late_requests(range(tally.boundaries + 1), killed_at=n), tally)
    nothing_lost(tally)
