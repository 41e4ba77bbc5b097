"""What the protocol of resubscribing relies on, against a scratch org: conditions hold, lost answers are unknown, true always wins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from simple_salesforce.api import Salesforce, SFType

from workbench.org import ConditionalClear, OrgAuthenticationError, OrgQuotaError, OrgRow
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, Timeouts
from workbench.salesforce.transport import bound_session
from workbench.salesforce.writes import http_date
from workbench.scratch_org.process import ScratchOrg, start_scratch_org

FIELDS = ("HasOptedOutOfEmail", "Sales_Opt_Out__c")
OPTED_OUT = dict.fromkeys(FIELDS, True)
CLEARED = dict.fromkeys(FIELDS, False)


@pytest.fixture(scope="module")
def running() -> Iterator[ScratchOrg]:
    with start_scratch_org() as scratch:
        yield scratch


@pytest.fixture
def scratch(running: ScratchOrg) -> Iterator[ScratchOrg]:
    yield running
    running.control("/faults", {"clear": True})
    running.control("/limits", {"max": 1_000_000})
    for field in FIELDS:
        running.control("/permissions", {"object": "Lead", "field": field})


@pytest.fixture
def org(scratch: ScratchOrg) -> Iterator[SalesforceOrg]:
    with SalesforceOrg(credentials(scratch), opt_out_fields=FIELDS, patience=Patience(sleep=lambda _: None)) as org:
        yield org


def credentials(scratch: ScratchOrg) -> OrgCredentials:
    return OrgCredentials(url=scratch.url, client_id=scratch.client_id, client_secret=scratch.client_secret)


def opted_out(scratch: ScratchOrg, kind: str = "Lead", *, flags: dict[str, bool] = OPTED_OUT) -> str:
    now = datetime.fromisoformat(scratch.control("/state")["now"])
    given = {"LastName": "Example", "Email": "someone@example.com", **flags}
    if kind == "Lead":
        given["Company"] = "Example"
    order = {"object": kind, "values": given, "at": (now - timedelta(hours=1)).isoformat(timespec="seconds")}
    return str(scratch.control("/write", order)["id"])


def rows(org: SalesforceOrg, *ids: str) -> list[OrgRow]:
    found = {row.record_id: row for row in org.read(record_ids=ids, addresses=[], history=False).rows}
    return [found[record_id] for record_id in ids]


def clearing(row: OrgRow) -> ConditionalClear:
    return ConditionalClear(record_id=row.record_id, object=row.object, fields=FIELDS, unmodified_since=row.system_modstamp)


def fault(scratch: ScratchOrg, kind: str, on: str = "POST /composite$", **options: Any) -> None:
    scratch.control("/faults", {"plan": [{"kind": kind, "on": on, **options}]})


def someone_opts_out_again(scratch: ScratchOrg, record_id: str) -> None:
    scratch.control("/write", {"object": "Lead", "id": record_id, "values": {"Title": "opted out again", **OPTED_OUT}})


def last_requests(scratch: ScratchOrg, since: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scratch.control(f"/requests?since={since}")["requests"]
    return found


def latest(scratch: ScratchOrg) -> int:
    return int(last_requests(scratch, 0)[-1]["number"])


def test_a_whole_batch_is_cleared_with_one_call(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    ids = [opted_out(scratch, kind) for kind in ("Lead", "Contact") for _ in range(12)] + [opted_out(scratch)]
    found = rows(org, *ids)
    calls = org.calls
    answers = org.clear([clearing(row) for row in found])
    assert org.calls == calls + 1
    assert [(a.record_id, a.outcome) for a in answers] == [(record_id, "done") for record_id in ids]
    after = rows(org, *ids)
    assert [row.opt_outs for row in after] == [CLEARED] * 25
    assert {row.last_modified_by for row in after} == {org.identity().user_id}
    assert [row.email for row in after] == [row.email for row in found]


def test_every_row_is_cleared_under_its_condition(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    (row,) = rows(org, opted_out(scratch))
    org.clear([clearing(row)])
    (write,) = last_requests(scratch, 0)[-1]["writes"]
    assert write["condition"] == http_date(row.system_modstamp)
    assert write["fields"] == sorted(FIELDS)


def test_a_row_modified_since_is_a_conflict_and_keeps_its_opt_out(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    stale, quiet = rows(org, opted_out(scratch), opted_out(scratch))
    someone_opts_out_again(scratch, stale.record_id)
    answers = org.clear([clearing(stale), clearing(quiet)])
    assert [a.outcome for a in answers] == ["conflict", "done"]
    assert answers[0].code == "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE"
    assert [row.opt_outs for row in rows(org, stale.record_id, quiet.record_id)] == [OPTED_OUT, CLEARED]


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_condition_survives_a_new_login(org: SalesforceOrg, scratch: ScratchOrg, when: str) -> None:
    """The token expires exactly when the clear is sent; the same conditions go out again after the login."""
    stale, quiet = rows(org, opted_out(scratch), opted_out(scratch))
    if when == "before":
        someone_opts_out_again(scratch, stale.record_id)
    else:  # while we log in
        order = {"object": "Lead", "id": stale.record_id, "values": {"Title": "opted out again", **OPTED_OUT}}
        scratch.control("/hooks", {"before": "POST /services/oauth2/token", "do": {"write": order}})
    fault(scratch, "expire_token")
    before = latest(scratch)
    answers = org.clear([clearing(stale), clearing(quiet)])
    assert [entry["path"].rpartition("/")[2] for entry in last_requests(scratch, before)] == ["composite", "token", "composite"]
    assert [a.outcome for a in answers] == ["conflict", "done"]
    assert [row.opt_outs for row in rows(org, stale.record_id, quiet.record_id)] == [OPTED_OUT, CLEARED]


def test_why_the_condition_must_not_be_a_header_of_the_request(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    """The variant that people usually write: simple-salesforce's own update with the header, and its own login.

    It loses the opt-out in the very situation of the test above, which so proves that it can fail.
    """
    (stale,) = rows(org, opted_out(scratch))
    someone_opts_out_again(scratch, stale.record_id)
    with closing(bound_session(scratch.url, timeouts=Timeouts())) as session:
        token = partial(scratch.control, "/tokens", {})
        usual = Salesforce(session_id=token()["access_token"], instance_url=scratch.url, session=session, version="64.0")
        # what its own ways of logging in leave behind: how to get the next token
        usual._salesforce_login_partial = partial(lambda: (token()["access_token"], usual.sf_instance))
        condition = {"If-Unmodified-Since": http_date(stale.system_modstamp)}
        fault(scratch, "expire_token", "PATCH /sobjects/Lead/")
        lead = usual.Lead
        assert isinstance(lead, SFType)
        lead.update(stale.record_id, CLEARED, headers=condition)
    assert [row.opt_outs for row in rows(org, stale.record_id)] == [CLEARED], "the opt-out is lost: that is the point"


@pytest.mark.parametrize(
    ("kind", "state"),
    [("reset_after", CLEARED), ("reset_before", OPTED_OUT), ("503", OPTED_OUT), ("html", OPTED_OUT)],
)
def test_a_lost_answer_is_unknown_for_every_row_and_nothing_is_sent_again(
    org: SalesforceOrg, scratch: ScratchOrg, kind: str, state: dict[str, bool]
) -> None:
    found = rows(org, opted_out(scratch), opted_out(scratch))
    fault(scratch, kind)
    before = latest(scratch)
    answers = org.clear([clearing(row) for row in found])
    assert [(a.record_id, a.outcome) for a in answers] == [(row.record_id, "unknown") for row in found]
    assert len(last_requests(scratch, before)) == 1
    assert [row.opt_outs for row in rows(org, *(row.record_id for row in found))] == [state, state]


def test_an_answer_that_comes_too_late_is_unknown(scratch: ScratchOrg) -> None:
    patience = Patience(sleep=lambda _: None)
    with SalesforceOrg(credentials(scratch), opt_out_fields=FIELDS, patience=patience) as usual:
        found = rows(usual, opted_out(scratch))
        with SalesforceOrg(credentials(scratch), opt_out_fields=FIELDS, timeouts=Timeouts(read=0.2)) as hasty:
            hasty.identity()
            fault(scratch, "slow", seconds=0.6, when="after")
            answers = hasty.clear([clearing(row) for row in found])
        assert [a.outcome for a in answers] == ["unknown"]
        assert [row.opt_outs for row in rows(usual, found[0].record_id)] == [CLEARED]


def test_the_daily_limit_stops_a_clear_before_it_does_anything(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    (row,) = rows(org, opted_out(scratch))
    scratch.control("/limits", {"max": 0})
    with pytest.raises(OrgQuotaError, match="daily API calls are used up"):
        org.clear([clearing(row)])
    scratch.control("/limits", {"max": 1_000_000})
    assert [row.opt_outs for row in rows(org, row.record_id)] == [OPTED_OUT]


def test_a_login_that_is_gone_stops_a_clear_before_it_does_anything(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    (row,) = rows(org, opted_out(scratch))
    token = scratch.control("/tokens", {})["access_token"]
    only_token = replace(credentials(scratch), client_secret="", access_token=token)
    with SalesforceOrg(only_token, opt_out_fields=FIELDS) as other:
        fault(scratch, "expire_token")
        with pytest.raises(OrgAuthenticationError):
            other.clear([clearing(row)])
    assert [row.opt_outs for row in rows(org, row.record_id)] == [OPTED_OUT]


def test_rows_that_can_not_be_cleared_say_why(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    deleted, converted, locked, fine = found = rows(org, *(opted_out(scratch) for _ in range(4)))
    scratch.control("/delete", {"object": "Lead", "id": deleted.record_id})
    scratch.control("/convert", {"id": converted.record_id})
    fault(scratch, "lock", ids=[locked.record_id])
    now = datetime.fromisoformat(scratch.control("/state")["now"])
    answers = org.clear([replace(clearing(row), unmodified_since=now + timedelta(minutes=1)) for row in found])
    assert [(a.outcome, a.code) for a in answers] == [
        ("gone", "ENTITY_IS_DELETED"),
        ("refused", "CANNOT_UPDATE_CONVERTED_LEAD"),
        ("locked", "UNABLE_TO_LOCK_ROW"),
        ("done", ""),
    ]
    assert fine.record_id == answers[3].record_id


def test_a_read_only_field_is_refused(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    (row,) = rows(org, opted_out(scratch))
    scratch.control("/permissions", {"object": "Lead", "field": FIELDS[0], "updateable": False})
    (answer,) = org.clear([clearing(row)])
    assert (answer.outcome, answer.code) == ("refused", "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_opting_out_is_unconditional_and_sets_every_field(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead, contact = opted_out(scratch, flags=CLEARED), opted_out(scratch, "Contact", flags=CLEARED)
    answers = org.opt_out([("Lead", lead), ("Contact", contact), ("Lead", lead[:15])])
    assert [(a.record_id, a.outcome) for a in answers] == [(lead, "done"), (contact, "done")]
    assert [row.opt_outs for row in rows(org, lead, contact)] == [OPTED_OUT, OPTED_OUT]


def test_opting_out_again_after_a_new_login(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = opted_out(scratch, flags=CLEARED)
    org.identity()
    fault(scratch, "expire_token", "PATCH /composite/sobjects$")
    assert [a.outcome for a in org.opt_out([("Lead", lead)])] == ["done"]
    assert [row.opt_outs for row in rows(org, lead)] == [OPTED_OUT]


def test_rows_that_can_not_be_opted_out_say_why_and_the_others_are(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    deleted, locked, fine = (opted_out(scratch, flags=CLEARED) for _ in range(3))
    scratch.control("/delete", {"object": "Lead", "id": deleted})
    fault(scratch, "lock", "PATCH /composite/sobjects$", ids=[locked])
    answers = org.opt_out([("Lead", record_id) for record_id in (deleted, locked, fine, "00Q999999999999")])
    assert [a.outcome for a in answers] == ["gone", "locked", "done", "gone"]
    assert [row.opt_outs for row in rows(org, fine)] == [OPTED_OUT]


def test_many_opt_outs_where_one_answer_is_lost_and_then_the_limit_is_reached(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    """Groups of 200: done, lost, not reached. Nothing is thrown away by an error."""
    ids = [opted_out(scratch, flags=CLEARED) for _ in range(3)]
    padding = [f"00Q8{n:011d}" for n in range(598)]  # ids that the org doesn't know
    asked = [ids[0], *padding[:199], ids[1], *padding[199:398], ids[2], *padding[398:]]
    org.identity()
    fault(scratch, "reset_after", "PATCH /composite/sobjects$", nth=2)
    fault(scratch, "403_daily", "PATCH /composite/sobjects$", nth=3)
    outcomes = {a.record_id: (a.outcome, a.code) for a in org.opt_out([("Lead", record_id) for record_id in asked])}
    assert [outcomes[record_id] for record_id in ids] == [("done", ""), ("unknown", ""), ("unknown", "REQUEST_LIMIT_EXCEEDED")]
    assert len(outcomes) == 601
    assert [row.opted_out for row in rows(org, *ids)] == [True, True, False]


def test_the_daily_limit_before_any_opt_out_is_an_error(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    lead = opted_out(scratch, flags=CLEARED)
    fault(scratch, "403_daily", "PATCH /composite/sobjects$")
    with pytest.raises(OrgQuotaError):
        org.opt_out([("Lead", lead)])
