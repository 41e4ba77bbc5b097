"""Ways in which an opt-out was lost once: merges, deletions, withdrawals, shared records, conversions, clocks. None may come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from conftest import CONSENTED, World, contact_id, lead_id, org_line
from test_worker import REASON, approved, open_episodes

from workbench.errors import WorkbenchError
from workbench.person import salesforce_id_18 as full
from workbench.store import consents

JUNE10 = "2026-06-10T10:00:00Z"  # after the consent of 1 June


def opt_out(w: World, object: str, record: str, **more) -> None:
    w.org.control(
        "/write", {"object": object, "id": record, "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre", **more}
    )


def later(w: World) -> None:
    w.org.control("/clock", {"advance": 600})


def anna(world, **stored) -> tuple[World, str]:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    p = w.person("anna@example.com", **stored)
    w.consent(p)
    return w, p


def resubscribed(w: World, *people: str) -> int:
    """How many of these people a batch resubscribes."""
    plan = w.wb.propose(people, reason=REASON)
    if not plan.eligible:
        return 0
    w.wb.approve(plan.id, plan.digest)
    return w.wb.run(plan.id).done


def csv(tmp_path, name: str, text: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize("end", ["merge", "delete"])
def test_opt_out_on_a_duplicate_that_was_merged_or_deleted_since(world, end) -> None:
    w = world(
        org_line("Contact", contact_id(1), "anna@example.com", opted_out=True),
        org_line("Contact", contact_id(2), "anna@example.com", opted_out=False),
    )
    p = w.person("anna@example.com", salesforce_ids=[full(contact_id(1))])
    w.consent(p)
    opt_out(w, "Contact", contact_id(2), at=JUNE10)
    w.wb.pull()
    order = {
        "merge": {"object": "Contact", "master": contact_id(1), "loser": contact_id(2)},
        "delete": {"object": "Contact", "id": contact_id(2)},
    }[end]
    w.org.control(f"/{end}", order)
    later(w)
    done = resubscribed(w, p)
    s = w.wb.sync()
    assert done == 0, f"{end}: DONE; then {s.sentence}"


def test_an_older_consent_can_not_be_named_past_a_newer_refusal(world) -> None:
    w, p = anna(world)
    w.consent(p, given_at=CONSENTED + timedelta(days=30), state="refused")
    with w.wb.store.read() as tx:
        old = consents.of_people(tx, [p])[p][-1]
    plan = w.wb.propose([p], consents=[old], reason=REASON)
    assert "consent_withdrawn" in plan.table.codes[0]


def test_a_record_shared_with_somebody_imported_since_the_last_pull(world, tmp_path) -> None:
    w, p = anna(world)
    w.wb.sync()
    w.wb.import_people(
        csv(
            tmp_path,
            "p.csv",
            f"Person ID,Email ID,Salesforce ID,Unsubscribed,Unsubscribed At\nSC-9,anna.old@example.com,{lead_id(1)},Yes,2026-11-01 10:00:00Z\n",
        )
    )
    assert resubscribed(w, p) == 0, w.flags(lead_id(1))


def test_somebody_with_the_address_is_imported_unsubscribed_while_the_batch_runs(world, tmp_path) -> None:
    w, p = anna(
        world,
    )
    with w.wb.store.write() as tx:
        tx.exec_driver_sql("UPDATE person SET external_id = 'SC-1'")
    batch = approved(w, p)
    file = csv(
        tmp_path, "p.csv", "Person ID,Email ID,Unsubscribed,Unsubscribed At\nSC-2,Anna@example.com,Yes,2026-11-01 10:00:00Z\n"
    )
    original = w.wb.org.clear

    def clear(writes):
        answers = original(writes)
        w.wb.import_people(file)
        return answers

    w.wb.org.clear = clear
    assert w.wb.run(batch).done == 0


def test_an_unsubscribe_while_the_clock_was_wrong(world) -> None:
    w, p = anna(world)
    object.__setattr__(w.wb._desk, "clock", lambda: CONSENTED - timedelta(days=3))
    w.wb.unsubscribe(p, source="clicked_link")
    object.__setattr__(w.wb._desk, "clock", lambda: datetime.now(UTC))
    assert resubscribed(w, p) == 0


def test_an_undo_while_the_clock_was_wrong(world) -> None:
    w, p = anna(world)
    plan = w.wb.propose([p], reason=REASON)
    w.wb.approve(plan.id, plan.digest)
    assert w.wb.run(plan.id).done == 1
    object.__setattr__(w.wb._desk, "clock", lambda: CONSENTED - timedelta(days=3))
    w.org.control("/clock", {"at": (CONSENTED - timedelta(days=3)).isoformat()})
    assert w.wb.undo(plan.id).undone == 1
    object.__setattr__(w.wb._desk, "clock", lambda: datetime.now(UTC))
    w.org.control("/clock", {"at": datetime.now(UTC).isoformat()})
    w.org.control("/clock", {"advance": 600})
    assert resubscribed(w, p) == 0, "the consent is older than the undo, whatever the clock said"


def test_abort_after_a_conversion_leaves_the_contact_open(world) -> None:
    w, p = anna(world, salesforce_ids=[full(lead_id(1))])
    batch = approved(w, p)
    w.org.control(
        "/hooks",
        {"after": {"on": "POST .*/composite$", "contains": "PATCH"}, "do": {"convert": {"id": lead_id(1), "user": "Sales"}}},
    )
    assert w.wb.run(batch).aborted == 1
    rows = w.wb.org.read(record_ids=[], addresses=["anna@example.com"], history=False).rows
    assert all(r.opted_out for r in rows if not r.is_converted), [(r.record_id, r.opted_out) for r in rows]


@pytest.mark.parametrize("since", ["convert", "new"])
def test_undo_leaves_records_that_came_since_open(world, since) -> None:
    w, p = anna(world, salesforce_ids=[full(lead_id(1))])
    batch = approved(w, p)
    assert w.wb.run(batch).done == 1
    new = {"object": "Contact", "values": {"LastName": "P", "Email": "anna@example.com"}}
    w.org.control("/convert", {"id": lead_id(1)}) if since == "convert" else w.org.control("/write", new)
    o = w.wb.undo(batch)
    rows = w.wb.org.read(record_ids=[], addresses=["anna@example.com"], history=False).rows
    assert all(r.opted_out for r in rows if not r.is_converted), (o.state, [(r.record_id, r.opted_out) for r in rows])


def test_a_cancelled_batch_can_be_undone(world) -> None:
    w = world(
        org_line("Lead", lead_id(1), "anna@example.com", opted_out=True),
        org_line("Lead", lead_id(2), "bob@example.com", opted_out=True),
    )
    both = [w.person("anna@example.com"), w.person("bob@example.com")]
    [w.consent(p) for p in both]
    batch = approved(w, *both)
    w.org.control("/write", {"object": "Lead", "id": lead_id(2), "values": {"Title": "Director"}, "user": "Sales"})
    paused = w.wb.run(batch)
    assert (paused.state, paused.done) == ("paused", 1)
    w.wb.cancel(batch)
    assert w.wb.undo(batch).undone == 1


def test_going_on_with_an_undo_after_the_person_was_resubscribed_again(world) -> None:
    import time

    w, p = anna(world)
    batch = approved(w, p)
    w.wb.run(batch)
    w.org.control("/faults", {"plan": [{"on": "PATCH .*/composite/sobjects$", "kind": "403_daily"}]})
    with pytest.raises(WorkbenchError):
        w.wb.undo(batch)
    time.sleep(1.1)
    w.consent(p, given_at=datetime.now(UTC))
    later(w)
    plan = w.wb.propose([p], reason=REASON)
    assert "in_another_open_batch" in plan.table.codes[0], "an undo that is not through holds its people"
    w.wb.undo(batch)
    assert all(w.flags(lead_id(1)).values()) == (open_episodes(w, p) > 0), (w.flags(lead_id(1)), open_episodes(w, p))


def test_an_address_that_salesforce_keeps_in_unicode(world) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@bücher.example", opted_out=True))
    p = w.person("anna@bücher.example")
    w.consent(p)
    opt_out(w, "Lead", lead_id(1))
    assert w.wb.propose([p], reason=REASON).table.records[0] == 1


def test_opt_out_under_the_persons_former_address(world, tmp_path) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=False))
    p = w.person("anna@example.com")
    with w.wb.store.write() as tx:
        tx.exec_driver_sql("UPDATE person SET external_id = 'SC-1'")
    w.wb.import_people(csv(tmp_path, "p.csv", "Person ID,Email ID\nSC-1,anna.new@example.com\n"))
    opt_out(w, "Lead", lead_id(1), at=JUNE10)
    w.wb.pull()
    w.consent(p)
    assert resubscribed(w, p) == 0


def test_what_a_never_pulled_stored_record_was_merged_into(world) -> None:
    w = world(
        org_line("Lead", lead_id(1), "anna@example.com", opted_out=False),
        org_line("Lead", lead_id(2), "anna.work@example.com", opted_out=False),
    )
    p = w.person("anna@example.com", salesforce_ids=[full(lead_id(1))])
    w.consent(p)
    w.org.control("/merge", {"object": "Lead", "master": lead_id(2), "loser": lead_id(1)})
    opt_out(w, "Lead", lead_id(2), at=JUNE10)
    later(w)
    done = resubscribed(w, p)
    s = w.wb.sync()
    assert done == 0, s.sentence


def test_a_withdrawal_after_the_resubscription_is_acted_on(world) -> None:
    w, p = anna(world)
    assert resubscribed(w, p) == 1
    w.wb.withdraw_consent(w.wb.consents(p).consent_id[0], method="email")
    w.wb.sync()
    assert open_episodes(w, p) == 1 or len(w.wb.mismatches())
