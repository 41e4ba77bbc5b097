"""An opt-out on either side before and after every request, whatever becomes of that request: it wins, and nothing stays half."""

from __future__ import annotations

import pytest

from faults import injections
from faults.oracle import Judgement
from faults.programme import Stage, Tally
from faults.test_crashes import nothing_lost


def proven(tally: Tally, *, at_least: int) -> None:
    """The programme did what it says: all opt-outs were made, all kinds of faults were met, both ends occurred."""
    nothing_lost(tally)
    assert tally.opt_outs == tally.cells >= at_least
    assert min(tally.faults[kind] for kind in ("reset_after", "503", "expire_token", "lock", "withheld", "late")) > 0
    assert tally.states["DONE"] > 0
    assert tally.states["ABORTED"] > 0


def test_an_opt_out_around_every_request_wins_whatever_becomes_of_it(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    stage.play_all(injections.some(undisturbed), tally)
    proven(tally, at_least=4 * len(undisturbed.requests))


@pytest.mark.slow
def test_an_opt_out_around_every_request_with_every_fault(stage: Stage, undisturbed: Judgement, tally: Tally) -> None:
    stage.play_all(injections.every(undisturbed), tally)
    proven(tally, at_least=4 * 6 * len(undisturbed.requests))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(injections.KINDS.keys() - {"none"}))
def test_an_opt_out_around_every_request_that_follows_a_fault(
    stage: Stage, undisturbed: Judgement, tally: Tally, kind: str
) -> None:
    for turn, line in enumerate(injections.exchanges(undisturbed)):
        alone = stage.play(injections.spoilt(line, kind, turn))
        stage.play_all(injections.behind(line, kind, alone), tally)
    nothing_lost(tally)
    assert tally.opt_outs == tally.cells > 0
