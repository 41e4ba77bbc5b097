"""The routes of the API: which function answers which method and path."""

import re
from collections.abc import Callable
from typing import Any

from . import access, bulk, consents, grants, identity, ingest, joblists, queries, record_collections, rows, upserts
from .actions import carry_out
from .composite import composite
from .messages import Call, OrgError, Reply, not_found
from .org import NEWEST_VERSION, OLDEST_VERSION, Org

Handler = Callable[..., Reply]

_ROW = r"sobjects/(?P<name>\w+)/(?P<record_id>\w+)"
_JOB = r"jobs/query/(?P<job_id>\w+)"
_INGEST = r"jobs/ingest/(?P<job_id>\w+)"
_OUTCOMES = r"(?P<which>successfulResults|failedResults|unprocessed[rR]ecords)"


def _composite(org: Org, call: Call) -> Reply:
    return composite(org, call, subrequest)


Routes = list[tuple[re.Pattern[str], dict[str, Handler]]]

_OPEN_ROUTES: Routes = [
    (re.compile("/services/data"), {"GET": access.versions}),
    (re.compile("/services/oauth2/token"), {"POST": access.token}),
    (re.compile("/services/oauth2/revoke"), {"POST": access.revoked}),
    (re.compile(r"/services/Soap/u/(?P<version>\d{1,3}\.0)(?:/\w+)?", re.ASCII), {"POST": grants.soap}),
]
_IDENTITY_ROUTES: Routes = [
    (re.compile("/services/oauth2/userinfo"), {"GET": identity.userinfo, "POST": identity.userinfo}),
    (re.compile(r"/id/(?P<org_id>\w+)/(?P<user_id>\w+)", re.ASCII), {"GET": identity.identity}),
]
_DATA_ROUTES: Routes = [
    (re.compile(pattern, re.ASCII), methods)
    for pattern, methods in (
        ("", {"GET": access.resources}),
        ("query", {"GET": queries.query}),
        ("queryAll", {"GET": queries.query_all}),
        (r"query(?:All)?/(?P<locator>[\w-]+)", {"GET": queries.more}),
        ("limits", {"GET": access.limits}),
        ("composite", {"POST": _composite}),
        (
            "composite/sobjects",
            {"POST": record_collections.create, "PATCH": record_collections.update, "DELETE": record_collections.delete},
        ),
        (r"composite/sobjects/(?P<name>\w+)", {"GET": record_collections.retrieve, "POST": record_collections.retrieve}),
        ("sobjects", {"GET": access.objects}),
        (r"sobjects/(?P<name>\w+)", {"GET": access.basics, "POST": rows.create}),
        (r"sobjects/(?P<name>\w+)/describe", {"GET": access.describe}),
        (r"sobjects/(?P<name>\w+)/updated", {"GET": rows.updated}),
        (r"sobjects/(?P<name>\w+)/deleted", {"GET": rows.deleted}),
        (_ROW, {"GET": rows.read, "PATCH": rows.update, "DELETE": rows.delete}),
        (
            r"sobjects/(?P<name>\w+)/(?P<field>\w+)/(?P<value>[^/]+)",
            {"GET": upserts.read_one, "PATCH": upserts.upsert_one, "DELETE": upserts.delete_one},
        ),
        (r"composite/sobjects/(?P<name>\w+)/(?P<field>\w+)", {"PATCH": upserts.upsert_all}),
        ("jobs/query", {"GET": joblists.queries, "POST": bulk.create}),
        (_JOB, {"GET": bulk.poll, "PATCH": bulk.change, "DELETE": bulk.delete}),
        (f"{_JOB}/results", {"GET": bulk.results}),
        (f"{_JOB}/resultPages", {"GET": bulk.result_pages}),
        (r"consent/action/(?P<action>\w+)", {"GET": consents.action}),
        ("consent/multiaction", {"GET": consents.multiaction}),
        ("jobs/ingest", {"GET": joblists.ingests, "POST": ingest.create}),
        (_INGEST, {"GET": ingest.poll, "PATCH": ingest.change, "DELETE": ingest.delete}),
        (f"{_INGEST}/batches", {"PUT": ingest.upload}),
        (f"{_INGEST}/{_OUTCOMES}", {"GET": ingest.results}),
    )
]
_DATA = re.compile(r"/services/data/v(?P<version>\d{1,3}\.0)(?:/(?P<rest>.*))?", re.ASCII | re.DOTALL)


def answer(org: Org, call: Call) -> Reply:
    """The reply to a request from the network: session, limits, route. OrgErrors become replies."""
    path = call.path.rstrip("/")
    if call.method == "POST" and "_HttpMethod" in call.params:  # for clients that can't send PATCH or DELETE
        call.method = call.params["_HttpMethod"].upper()
    try:
        with org.tables.atomic():
            found = _route(_OPEN_ROUTES, call.method, path)
            if found is None:
                call.user = access.session(org, call)
                found = _route(_IDENTITY_ROUTES, call.method, path)
            if found is not None:
                handler, arguments = found
                return handler(org, call, **arguments)
            org.count_request()
        return subrequest(org, call)
    except OrgError as error:
        return Reply(error.status, error.body(), error.headers)


def subrequest(org: Org, call: Call) -> Reply:
    """The reply to a request with a session, alone or inside a composite, in its own transaction."""
    hooks = org.faults.hooks_due(call, inside=True) if call.is_inner else []
    carry_out(org, hooks, after=False)
    try:
        with org.tables.atomic():
            reply = _routed(org, call)
    except OrgError as error:
        reply = Reply(error.status, error.body(), error.headers)
    carry_out(org, hooks, after=True)
    return reply


def _routed(org: Org, call: Call) -> Reply:
    match = _DATA.fullmatch(call.path.rstrip("/"))
    if match is None:
        raise not_found()
    call.version = match["version"]
    number = float(call.version)
    if number < OLDEST_VERSION:
        raise OrgError(410, "UNSUPPORTED_API_VERSION", "This API version is retired")
    if number > NEWEST_VERSION:
        raise not_found()
    found = _route(_DATA_ROUTES, call.method, match["rest"] or "")
    if found is None:
        raise not_found()
    handler, arguments = found
    return handler(org, call, **arguments)


def _route(routes: Routes, method: str, path: str) -> tuple[Handler, dict[str, Any]] | None:
    """The function for a method and path; None when no route has that path.

    Raises:
        OrgError: 405 when only other methods are served there.
    """
    allowed: dict[str, Handler] = {}
    for pattern, methods in routes:
        match = pattern.fullmatch(path)
        # A HEAD request is answered like a GET; the server leaves the body out.
        handler = methods.get("GET" if method == "HEAD" else method)
        if match and handler:
            return handler, match.groupdict()
        allowed |= methods if match else {}
    if not allowed:
        return None
    names = ",".join(sorted({*allowed, *(["HEAD"] if "GET" in allowed else [])}))
    message = f"HTTP Method '{method[:20]}' not allowed. Allowed are {names}"
    raise OrgError(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": names})
