"""Replies that are spoilt by a planned fault after the request was carried out: cut, of another form, sent again, with another time."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from .bulk import position_locator
from .clock import http_date
from .faults import Fault
from .messages import Call, Reply
from .org import Org

_QUERY_PAGE = re.compile(r"/services/data/v[\d.]+/query(?:All)?/(01g\w+)-\d+")
_QUERY_JOB = re.compile(r"/services/data/v[\d.]+/jobs/query/(\w{15})")


def prepare(org: Org, call: Call, faults: list[Fault]) -> None:
    """What a fault breaks before the request is carried out: locators end for good, a bulk job will fail half way."""
    for fault in faults:
        if fault.kind == "locator_expiry":
            _expire_locators(org, call.path)
        if fault.kind == "job_failed":
            call.job_fails_after = int(fault.options.get("rows", -1))


def spoilt(org: Org, call: Call, reply: Reply, faults: list[Fault]) -> Reply:
    """The reply as the faults of the request leave it."""
    for fault in faults:
        if fault.kind == "truncated_csv":
            reply = _cut(reply, float(fault.options.get("keep", 0.5)))
        elif fault.kind == "broken_json":
            reply = _half_of_the_json(reply)
        elif fault.kind == "wrong_shape":
            reply = _of_another_form(reply)
        elif fault.kind == "duplicate_page":
            reply = _leading_to_itself(call, reply)
        elif fault.kind == "clock_skew":
            at = org.clock.now() + timedelta(seconds=float(fault.options.get("seconds", 300)))
            reply = replace(reply, headers={**reply.headers, "Date": http_date(at)})
    return reply


def _cut(reply: Reply, keep: float) -> Reply:
    """The first part of a CSV page, never at the end of a line; the headers still speak of the whole page."""
    reply = _in_one_text(reply)
    if reply.text is None or not reply.media_type.startswith("text/csv"):
        return reply
    text = reply.text[: int(len(reply.text) * keep)]
    return replace(reply, text=text[:-1] if text.endswith("\n") else text)


def _in_one_text(reply: Reply) -> Reply:
    """A page that would be sent from a file, as a text that can be spoilt."""
    return replace(reply, stretch=None, text=reply.encoded().decode()) if reply.stretch is not None else reply


def _half_of_the_json(reply: Reply) -> Reply:
    """The first half of a JSON body, with the status and type of the whole."""
    if reply.text is not None or reply.body is None:
        return reply
    whole = reply.encoded().decode()
    return replace(reply, text=whole[: len(whole) // 2])


def _of_another_form(reply: Reply) -> Reply:
    """A sound JSON object, or a sound CSV page, that says nothing of what was asked."""
    reply = _in_one_text(reply)
    if reply.text is None:
        return reply if reply.body is None else replace(reply, body={"unexpected": True})
    if not reply.media_type.startswith("text/csv"):
        return reply
    _, comma, rest = reply.text.partition(",")
    return replace(reply, text=f'"Unexpected"{comma}{rest}')


def _leading_to_itself(call: Call, reply: Reply) -> Reply:
    """The page names itself as the next one, so that a client gets it twice."""
    if "Sforce-Locator" in reply.headers:
        own = call.params.get("locator") or position_locator(0)
        return replace(reply, headers={**reply.headers, "Sforce-Locator": own})
    if _QUERY_PAGE.fullmatch(call.path) and reply.status == 200:
        body: dict[str, Any] = {**reply.body, "done": False, "nextRecordsUrl": call.path}
        return replace(reply, body=body)
    return reply


def _expire_locators(org: Org, path: str) -> None:
    page, job = _QUERY_PAGE.match(path), _QUERY_JOB.match(path)
    if page:
        for table in ("query_cursor", "cursor_page"):
            org.tables.db.execute(f'DELETE FROM "{table}" WHERE "locator" = ?', (page[1],))  # noqa: S608 - names from above
    if job:
        rows = org.tables.db.execute('SELECT "id", "info" FROM "bulk_job" WHERE substr("id", 1, 15) = ?', (job[1],)).fetchall()
        for job_id, info in rows:
            expired = json.dumps(json.loads(info) | {"_expired": True})
            org.tables.db.execute('UPDATE "bulk_job" SET "info" = ? WHERE "id" = ?', (expired, job_id))
