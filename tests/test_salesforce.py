"""The operations against a scratch org over real HTTP: reading, pulling, changes, access, usage, errors, checks."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workbench.org import (
    Org,
    OrgAuthenticationError,
    OrgError,
    OrgPermissionError,
    OrgQuotaError,
    OrgRefusedError,
    OrgRow,
    OrgUnreachableError,
)
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, bulk, check_org
from workbench.scratch_org.process import ScratchOrg, start_scratch_org

FIELDS = ("HasOptedOutOfEmail", "Sales_Opt_Out__c")
QUICK = Patience(sleep=lambda _: None)
CANARY = "canary"  # part of every name, address and message that must never show in an error


@pytest.fixture(scope="module")
def running() -> Iterator[ScratchOrg]:
    with start_scratch_org(people=4000, seed=7) as scratch:
        yield scratch


@pytest.fixture
def scratch(running: ScratchOrg) -> Iterator[ScratchOrg]:
    yield running
    running.control("/faults", {"clear": True})
    running.control("/limits", {"max": 1_000_000})
    running.control("/clock", {"frozen": False})
    for kind in ("Lead", "Contact"):
        for field in (*FIELDS, "EmailBouncedDate"):
            running.control("/permissions", {"object": kind, "field": field})


@pytest.fixture
def org(scratch: ScratchOrg) -> Iterator[SalesforceOrg]:
    with SalesforceOrg(credentials(scratch), opt_out_fields=FIELDS, patience=QUICK) as org:
        yield org


def credentials(scratch: ScratchOrg) -> OrgCredentials:
    return OrgCredentials(url=scratch.url, client_id=scratch.client_id, client_secret=scratch.client_secret)


def record(scratch: ScratchOrg, kind: str = "Lead", **values: Any) -> str:
    """A new record, opted out an hour ago by another user."""
    given = {"LastName": "Canary", "Email": f"{CANARY}@example.com", "HasOptedOutOfEmail": True, **values}
    if kind == "Lead":
        given.setdefault("Company", "Canary Ltd")
    an_hour_ago = (now_of(scratch) - timedelta(hours=1)).isoformat(timespec="seconds")
    return str(scratch.control("/write", {"object": kind, "values": given, "at": an_hour_ago})["id"])


def now_of(scratch: ScratchOrg) -> datetime:
    return datetime.fromisoformat(scratch.control("/state")["now"])


def fault(scratch: ScratchOrg, kind: str, on: str, **options: Any) -> None:
    scratch.control("/faults", {"plan": [{"kind": kind, "on": on, **options}]})


def requests_since(scratch: ScratchOrg, number: int) -> list[str]:
    return [f"{entry['method']} {entry['path']}" for entry in scratch.control(f"/requests?since={number}")["requests"]]


def latest_request(scratch: ScratchOrg) -> int:
    entries = scratch.control("/requests")["requests"]
    return int(entries[-1]["number"]) if entries else 0


def one(org: SalesforceOrg, record_id: str) -> OrgRow:
    (row,) = org.read(record_ids=[record_id], addresses=[], history=False).rows
    return row


def test_it_is_an_org(org: SalesforceOrg) -> None:
    as_org: Org = org
    assert as_org.opt_out_fields == FIELDS


def test_nothing_is_asked_before_the_first_operation(scratch: ScratchOrg) -> None:
    before = latest_request(scratch)
    with SalesforceOrg(credentials(scratch)) as org:
        assert org.calls == 0
    assert latest_request(scratch) == before


def test_identity(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    who = org.identity()
    assert (who.org_id, who.kind, who.api_version) == (scratch.org_id, "scratch", "64.0")
    assert who.user_id.startswith("005")
    calls = org.calls
    assert org.identity() == who
    assert org.calls == calls
    with SalesforceOrg(OrgCredentials(url=scratch.url, access_token=scratch.control("/tokens", {})["access_token"])) as by_token:
        assert by_token.identity() == who


def test_reading_by_id_takes_one_call_with_history(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = record(scratch, Email="Id.Canary@Example.com", HasOptedOutOfEmail=False)
    scratch.control("/write", {"object": "Lead", "id": lead, "values": {"HasOptedOutOfEmail": True}, "user": "Olga Admin"})
    org.access()
    one(org, lead)
    calls = org.calls
    reading = org.read(record_ids=[lead[:15]], addresses=[], history=True)
    assert org.calls == calls + 1
    (row,) = reading.rows
    assert (row.record_id, row.object, row.email) == (lead, "Lead", "Id.Canary@Example.com")
    assert row.opt_outs == {"HasOptedOutOfEmail": True, "Sales_Opt_Out__c": False}
    assert row.opted_out
    assert row.system_modstamp.tzinfo == UTC
    (change,) = reading.history
    assert (change.record_id, change.field, change.old, change.new) == (lead, "HasOptedOutOfEmail", False, True)
    assert change.by_name == "Olga Admin"
    assert reading.missing == frozenset()
    assert abs(reading.server_time - now_of(scratch)) < timedelta(seconds=60)


def test_reading_by_address_ignores_case_and_finds_history_with_a_second_call(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = record(scratch, Email="By.Address@Example.com", HasOptedOutOfEmail=False)
    contact = record(scratch, "Contact", Email="by.address@example.com", HasOptedOutOfEmail=False)
    for kind, record_id in (("Lead", lead), ("Contact", contact)):
        scratch.control("/write", {"object": kind, "id": record_id, "values": {"Sales_Opt_Out__c": True}})
    one(org, lead)
    calls = org.calls
    reading = org.read(record_ids=[], addresses=["by.address@example.com", ""], history=True)
    assert org.calls == calls + 2
    assert {row.record_id for row in reading.rows} == {lead, contact}
    assert {(change.record_id, change.field) for change in reading.history} == {(r, "Sales_Opt_Out__c") for r in (lead, contact)}


@pytest.mark.parametrize(
    "address",
    [
        "o'canary@example.com",
        "back\\slash@example.com",
        'quo"te@example.com',
        "100%&+=?#@example.com",
        "z\u00fc\u4e2d@example.com",
    ],
)
def test_odd_addresses_are_values_and_nothing_else(org: SalesforceOrg, scratch: ScratchOrg, address: str) -> None:
    lead = record(scratch, Email=address)
    reading = org.read(record_ids=[], addresses=[address], history=False)
    assert [row.record_id for row in reading.rows] == [lead]


@pytest.mark.parametrize("address", ["@{query0.records[0].Email}", "x@{query0.records[0].Email}", "@{query9.records[0].Email}"])
def test_an_address_is_no_reference_into_another_answer(org: SalesforceOrg, scratch: ScratchOrg, address: str) -> None:
    """A composite request replaces @{...} in addresses of requests; ours are encoded, so nothing is found and nothing fails."""
    lead = record(scratch)
    reading = org.read(record_ids=[lead], addresses=[address], history=True)
    assert [row.record_id for row in reading.rows] == [lead]


def test_an_address_is_no_condition(org: SalesforceOrg) -> None:
    reading = org.read(record_ids=[], addresses=["x') OR IsDeleted = false OR Email IN ('x"], history=True)
    assert reading.rows == ()


def test_deleted_merged_converted_and_unknown_rows(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    deleted, loser, master, converted = (record(scratch, Email=f"fate{n}@example.com") for n in range(4))
    scratch.control("/delete", {"object": "Lead", "id": deleted})
    scratch.control("/merge", {"object": "Lead", "master": master, "loser": loser})
    contact = scratch.control("/convert", {"id": converted})["contact"]
    never = "00Q999999999999EAA"
    reading = org.read(record_ids=[deleted, loser, master, converted, never[:15]], addresses=[], history=False)
    rows = {row.record_id: row for row in reading.rows}
    assert rows[deleted].is_deleted
    assert rows[loser].merged_into == master
    assert not rows[master].is_deleted
    assert rows[converted].is_converted
    assert rows[converted].converted_contact_id == contact
    assert {missing[:15] for missing in reading.missing} == {never[:15]}


def test_a_chunk_of_many_people_takes_one_call(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    ids = [row.record_id for page in org.pull("Contact") for row in page][:200]
    org.read(record_ids=ids[:1], addresses=[], history=True)  # describes both objects
    calls = org.calls
    reading = org.read(record_ids=ids, addresses=[], history=True)
    assert (len(reading.rows), org.calls - calls) == (200, 1)
    reading = org.read(record_ids=ids, addresses=[row.email for row in reading.rows], history=False)
    assert len(reading.rows) >= 200
    assert org.calls - calls == 2


def test_reading_nobody_tells_the_time(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    reading = org.read(record_ids=[], addresses=[], history=True)
    assert reading.rows == ()
    assert abs(reading.server_time - now_of(scratch)) < timedelta(seconds=60)


def test_ids_are_checked_before_anything_is_sent(org: SalesforceOrg) -> None:
    with pytest.raises(OrgRefusedError, match="not the form of a Salesforce id"):
        org.read(record_ids=["00Q' OR Id != '"], addresses=[], history=False)
    assert org.calls == 0


@pytest.mark.parametrize("polls", [0, 3])
def test_pulling_by_rest_and_by_bulk_give_the_same_rows(
    org: SalesforceOrg, scratch: ScratchOrg, monkeypatch: pytest.MonkeyPatch, polls: int
) -> None:
    scratch.control("/bulk", {"polls": polls})
    monkeypatch.setattr(bulk, "PAGE", 700)
    before = latest_request(scratch)
    by_bulk = [row for page in org.pull("Lead") for row in page]
    paths = requests_since(scratch, before)
    assert sum(path.endswith("/results") for path in paths) >= 3
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_REST", 10**6)
    by_rest = [row for page in org.pull("Lead") for row in page]
    assert len(by_bulk) == org.count("Lead") > 2000
    assert sorted(by_bulk, key=lambda row: row.record_id) == sorted(by_rest, key=lambda row: row.record_id)
    assert any(row.is_deleted for row in by_bulk)


def test_few_rows_are_pulled_without_a_job(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    before = latest_request(scratch)
    rows = [row for page in org.pull("Contact") for row in page]
    assert len(rows) == org.count("Contact") <= 2000
    assert any(row.company for row in rows)
    assert not any("jobs" in path for path in requests_since(scratch, before))


def test_pulling_history(org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    by_rest = {change for page in org.pull_history("Lead") for change in page}
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_REST", 1)
    by_bulk = {change for page in org.pull_history("Lead") for change in page}
    assert by_bulk == by_rest
    assert {change.field for change in by_rest} == set(FIELDS)
    assert {change.new for change in by_rest} == {True, False}


def test_a_job_survives_a_busy_server_at_every_step(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    org.access()
    count = org.count("Lead")
    for on in ("POST /jobs/query$", r"GET /jobs/query/\w+$", "GET /results$", "GET /queryAll/$"):
        fault(scratch, "503", on)
    fault(scratch, "reset_after", "GET /results$", nth=2)
    fault(scratch, "expire_token", "GET /results$", nth=3)
    assert sum(len(page) for page in org.pull("Lead")) == count


def test_rows_by_id(org: SalesforceOrg) -> None:
    ids = [row.record_id for page in org.pull("Lead") for row in page][:1500]
    calls = org.calls
    pages = list(org.rows("Lead", iter(ids)))
    assert [len(page) for page in pages] == [1000, 500]
    assert {row.record_id for page in pages for row in page} == set(ids)
    assert org.calls - calls == 2


def test_changes(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    since = now_of(scratch) - timedelta(seconds=1)
    lead, gone = record(scratch), record(scratch)
    scratch.control("/write", {"object": "Lead", "id": lead, "values": {"Title": "CEO"}})
    scratch.control("/delete", {"object": "Lead", "id": gone})
    scratch.control("/clock", {"advance": 120})
    one(org, lead)
    changes = org.changes("Lead", since=since)
    assert lead in changes.updated
    assert gone in changes.deleted
    assert since < changes.covered_until <= now_of(scratch)
    again = org.changes("Lead", since=changes.covered_until)
    assert again.covered_until >= changes.covered_until


def test_a_window_longer_than_salesforce_remembers_is_refused(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    for days in (20, 31):
        with pytest.raises(OrgRefusedError) as caught:
            org.changes("Lead", since=now_of(scratch) - timedelta(days=days))
        assert "org pull --full" in caught.value.advice


def test_usage_counts_calls(org: SalesforceOrg) -> None:
    before = org.usage()
    org.count("Lead")
    after = org.usage()
    assert after.allowed == before.allowed == 1_000_000
    assert after.used - before.used == 2
    assert org.calls == 3


def test_usage_where_the_user_may_not_read_limits(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    org.count("Lead")
    fault(scratch, "error", "GET /limits", status=403, code="INSUFFICIENT_ACCESS", message="no")
    assert org.usage().allowed == 1_000_000


def test_a_hidden_opt_out_field_is_named_whenever_it_was_hidden(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = record(scratch)
    one(org, lead)
    scratch.control("/permissions", {"object": "Lead", "field": "Sales_Opt_Out__c", "readable": False})
    steps: tuple[Callable[[], object], ...] = (
        lambda: one(org, lead),
        lambda: list(org.pull("Lead")),
        lambda: list(org.rows("Lead", [lead])),
    )
    for step in steps:
        with pytest.raises(OrgPermissionError, match=r"^Lead\.Sales_Opt_Out__c is hidden"):
            step()
    hidden = next(a for a in org.access() if (a.object, a.field) == ("Lead", "Sales_Opt_Out__c"))
    assert (hidden.readable, hidden.updateable) == (False, False)


def test_a_hidden_optional_field_is_left_out(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = record(scratch)
    one(org, lead)
    scratch.control("/permissions", {"object": "Lead", "field": "EmailBouncedDate", "readable": False})
    assert one(org, lead).bounced_at is None


def test_a_read_only_field_is_told_from_a_hidden_one(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    scratch.control("/permissions", {"object": "Contact", "field": FIELDS[0], "updateable": False})
    told = {(a.object, a.field): (a.readable, a.updateable) for a in org.access()}
    assert told["Contact", FIELDS[0]] == (True, False)
    assert told["Lead", FIELDS[0]] == (True, True)


def test_a_login_is_renewed_once_for_many_threads(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = record(scratch)
    one(org, lead)
    scratch.control("/tokens", {"expire": True})
    before = latest_request(scratch)
    rows: list[OrgRow] = []
    threads = [threading.Thread(target=lambda: rows.append(one(org, lead))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 8
    assert requests_since(scratch, before).count("POST /services/oauth2/token") == 1


def test_a_token_that_never_holds_ends_in_one_error(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    org.count("Lead")
    fault(scratch, "expire_token", "GET /queryAll", times=0)
    before = latest_request(scratch)
    with pytest.raises(OrgAuthenticationError, match=r"counting rows: 401 INVALID_SESSION_ID"):
        org.count("Lead")
    assert requests_since(scratch, before).count("POST /services/oauth2/token") == 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"client_secret": "wrong-canary"}, r"did not accept the client id and secret \(400 invalid_client\)"),
        ({"client_secret": ""}, "no client id and secret, nor anything else"),
        ({"client_secret": "", "access_token": "expired-canary"}, "handed in is not valid"),
    ],
)
def test_credentials_that_are_not_accepted(scratch: ScratchOrg, changed: dict[str, str], sentence: str) -> None:
    before = latest_request(scratch)
    org = SalesforceOrg(replace(credentials(scratch), **changed), patience=QUICK)
    with org, pytest.raises(OrgAuthenticationError, match=sentence) as caught:
        org.count("Lead")
    assert_clean(caught.value)
    assert requests_since(scratch, before).count("POST /services/oauth2/token") <= 1


def test_an_expired_token_is_replaced_by_a_login(scratch: ScratchOrg) -> None:
    with SalesforceOrg(replace(credentials(scratch), access_token="expired"), patience=QUICK) as org:
        assert org.count("Lead") > 0


def test_the_daily_limit_is_not_retried(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    org.count("Lead")
    scratch.control("/limits", {"max": 0})
    before = latest_request(scratch)
    with pytest.raises(OrgQuotaError, match="daily API calls are used up"):
        org.count("Lead")
    assert len(requests_since(scratch, before)) == 1


@pytest.mark.parametrize("kind", ["503", "403_concurrent", "reset_before", "reset_after", "html", "lock"])
def test_reads_outlast_a_passing_trouble(org: SalesforceOrg, scratch: ScratchOrg, kind: str) -> None:
    lead = record(scratch)
    one(org, lead)
    fault(scratch, kind, "POST /composite$", times=2)
    assert one(org, lead).record_id == lead


def test_reads_give_up_in_the_end(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    org.count("Lead")
    fault(scratch, "503", "GET /queryAll", times=0)
    before = latest_request(scratch)
    with pytest.raises(OrgUnreachableError, match=r"counting rows: 503 SERVER_UNAVAILABLE"):
        org.count("Lead")
    assert len(requests_since(scratch, before)) == QUICK.tries


def assert_clean(error: OrgError) -> None:
    """Nothing of a reply, an address or a secret is in an error, nor in what a log of it would show."""
    shown = "".join(traceback.format_exception(error)) + repr(error.args) + error.advice
    shown = "\n".join(line for line in shown.splitlines() if "tests/" not in line and "CANARY" not in line)
    texts = [str(error), repr(error), error.advice, *(str(part) for part in (error.__cause__, error.__context__))]
    assert CANARY not in "".join(texts).lower()
    assert f"{CANARY}@" not in shown


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("html", {}),
        ("503", {}),
        ("reset_after", {}),
        ("403_daily", {}),
        ("error", {"status": 400, "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": f"{CANARY}@example.com is frozen"}),
        ("error", {"status": 400, "code": f"{CANARY}@example.com", "message": f"{CANARY}@example.com"}),
        ("error", {"status": 404, "code": "NOT_FOUND", "message": f"{CANARY}@example.com"}),
        ("error", {"status": 414, "code": "URI_TOO_LONG", "message": f"{CANARY}@example.com"}),
    ],
)
def test_no_error_shows_a_reply_or_an_address(
    org: SalesforceOrg, scratch: ScratchOrg, kind: str, options: dict[str, Any]
) -> None:
    lead = record(scratch)
    one(org, lead)
    fault(scratch, kind, "* /services/data/", times=0, **options)
    steps: tuple[Callable[[], object], ...] = (
        lambda: org.read(record_ids=[lead], addresses=[f"{CANARY}@example.com"], history=True),
        lambda: list(org.pull("Lead")),
        lambda: list(org.rows("Lead", [lead])),
        lambda: org.changes("Lead", since=now_of(scratch)),
        org.access,
    )
    for step in steps:
        with pytest.raises(OrgError) as caught:
            step()
        assert_clean(caught.value)


def test_check_of_an_org_in_order(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lines = check_org(org, now=lambda: now_of(scratch))
    assert all(line.ok for line in lines), lines
    text = "\n".join(line.sentence for line in lines)
    assert "Connected to Scratch Org (00D" in text
    assert "The org speaks API version 64.0." in text
    assert "Contact.Sales_Opt_Out__c can be read and written." in text
    assert "Lead can be read and edited." in text
    assert "LeadHistory can be read and has changes of HasOptedOutOfEmail." in text
    assert "These credentials may clear and set opt-outs" in text
    assert "The org has no person accounts." in text
    assert "The Consent API answers this user." in text
    assert "API calls are left today." in text
    assert "This computer's clock is" in text


def test_check_names_what_is_wrong(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    scratch.control("/permissions", {"object": "Lead", "field": FIELDS[0], "readable": False})
    scratch.control("/permissions", {"object": "Contact", "field": FIELDS[1], "updateable": False})
    scratch.control("/limits", {"max": 100, "used": 81})
    fault(scratch, "error", "GET /query/$", nth=3, status=400, code="INVALID_TYPE", message="canary")
    wrong = [line.sentence for line in check_org(org, now=lambda: now_of(scratch) + timedelta(seconds=300)) if not line.ok]
    assert [sentence.partition(" ")[0] for sentence in wrong] == [
        "Lead.HasOptedOutOfEmail",
        "Contact.Sales_Opt_Out__c",
        "LeadHistory",
        wrong[3].partition(" ")[0],
        "This",
    ]
    assert "of 100 API calls are left today: less than a fifth" in wrong[3]
    assert "ahead of the org's. Set it" in wrong[4]


def test_check_without_a_login_says_one_thing(scratch: ScratchOrg) -> None:
    with SalesforceOrg(replace(credentials(scratch), client_secret="wrong", api_version="99.0"), patience=QUICK) as org:
        (line,) = check_org(org)
    assert not line.ok
    assert line.sentence.endswith("Log in again with `workbench org login`.")
