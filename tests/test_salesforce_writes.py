"""The two writes: their bodies as Salesforce takes them, and what answers mean for each row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from workbench.org import ConditionalClear
from workbench.person import salesforce_id_18
from workbench.salesforce.replies import NO_ANSWER, Reply
from workbench.salesforce.writes import (
    clear_answers,
    clear_request,
    http_date,
    opt_out_answers,
    opt_out_groups,
    opt_out_request,
)

FIELDS = ("HasOptedOutOfEmail", "Sales_Opt_Out__c")


def lead(number: int) -> str:
    return salesforce_id_18(f"00Q{number:012d}")


def clearing(number: int = 1) -> ConditionalClear:
    return ConditionalClear(
        record_id=lead(number),
        object="Lead",
        fields=FIELDS[:1],
        unmodified_since=datetime(2026, 1, 5, 9, 0, tzinfo=UTC),
    )


def answered(*parts: tuple[int, int, Any]) -> Reply:
    response = [
        {"referenceId": f"row{n}", "httpStatusCode": status, "body": body, "httpHeaders": {}} for n, status, body in parts
    ]
    return Reply(status=200, body={"compositeResponse": response})


def test_the_condition_stands_inside_the_body_and_only_the_opt_out_is_cleared() -> None:
    request = clear_request([clearing()], api_version="64.0", opt_out_fields=FIELDS)
    assert (request.method, request.path) == ("POST", "composite")
    assert request.body == {
        "allOrNone": False,
        "compositeRequest": [
            {
                "method": "PATCH",
                "url": f"/services/data/v64.0/sobjects/Lead/{lead(1)}",
                "referenceId": "row0",
                "httpHeaders": {"If-Unmodified-Since": "Mon, 05 Jan 2026 09:00:00 GMT"},
                "body": {"HasOptedOutOfEmail": False},
            }
        ],
    }


def test_a_marker_is_written_in_the_same_change_and_an_unmarked_clear_has_none() -> None:
    marked = replace(clearing(), mark="intent-7")
    request: Any = clear_request(
        [marked, clearing(2)], api_version="64.0", opt_out_fields=FIELDS, marker_field="Resubscription__c"
    )
    bodies = [part["body"] for part in request.body["compositeRequest"]]
    assert bodies == [{"HasOptedOutOfEmail": False, "Resubscription__c": "intent-7"}, {"HasOptedOutOfEmail": False}]
    request = clear_request([marked], api_version="64.0", opt_out_fields=FIELDS)
    assert request.body["compositeRequest"][0]["body"] == {"HasOptedOutOfEmail": False}


def test_a_person_account_is_written_through_its_account() -> None:
    contact, account = "003xx000004TmiQAAS", "001xx000003DGb2AAG"
    write = replace(clearing(), record_id=contact, object="Contact", fields=FIELDS, mark="intent-7")
    request: Any = clear_request(
        [write], api_version="64.0", opt_out_fields=FIELDS, accounts={contact: account}, marker_field="Resubscription__c"
    )
    (part,) = request.body["compositeRequest"]
    assert part["url"] == f"/services/data/v64.0/sobjects/Account/{account}"
    assert part["httpHeaders"] == {"If-Unmodified-Since": "Mon, 05 Jan 2026 09:00:00 GMT"}
    assert part["body"] == {
        "PersonHasOptedOutOfEmail": False,
        "Sales_Opt_Out__pc": False,
        "Resubscription__pc": "intent-7",
    }
    rows = [("Contact", contact), ("Contact", "003000000000001AAA"), ("Lead", lead(1))]
    groups = list(opt_out_groups(rows, {contact: account}))
    assert groups == [[("Lead", lead(1))], [("Contact", "003000000000001AAA")], [("Contact", contact)]]
    setting: Any = opt_out_request(groups[2], FIELDS, {contact: account})
    (record,) = setting.body["records"]
    assert record == {
        "attributes": {"type": "Account"},
        "id": account,
        "PersonHasOptedOutOfEmail": True,
        "Sales_Opt_Out__pc": True,
    }
    said = Reply(status=200, body=[{"id": account, "success": True, "errors": []}])
    assert [(a.record_id, a.outcome) for a in opt_out_answers(groups[2], said, {contact: account})] == [(contact, "done")]
    assert [a.outcome for a in opt_out_answers(groups[2], said)] == ["unknown"]


def test_a_condition_is_never_later_than_the_stamp() -> None:
    moment = datetime(2026, 1, 5, 10, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert http_date(moment) == "Mon, 05 Jan 2026 09:00:00 GMT"
    with pytest.raises(ValueError, match="zone"):
        http_date(datetime(2026, 1, 5))  # noqa: DTZ001 that is the point


@pytest.mark.parametrize(
    ("writes", "sentence"),
    [
        ([], "1 to 25 rows"),
        ([clearing(n) for n in range(26)], "1 to 25 rows"),
        ([clearing(), replace(clearing(), record_id=lead(1)[:15])], "twice"),
        ([replace(clearing(), fields=("Email",))], "only opt-out fields"),
        ([replace(clearing(), fields=())], "only opt-out fields"),
        ([replace(clearing(), object="User")], "only opt-out fields"),
    ],
)
def test_what_is_never_sent(writes: list[ConditionalClear], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        clear_request(writes, api_version="64.0", opt_out_fields=FIELDS)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (204, None, "done", ""),
        (
            412,
            [{"errorCode": "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE", "message": "m"}],
            "conflict",
            "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE",
        ),
        (412, None, "conflict", ""),
        (404, [{"errorCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": []}], "gone", "ENTITY_IS_DELETED"),
        (400, [{"errorCode": "CANNOT_UPDATE_CONVERTED_LEAD", "message": "m"}], "refused", "CANNOT_UPDATE_CONVERTED_LEAD"),
        (
            400,
            [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "m", "fields": []}],
            "refused",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        ),
        (400, [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "m"}], "locked", "UNABLE_TO_LOCK_ROW"),
        (
            403,
            [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}],
            "unknown",
            "REQUEST_LIMIT_EXCEEDED",
        ),
        (401, [{"errorCode": "INVALID_SESSION_ID", "message": "m"}], "unknown", "INVALID_SESSION_ID"),
        (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "m"}], "unknown", "SERVER_UNAVAILABLE"),
        (400, "<html>", "unknown", ""),
        (0, None, "unknown", ""),
    ],
)
def test_outcome_of_a_row(status: int, body: Any, outcome: str, code: str) -> None:
    (answer,) = clear_answers([clearing()], answered((0, status, body)))
    assert (answer.record_id, answer.outcome, answer.code) == (lead(1), outcome, code)


def test_answers_are_matched_by_reference_and_missing_ones_are_unknown() -> None:
    writes = [clearing(n) for n in range(3)]
    answers = clear_answers(writes, answered((2, 204, None), (0, 412, None)))
    assert [a.outcome for a in answers] == ["conflict", "unknown", "done"]


@pytest.mark.parametrize(
    "reply",
    [
        NO_ANSWER,
        Reply(status=200, readable=False),
        Reply(status=500, body="<html>"),
        Reply(status=200, body=[]),
        Reply(status=200, body={"compositeResponse": 3}),
    ],
)
def test_no_usable_answer_leaves_every_row_unknown(reply: Reply) -> None:
    writes = [clearing(n) for n in range(3)]
    assert [a.outcome for a in clear_answers(writes, reply)] == ["unknown"] * 3
    group = [("Lead", lead(n)) for n in range(3)]
    assert [a.outcome for a in opt_out_answers(group, reply)] == ["unknown"] * 3


def test_opt_outs_are_grouped_by_object_without_doubles() -> None:
    rows = [("Lead", lead(n % 300)) for n in range(600)] + [("Contact", "003xx000004TmiQ"), ("Contact", "003xx000004TmiQAAS")]
    groups = list(opt_out_groups(rows))
    assert [(group[0][0], len(group)) for group in groups] == [("Lead", 200), ("Lead", 100), ("Contact", 1)]
    request = opt_out_request(groups[2], FIELDS)
    assert (request.method, request.path) == ("PATCH", "composite/sobjects")
    assert request.body == {
        "allOrNone": False,
        "records": [
            {"attributes": {"type": "Contact"}, "id": "003xx000004TmiQAAS", "HasOptedOutOfEmail": True, "Sales_Opt_Out__c": True}
        ],
    }
    with pytest.raises(ValueError, match="only leads and contacts"):
        list(opt_out_groups([("User", "005000000000001")]))


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"id": None, "success": False, "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "m"}]}, "gone"),
        ({"id": None, "success": False, "errors": []}, "unknown"),
        ({"id": 5, "success": True, "errors": []}, "unknown"),
        ({"id": {}, "success": True}, "unknown"),
        ({"id": lead(0), "success": "true"}, "unknown"),
        ({"id": lead(0), "success": False, "errors": {"statusCode": 7}}, "unknown"),
        (None, "unknown"),
        ([], "unknown"),
    ],
)
def test_an_odd_answer_to_one_opt_out_says_nothing_about_the_others(result: Any, outcome: str) -> None:
    group = [("Lead", lead(n)) for n in range(2)]
    body = [result, {"id": lead(1), "success": True, "errors": []}]
    assert [a.outcome for a in opt_out_answers(group, Reply(status=200, body=body))] == [outcome, "done"]


@pytest.mark.parametrize("reference", [None, 5, ["row0"], {"row0": 1}])
def test_an_answer_without_a_usable_reference_is_no_rows(reference: Any) -> None:
    parts = [{"referenceId": reference, "httpStatusCode": 204}, {"referenceId": "row1", "httpStatusCode": 204}]
    answers = clear_answers([clearing(0), clearing(1)], Reply(status=200, body={"compositeResponse": parts}))
    assert [a.outcome for a in answers] == ["unknown", "done"]


def test_answers_to_opt_outs() -> None:
    group = [("Lead", lead(n)) for n in range(4)]
    body = [
        {"id": lead(0), "success": True, "errors": []},
        {"success": False, "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "m", "fields": []}]},
        {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "m", "fields": []}]},
        {"id": lead(9), "success": True, "errors": []},
    ]
    assert [a.outcome for a in opt_out_answers(group, Reply(status=200, body=body))] == ["done", "gone", "locked", "unknown"]
