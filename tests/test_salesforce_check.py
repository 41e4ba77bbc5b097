"""What `org check` says about credentials, marker field, person accounts and the Consent API; and a batch that marks its clears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import World, lead_id, org_line

from workbench.bench import Workbench
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, check_org
from workbench.salesforce.soql import marker_access_of
from workbench.scratch_org.process import ScratchOrg, start_scratch_org

MARKER = "Resubscription__c"


@pytest.fixture(scope="module")
def running() -> Iterator[ScratchOrg]:
    with start_scratch_org(people=50, seed=3) as scratch:
        yield scratch


@pytest.fixture
def scratch(running: ScratchOrg) -> Iterator[ScratchOrg]:
    yield running
    running.control("/faults", {"clear": True})
    for kind in ("Lead", "Contact"):
        for field in ("HasOptedOutOfEmail", MARKER, *(["AccountId", "IsPersonAccount"] if kind == "Contact" else [])):
            running.control("/permissions", {"object": kind, "field": field})
    running.control("/permissions", {"object": "Account", "field": "PersonHasOptedOutOfEmail"})


def lines(scratch: ScratchOrg, **options: Any) -> list[Any]:
    credentials = OrgCredentials(url=scratch.url, client_id=scratch.client_id, client_secret=scratch.client_secret)
    with SalesforceOrg(credentials, patience=Patience(sleep=lambda _: None), **options) as org:
        return list(check_org(org))


def wrong(found: list[Any]) -> list[str]:
    return [line.sentence for line in found if not line.ok]


def test_credentials_that_only_read_are_one_finding_that_blocks_no_analyst(scratch: ScratchOrg) -> None:
    for kind, field in (
        ("Lead", "HasOptedOutOfEmail"),
        ("Contact", "HasOptedOutOfEmail"),
        ("Account", "PersonHasOptedOutOfEmail"),
    ):
        scratch.control("/permissions", {"object": kind, "field": field, "updateable": False})
    found = lines(scratch)
    (finding,) = [line for line in found if not line.ok and "History" not in line.sentence]
    assert (
        finding.sentence == "These credentials only read: fit for analysts' workspaces; batches, undo and the sync need others."
    )
    assert not finding.blocking
    assert "Lead.HasOptedOutOfEmail can be read." in [line.sentence for line in found]


def test_a_marker_field_that_is_fit(scratch: ScratchOrg) -> None:
    sentences = [line.sentence for line in lines(scratch, marker_field=MARKER)]
    for name in ("Lead.Resubscription__c", "Contact.Resubscription__c", "Account.Resubscription__pc"):
        assert f"{name} can mark our changes." in sentences
    assert not any("mark" in line.sentence for line in lines(scratch))


def test_a_marker_field_that_is_not_fit(scratch: ScratchOrg) -> None:
    scratch.control("/permissions", {"object": "Lead", "field": MARKER, "readable": False})
    scratch.control("/permissions", {"object": "Contact", "field": MARKER, "updateable": False})
    found = [sentence for sentence in wrong(lines(scratch, marker_field=MARKER)) if "Resubscription" in sentence]
    assert found[0].startswith("Lead.Resubscription__c is hidden, does not exist or is no text field of at least 36 characters")
    assert found[1].startswith("Contact.Resubscription__c can't be written, and so marks nothing")
    assert len(found) == 2


@pytest.mark.parametrize(
    ("field", "fits"),
    [
        ({"type": "string", "length": 36}, True),
        ({"type": "textarea", "length": 255}, True),
        ({"type": "string", "length": 35}, False),
        ({"type": "boolean", "length": 0}, False),
        ({"type": "email", "length": 80}, False),
    ],
)
def test_which_fields_can_mark(field: dict[str, Any], fits: bool) -> None:
    describe = {"updateable": True, "fields": [{"name": MARKER, "updateable": True, **field}]}
    access = marker_access_of("Lead", describe, MARKER)
    assert (access.readable, access.updateable, access.marker) == (fits, fits, True)
    assert not marker_access_of("Lead", describe | {"updateable": False}, MARKER).updateable


def test_person_accounts_are_counted_and_a_hidden_account_is_named(scratch: ScratchOrg) -> None:
    scratch.control("/write", {"object": "Account", "values": {"LastName": "Person", "PersonEmail": "p@example.com"}})
    sentences = [line.sentence for line in lines(scratch)]
    assert "The org has 1 person account: read as its contact, written through Account." in sentences
    scratch.control("/permissions", {"object": "Contact", "field": "AccountId", "readable": False})
    assert "The org has 1 person account that can't be written: Contact.AccountId is hidden from this user." in wrong(
        lines(scratch)
    )
    scratch.control("/permissions", {"object": "Contact", "field": "IsPersonAccount", "readable": False})
    sentences = [line.sentence for line in lines(scratch)]
    assert "The org has no person accounts, or this user may not see which contacts are theirs." in sentences


def test_a_consent_api_that_is_closed_hinders_nothing(scratch: ScratchOrg) -> None:
    plan = {"kind": "error", "on": "GET /consent/", "times": 1, "status": 403, "code": "INSUFFICIENT_ACCESS", "message": "canary"}
    scratch.control("/faults", {"plan": [plan]})
    (line,) = [line for line in lines(scratch) if "Consent API" in line.sentence]
    assert line.ok
    assert "does not answer this user, which is no hindrance" in line.sentence
    assert "canary" not in line.sentence


def marked_world(world: Any) -> tuple[World, str]:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    w.wb.close()
    path = w.folder / "workbench.toml"
    path.write_text(f'{path.read_text(encoding="utf-8")}marker_field = "{MARKER}"\n', encoding="utf-8")
    w.wb = Workbench.open(w.folder)
    someone = w.person("anna@example.com")
    w.consent(someone)
    w.wb.pull(full=True)
    return w, someone


def test_a_batch_marks_its_clears_in_the_same_change(world) -> None:
    w, someone = marked_world(world)
    plan = w.wb.propose([someone], reason="asked_in_writing")
    assert plan.blockers == ()
    w.wb.approve(plan.batch.batch_id, plan.digest)
    assert w.wb.run(plan.batch.batch_id).done == 1
    (row,) = w.wb.org.read(record_ids=[lead_id(1)], addresses=[], history=False).rows
    with w.wb.store.read() as tx:
        from workbench.store import batches

        (intent,) = batches.intents(tx, plan.batch.batch_id)
    assert (row.opted_out, row.mark) == (False, intent.intent_id)
    (write,) = [write for entry in w.requests() for write in entry.get("writes", ())]
    assert (write["fields"], write["status"]) == (["HasOptedOutOfEmail", MARKER], 204)


def test_a_marker_that_can_not_be_written_refuses_people_before_anything_is_sent(world) -> None:
    w, someone = marked_world(world)
    w.org.control("/permissions", {"object": "Lead", "field": MARKER, "updateable": False})
    plan = w.wb.propose([someone], reason="asked_in_writing")
    assert "may not edit Lead.Resubscription__c" in str(plan.rows)
    assert not any(entry.get("writes") for entry in w.requests())
