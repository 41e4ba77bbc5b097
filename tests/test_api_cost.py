"""What a batch costs in Salesforce API calls, counted exactly: the bench of tests/bench/api_cost.py on a few people."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "bench"))

from api_cost import measured


@pytest.mark.parametrize(
    ("people", "clears"),
    [
        (1, 1),
        (30, 3),  # 58 records, 25 to a request and nobody torn apart
    ],
)
def test_calls_of_a_batch(tmp_path: Path, people: int, clears: int) -> None:
    spent, counted_by_org, done = measured(tmp_path, people)
    assert done == people
    assert spent == {"identity and permissions": 3, "read before": 1, "clear": clears, "read back twice": 2}
    assert sum(spent.values()) == counted_by_org
