"""How things stand: every trouble is a line that says so, and looking never fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import World, contact_id, lead_id, org_line

from workbench import Workbench
from workbench.person import salesforce_id_18


def sentences(wb: Workbench, level: str) -> str:
    return "\n".join(line.sentence for line in wb.health() if line.level == level)


@pytest.fixture
def wb(tmp_path: Path) -> Iterator[Workbench]:
    with Workbench.init(tmp_path / "workspace", name="test", controller="Example GmbH") as made:
        yield made


def test_a_workspace_without_an_org_says_so_and_does_not_fail(wb: Workbench) -> None:
    assert any(line.level == "bad" for line in wb.health())
    assert "Salesforce has not been read yet" in sentences(wb, "warn")
    assert "The audit trail is intact: 3 events." in sentences(wb, "ok")
    assert "This workspace is bound to no org yet. Write its address" in sentences(wb, "bad")
    assert wb.banner().org_name == "no org yet"


def test_all_is_well(world) -> None:
    made: World = world(
        org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
        org_line("Contact", contact_id(1), "ann@example.com", opted_out=True),
    )
    made.person("ann@example.com", salesforce_ids=[salesforce_id_18(lead_id(1)), salesforce_id_18(contact_id(1))])
    made.wb.pull(full=True)
    assert [line.sentence for line in made.wb.health() if not line.ok] == []
    banner = made.wb.banner()
    assert (banner.org_kind, banner.register, banner.roles, banner.warnings) == ("scratch", "test", ("admin", "analyst"), ())
    assert banner.org_name == made.org.url.removeprefix("http://")


def test_an_org_that_is_away_is_a_line(world) -> None:
    made: World = world()
    made.org.stop()
    lines = made.wb.health()
    assert lines[0].level == "bad"
    assert "@" not in lines[0].sentence
    assert any("trail is intact" in line.sentence for line in lines)
    assert made.wb.banner().org_kind == "scratch"  # the banner asks the register only


def test_a_field_that_can_not_be_written_is_a_line(world) -> None:
    made: World = world(org_line("Contact", contact_id(1), "ann@example.com", opted_out=True))
    made.org.control("/permissions", {"object": "Contact", "field": "HasOptedOutOfEmail", "updateable": False})
    assert "HasOptedOutOfEmail" in sentences(made.wb, "bad")
    assert not all(line.ok for line in made.wb.org_check())


def test_an_old_snapshot_a_waiting_batch_and_no_controller_are_lines(world, monkeypatch: pytest.MonkeyPatch) -> None:
    made: World = world(org_line("Lead", lead_id(1), "ann@example.com", opted_out=True))
    person = made.person("ann@example.com")
    made.consent(person)
    made.wb.pull(full=True)
    made.wb.propose([person], reason="signed_form")
    later = made.wb.clock() + timedelta(days=3)
    (made.folder / "policy.toml").write_text('controller = ""\n', encoding="utf-8")
    monkeypatch.setenv("WORKBENCH_CLOCK", later.isoformat())
    with Workbench.open(made.folder) as later_on:
        warnings = "\n".join(later_on.banner().warnings)
    assert "What is known of Salesforce is 3 days old; refresh it." in warnings
    assert "1 batch waits for an approval." in warnings
    assert "policy.toml names no controller, so nobody is eligible." in warnings


def test_a_tampered_trail_is_a_line(wb: Workbench) -> None:
    wb.store.close()
    connection = sqlite3.connect(str(wb.store.url.database))
    connection.execute("DROP TRIGGER trail_payload_erase_only")
    connection.execute("UPDATE trail_payload SET payload = x'7b7d' WHERE seq = 1")
    connection.commit()
    connection.close()
    assert "The audit trail is not intact: " in sentences(wb, "bad")


def test_the_numbers_of_the_day(world) -> None:
    made: World = world(
        org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
        org_line("Lead", lead_id(2), "bob@example.com", opted_out=True),
    )
    ann = made.person("ann@example.com")
    made.person("bob@example.com", unsubscribed=False)
    made.consent(ann)
    made.wb.pull(full=True)
    plan = made.wb.propose([ann], reason="signed_form")
    numbers = made.wb.numbers()
    assert {k: numbers[k] for k in ("people", "unsubscribed", "mismatches", "open_batches", "resubscribed")} == {
        "people": 2, "unsubscribed": 1, "mismatches": len(made.wb.mismatches()), "open_batches": 1, "resubscribed": 0,
    }  # fmt: skip
    made.wb.approve(plan.id, plan.digest)
    made.wb.run(plan.id)
    numbers = made.wb.numbers()
    assert (numbers["unsubscribed"], numbers["open_batches"], numbers["resubscribed"]) == (0, 0, 1)
    made.wb.erase([ann])
    assert made.wb.numbers()["resubscribed"] == 0, "nobody is left of whom that could be said"
