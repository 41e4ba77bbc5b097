"""What the protocol of resubscribing relies on, against a scratch org: conditions hold, lost answers are unknown, true always wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from simple_salesforce.api import SFType
from simple_salesforce.exceptions import SalesforceError

from workbench.org import ConditionalClear, OrgAuthenticationError, OrgQuotaError, OrgRow, RowAnswer
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, Timeouts
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


class PlainHeader(SalesforceOrg):
    """The client that people usually write: the condition as a header of a plain request, and simple-salesforce's own login."""

    def clear(self, writes: Sequence[ConditionalClear]) -> tuple[RowAnswer, ...]:
        usual, renewed = self.connection.login().client, SalesforceOrg(self.credentials)
        # what its own ways of logging in leave behind: how to get the next token
        usual._salesforce_login_partial = lambda: (renewed.connection.login().client.session_id, usual.sf_instance)
        return tuple(self._update(getattr(usual, write.object), write) for write in writes)

    def _update(self, kind: SFType, write: ConditionalClear) -> RowAnswer:
        condition = {"If-Unmodified-Since": http_date(write.unmodified_since)}
        try:
            kind.update(write.record_id, dict.fromkeys(write.fields, False), headers=condition)
        except SalesforceError as error:
            return RowAnswer(record_id=write.record_id, outcome="conflict" if error.status == 412 else "unknown")
        return RowAnswer(record_id=write.record_id, outcome="done")


def clear_of_a_stale_row(client: SalesforceOrg, scratch: ScratchOrg, *, when: str) -> tuple[list[str], dict[str, bool]]:
    """Somebody opts out after the reading: ``stale`` before the clear is sent, and then the login expires with it or does not;
    or ``meanwhile``, that is, while we log in again. Gives the outcomes, and the record as another client reads it."""
    stale, quiet = rows(client, opted_out(scratch), opted_out(scratch))
    if when == "meanwhile":
        order = {"object": "Lead", "id": stale.record_id, "values": {"Title": "opted out again", **OPTED_OUT}}
        scratch.control("/hooks", {"before": "POST /services/oauth2/token", "do": {"write": order}})
    else:
        someone_opts_out_again(scratch, stale.record_id)
    if when != "stale":
        fault(scratch, "expire_token", "* (/composite|/sobjects/Lead/\\w+)$")
    answers = client.clear([clearing(stale), clearing(quiet)])
    scratch.control("/faults", {"clear": True})
    with SalesforceOrg(credentials(scratch), opt_out_fields=FIELDS) as other:
        return [answer.outcome for answer in answers], rows(other, stale.record_id)[0].opt_outs


@pytest.mark.parametrize("when", ["stale", "stale, then a new login", "meanwhile"])
def test_a_clear_of_a_stale_row_never_overwrites(org: SalesforceOrg, scratch: ScratchOrg, when: str) -> None:
    before = latest(scratch)
    outcomes, left = clear_of_a_stale_row(org, scratch, when=when)
    assert (outcomes, left) == (["conflict", "done"], OPTED_OUT)
    ours = [e for e in last_requests(scratch, before) if any("condition" in write for write in e["writes"]) or e["status"] == 401]
    assert [e["status"] for e in ours] == ([200] if when == "stale" else [401, 200])


@pytest.mark.parametrize(("when", "left"), [("stale", OPTED_OUT), ("stale, then a new login", CLEARED), ("meanwhile", CLEARED)])
def test_why_the_condition_must_not_be_a_header_of_the_request(scratch: ScratchOrg, when: str, left: dict[str, bool]) -> None:
    """The very scenarios of the test above with the usual client: as soon as a login comes between, the opt-out is lost."""
    with PlainHeader(credentials(scratch), opt_out_fields=FIELDS) as usual:
        outcomes, found = clear_of_a_stale_row(usual, scratch, when=when)
    assert found == left
    assert outcomes == ["conflict" if left == OPTED_OUT else "done", "done"]


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
