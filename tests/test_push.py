"""An unsubscribe made here reaches Salesforce at once; it never waits for Salesforce, and it wins over a batch under way."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import sqlalchemy as sa
from conftest import contact_id, lead_id, org_line
from test_worker import approved, open_episodes, states

from workbench.cli.app import run
from workbench.org import OrgError
from workbench.person import salesforce_id_18
from workbench.resubscription import State
from workbench.store import leases
from workbench.store import schema as s

LEAD, CONTACT, OTHER = (salesforce_id_18(i) for i in (lead_id(1), contact_id(1), lead_id(2)))
ANNA = "anna@example.com"
EXCHANGES = 7  # of a batch of one person with one record, after its proposal
SECOND = "Sales_Opt_Out__c"


@pytest.fixture
def anna(world):
    """Anna has a lead and a contact, and gets mail; somebody else has a lead."""
    made = world(
        org_line("Lead", lead_id(1), ANNA, opted_out=False),
        org_line("Contact", contact_id(1), "Anna@Example.com", opted_out=False),
        org_line("Lead", lead_id(2), "somebody.else@example.com", opted_out=False),
    )
    made.anna = made.person(ANNA, unsubscribed=False)
    return made


def told(w):
    with w.wb.store.read() as tx:
        return list(tx.execute(sa.select(s.trail_event.c.action).order_by(s.trail_event.c.seq)).scalars())


def test_every_record_of_the_person_is_opted_out_and_nobody_elses(anna):
    anna.wb.unsubscribe(ANNA)
    pushed = anna.wb.push(ANNA)
    assert pushed.sentence == "2 Salesforce records opted out."
    assert anna.flags(LEAD, CONTACT, OTHER) == {LEAD: True, CONTACT: True, OTHER: False}
    assert [a for a in told(anna) if a.startswith("opt_out")] == ["opt_out_intended", "opt_out_written"]
    assert anna.wb.trail.verify().ok
    assert anna.wb.sync(dry_run=True).opted_out == 0
    assert anna.wb.push(ANNA).sentence == "No Salesforce record had to be opted out."


def test_nobody_is_opted_out_who_is_not_unsubscribed(anna):
    assert anna.wb.push(ANNA).written == ()
    assert not any(anna.flags(LEAD, CONTACT).values())


def test_a_record_that_cannot_be_written_is_named_and_left_to_the_sync(anna):
    anna.org.control("/permissions", {"object": "Contact", "field": "HasOptedOutOfEmail", "updateable": False})
    anna.wb.unsubscribe(ANNA)
    assert anna.wb.push(ANNA).sentence == (
        f"1 Salesforce record opted out; 1 could not be written, the next sync does it: {CONTACT}."
    )
    assert "opt_out_failed" in told(anna)
    anna.org.control("/permissions", {"object": "Contact", "field": "HasOptedOutOfEmail", "updateable": True})
    assert list(anna.wb.forecast()["record_id"]) == [CONTACT]


def test_the_command_tells_salesforce_at_once(anna, capsys):
    assert run(["unsubscribe", ANNA, "--source", "manual", "--workspace", str(anna.folder)]) == 0
    assert "The person is unsubscribed in the register. 2 Salesforce records opted out." in capsys.readouterr().err
    assert all(anna.flags(LEAD, CONTACT).values())


def test_where_salesforce_cannot_be_reached_the_register_knows_and_the_sync_does_it(anna, capsys):
    anna.org.control("/faults", {"plan": [{"kind": "403_daily", "on": "* .*", "times": 50}]})
    assert run(["unsubscribe", ANNA, "--source", "manual", "--workspace", str(anna.folder)]) == 0
    assert "the next `workbench sync` opts out the Salesforce records" in capsys.readouterr().err
    assert open_episodes(anna, anna.anna) == 1
    with pytest.raises(OrgError):
        anna.wb.push(ANNA)
    anna.org.control("/faults", {"clear": True})
    assert anna.wb.sync().opted_out == 2


def test_a_lease_does_not_hold_it_up(anna):
    with anna.wb.store.write() as tx:
        leases.take(tx, [anna.anna], holder="batch:7", now=anna.wb.clock(), lasting=timedelta(minutes=5))
    anna.wb.unsubscribe(ANNA)
    assert anna.wb.push(ANNA).written == (CONTACT, LEAD)


def test_it_wins_at_every_exchange_of_a_batch_that_has_the_person(world, monkeypatch):
    addresses = [f"person{n}@example.com" for n in range(1, EXCHANGES + 1)]
    w = world(*(org_line("Lead", lead_id(n), a, opted_out=True) for n, a in enumerate(addresses, start=1)))
    send, due = requests.Session.send, {}

    def sent(self, request, **options):
        for address in [a for a in due if due[a] == 0]:
            del due[address]  # what the push itself sends is not counted
            with type(w.wb).open(w.folder) as other:
                other.unsubscribe(address, source="manual")
                other.push(address)
        due.update({a: n - 1 for a, n in due.items()})
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", sent)
    for n, address in enumerate(addresses, start=1):
        person, record = w.person(address), salesforce_id_18(lead_id(n))
        w.consent(person)
        batch = approved(w, person)
        due[address] = n - 1
        w.wb.run(batch)
        assert not due, f"the run ended before exchange {n}"
        assert w.flags(record) == {record: True}
        assert open_episodes(w, person) >= 1
        assert states(w, batch)[person] in (State.ABORTED, State.REFUSED), n
    assert w.wb.sync(dry_run=True).opted_out == 0


def test_both_fields_are_set(world):
    w = world(org_line("Lead", lead_id(1), ANNA, opted_out=True))
    settings = w.folder / "workbench.toml"
    text = settings.read_text(encoding="utf-8")
    assert '"HasOptedOutOfEmail"' in text
    settings.write_text(text.replace('"HasOptedOutOfEmail"', f'"HasOptedOutOfEmail", "{SECOND}"'), encoding="utf-8")
    w.person(ANNA)
    with type(w.wb).open(w.folder) as wb:
        assert wb.push(ANNA).written == (LEAD,)
        (row,) = wb.org.read(record_ids=[LEAD], addresses=[], history=False).rows
        assert row.opt_outs == {"HasOptedOutOfEmail": True, SECOND: True}
