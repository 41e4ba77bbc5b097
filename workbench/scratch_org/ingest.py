"""Bulk API 2.0 ingest jobs: create, upload CSV, close, poll, read what became of every row, abort, delete.

Rows are written one by one like those of a collection, without conditions: a row's error is its own, nothing is rolled
back. Source: "Bulk API 2.0 Ingest" in the Bulk API 2.0 Developer Guide.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from .bulk import DELIMITERS, ENDINGS, chosen, planned_failure, rows_before_failure
from .clock import stamp
from .describe import OBJECTS, ObjectType
from .ids import long_id, numbered_id
from .messages import Call, OrgError, Reply, not_found
from .multipart import LONGEST_CONTENT, is_multipart, parts
from .org import Org
from .rows import create_one, delete_one, update_one

_OPERATIONS = ("insert", "update", "upsert", "delete")
_OPEN = ("UploadComplete", "InProgress")
_ENDED = ("JobComplete", "Failed", "Aborted")
_NULL = "#N/A"
_DONE, _FAILED, _LEFT = "done", "failed", "left"
_RESULTS = {
    "successfulresults": (_DONE, '"sf__Id"{0}"sf__Created"{0}'),
    "failedresults": (_FAILED, '"sf__Id"{0}"sf__Error"{0}'),
    "unprocessedrecords": (_LEFT, ""),
}

Job = dict[str, Any]


def create(org: Org, call: Call) -> Reply:
    """POST vX/jobs/ingest {object, operation[, contentType, lineEnding, columnDelimiter, externalIdFieldName]}.

    As multipart/form-data with the parts ``job`` and ``content`` it brings its rows along, and is closed at once.
    """
    if not is_multipart(call):
        return Reply(body=_created(org, call, call.json_object()))
    given = parts(call)
    if set(given) != {"job", "content"}:
        raise OrgError(400, "INVALIDJOB", "InvalidJob : The parts of the request have to be job and content")
    if len(given["content"].decode(errors="replace")) > LONGEST_CONTENT:
        raise OrgError(
            400, "INVALIDJOB", f"InvalidJob : Content of more than {LONGEST_CONTENT:,} characters needs a job of its own"
        )
    job = _created(org, call, replace(call, body=given["job"]).json_object())
    org.tables.db.execute('INSERT INTO "ingest_data" VALUES (?, ?)', (job["id"], given["content"]))
    job = _job(org, job["id"]) | {"state": "UploadComplete"}
    _keep(org, job)
    return Reply(body=_shown(job))


def _created(org: Org, call: Call, body: dict[str, Any]) -> Job:
    if body.get("operation") == "hardDelete":
        message = "hardDelete operation requires special user profile permission, please contact your system administrator"
        raise OrgError(400, "FEATURENOTENABLED", message)
    kind = OBJECTS.get(str(body.get("object", "")).lower())
    if kind is None or not kind.writable:
        raise OrgError(400, "INVALIDJOB", f"InvalidJob : Unable to find object: {body.get('object')}")
    now = stamp(org.clock.now())
    job_id = numbered_id("750", org.tables.next_number("750"))
    job: Job = {
        "id": job_id,
        "operation": chosen(body, "operation", "", _OPERATIONS),
        "object": kind.name,
        "createdById": call.user,
        "createdDate": now,
        "systemModstamp": now,
        "state": "Open",
        "concurrencyMode": "Parallel",
        "contentType": chosen(body, "contentType", "CSV", ("CSV",)),
        "apiVersion": float(call.version),
        "contentUrl": f"services/data/v{call.version}/jobs/ingest/{job_id}/batches",
        "lineEnding": chosen(body, "lineEnding", "LF", ENDINGS),
        "columnDelimiter": chosen(body, "columnDelimiter", "COMMA", DELIMITERS),
    }
    if job["operation"] == "upsert":
        job["externalIdFieldName"] = _external_id(body)
    _keep(org, job | {"_polls": 0} | planned_failure(call))
    return job


def _external_id(body: dict[str, Any]) -> str:
    """The only field that a record can be found by here is its Id."""
    name = body.get("externalIdFieldName")
    if not name:
        raise OrgError(400, "INVALIDJOB", "InvalidJob : The externalIdFieldName is required for an upsert")
    if str(name).lower() != "id":
        raise OrgError(400, "INVALIDJOB", f"InvalidJob : Field name {name} is not an External ID or indexed field")
    return "Id"


def upload(org: Org, call: Call, job_id: str) -> Reply:
    """PUT vX/jobs/ingest/{id}/batches: the rows as CSV, once a job."""
    job = _job(org, job_id)
    _refuse_state(job, ("Open",), "Uploading data to")
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/csv":
        raise OrgError(400, "INVALIDCONTENTTYPE", "The content type of the data has to be text/csv")
    try:
        org.tables.db.execute('INSERT INTO "ingest_data" VALUES (?, ?)', (job["id"], call.body))
    except org.tables.db.IntegrityError as error:
        message = (
            f"InvalidBatch : Found multiple contents for job: <{job['id']}>, make sure you only do 'PUT' once on a given Job"
        )
        raise OrgError(400, "INVALIDBATCH", message) from error
    return Reply(201)


def change(org: Org, call: Call, job_id: str) -> Reply:
    """PATCH vX/jobs/ingest/{id} {"state": "UploadComplete" | "Aborted"}."""
    job = _job(org, job_id)
    state = call.json_object().get("state")
    if state == "UploadComplete":
        _refuse_state(job, ("Open",), "Closing")
    elif state == "Aborted":
        _refuse_state(job, ("Open", *_OPEN), "Aborting")
        _note_rows(org, job, ((_LEFT, row) for row in _given_rows(org, job)))
    else:
        raise OrgError(400, "INVALIDJOBSTATE", "The state can be set to UploadComplete or Aborted only")
    job |= {"state": state, "systemModstamp": stamp(org.clock.now())} | planned_failure(call)
    _keep(org, job)
    return Reply(body=_shown(job))


def poll(org: Org, call: Call, job_id: str) -> Reply:
    """GET vX/jobs/ingest/{id}: each poll brings a closed job nearer to its end."""
    job = _job(org, job_id) | planned_failure(call)
    if job["state"] in _OPEN:
        job["_polls"] += 1
        job["state"] = "InProgress"
        if job["_polls"] > org.bulk_polls:
            _run(org, call, job)
        job["systemModstamp"] = stamp(org.clock.now())
        _keep(org, job)
    return Reply(body=_shown(job))


def delete(org: Org, _call: Call, job_id: str) -> Reply:
    """DELETE vX/jobs/ingest/{id}."""
    job = _job(org, job_id)
    _refuse_state(job, ("UploadComplete", *_ENDED), "Deleting")
    org.tables.db.execute('DELETE FROM "ingest_job" WHERE "id" = ?', (job["id"],))
    for table in ("ingest_data", "ingest_row"):
        org.tables.db.execute(f'DELETE FROM "{table}" WHERE "job" = ?', (job["id"],))  # noqa: S608 - names from above
    return Reply(204)


def results(org: Org, _call: Call, job_id: str, which: str) -> Reply:
    """GET vX/jobs/ingest/{id}/successfulResults, failedResults or unprocessedrecords (any case): CSV."""
    job = _job(org, job_id)
    _refuse_state(job, _ENDED, "Reading the results of")
    outcome, columns = _RESULTS[which.lower()]
    delimiter = DELIMITERS[job["columnDelimiter"]]
    rows = org.tables.db.execute(
        'SELECT "row" FROM "ingest_row" WHERE "job" = ? AND "outcome" = ? ORDER BY "number"', (job["id"], outcome)
    )
    head = columns.format(delimiter) + delimiter.join(job.get("_header", []))
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n", delimiter=delimiter)
    writer.writerows(json.loads(r[0]) for r in rows)
    return Reply(text=f"{head}\n{text.getvalue()}", media_type="text/csv; charset=UTF-8")


class _BadData(Exception):  # noqa: N818 - becomes the errorMessage of the job
    pass


def _run(org: Org, call: Call, job: Job) -> None:
    """Write the rows; data that can't be read at all fails the job before its first row."""
    kind = OBJECTS[job["object"].lower()]
    # Whoever polls doesn't matter: the job's creator writes, and a condition on the poll is none on the rows.
    inner = call.inner("PATCH", call.path, {}, b"")
    inner.user, inner.version = job["createdById"], call.version
    try:
        header, rows = _table(org, job, kind)
    except _BadData as error:
        job["errorMessage"], left = str(error), _given_rows(org, job)
        counts = (0, 0)
    else:
        most = rows_before_failure(job, len(rows))
        if most is not None:
            job["errorMessage"] = "InternalServerError : Retries limit reached for the batch"
        left = [] if most is None else rows[most:]
        counts = _note_rows(org, job, _written(org, inner, job, kind, (header, rows[:most])))
    _note_rows(org, job, ((_LEFT, row) for row in left))
    job |= {
        "state": "Failed" if "errorMessage" in job else "JobComplete",
        "jobType": "V2Ingest",
        "numberRecordsProcessed": sum(counts),
        "numberRecordsFailed": counts[1],
        "retries": 0,
        "totalProcessingTime": 1,
        "apiActiveProcessingTime": 1,
        "apexProcessingTime": 0,
    }


def _written(
    org: Org, call: Call, job: Job, kind: ObjectType, table: tuple[list[str], list[list[str]]]
) -> Iterator[tuple[str, list[str]]]:
    """Each row's outcome with the line that the results show of it."""
    header, rows = table
    for row in rows:
        try:
            with org.tables.atomic():
                record_id, created = _write(org, call, job["operation"], kind, dict(zip(header, row, strict=True)))
        except OrgError as error:
            yield _FAILED, ["", _row_error(error), *row]
        else:
            yield _DONE, [record_id, created, *row]


def _write(org: Org, call: Call, operation: str, kind: ObjectType, row: dict[str, str]) -> tuple[str, str]:
    """One row: an empty value is left alone, ``#N/A`` empties the field."""
    values = {k: None if v == _NULL else v for k, v in row.items() if v != "" and k.lower() != "id"}
    given = next((v for k, v in row.items() if k.lower() == "id"), "")
    if operation == "insert" or (operation == "upsert" and not given):
        return create_one(org, call, kind, values), "true"
    if not given:
        raise OrgError(
            400, "MISSING_ARGUMENT", f"Id not specified in {'an update' if operation == 'update' else 'a delete'} call"
        )
    record_id = long_id(given)
    if record_id is None or not record_id.startswith(kind.prefix):
        raise OrgError(400, "MALFORMED_ID", "id value of incorrect type", ["Id"])
    if operation == "delete":
        delete_one(org, call, kind, record_id)
    else:
        update_one(org, call, kind, record_id, values)
    return record_id, "false"


def _row_error(error: OrgError) -> str:
    code, message = error.code, error.message
    if code == "NOT_FOUND":
        code, message = "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
    return f"{code}:{message}:{','.join(error.fields or [])}--"


def _table(org: Org, job: Job, kind: ObjectType) -> tuple[list[str], list[list[str]]]:
    """The header and the rows that were uploaded.

    Raises:
        _BadData: no data, not UTF-8, another line ending, an unknown or hidden field, rows of unequal length.
    """
    text = _text(org, job)
    ending = ENDINGS[job["lineEnding"]]
    first, _, rest = text.partition("\n")
    if rest and first.endswith("\r") != (ending == "\r\n"):
        raise _BadData(
            f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {job['lineEnding']}"
        )
    try:
        header, *rows = _parsed(text, job)
    except (csv.Error, ValueError) as error:
        raise _BadData("InvalidBatch : Unable to read the header of the CSV data") from error
    job["_header"] = header
    for name in header:
        field = kind.field(name)
        if field is None or not org.permissions.readable(kind, field):
            raise _BadData(f"InvalidBatch : Field name not found : {name}")
    if len({n.lower() for n in header}) < len(header):
        raise _BadData("InvalidBatch : Field name used twice in the header")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise _BadData(f"InvalidBatch : Row {number} has {len(row)} columns, the header has {len(header)}")
    return header, rows


def _text(org: Org, job: Job) -> str:
    row = org.tables.db.execute('SELECT "body" FROM "ingest_data" WHERE "job" = ?', (job["id"],)).fetchone()
    try:
        text = bytes(row[0]).decode("utf-8-sig") if row else ""
    except UnicodeDecodeError as error:
        raise _BadData("ClientInputError : The CSV data is not UTF-8") from error
    if not text.strip():
        raise _BadData("InvalidBatch : No data was uploaded")
    return text


def _parsed(text: str, job: Job) -> list[list[str]]:
    delimiter = DELIMITERS[job["columnDelimiter"]]
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]


def _given_rows(org: Org, job: Job) -> list[list[str]]:
    """The uploaded rows as far as they can be read: what ``unprocessedrecords`` shows of a job that stopped."""
    try:
        header, *rows = _parsed(_text(org, job), job)
    except (_BadData, csv.Error, ValueError):
        return []
    job["_header"] = header
    return rows


def _note_rows(org: Org, job: Job, outcomes: Iterable[tuple[str, list[str]]]) -> tuple[int, int]:
    """Keep the rows' outcomes; returns how many were written and how many failed."""
    (before,) = org.tables.db.execute('SELECT COUNT(*) FROM "ingest_row" WHERE "job" = ?', (job["id"],)).fetchone()
    counts = {_DONE: 0, _FAILED: 0, _LEFT: 0}
    for number, (outcome, row) in enumerate(outcomes, before):
        counts[outcome] += 1
        org.tables.db.execute('INSERT INTO "ingest_row" VALUES (?, ?, ?, ?)', (job["id"], number, outcome, json.dumps(row)))
    return counts[_DONE], counts[_FAILED]


def _refuse_state(job: Job, states: tuple[str, ...], doing: str) -> None:
    if job["state"] not in states:
        raise OrgError(400, "INVALIDJOBSTATE", f"{doing} a Job in state {job['state']} is not allowed")


def _job(org: Org, job_id: str) -> Job:
    row = org.tables.db.execute('SELECT "info" FROM "ingest_job" WHERE substr("id", 1, 15) = ?', (job_id[:15],)).fetchone()
    if row is None:
        raise not_found()
    job: Job = json.loads(row[0])
    return job


def _keep(org: Org, job: Job) -> None:
    org.tables.db.execute('INSERT OR REPLACE INTO "ingest_job" VALUES (?, ?)', (job["id"], json.dumps(job)))


def _shown(job: Job) -> Job:
    return {k: v for k, v in job.items() if not k.startswith("_")}
