"""Somebody's address is another one by now: an opt-out that names the former one, or a record that kept it, is not lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import HOUR, World, lead_id, org_line
from test_attacks_intake import at, csv
from test_worker import open_episodes, ran

from workbench.errors import InputError
from workbench.store import people

Worlds = Callable[..., World]
OLD, NEW = "anna@example.com", "anna.new@example.com"


def person(w: World, address: str) -> str:
    with w.wb.store.read() as tx:
        (found,) = people.by_address(tx, address)
    return found.person_id


def moved(w: World, folder: Path, first: str = "") -> str:
    """Anna comes in under her former address and then under her new one; her id."""
    head, row = ("Person ID,Email ID", "") if not first else ("Person ID,Email ID,Unsubscribed,Unsubscribed At", f",yes,{first}")
    w.wb.import_people(csv(folder, "p1.csv", f"{head}\nSC-1,{OLD}{row}\n"))
    w.wb.import_people(csv(folder, "p2.csv", f"Person ID,Email ID\nSC-1,{NEW}\n"))
    return person(w, NEW)


def test_an_unsubscribe_by_a_former_address_is_the_persons(world: Worlds, tmp_path: Path) -> None:
    w = world(org_line("Lead", lead_id(1), NEW, opted_out=True))
    anna = moved(w, tmp_path, first="2026-03-01 12:00:00Z")
    w.wb.sync()
    w.consent(anna)
    feed = csv(tmp_path, "u.csv", f"Email,Opted Out At,Source\n{OLD},2026-11-20 12:00:00Z,clicked_link\n")
    result = w.wb.import_unsubscribes(feed)
    assert (result.imported, result.unsubscribed) == (0, 1), "no new person, and one more episode of Anna's"
    assert w.wb.import_unsubscribes(feed).unsubscribed == 0
    assert w.wb.propose([anna], reason="signed_form").table.codes[0].startswith("consent_before_opt_out")


@pytest.mark.parametrize("made", ["before", "after", "undated"])
def test_of_two_holders_of_an_address_the_opt_out_is_of_the_one_who_had_it_then(world: Worlds, tmp_path: Path, made: str) -> None:
    w = world(org_line("Lead", lead_id(1), NEW, opted_out=False))
    anna = moved(w, tmp_path)
    at(w, datetime.now(UTC) + HOUR)
    w.wb.import_people(csv(tmp_path, "p3.csv", f"Person ID,Email ID\nSC-2,{OLD}\n"))
    bea = person(w, OLD)
    at(w, datetime.now(UTC) + 3 * HOUR)
    days = {"before": -1 * HOUR, "after": 2 * HOUR, "undated": timedelta()}[made]
    date = "" if made == "undated" else f"{datetime.now(UTC) + days:%Y-%m-%d %H:%M:%SZ}"
    w.wb.import_unsubscribes(csv(tmp_path, "u.csv", f"Email,Opted Out At\n{OLD},{date}\n"))
    with w.wb.store.read() as tx:
        out = people.unsubscribes(tx, [anna, bea])
    assert bea in out, "whoever has the address now is unsubscribed in any case"
    assert (anna in out) == (made == "before")


@pytest.mark.parametrize("way", ["sync", "push"])
def test_a_record_that_kept_the_former_address_is_opted_out(world: Worlds, tmp_path: Path, way: str) -> None:
    w = world(
        org_line("Lead", lead_id(1), OLD, opted_out=False),
        org_line("Lead", lead_id(2), "somebody.else@example.com", opted_out=False),
    )
    w.wb.import_people(csv(tmp_path, "p1.csv", f"Person ID,Email ID\nSC-1,{OLD}\n"))
    w.wb.sync()
    w.wb.import_unsubscribes(csv(tmp_path, "u.csv", f"Email\n{OLD}\n"))
    w.wb.import_people(csv(tmp_path, "p2.csv", f"Person ID,Email ID\nSC-1,{NEW}\n"))
    said = w.wb.mismatches()
    assert list(said[said.kind == "address_changed"].forecast) == [
        "Tonight the record is opted out: it has a former address of a person who is unsubscribed."
    ]
    assert list(w.wb.forecast().record_id) == [next(iter(w.flags(lead_id(1))))]
    if way == "sync":
        assert w.wb.sync().opted_out == 1
    else:
        assert len(w.wb.push(person(w, NEW)).written) == 1
    assert list(w.flags(lead_id(1)).values()) == [True]
    assert list(w.flags(lead_id(2)).values()) == [False]
    assert w.wb.forecast().empty
    consented = datetime.now(UTC)
    at(w, consented + HOUR)
    w.consent(person(w, NEW), email=NEW, given_at=consented + timedelta(minutes=30))
    assert "another e-mail address than the consent's" in w.wb.propose([person(w, NEW)], reason="signed_form").table.sentences[0]
    w.org.control("/write", {"object": "Lead", "id": lead_id(1), "values": {"Email": NEW}, "user": "Sales"})
    w.org.control("/clock", {"advance": 120})
    assert ran(w, person(w, NEW)).done == 1, "once its address is corrected"
    assert list(w.flags(lead_id(1)).values()) == [False]


def test_a_former_address_that_somebody_else_has_now_is_left_alone(world: Worlds, tmp_path: Path) -> None:
    w = world(org_line("Lead", lead_id(1), OLD, opted_out=False))
    anna = moved(w, tmp_path)
    w.wb.import_people(csv(tmp_path, "p3.csv", f"Person ID,Email ID\nSC-2,{OLD}\n"))
    w.wb.sync()
    w.wb.unsubscribe(anna)
    assert w.wb.forecast().empty
    w.wb.push(anna)
    w.wb.sync()
    assert list(w.flags(lead_id(1)).values()) == [False]


def test_a_command_that_names_a_former_address_is_told_whose_it_was(world: Worlds, tmp_path: Path) -> None:
    w = world(org_line("Lead", lead_id(1), NEW, opted_out=False))
    anna = moved(w, tmp_path)
    with pytest.raises(InputError, match=f"any more; {anna} had it before"):
        w.wb.unsubscribe(OLD)


def test_an_export_like_an_earlier_one_says_anew_what_one_between_them_did_not(world: Worlds, tmp_path: Path) -> None:
    w = world(org_line("Lead", lead_id(1), OLD, opted_out=True))
    yes = csv(tmp_path, "yes.csv", f"Person ID,Email ID,Unsubscribed\nSC-1,{OLD},yes\n")
    no = csv(tmp_path, "no.csv", f"Person ID,Email ID,Unsubscribed\nSC-1,{OLD},no\n")
    began = datetime.now(UTC)
    w.wb.import_people(yes)
    anna = person(w, OLD)
    at(w, began + 2 * HOUR)
    w.consent(anna, given_at=began + HOUR)
    assert ran(w, anna).done == 1
    at(w, began + 3 * HOUR)
    assert w.wb.import_people(yes).unsubscribed == 0, "the same file again is old news"
    at(w, began + 24 * HOUR)
    w.wb.import_people(no)
    at(w, began + 48 * HOUR)
    assert w.wb.import_people(yes).unsubscribed == 1
    assert open_episodes(w, anna) == 1
    at(w, began + 49 * HOUR)
    assert w.wb.import_people(yes).unsubscribed == 0
