"""The seeded workspace that the shipped notebooks are run on: the demo's people and batch on a clock that stands still."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from workbench import demo

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


@contextmanager
def seeded(folder: Path) -> Iterator[dict[str, str]]:
    """Prepare the workspace, run a batch, and yield the environment in which a notebook finds it."""
    before = {name: os.environ.get(name) for name in ("WORKBENCH_CLOCK", "WORKBENCH_NO_KEYRING")}
    os.environ.update(WORKBENCH_CLOCK=NOW.isoformat(), WORKBENCH_NO_KEYRING="1")
    try:
        with demo.prepare(folder, clock=NOW) as stage:
            stage.org.control("/clock", {"at": NOW.isoformat(), "frozen": True})
            _main_job(stage)
            yield {**os.environ, "WORKBENCH_HOME": str(stage.wb.workspace)}
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def _main_job(stage: demo.Demo) -> None:
    """The demo's job up to the batch; the nightly sync and the reports are left out, so that there are mismatches to look at."""
    wb = stage.wb
    wb.import_people(stage.input.people)
    wb.import_consents(stage.input.consents, stage.input.evidence)
    wb.pull(full=True)
    plan = wb.propose(wb.people_in_file(stage.input.batch).person_ids, reason="asked_in_writing")
    wb.approve(plan.id, plan.digest)
    wb.run(plan.id)


def compare(environment: dict[str, str], notebooks: Sequence[Path] = NOTEBOOKS) -> subprocess.CompletedProcess[str]:
    """Run the notebooks with nbval, strictly: each output has to be the one that is kept in the file."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "--nbval-cell-timeout=120",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*words, "-q", "-c", os.devnull, f"--rootdir={ROOT}", *map(str, notebooks)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
