"""Bulk API 2.0 query jobs: create, poll, read the result page by page as CSV, abort, delete.

A finished job keeps its lines, so a page can be read again under the same locator. A long query runs in a thread beside the
requests, and is begun anew when the org was restarted meanwhile.
"""

import base64
import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from .clock import stamp
from .ids import numbered_id
from .messages import Call, OrgError, Reply, not_found
from .org import Org, base_path
from .results import Results
from .soql import Selection, parsed, translated
from .tables import Tables

_OPERATIONS = ("query", "queryAll")
_OPEN = ("UploadComplete", "InProgress")
_PARALLEL = 5
DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "PIPE": "|", "TAB": "\t", "CARET": "^", "BACKQUOTE": "`"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_AT_ONCE = 2_000  # rows that are read between two requests


def create(org: Org, call: Call) -> Reply:
    """POST vX/jobs/query {operation, query}."""
    body = call.json_object()
    operation, soql = body.get("operation"), str(body.get("query", ""))
    if operation not in _OPERATIONS:
        raise OrgError(400, "INVALIDOPERATION", "operation has to be query or queryAll")
    selection = _selection(org, soql, str(operation))
    now = stamp(org.clock.now())
    job = {
        "id": numbered_id("750", org.tables.next_number("750")),
        "operation": operation,
        "object": selection.kind.name,
        "createdById": call.user,
        "createdDate": now,
        "systemModstamp": now,
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(call.version),
        "lineEnding": chosen(body, "lineEnding", "LF", ENDINGS),
        "columnDelimiter": chosen(body, "columnDelimiter", "COMMA", DELIMITERS),
    }
    _keep(org, job | {"_query": soql, "_polls": 0} | planned_failure(call))
    _begin_if_long(org, job, selection)
    return Reply(body=job)


def planned_failure(call: Call) -> dict[str, int]:
    """What a job keeps of an injected failure: after how many rows, -1 for half of them."""
    return {} if call.job_fails_after is None else {"_fails_after": call.job_fails_after}


def rows_before_failure(job: dict[str, Any], total: int) -> int | None:
    """How many of its rows a job still processes; None when no failure is planned."""
    rows = job.get("_fails_after")
    return None if rows is None else total // 2 if rows < 0 else min(int(rows), total)


def poll(org: Org, call: Call, job_id: str) -> Reply:
    """GET vX/jobs/query/{id}: each poll brings an open job nearer to its end."""
    job = _job(org, job_id) | planned_failure(call)
    if job["state"] in _OPEN:
        job["_polls"] += 1
        job["state"] = "InProgress"
        if job["_polls"] > org.bulk_polls:
            _run(org, job)
        job["systemModstamp"] = stamp(org.clock.now())
        _keep(org, job)
    return Reply(body=_shown(job))


def change(org: Org, call: Call, job_id: str) -> Reply:
    """PATCH vX/jobs/query/{id} {"state": "Aborted"}."""
    job = _job(org, job_id)
    if call.json_object().get("state") != "Aborted":
        raise OrgError(400, "INVALIDJOBSTATE", "Only the state Aborted can be set")
    if job["state"] not in _OPEN:
        raise OrgError(400, "INVALIDJOBSTATE", f"Aborting already {job['state']} Job not allowed")
    job["state"] = "Aborted"
    org.runs.pop(job["id"], None)
    _keep(org, job)
    return Reply(body=_shown(job))


def delete(org: Org, _call: Call, job_id: str) -> Reply:
    """DELETE vX/jobs/query/{id}."""
    job = _job(org, job_id)
    if job["state"] in _OPEN:
        raise OrgError(400, "INVALIDJOBSTATE", f"Deleting not {job['state']} Job not allowed")
    org.tables.db.execute('DELETE FROM "bulk_job" WHERE "id" = ?', (job["id"],))
    org.results.remove(job["id"])
    return Reply(204)


def results(org: Org, call: Call, job_id: str) -> Reply:
    """GET vX/jobs/query/{id}/results?maxRecords&locator: one page with the header line; the last has locator "null"."""
    job = _complete(org, call, job_id)
    if job.get("_expired") and call.params.get("locator"):
        raise OrgError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    total = job["numberRecordsProcessed"]
    start, most = _page(call, total)
    stretch, count = org.results.page(job["id"], job["_header"].encode(), start, most)
    following = start + count
    locator = "null" if following >= total else position_locator(following)
    headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": str(count)}
    return Reply(headers=headers, stretch=stretch, media_type="text/csv; charset=UTF-8")


def result_pages(org: Org, call: Call, job_id: str) -> Reply:
    """GET vX/jobs/query/{id}/resultPages: addresses of up to five parts of the result, to be read side by side."""
    job = _complete(org, call, job_id)
    total = max(job["numberRecordsProcessed"], 1)
    size = -(-total // _PARALLEL)
    base = f"{base_path(call.version)}/jobs/query/{job['id']}/results"
    pages = [{"resultUrl": f"{base}?locator={position_locator(start, size)}"} for start in range(0, total, size)]
    return Reply(body={"resultPages": pages, "nextRecordsUrl": None, "done": True})


def _complete(org: Org, call: Call, job_id: str) -> dict[str, Any]:
    job = _job(org, job_id)
    if job["apiVersion"] != float(call.version):
        raise OrgError(409, "INVALIDJOBSTATE", "The results have to be read with the API version of the job")
    if job["state"] != "JobComplete":
        raise OrgError(400, "INVALIDJOBSTATE", f"Job is not in state JobComplete but {job['state']}")
    return job


def _selection(org: Org, soql: str, operation: str) -> Selection:
    selection = translated(parsed(soql), org.permissions, org.clock.now(), every=operation == "queryAll")
    if selection.query.count or selection.query.offset:
        raise OrgError(400, "API_ERROR", "COUNT() and OFFSET are not supported in a bulk query")
    return selection


def _begin_if_long(org: Org, job: dict[str, Any], selection: Selection) -> None:
    """Let a long query run beside the requests, from now on; a short one is run when its job is due."""
    if org.tables.file is None:
        return  # nobody else sees a database in memory
    bounds = selection.bounds
    most = _AT_ONCE + 1 if bounds[0] < 0 else min(bounds[0], _AT_ONCE + 1)
    found = org.tables.db.execute(selection.count_sql(), (*selection.parameters, most, bounds[1])).fetchone()[0]
    if found > _AT_ONCE:
        org.runs[job["id"]] = org.runner.submit(_run_beside, org.tables, org.results, dict(job), selection)


def _run_beside(tables: Tables, results: Results, job: dict[str, Any], selection: Selection) -> int:
    """In the thread for long queries: on a connection of its own, which sees the org as it is at one moment."""
    with closing(tables.second_connection()) as db:
        return _write(db, results, job, selection)


def _run(org: Org, job: dict[str, Any]) -> None:
    """Evaluate the query, unless it is running beside; a query that no longer fits the org fails the job."""
    try:
        selection = _selection(org, job["_query"], job["operation"])
    except OrgError as error:
        job |= {"state": "Failed", "errorMessage": f"{error.code}: {error.message}", "numberRecordsProcessed": 0}
        return
    running = org.runs.get(job["id"])
    if running is None:
        found = _write(org.tables.db, org.results, job, selection)
    elif running.done():
        found = org.runs.pop(job["id"]).result()
    else:
        return
    processed = rows_before_failure(job, found)
    if processed is not None:
        message = "The batch was retried too often and is given up"
        job |= {"state": "Failed", "errorMessage": message, "numberRecordsProcessed": processed, "retries": 15}
        return
    job |= {
        "state": "JobComplete",
        "jobType": "V2Query",
        "numberRecordsProcessed": found,
        "retries": 0,
        "totalProcessingTime": 1,
        "isPkChunkingSupported": True,
        "_header": next(_csv_lines([selection.header()], job)).decode(),
    }


def _write(db: sqlite3.Connection, results: Results, job: dict[str, Any], selection: Selection) -> int:
    rows = db.execute(selection.rows_sql(), (*selection.parameters, *selection.bounds))
    return results.write(job["id"], _csv_lines(map(selection.line, rows), job))


def _csv_lines(rows: Iterable[list[str]], job: dict[str, Any]) -> Iterator[bytes]:
    buffer = io.StringIO()
    delimiter, ending = DELIMITERS[job["columnDelimiter"]], ENDINGS[job["lineEnding"]]
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator=ending, delimiter=delimiter)
    for row in rows:
        writer.writerow(row)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _page(call: Call, total: int) -> tuple[int, int]:
    most = call.params.get("maxRecords", "")
    if most and not re.fullmatch(r"0*[1-9]\d{0,8}", most, re.ASCII):
        raise OrgError(400, "INVALIDREQUEST", "maxRecords has to be a positive number")
    locator = call.params.get("locator", "")
    start, part = _position(locator) if locator else (0, None)
    return start, int(most) if most else part or max(total, 1)


def position_locator(position: int, part: int | None = None) -> str:
    """The locator of the page that starts at a row, for ``part`` rows where it is one of several."""
    text = str(position) if part is None else f"{position}-{part}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(locator: str) -> tuple[int, int | None]:
    try:
        found = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4))
    except ValueError:
        found = b""
    match = re.fullmatch(rb"(\d{1,9})(?:-(\d{1,9}))?", found)
    if match is None:
        raise OrgError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(match[1]), int(match[2]) if match[2] else None


def _job(org: Org, job_id: str) -> dict[str, Any]:
    rows = org.tables.db.execute('SELECT "info" FROM "bulk_job" WHERE substr("id", 1, 15) = ?', (job_id[:15],)).fetchall()
    if not rows:
        raise not_found()
    job: dict[str, Any] = json.loads(rows[0][0])
    return job


def _keep(org: Org, job: dict[str, Any]) -> None:
    org.tables.db.execute('INSERT OR REPLACE INTO "bulk_job" VALUES (?, ?)', (job["id"], json.dumps(job)))


def chosen(body: dict[str, Any], name: str, default: str, known: Iterable[str]) -> str:
    """The value of one setting of a new job.

    Raises:
        OrgError: INVALIDJOB when it isn't one of the known values.
    """
    value = str(body.get(name) or default)
    if value not in known:
        raise OrgError(400, "INVALIDJOB", f"InvalidJob : {name} has to be one of {', '.join(known)}")
    return value


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in job.items() if not k.startswith("_")}
