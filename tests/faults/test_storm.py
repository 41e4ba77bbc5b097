"""Everything goes wrong at once: every kind of fault by chance, opt-outs on both sides; nothing is lost and nobody left half done."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.conftest import SUMMARY
from workbench.scratch_org.faults import KINDS

STORM = Path(__file__).with_name("storm.py")


def storm(*options: str) -> tuple[int, dict[str, Any]]:
    """One storm in a process of its own; its exit code and figures."""
    ended = subprocess.run([sys.executable, STORM, *options], capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def proven(exit_code: int, found: dict[str, Any], people: int) -> None:
    """Nothing was lost, and the storm was one: every kind of fault came, people opted out, and work was taken up again."""
    assert (exit_code, found["losses"]) == (0, [])
    assert {kind for kind, times in found["drawn"].items() if times} == KINDS
    assert set(found["injected"]) == {"salesforce", "late", "register"}
    assert found["done"] + found["aborted"] + found["refused"] == people
    assert found["done"] > people / 3
    assert found["aborted"] > 0
    assert sum(found["taken up again"].values()) - found["taken up again"].get("waiting", 0) > 0


def told(found: dict[str, Any]) -> str:
    drawn, taken_up = sum(found["drawn"].values()), sum(found["taken up again"].values())
    return (
        f"storm: {found['people']} people, {found['requests']} requests, {drawn} faults of {len(found['drawn'])} kinds, "
        f"{sum(found['injected'].values())} opt-outs meanwhile, taken up again {taken_up} times; "
        f"done {found['done']}, aborted {found['aborted']}, lost {len(found['losses'])}"
    )


def test_a_storm_over_a_batch_loses_nothing(record_property: Callable[[str, Any], None]) -> None:
    exit_code, found = storm("--people", "100", "--rate", "0.06", "--share", "0.4")
    record_property(SUMMARY, told(found))
    proven(exit_code, found, 100)


@pytest.mark.parametrize("broken", ["unconditional"])
def test_a_broken_worker_does_not_weather_it(broken: str) -> None:
    exit_code, found = storm("--people", "60", "--rate", "0.05", "--broken", broken)
    assert exit_code == 1
    assert any(loss.startswith("LOST") for loss in found["losses"]), found


@pytest.mark.slow
def test_a_storm_over_two_thousand_people_loses_nothing(record_property: Callable[[str, Any], None]) -> None:
    exit_code, found = storm("--people", "2000", "--rate", "0.05")
    record_property(SUMMARY, told(found))
    proven(exit_code, found, 2000)
