"""What a batch costs in Salesforce API calls, counted exactly, and what happens when too few are left for one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import lead_id, org_line

from workbench.org import OrgQuotaError
from workbench.store import batches

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
    assert spent == {"identity and permissions": 4, "read before": 1, "clear": clears, "read back twice": 2}
    assert sum(spent.values()) == counted_by_org


def test_a_batch_pauses_before_further_people_when_the_share_of_daily_calls_is_used(world) -> None:
    made = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    anna = made.person("anna@example.com")
    made.consent(anna)
    made.wb.pull()
    plan = made.wb.propose([anna], reason="signed_form")
    made.wb.approve(plan.id, plan.digest)
    made.org.control("/limits", {"max": 1000, "used": 800})
    with pytest.raises(OrgQuotaError, match="begins nothing new above 80% of them"):
        made.wb.run(plan.id)
    assert all(made.flags(lead_id(1)).values())
    with made.wb.store.read() as tx:
        batch = batches.get(tx, plan.id)
    assert batch.state == "paused"
    assert "API calls of 24 hours are used" in batch.pause_cause
    made.org.control("/limits", {"used": 0})
    assert made.wb.resume(plan.id).done == 1


def test_an_opt_out_is_written_with_the_last_calls(world) -> None:
    made = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=False))
    made.org.control("/limits", {"max": 1000, "used": 990})
    assert [a.outcome for a in made.wb.org.opt_out([("Lead", lead_id(1))])] == ["done"]
