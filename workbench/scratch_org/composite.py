"""Up to 25 requests in one: each goes through the same routes as if it had come alone, with its own headers."""

import json
import re
from collections.abc import Callable
from typing import Any

from .messages import Call, OrgError, Reply
from .org import Org

MOST_SUBREQUESTS = 25
MOST_QUERIES = 5
_COSTLY = re.compile(r"/services/data/v[\d.]+/(?:query|queryAll|composite/sobjects)(?:/|$)", re.IGNORECASE)
_ITSELF = re.compile(r"/services/data/v[\d.]+/composite/?(?:\?|$)", re.IGNORECASE)
_FORBIDDEN_HEADERS = frozenset({"accept", "authorization", "content-type"})
_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}")
_HALTED = [
    {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same transaction failed.",
    }
]

Dispatch = Callable[[Org, Call], Reply]


class _RolledBack(Exception):  # noqa: N818 - a way out of a transaction, not an error
    pass


def composite(org: Org, call: Call, dispatch: Dispatch) -> Reply:
    """POST vX/composite. ``dispatch`` carries out one subrequest and never raises an OrgError."""
    body = call.json_object()
    parts = body.get("compositeRequest")
    if not isinstance(parts, list) or not all(isinstance(p, dict) for p in parts):
        raise OrgError(400, "JSON_PARSER_ERROR", "The request needs a list 'compositeRequest'")
    calls = _subrequests(call, parts)
    all_or_none = body.get("allOrNone") is True
    run = _Run(org, dispatch, all_or_none)
    noted = len(call.writes)
    try:
        with org.tables.atomic():
            for part, inner in zip(parts, calls, strict=True):
                run.one(part, inner)
            if all_or_none and run.failed:
                raise _RolledBack  # noqa: TRY301 - leaves the transaction
    except _RolledBack:
        run.undo()
        for entry in call.writes[noted:]:
            entry["status"] = "rolled back"
    return Reply(body={"compositeResponse": run.results})


class _Run:
    """The results so far, by reference id."""

    def __init__(self, org: Org, dispatch: Dispatch, all_or_none: bool) -> None:
        self.org = org
        self.dispatch = dispatch
        self.all_or_none = all_or_none
        self.results: list[dict[str, Any]] = []
        self.failed = False

    def one(self, part: dict[str, Any], call: Call) -> None:
        if self.failed and self.all_or_none:
            self.note(part, Reply(400, _HALTED))
            return
        try:
            inner = self.resolved(part, call)
        except OrgError as error:
            reply = Reply(error.status, error.body())
        else:
            reply = self.dispatch(self.org, inner)
        call.steps.append({"method": call.method, "path": call.path, "status": reply.status})
        self.failed = self.failed or reply.status >= 400
        self.note(part, reply)

    def note(self, part: dict[str, Any], reply: Reply) -> None:
        self.results.append(
            {
                "body": reply.body,
                "httpHeaders": reply.headers,
                "httpStatusCode": reply.status,
                "referenceId": part["referenceId"],
            }
        )

    def undo(self) -> None:
        """After a rollback the others say so; those that failed keep their own error."""
        for result in self.results:
            if result["httpStatusCode"] < 400:
                result |= {"body": _HALTED, "httpStatusCode": 400, "httpHeaders": {}}

    def resolved(self, part: dict[str, Any], call: Call) -> Call:
        """The call with every ``@{ref.path}`` replaced by what an earlier result says there."""
        url = _REFERENCE.sub(lambda m: str(self.referred(m)), str(part["url"]))
        body = _REFERENCE.sub(lambda m: json.dumps(str(self.referred(m)))[1:-1], call.body.decode())
        return call.inner(call.method, url, call.headers, body.encode())

    def referred(self, match: re.Match[str]) -> Any:
        name, path = match.groups()
        found = next((r for r in self.results if r["referenceId"] == name), None)
        if found is None or found["httpStatusCode"] >= 400:
            raise OrgError(400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {name}{path} found")
        value = found["body"]
        for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
            try:
                value = value[key] if key else value[int(index)]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                message = f"Invalid reference specified. No value for {name}{path} found in {name}"
                raise OrgError(400, "PROCESSING_HALTED", message) from error
        return value


def _subrequests(call: Call, parts: list[dict[str, Any]]) -> list[Call]:
    """The calls as written, after the rules for the whole request.

    Raises:
        OrgError: too many, a reference id missing or used twice, a header that may not be set.
    """
    if len(parts) > MOST_SUBREQUESTS:
        raise OrgError(400, "LIMIT_EXCEEDED", f"The request has {len(parts)} subrequests; {MOST_SUBREQUESTS} are allowed")
    references = [p.get("referenceId") for p in parts]
    if not all(isinstance(r, str) and re.fullmatch(r"[A-Za-z0-9]\w*", r) for r in references):
        raise OrgError(400, "INVALID_REFERENCE_ID", "Every subrequest needs a referenceId of letters, digits and _")
    if len(set(references)) < len(references):
        raise OrgError(400, "DUPLICATE_REFERENCE_ID", "Every referenceId has to be unique")
    calls = [_subrequest(call, p) for p in parts]
    if sum(bool(_COSTLY.match(c.path)) for c in calls) > MOST_QUERIES:
        message = f"At most {MOST_QUERIES} subrequests can be queries or collections"
        raise OrgError(400, "LIMIT_EXCEEDED", message)
    return calls


def _subrequest(call: Call, part: dict[str, Any]) -> Call:
    url = str(part.get("url", ""))
    if not url.startswith("/services/data/v"):
        raise OrgError(400, "INVALID_URL", "A subrequest's url starts with /services/data/v")
    if _ITSELF.match(url):
        raise OrgError(400, "INVALID_URL", "A composite request can't be a subrequest")
    given = part.get("httpHeaders") or {}
    if not isinstance(given, dict):
        raise OrgError(400, "JSON_PARSER_ERROR", "httpHeaders has to be an object")
    headers = {str(k).lower(): str(v) for k, v in given.items()}
    if _FORBIDDEN_HEADERS & set(headers):
        raise OrgError(400, "INVALID_HEADER", "A subrequest can't set Accept, Authorization or Content-Type")
    body = part.get("body")
    encoded = b"" if body is None else json.dumps(body).encode()
    return call.inner(str(part.get("method", "")).upper(), url, headers, encoded)
