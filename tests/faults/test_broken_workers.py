"""A harness that catches nothing proves nothing: every worker that is wrong on purpose has to be caught."""

from __future__ import annotations

import pytest

from faults.broken import BROKEN
from faults.harness import Event, Process, Trial
from faults.oracle import Judgement
from faults.programme import Stage
from faults.scene import VICTIM


def trial_for(name: str, undisturbed: Judgement) -> Trial:
    """The disturbance that this mistake can't stand."""
    after_reads = [line["n"] for line in undisturbed.journal if line["what"] == "read" and line["at"] == "http:after"]
    judged, verified, checked = after_reads
    where = {
        "no_final_check": ("salesforce", verified + 2),  # after TX3, before the last look
        "unconditional": ("salesforce", judged),
        "bumped_stamp": ("salesforce", judged),
        "no_version_check": ("local", checked),
        "half_an_abort": ("local", verified),
    }
    if name == "silent_intention":
        return Trial(broken=name)
    what, at = where[name]
    return Trial(broken=name, processes=(Process(events=(Event(what=what, who=VICTIM, at=at),)),))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_worker_is_caught(stage: Stage, undisturbed: Judgement, name: str) -> None:
    trial = trial_for(name, undisturbed)
    found = stage.play(trial)
    assert found.losses, f"{trial} went unnoticed"
    if name not in ("silent_intention", "half_an_abort"):
        assert any(loss.startswith("LOST") for loss in found.losses), found.losses
