"""The trail's share of a batch's wall time: appending events and signing checkpoints, against the whole run, within one process.

    python tests/bench/trail_cost.py [--people 10000] [--rounds 1]

A batch of people as in `batch.py` is run against a scratch org over HTTP. The clock runs around the two things that the trail's door
(`workbench.store.trail_log`) does for a run: ``append_all``, from the event to its rows in the open transaction, and ``checkpoint``, the
signature. The commit itself is not counted: what a group decided has to be committed with or without a trail. Goal: under 10 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import batch

from workbench.bench import Workbench
from workbench.store.trail_log import TrailWriter

GOAL = 0.10


@dataclass
class Spent:
    """Seconds and calls by what was done, and how many events came of it."""

    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    events: int = 0

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, with a clock around it."""

        def around(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
                self.calls[name] = self.calls.get(name, 0) + 1

        return around


def measured(case: batch.Case) -> tuple[float, Spent]:
    """Seconds of one run, and what of them the trail took."""
    spent = Spent()
    append, sign = spent.timed("append_all", TrailWriter.append_all), spent.timed("checkpoint", TrailWriter.checkpoint)
    with batch.again(case) as (_, workspace), Workbench.open(workspace) as wb:
        before = len(wb.trail.events(newest=None))
        # only looks on: the trail is written as it is
        with mock.patch.object(TrailWriter, "append_all", append), mock.patch.object(TrailWriter, "checkpoint", sign):
            start = time.perf_counter()
            outcome = wb.run(case.batch)
            whole = time.perf_counter() - start
        spent.events = len(wb.trail.events(newest=None)) - before
        verdict = wb.trail.verify()
    if outcome.done != case.people or not verdict.ok or spent.events < case.people:
        raise SystemExit(f"not measured: {outcome.sentence} {verdict.problems[:1]}")
    return whole, spent


def main() -> None:
    """Measure, print, and fail where the goal is missed in the median round."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=1)
    given = options.parse_args()
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        case = batch.prepared(Path(folder) / "case", given.people)
        for _ in range(given.rounds):
            whole, spent = measured(case)
            shares.append(sum(spent.seconds.values()) / whole)
            parts = ", ".join(f"{name} {seconds:.2f} s in {spent.calls[name]:,} calls" for name, seconds in spent.seconds.items())
            sys.stdout.write(f"{case.people:,} people, {spent.events:,} events: run {whole:.1f} s, {parts}: {shares[-1]:.1%}\n")
    share = sorted(shares)[len(shares) // 2]
    sys.stdout.write(f"the trail's share is {share:.1%} (goal: under {GOAL:.0%})\n")
    sys.exit(share >= GOAL)


if __name__ == "__main__":
    main()
