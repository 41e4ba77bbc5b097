"""Two processes run the same batch: one works, the other says so and leaves everything alone."""

from __future__ import annotations

import os
import select
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.harness import copied, order_for
from faults.oracle import Judgement
from faults.programme import Stage
from workbench.settings import point_at

LONGEST_WAIT = 100  # seconds; reached only when a process died


@pytest.mark.parametrize("what", ["commit", "clear"])
def test_a_batch_is_run_by_one_process_at_a_time(stage: Stage, undisturbed: Judgement, tmp_path: Path, what: str) -> None:
    at = next(line["n"] for line in undisturbed.journal if line["what"] == what and line["at"].endswith(":after"))
    first, second = stage.players
    copied(stage.scene, tmp_path)
    org = first.order(do="org", database=str(tmp_path / "org.db"))
    point_at(tmp_path / "workspace", org["url"])
    order = order_for(stage.scene, folder=tmp_path, org=org)
    hold = {"at": at, "reached": str(tmp_path / "reached"), "go_on": str(tmp_path / "go_on")}
    for pipe in ("reached", "go_on"):
        os.mkfifo(tmp_path / pipe)
    with ThreadPoolExecutor(1) as pool, open(tmp_path / "reached", "rb", buffering=0, opener=_without_waiting) as reached:
        working = pool.submit(first.order, **order, finish=True, hold=hold)
        assert select.select([reached], [], [], LONGEST_WAIT)[0], "the first process never got there"
        refused = second.order(**order)
        (tmp_path / "go_on").write_text("go on", encoding="utf-8")
        worked = working.result()
    first.order(do="stop", pid=org["pid"])
    assert (refused["said"]["error"], refused["said"]["boundaries"]) == ("BatchError", 0)
    assert "is being run by another process" in refused["said"]["sentence"]
    assert worked["said"]["state"] == "finished"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
