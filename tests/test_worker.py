"""Batches against a real scratch org over HTTP: both sides cleared, every opt-out kept, whatever happens in between."""

from __future__ import annotations

import pytest
from conftest import CONSENTED, HOUR, World, contact_id, lead_id, org_line

from workbench.errors import BatchError, NotAllowedError
from workbench.org import OrgUnreachableError, RowAnswer
from workbench.resubscription import State
from workbench.store import batches, people, trail_log
from workbench.worker import Outcome

REASON = "signed_form"


def approved(world: World, *person_ids: str) -> str:
    plan = world.wb.propose(person_ids, reason=REASON)
    world.wb.approve(plan.id, plan.digest)
    return plan.id


def ran(world: World, *person_ids: str) -> Outcome:
    return world.wb.run(approved(world, *person_ids))


def open_episodes(world: World, person_id: str) -> int:
    with world.wb.store.read() as tx:
        return sum(e.closed_at is None for e in people.unsubscribes(tx, [person_id])[person_id])


def states(world: World, batch_id: str) -> dict[str, State]:
    with world.wb.store.read() as tx:
        return {i.person_id: i.state for i in batches.intents(tx, batch_id)}


@pytest.fixture
def anna(world) -> tuple[World, str]:
    """Anna: a lead by id and a contact by address, both opted out, with a sound consent."""
    made = world(
        org_line("Lead", lead_id(1), "anna@example.com", opted_out=True),
        org_line("Contact", contact_id(1), "Anna@Example.com", opted_out=True),
        org_line("Lead", lead_id(2), "somebody.else@example.com", opted_out=True),
    )
    person = made.person("anna@example.com", salesforce_ids=[f"{lead_id(1)}{suffix(lead_id(1))}"])
    made.consent(person)
    return made, person


def suffix(record_id: str) -> str:
    from workbench.person import salesforce_id_18

    return salesforce_id_18(record_id)[15:]


def test_both_sides_are_cleared_and_nobody_else_is_touched(anna) -> None:
    world, person = anna
    outcome = ran(world, person)
    assert outcome.sentence == "1 of 1 people resubscribed; 0 refused."
    assert world.flags(lead_id(1), contact_id(1), lead_id(2)) == {
        lead_id(1) + suffix(lead_id(1)): False,
        contact_id(1) + suffix(contact_id(1)): False,
        lead_id(2) + suffix(lead_id(2)): True,
    }
    assert open_episodes(world, person) == 0
    assert world.wb.trail.verify().ok


def test_every_clear_carries_its_condition_inside_the_composite(anna) -> None:
    world, person = anna
    ran(world, person)
    writes = [r for r in world.requests() if r["method"] == "PATCH" or r.get("writes")]
    assert writes
    assert all(w["condition"] for r in writes for w in r.get("writes", []))


def test_running_again_changes_nothing_outward(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    first = world.wb.run(batch)
    before = len(world.requests())
    assert world.wb.run(batch) == first
    assert len(world.requests()) == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_opt_out_in_salesforce_beside_the_clear_wins(anna, when: str) -> None:
    world, person = anna
    batch = approved(world, person)
    order = {"object": "Contact", "id": contact_id(1), "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre"}
    world.org.control("/hooks", {when: {"on": "POST .*/composite$", "contains": "PATCH"}, "do": {"write": order}})
    outcome = world.wb.run(batch)
    assert outcome.done == 0
    assert outcome.aborted == 1
    assert all(world.flags(lead_id(1), contact_id(1)).values())
    assert open_episodes(world, person) == 2, "the new opt-out is an episode of its own"


def test_an_unsubscribe_during_the_run_wins(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    asked = []

    def unsubscribe_once(*_: object, **__: object) -> None:
        if not asked:
            asked.append(1)
            world.wb.unsubscribe(person, source="clicked_link")

    original = world.wb.org.clear

    def clear(writes):
        answers = original(writes)
        unsubscribe_once()
        return answers

    world.wb.org.clear = clear  # type: ignore[method-assign]  # the real call, with an unsubscribe right behind it
    outcome = world.wb.run(batch)
    assert asked
    assert (outcome.done, outcome.aborted) == (0, 1)
    assert all(world.flags(lead_id(1), contact_id(1)).values())


def test_a_lost_answer_is_settled_by_reading(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.org.control("/faults", {"plan": [{"on": "POST .*/composite$", "contains": "PATCH", "nth": 1, "kind": "reset_after"}]})
    assert world.wb.run(batch).done == 1
    assert not any(world.flags(lead_id(1), contact_id(1)).values())


def test_a_late_clear_finds_nothing_to_clear_once_somebody_is_aborted(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    on_their_way = []
    original = world.wb.org.clear

    def clear(writes):
        """The request is under way when its sender stops waiting; meanwhile the person opts out once more."""
        on_their_way.append(writes)
        world.org.control(
            "/write",
            {"object": "Contact", "id": contact_id(1), "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre"},
        )
        return tuple(RowAnswer(record_id=w.record_id, outcome="unknown") for w in writes)

    world.wb.org.clear = clear  # type: ignore[method-assign]  # no fault of the scratch org delivers a request after its timeout
    world.org.control("/faults", {"plan": [{"on": "PATCH .*/composite/sobjects$", "nth": 1, "kind": "reset_before"}]})
    outcome = world.wb.run(batch)
    assert (outcome.state, outcome.aborted) == ("finished", 1)
    (writes,) = on_their_way
    assert [answer.outcome for answer in original(writes)] == ["conflict", "conflict"]
    assert all(world.flags(lead_id(1), contact_id(1)).values())


def test_people_changed_a_moment_ago_wait(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.org.control("/write", {"object": "Lead", "id": lead_id(1), "values": {"Title": "Director"}, "user": "Sales"})
    outcome = world.wb.run(batch)
    assert (outcome.state, outcome.postponed) == ("paused", 1)
    world.org.control("/clock", {"advance": 120})
    assert world.wb.resume(batch).done == 1


def test_a_consent_before_the_opt_out_is_refused_and_nothing_is_sent(world) -> None:
    made = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    person = made.person("anna@example.com")
    made.consent(person, given_at=CONSENTED.replace(month=2))
    plan = made.wb.propose([person], reason=REASON)
    assert "consent_before_opt_out" in plan.table.codes[0]
    assert (plan.eligible, plan.refused) == (0, 1)
    assert all(made.flags(lead_id(1)).values())


def test_an_opt_out_after_approval_is_refused_at_the_run(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.org.control("/write", {"object": "Lead", "id": lead_id(1), "values": {"HasOptedOutOfEmail": False}, "user": "Sales"})
    world.org.control("/clock", {"advance": 5})
    world.org.control(
        "/write", {"object": "Lead", "id": lead_id(1), "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre"}
    )
    world.org.control("/clock", {"advance": 3600})
    outcome = world.wb.run(batch)
    assert (outcome.done, outcome.refused) == (0, 1)
    assert "consent_before_opt_out" in world.wb.batch_items(batch).codes[0]
    assert all(world.flags(lead_id(1), contact_id(1)).values())


def test_a_changed_plan_voids_its_approval(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    with world.wb.store.write() as tx:
        tx.exec_driver_sql("UPDATE intent SET findings = '[]', person_version = person_version + 1")
    with pytest.raises(BatchError, match="changed after its approval"):
        world.wb.run(batch)


def test_the_digest_must_name_the_plan(anna) -> None:
    world, person = anna
    plan = world.wb.propose([person], reason=REASON)
    with pytest.raises(BatchError, match="does not name this plan"):
        world.wb.approve(plan.id, "0" * 64)


def test_only_administrators_approve_and_run(anna) -> None:
    world, person = anna
    plan = world.wb.propose([person], reason=REASON)
    world.wb.grant("somebody", "admin")
    world.wb.revoke(world.wb.operator, "admin")
    with pytest.raises(BatchError, match="Only an administrator"):
        world.wb.approve(plan.id, plan.digest)
    with pytest.raises(NotAllowedError):
        world.wb.undo(plan.id)


def test_a_person_is_in_one_open_batch_only(anna) -> None:
    world, person = anna
    world.wb.propose([person], reason=REASON)
    second = world.wb.propose([person], reason=REASON)
    assert "in_another_open_batch" in second.table.codes[0]


def test_undo_opts_out_on_both_sides(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.wb.run(batch)
    outcome = world.wb.undo(batch)
    assert (outcome.state, outcome.undone) == ("undone", 1)
    assert all(world.flags(lead_id(1), contact_id(1)).values())
    assert open_episodes(world, person) == 1


def test_a_stale_plan_is_planned_again(anna, monkeypatch: pytest.MonkeyPatch) -> None:
    world, person = anna
    batch = approved(world, person)
    later = world.wb.clock() + 25 * HOUR
    object.__setattr__(world.wb._desk, "clock", lambda: later)
    with pytest.raises(BatchError, match="older than 24 hours"):
        world.wb.run(batch)


def test_no_field_history_stops_the_batch_and_restores_the_opt_out(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.org.control("/history", {"tracking": False})
    outcome = world.wb.run(batch)
    assert (outcome.done, outcome.aborted) == (0, 1)
    assert all(world.flags(lead_id(1), contact_id(1)).values())


def test_a_record_that_two_people_share_keeps_both_out(world) -> None:
    made = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    shared = lead_id(1) + suffix(lead_id(1))
    anna = made.person("anna@example.com", salesforce_ids=[shared])
    made.person("anna.old@example.com", salesforce_ids=[shared])
    made.consent(anna)
    made.wb.pull()
    plan = made.wb.propose([anna], reason=REASON)
    assert "ambiguous_person" in plan.table.codes[0]


def test_a_deleted_record_that_was_not_opted_out_stands_in_nobodys_way(world) -> None:
    made = world(
        org_line("Lead", lead_id(1), "anna@example.com", opted_out=True),
        org_line("Lead", lead_id(2), "anna@example.com", opted_out=False, IsDeleted=True),
    )
    anna = made.person("anna@example.com", salesforce_ids=[r + suffix(r) for r in (lead_id(1), lead_id(2))])
    made.consent(anna)
    assert ran(made, anna).done == 1


def test_a_record_that_spells_the_address_with_accents_apart_is_the_persons(world) -> None:
    w = world(org_line("Lead", lead_id(1), "jos\u00e9@example.com", opted_out=True))
    person = w.person("jos\u00e9@example.com")
    w.consent(person)
    batch = approved(w, person)
    values = {"LastName": "Person", "Company": "Example", "Email": "jose\u0301@example.com", "HasOptedOutOfEmail": True}
    w.org.control("/write", {"object": "Lead", "values": values, "user": "Preference Centre"})
    assert w.wb.run(batch).done == 0, "there is a record, and an opt-out, that the plan does not know"


def test_right_after_an_undo_the_register_knows_how_salesforce_stands(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.wb.run(batch)
    world.wb.undo(batch)
    assert world.wb.forecast().empty, "nothing is left for tonight"


def test_an_undo_believes_what_it_reads_and_no_answer(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    world.wb.run(batch)
    opt_out = world.wb.org.opt_out

    def pretend(rows):
        return tuple(RowAnswer(record_id=record_id, outcome="done") for _, record_id in rows)

    world.wb.org.opt_out = pretend  # type: ignore[method-assign]  # a mock: an org that says done and does nothing can't be had
    assert world.wb.undo(batch).state == "finished"
    assert states(world, batch) == {person: State.UNDOING}
    world.wb.org.opt_out = opt_out  # type: ignore[method-assign]  # as it was
    assert world.wb.undo(batch).undone == 1
    assert all(world.flags(lead_id(1), contact_id(1)).values())


def named_on_the_trail(world: World, record_id: str) -> bool:
    with world.wb.store.read() as tx:
        return any(record_id.encode() in (e.payload or b"") for e in trail_log.events(tx))


@pytest.mark.parametrize("way", ["abort", "undo"])
def test_every_record_is_on_the_trail_before_it_is_opted_out(anna, way: str) -> None:
    world, person = anna
    batch = approved(world, person)
    values = {"LastName": "Person", "Company": "Example", "Email": "anna@example.com"}
    new: list[str] = []
    named: list[bool] = []
    clear, opt_out = world.wb.org.clear, world.wb.org.opt_out

    def appear() -> None:
        new.append(world.org.control("/write", {"object": "Lead", "values": values, "user": "Sales"})["id"])

    def clear_and_appear(writes):
        answers = clear(writes)
        appear()
        return answers

    def listen(rows):
        if new[0] in {record_id for _, record_id in rows}:
            named.append(named_on_the_trail(world, new[0]))
        return opt_out(rows)

    world.wb.org.opt_out = listen  # type: ignore[method-assign]  # the real call, looked at before it leaves
    if way == "abort":
        world.wb.org.clear = clear_and_appear  # type: ignore[method-assign]  # the real call, with a new record right behind it
        assert world.wb.run(batch).aborted == 1
    else:
        assert world.wb.run(batch).done == 1
        appear()
        assert world.wb.undo(batch).undone == 1
    assert named == [True]
    assert world.flags(new[0]) == {new[0]: True}


def test_an_undo_without_salesforce_says_what_is_done_and_what_is_left(anna) -> None:
    world, person = anna
    batch = approved(world, person)
    assert world.wb.run(batch).done == 1
    world.org.control("/faults", {"plan": [{"on": "* .", "kind": "503", "times": 99}]})
    with pytest.raises(OrgUnreachableError, match="1 people of the batch are unsubscribed in the register, but") as half:
        world.wb.undo(batch)
    assert "undo the batch again" in half.value.advice
    assert open_episodes(world, person) == 1
    world.org.control("/faults", {"clear": True})
    assert world.wb.undo(batch).undone == 1
    assert all(world.flags(lead_id(1), contact_id(1)).values())
