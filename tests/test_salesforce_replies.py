"""What answers mean: recorded shapes in, faults and errors out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from workbench.org import OrgAuthenticationError, OrgPermissionError, OrgQuotaError, OrgRefusedError, OrgUnreachableError
from workbench.salesforce import replies
from workbench.salesforce.replies import (
    RETRIED,
    Fault,
    Kind,
    Reply,
    date_of,
    error_of,
    fault_of,
    first_fault,
    login_expired,
    rejected_whole,
    retry_after,
)

DAILY = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
CONCURRENT = [{"message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def said(code: str) -> list[dict[str, str]]:
    return [{"message": "about jane.canary@example.com", "errorCode": code}]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (0, None, Kind.AMBIGUOUS),
        (401, said("INVALID_SESSION_ID"), Kind.AUTH),
        (403, DAILY, Kind.QUOTA_DAILY),
        (403, CONCURRENT, Kind.QUOTA_CONCURRENT),
        (403, said("API_DISABLED_FOR_ORG"), Kind.PERMISSION),
        (403, "<html>blocked by a gateway</html>", Kind.TRANSIENT),
        (404, said("ENTITY_IS_DELETED"), Kind.GONE),
        (412, said("ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE"), Kind.CONFLICT),
        (412, "", Kind.CONFLICT),
        (400, said("INVALID_FIELD"), Kind.PERMISSION),
        (400, said("UNABLE_TO_LOCK_ROW"), Kind.LOCK),
        (400, said("CANNOT_UPDATE_CONVERTED_LEAD"), Kind.IMMUTABLE),
        (400, said("FIELD_CUSTOM_VALIDATION_EXCEPTION"), Kind.RULE),
        (400, said("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"), Kind.RULE),
        (400, said("DUPLICATES_DETECTED"), Kind.RULE),
        (400, [{"message": "m", "statusCode": "INSUFFICIENT_ACCESS_OR_READONLY", "fields": []}], Kind.PERMISSION),
        (400, said("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"), Kind.PERMISSION),
        (400, said("INVALID_FIELD_FOR_INSERT_UPDATE"), Kind.PERMISSION),
        (404, said("NOT_FOUND"), Kind.GONE),
        (400, said("INVALID_QUERY_LOCATOR"), Kind.REQUEST),
        (400, said("EXCEEDED_ID_LIMIT"), Kind.REQUEST),
        (414, "<html>URI too long</html>", Kind.REQUEST),
        (431, "", Kind.REQUEST),
        (400, said("SOMETHING_OF_A_LATER_RELEASE"), Kind.UNKNOWN),
        (410, said("UNSUPPORTED_API_VERSION"), Kind.REQUEST),
        (429, None, Kind.QUOTA_CONCURRENT),
        (302, None, Kind.TRANSIENT),
        (503, said("SERVER_UNAVAILABLE"), Kind.TRANSIENT),
        (502, "<html>Bad gateway</html>", Kind.TRANSIENT),
    ],
)
def test_kind_of_an_answer(status: int, body: object, kind: Kind) -> None:
    fault = fault_of(status, body)
    assert fault is not None
    assert fault.kind == kind


def test_every_kind_is_in_the_table_of_the_docstring_and_those_of_a_read_s_repetition_say_again() -> None:
    lines = [line.split(" | ") for line in (replies.__doc__ or "").splitlines() if line.startswith("| ")][1:]
    table = {cells[0].strip("| "): cells for cells in lines}
    assert set(table) == {kind.name for kind in Kind}
    assert {name for name, cells in table.items() if cells[2].startswith("again, later")} == {kind.name for kind in RETRIED}


def test_every_kind_leaves_as_one_error_without_the_body() -> None:
    for kind in Kind:
        error = error_of(Fault(kind=kind, status=400, code="A_CODE"), "reading people")
        assert str(error).endswith("(reading people: 400 A_CODE).")
        assert error.pauses


def test_success_is_no_fault_unless_it_cannot_be_read() -> None:
    assert fault_of(204, None) is None
    unreadable = fault_of(200, None, readable=False)
    assert unreadable is not None
    assert unreadable.kind == Kind.TRANSIENT


@pytest.mark.parametrize("code", ["jane.canary@example.com", "Jane Canary", "INVALID_" * 20, "X\nY", 7, ["A"]])
def test_what_is_no_error_code_is_not_taken_for_one(code: object) -> None:
    fault = fault_of(400, [{"message": "m", "errorCode": code}])
    assert fault is not None
    assert fault.code == ""


@pytest.mark.parametrize(
    ("status", "body", "family"),
    [
        (401, said("INVALID_SESSION_ID"), OrgAuthenticationError),
        (403, DAILY, OrgQuotaError),
        (400, said("INVALID_FIELD"), OrgPermissionError),
        (400, said("MALFORMED_QUERY"), OrgRefusedError),
        (500, "jane.canary@example.com", OrgUnreachableError),
    ],
)
def test_errors_hold_step_status_and_code_only(status: int, body: object, family: type[Exception]) -> None:
    fault = fault_of(status, body)
    assert fault is not None
    error = error_of(fault, "reading people")
    assert type(error) is family
    assert f"(reading people: {status}" in str(error)
    assert "canary" not in str(error)
    assert "canary" not in repr(Reply(status=status, body=body, headers={"x": "jane.canary@example.com"}))


def composite(*parts: tuple[int, object]) -> Reply:
    return Reply(
        status=200,
        body={"compositeResponse": [{"httpStatusCode": s, "body": b, "referenceId": f"r{i}"} for i, (s, b) in enumerate(parts)]},
    )


def test_a_fault_inside_a_composite_answer_is_found() -> None:
    assert first_fault(composite((200, {}), (204, None))) is None
    fault = first_fault(composite((200, {}), (400, said("INVALID_FIELD"))))
    assert fault is not None
    assert fault.kind == Kind.PERMISSION


def test_a_login_counts_as_expired_only_when_nothing_at_all_was_done() -> None:
    expired = said("INVALID_SESSION_ID")
    assert login_expired(Reply(status=401))
    assert login_expired(composite((401, expired), (401, expired)))
    assert not login_expired(composite((204, None), (401, expired)))
    assert not login_expired(Reply(status=200, body={"compositeResponse": []}))
    assert not login_expired(Reply(status=200, body=[]))


@pytest.mark.parametrize(
    ("status", "body", "rejected"),
    [
        (400, said("JSON_PARSER_ERROR"), True),
        (400, said("SOMETHING_OF_A_LATER_RELEASE"), False),
        (414, "", True),
        (401, None, True),
        (403, DAILY, True),
        (403, CONCURRENT, True),
        (403, "<html>", False),
        (408, said("REQUEST_RUNNING_TOO_LONG"), False),
        (409, said("CONFLICT"), False),
        (500, said("UNKNOWN_EXCEPTION"), False),
        (503, DAILY, False),
        (0, None, False),
        (200, None, False),
    ],
)
def test_only_a_coded_4xx_says_that_a_write_was_not_begun(status: int, body: object, rejected: bool) -> None:
    assert (rejected_whole(Reply(status=status, body=body)) is not None) == rejected


def test_times_in_headers() -> None:
    now = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    assert date_of(Reply(status=200, headers={"date": "Mon, 05 Jan 2026 09:00:00 GMT"})) == now
    with pytest.raises(ValueError, match="date"):
        date_of(Reply(status=200))
    later = format_datetime(now + timedelta(seconds=30), usegmt=True)
    assert retry_after(Reply(status=503, headers={"retry-after": "7"}), now) == 7
    assert retry_after(Reply(status=503, headers={"retry-after": later}), now) == 30
    assert retry_after(Reply(status=503, headers={"retry-after": "soon"}), now) == 0
    assert retry_after(Reply(status=503), now) == 0


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 05 Jan 99999999999999999999 09:00:00 GMT",
        "Mon, 05 Jan 2026 09:00:00 +99999999999999",
        "Mon, 31 Dec 9999 23:59:59 -2359",
    ],
)
def test_a_date_beyond_all_dates_is_none(date: str) -> None:
    with pytest.raises(ValueError):
        date_of(Reply(status=200, headers={"date": date}))
    assert retry_after(Reply(status=503, headers={"retry-after": date}), datetime(2026, 1, 5, tzinfo=UTC)) == 0
