"""Issuing each report beside a bare run of the same notebook by nbclient and its export by nbconvert, in turn; and on a large register.

    python tests/bench/reports.py [--runs 3] [--people 0]

Both sides take the processor time of this process and of its kernels; the medians' ratio is printed (goal 1.3). The data are those of the
demonstration. With ``--people`` a register of so many is made as well, and each report is issued on it once, in a process of its own,
with its seconds and the peak of memory of the largest of its processes (goals 60 s, 500 MB).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import million

from workbench import Workbench, demo, reports


def given(wb: Workbench, name: str) -> dict[str, Any]:
    """Parameters for a report on the last month."""
    now = wb.clock()
    since, until = f"{now - timedelta(days=30):%Y-%m-%d}", f"{now + timedelta(days=1):%Y-%m-%d}"
    periods = {"resubscription-audit": {"since": since, "until": until}, "monthly-compliance": {"month": f"{now:%Y-%m}"}}
    if name == "person-history":
        return {"person": str(wb.people(limit=1)["person_id"].iloc[0])}
    return periods.get(name, {})


@contextmanager
def demonstration() -> Iterator[Workbench]:
    """The demonstration's workspace, played to its end."""
    with tempfile.TemporaryDirectory() as folder, demo.prepare(Path(folder) / "demo") as played:
        demo.run(played, lambda _: None)
        yield played.wb


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of a processor with those of child processes."""
    begun, busy = time.perf_counter(), _busy()
    work()
    return time.perf_counter() - begun, _busy() - busy


def _busy() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def bare(wb: Workbench, name: str) -> None:
    """What it takes at least: the notebook with its parameters, run and exported."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter
    from papermill.parameterize import parameterize_notebook

    chosen = reports.template(name)
    read: Any = nbformat.read
    template = read(chosen.path, as_version=4)
    template.metadata.setdefault("papermill", {})
    for cell in template.cells:
        cell.metadata.setdefault("tags", [])  # papermill looks for its tag in every cell
    notebook = parameterize_notebook(template, chosen.checked(given(wb, name), today=wb.clock().date()))
    os.environ["WORKBENCH_HOME"] = str(wb.workspace)
    NotebookClient(notebook, kernel_name="python3").execute()
    HTMLExporter().from_notebook_node(notebook)


def beside(wb: Workbench, runs: int) -> None:
    """Each report by us and bare, in turn."""
    bare(wb, "trail-verification")  # imports
    for name in (template.name for template in reports.templates()):
        ours, least = [], []
        for _ in range(runs):
            least.append(cost(lambda name=name: bare(wb, name)))  # type: ignore[misc]
            ours.append(cost(lambda name=name: reports.run(wb, name, given(wb, name))))  # type: ignore[misc]
        clock, busy = (statistics.median(o[i] for o in ours) / statistics.median(b[i] for b in least) for i in (0, 1))
        _say(
            f"  {name:22} {statistics.median(o[0] for o in ours):5.2f} s, {clock:.2f} times bare, of a processor {busy:.2f} times"
        )


def large(people: int) -> None:
    """Each report once on a large register."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        Workbench.init(workspace, name="bench", controller="Example GmbH").close()
        file = workspace / "register.db"
        million.written(file, people)
        million.mismatches(file)
        _say(f"{people:,} people, {file.stat().st_size / 1e6:,.0f} MB")
        for name in (template.name for template in reports.templates()):
            words = [sys.executable, __file__, "--part", name, "--workspace", str(workspace)]
            done = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            _say(f"  {name:22} {done['seconds']:6.1f} s, of a processor {done['cpu']:6.1f} s {done['peak']:5.0f} MB")


def one(workspace: Path, name: str) -> None:
    """Issue one report and say what it took."""
    with Workbench.open(workspace) as wb:
        seconds, busy = cost(lambda: reports.run(wb, name, given(wb, name)))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    _say(json.dumps({"seconds": seconds, "cpu": busy, "peak": peak}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print; with ``--part``, be one of the processes that are measured."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--people", type=int, default=0)
    options.add_argument("--part", help=argparse.SUPPRESS)
    options.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.part:
        one(asked.workspace, asked.part)
        return
    with demonstration() as wb:
        beside(wb, asked.runs)
    if asked.people:
        large(asked.people)


if __name__ == "__main__":
    main()
