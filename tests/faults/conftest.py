"""One scene and two players for all tests of this package, and the lines that sum a run up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from faults.oracle import Judgement
from faults.programme import Stage, Tally, staged
from faults.scene import build

SUMMARY = "faults"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The people on both sides with an approved batch, and programs that run it in processes of their own."""
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked here, which this operating system can't do")
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("WORKBENCH_NO_KEYRING", "1")
        yield staged(stack, build(folder), folder)


@pytest.fixture(scope="session")
def undisturbed(stage: Stage) -> Judgement:
    """How the batch runs when nothing happens; its journal numbers the boundaries."""
    from faults.harness import Trial

    return stage.play(Trial())


@pytest.fixture
def tally(undisturbed: Judgement, request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> Iterator[Tally]:
    """An empty tally, printed at the end of the test run."""
    name = request.node.name.removeprefix("test_").replace("_", " ")
    made = Tally(name=name, boundaries=len(undisturbed.journal))
    yield made
    record_property(SUMMARY, str(made))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for every programme: kills, boundaries, done, aborted, lost."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == SUMMARY and report.when == "teardown":
                    terminalreporter.write_line(value)
