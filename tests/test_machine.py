"""Anything in any order: imports, unsubscribes, batches, crashes, merges, erasures, wrong clocks; nothing is ever lost.

A machine that can't fail proves nothing: it also has to find what workbenches do wrong that are broken on purpose.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from machine.mutants import MUTANTS
from machine.rules import COUNTS, Machine
from machine.scene import Stage, staged

HERE = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None, print_blob=False)
EXAMPLES = int(os.environ.get("EXAMPLES", "0"))
"""How many random examples are wanted (EXAMPLES=300); without that, the same three each time."""
SMALL = settings(HERE, max_examples=3, stateful_step_count=18, derandomize=True, phases=[Phase.generate])
LARGE = settings(HERE, max_examples=max(EXAMPLES, 1), stateful_step_count=30, phases=[Phase.generate])
FINDING = settings(HERE, max_examples=60, stateful_step_count=14, derandomize=True, phases=[Phase.generate])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("machine")) as made:
        Machine.stage = made
        yield made


def test_nothing_is_lost_whatever_happens(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    COUNTS.clear()
    run_state_machine_as_test(Machine, settings=LARGE if EXAMPLES else SMALL)
    with capsys.disabled():
        print("".join(f"\n{n:8,} {what}" for what, n in sorted(COUNTS.items())) if EXAMPLES else "", end="")  # noqa: T201 - the figures
    assert COUNTS["examples at rest"] >= (EXAMPLES or SMALL.max_examples)
    assert COUNTS["people done"] > 0


@pytest.mark.parametrize(
    "name", [name if name in ("forgetful_import",) else pytest.param(name, marks=pytest.mark.slow) for name in MUTANTS]
)
def test_the_machine_finds_what_is_broken_on_purpose(stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    MUTANTS[name](monkeypatch)
    with pytest.raises(AssertionError, match=r"LOST|rehearsal"):
        run_state_machine_as_test(Machine, settings=FINDING)
