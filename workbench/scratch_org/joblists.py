"""Which bulk jobs there are: the lists of query jobs and of ingest jobs, newest first, page by page."""

import json
import re

from .messages import Call, OrgError, Reply
from .org import Org, base_path

PAGE = 1_000
_TYPES = {"query": ("bulk_job", "V2Query"), "ingest": ("ingest_job", "V2Ingest")}
_SHOWN = (
    *("id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode", "contentType"),
    *("apiVersion", "jobType", "contentUrl", "lineEnding", "columnDelimiter"),
)


def queries(org: Org, call: Call) -> Reply:
    """GET vX/jobs/query[?jobType=&concurrencyMode=&queryLocator=]."""
    return _listed(org, call, "query")


def ingests(org: Org, call: Call) -> Reply:
    """GET vX/jobs/ingest[?jobType=&concurrencyMode=&queryLocator=]."""
    return _listed(org, call, "ingest")


def _listed(org: Org, call: Call, kind: str) -> Reply:
    table, job_type = _TYPES[kind]
    start = call.params.get("queryLocator", "0")
    if not re.fullmatch(r"\d{1,9}", start, re.ASCII):
        raise OrgError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    wanted = call.params.get("jobType", "All"), call.params.get("concurrencyMode", "Parallel")
    if wanted[0] not in ("All", job_type) or wanted[1].lower() != "parallel":
        return Reply(body={"done": True, "records": [], "nextRecordsUrl": None})
    rows = org.tables.db.execute(
        f'SELECT "info" FROM "{table}" ORDER BY "id" DESC LIMIT ? OFFSET ?',  # noqa: S608 - names from above
        (PAGE + 1, int(start)),
    ).fetchall()
    jobs = [json.loads(r[0]) | {"jobType": job_type} for r in rows[:PAGE]]
    done = len(rows) <= PAGE
    following = f"{base_path(call.version)}/jobs/{kind}?queryLocator={int(start) + PAGE}"
    records = [{name: job[name] for name in _SHOWN if name in job} for job in jobs]
    return Reply(body={"done": done, "records": records, "nextRecordsUrl": None if done else following})
