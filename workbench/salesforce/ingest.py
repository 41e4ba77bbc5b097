"""Thousands of opt-outs through Bulk API 2.0 ingest jobs: the safe direction only, for a row has no condition here.

There is nothing to say but which rows: every field of every row is set to true, and no function takes a value. What the job does
not vouch for row by row (it failed half way, an answer got lost) is unknown; the caller writes it again by collections.
Source: "Bulk API 2.0 Ingest" in the Bulk API 2.0 Developer Guide: 150 MB a job after encoding, one upload a job, no rollback.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from workbench.org import OrgError, RowAnswer
from workbench.person import salesforce_id_18
from workbench.salesforce.bulk import await_job, job_id, records
from workbench.salesforce.connection import Connection
from workbench.salesforce.person_accounts import written_fields, written_to
from workbench.salesforce.replies import ERROR_CODE, Reply, Request, error_of, fault_of
from workbench.salesforce.writes import Accounts, opt_out_groups, row_answer, unknown

MOST_BYTES = 100_000_000  # of one upload, before encoding
LEFT = ("unknown", "locked")
WHAT = "opting rows out in bulk"
Row = tuple[str, str]


def opt_out_in_bulk(
    connection: Connection, rows: Sequence[Row], opt_out_fields: Sequence[str], accounts: Accounts
) -> tuple[tuple[RowAnswer, ...], list[Row]]:
    """Set the opt-outs of any number of rows; the answers that count, and the rows that are still to be written.

    Never raises an `OrgError`: whatever went wrong, its rows are left.
    """
    groups = list(opt_out_groups(rows, accounts, most=len(rows)))
    found: dict[str, RowAnswer] = {}
    for group in groups:
        found |= _by_jobs(connection, group, opt_out_fields, accounts)
    left = [row for group in groups for row in group if found[row[1]].outcome in LEFT]
    return tuple(answer for answer in found.values() if answer.outcome not in LEFT), left


def _by_jobs(
    connection: Connection, group: Sequence[Row], opt_out_fields: Sequence[str], accounts: Accounts
) -> dict[str, RowAnswer]:
    """By record id, what is known of rows that are written to one object."""
    kind = written_to(*group[0], accounts)[0]
    fields = written_fields(kind, opt_out_fields)
    written = {written_to(*row, accounts)[1]: row for row in group}
    answers = {answer.record_id: answer for answer in unknown(group)}
    for some in _uploads(list(written), fields):
        try:
            for record_id, answer in _one_job(connection, kind, some, fields):
                answers[written[record_id][1]] = answer(written[record_id][1])
        except OrgError:
            continue
    return answers


def table(record_ids: Iterable[str], fields: Sequence[str]) -> bytes:
    """The rows as they are uploaded. Booleans are written in lower case, which every release takes."""
    values = ",".join(["true"] * len(fields))
    return "".join(f"{line}\n" for line in (",".join(("Id", *fields)), *(f"{i},{values}" for i in record_ids))).encode()


def _uploads(record_ids: Sequence[str], fields: Sequence[str]) -> Iterator[Sequence[str]]:
    head = len(table([], fields))
    most = max(1, (MOST_BYTES - head) // (len(table(["0" * 18], fields)) - head))
    for start in range(0, len(record_ids), most):
        yield record_ids[start : start + most]


class _Answer:
    """What became of a row, whichever id it is known by here."""

    def __init__(self, error: str = "") -> None:
        self.error = error

    def __call__(self, record_id: str) -> RowAnswer:
        code = self.error.partition(":")[0]
        if not self.error:
            return row_answer(record_id, 204, None)
        return row_answer(record_id, 400 if ERROR_CODE.fullmatch(code) else 0, [{"statusCode": code}])


def _one_job(
    connection: Connection, kind: str, record_ids: Sequence[str], fields: Sequence[str]
) -> Iterator[tuple[str, _Answer]]:
    body = {"object": kind, "operation": "update", "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
    create = Request(what=WHAT, method="POST", path="jobs/ingest", body=body)
    job = f"jobs/ingest/{connection.ask(create, lambda reply: job_id(reply.body['id']))}"
    _told(connection, Request(what=WHAT, method="PUT", path=f"{job}/batches", csv=table(record_ids, fields)))
    _told(connection, Request(what=WHAT, method="PATCH", path=job, body={"state": "UploadComplete"}))
    await_job(connection, job, WHAT, ended=("JobComplete", "Failed", "Aborted"))
    mine = set(record_ids)
    for name, answer in (("successfulResults", _done), ("failedResults", _failed)):
        for record in connection.ask_stream(Request(what=WHAT, path=f"{job}/{name}"), lambda _, chunks: list(records(chunks))):
            found = salesforce_id_18(record["Id"])
            if found in mine:
                yield found, answer(record)


def _done(_record: Mapping[str, str]) -> _Answer:
    return _Answer()


def _failed(record: Mapping[str, str]) -> _Answer:
    """``sf__Id`` may be empty where a row failed: it is told by its own Id. The error reads ``CODE:text:fields--``."""
    return _Answer(record["sf__Error"] or "unsaid")


def _told(connection: Connection, request: Request) -> Reply:
    reply = connection.tell(request)
    fault = fault_of(reply.status, reply.body, readable=reply.readable)
    if fault is not None:
        raise error_of(fault, request.what)
    return reply
