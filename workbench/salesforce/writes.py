"""The two writes and what their answers mean for each row.

Rows are named by what was read; ``accounts`` says which contacts are written through the account of a person account.
Clearing is conditional, row by row, and its condition stands inside the composite body: no header of ours can get lost on
the way, whoever repeats the request. Opting out is unconditional: the safe direction. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any

from workbench.org import OBJECTS, ConditionalClear, RowAnswer
from workbench.person import salesforce_id_18
from workbench.salesforce.person_accounts import ACCOUNT, written_fields, written_to
from workbench.salesforce.replies import Kind, Reply, Request, composite_parts, error_entry, fault_of, status_of

Accounts = Mapping[str, str]
NO_ACCOUNTS: Accounts = MappingProxyType({})
MOST_CLEARS = 25  # subrequests of one composite request
MOST_OPT_OUTS = 200  # rows of one collections request

_OUTCOMES = {
    Kind.CONFLICT: "conflict",
    Kind.GONE: "gone",
    Kind.LOCK: "locked",
    Kind.IMMUTABLE: "refused",
    Kind.PERMISSION: "refused",
    Kind.RULE: "refused",
    Kind.REQUEST: "refused",
}


def http_date(moment: datetime) -> str:
    """A moment as HTTP date, cut to the second: ``Mon, 05 Jan 2026 09:00:00 GMT``. Raises: ValueError without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone can't be a condition")
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def clear_request(
    writes: Sequence[ConditionalClear],
    *,
    api_version: str,
    opt_out_fields: Sequence[str],
    accounts: Accounts = NO_ACCOUNTS,
    marker_field: str = "",
) -> Request:
    """The composite request that clears the opt-outs of some rows, each only if it was not modified since it was read.

    Nothing but the opt-out fields is written, and the marker field, where there is one.

    Source: "Composite", "Conditional Requests" in the REST API Developer Guide; subrequests with headers run one by one.

    Raises:
        ValueError: more than 25 rows, a row twice, or anything but opt-out fields to clear.
    """
    if not 0 < len(writes) <= MOST_CLEARS:
        raise ValueError(f"1 to {MOST_CLEARS} rows are cleared at once, not {len(writes)}")
    if len({salesforce_id_18(write.record_id) for write in writes}) != len(writes):
        raise ValueError("a row is to be cleared twice in one request")
    for write in writes:
        if not write.fields or not set(write.fields) <= set(opt_out_fields) or write.object not in OBJECTS:
            raise ValueError("only opt-out fields of leads and contacts are ever cleared")
    parts = [
        _clear(number, write, api_version=api_version, accounts=accounts, marker_field=marker_field)
        for number, write in enumerate(writes)
    ]
    body = {"allOrNone": False, "compositeRequest": parts}
    return Request(what="clearing opt-outs", method="POST", path="composite", body=body)


def _clear(number: int, write: ConditionalClear, *, api_version: str, accounts: Accounts, marker_field: str) -> dict[str, Any]:
    kind, record_id = written_to(write.object, salesforce_id_18(write.record_id), accounts)
    body: dict[str, Any] = dict.fromkeys(written_fields(kind, write.fields), False)
    if marker_field and write.mark:
        body |= dict.fromkeys(written_fields(kind, [marker_field]), write.mark)
    address = f"/services/data/v{api_version}/sobjects/{kind}/{record_id}"
    return conditional_patch(f"row{number}", address, write.unmodified_since, body)


def conditional_patch(reference: str, address: str, unmodified_since: datetime, body: dict[str, Any]) -> dict[str, Any]:
    """One subrequest that changes a record unless it was modified since; the condition stands inside the composite body."""
    return {
        "method": "PATCH",
        "url": address,
        "referenceId": reference,
        "httpHeaders": {"If-Unmodified-Since": http_date(unmodified_since)},
        "body": body,
    }


def clear_answers(writes: Sequence[ConditionalClear], reply: Reply) -> tuple[RowAnswer, ...]:
    """What became of each row; ``unknown`` for every row that the answer does not speak of."""
    parts = list(composite_parts(reply)) if reply.status == 200 else []
    answered = {part["referenceId"]: part for part in parts if isinstance(part.get("referenceId"), str)}
    return tuple(_clear_answer(write, answered.get(f"row{number}")) for number, write in enumerate(writes))


def _clear_answer(write: ConditionalClear, part: dict[str, Any] | None) -> RowAnswer:
    if part is None:
        return RowAnswer(record_id=write.record_id, outcome="unknown")
    return row_answer(write.record_id, status_of(part), part.get("body"))


def row_answer(record_id: str, status: int, body: Any) -> RowAnswer:
    """The answer for one row from its status and error body."""
    fault = fault_of(status, body)
    if fault is None:
        return RowAnswer(record_id=record_id, outcome="done")
    return RowAnswer(record_id=record_id, outcome=_OUTCOMES.get(fault.kind, "unknown"), code=fault.code)


def opt_out_groups(
    rows: Sequence[tuple[str, str]], accounts: Accounts = NO_ACCOUNTS, *, most: int = MOST_OPT_OUTS
) -> Iterator[list[tuple[str, str]]]:
    """Rows by the object they are written to, each once, at most 200 together: one twice in a request makes all of it fail.

    Raises:
        ValueError: not a lead or contact, or not a Salesforce id.
    """
    wanted: dict[str, dict[tuple[str, str], None]] = {kind: {} for kind in (*OBJECTS, ACCOUNT)}
    for kind, record_id in rows:
        if kind not in OBJECTS:
            raise ValueError("only leads and contacts are opted out")
        row = (kind, salesforce_id_18(record_id))
        wanted[written_to(*row, accounts)[0]][row] = None
    for some in map(list, wanted.values()):
        for start in range(0, len(some), most):
            yield some[start : start + most]


def opt_out_request(group: Sequence[tuple[str, str]], opt_out_fields: Sequence[str], accounts: Accounts = NO_ACCOUNTS) -> Request:
    """The collections request that sets every opt-out field of some rows.

    Source: "Update Multiple Records with Fewer Round-Trips" in the REST API Developer Guide.
    """
    records = [
        {"attributes": {"type": kind}, "id": record_id, **dict.fromkeys(written_fields(kind, opt_out_fields), True)}
        for kind, record_id in (written_to(*row, accounts) for row in group)
    ]
    body = {"allOrNone": False, "records": records}
    return Request(what="opting rows out", method="PATCH", path="composite/sobjects", body=body)


def opt_out_answers(group: Sequence[tuple[str, str]], reply: Reply, accounts: Accounts = NO_ACCOUNTS) -> tuple[RowAnswer, ...]:
    """What became of each row. Answers come in the order asked; an answer of another length says nothing about any row."""
    results = reply.body if reply.status == 200 and isinstance(reply.body, list) and len(reply.body) == len(group) else None
    if results is None:
        return unknown(group)
    written = [written_to(*row, accounts)[1] for row in group]
    return tuple(_collected_answer(row[1], *pair) for row, pair in zip(group, zip(written, results, strict=True), strict=True))


def _collected_answer(record_id: str, written_id: str, result: Any) -> RowAnswer:
    named = result.get("id") if isinstance(result, dict) else ""
    if not isinstance(result, dict) or (named is not None and str(named)[:15] != written_id[:15]):
        return RowAnswer(record_id=record_id, outcome="unknown")
    if result.get("success") is True:
        return RowAnswer(record_id=record_id, outcome="done")
    errors = result.get("errors")
    return row_answer(record_id, 400 if error_entry(errors)[0] else 0, errors)


def unknown(group: Sequence[tuple[str, str]], code: str = "") -> tuple[RowAnswer, ...]:
    """The answer for rows of which nothing is known."""
    return tuple(RowAnswer(record_id=record_id, outcome="unknown", code=code) for _, record_id in group)
