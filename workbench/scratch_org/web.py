"""The two HTTP applications (ASGI): the API and the control port.

A request is carried out in one go between two awaits, so the org behaves as if it took one request after another.
"""

import asyncio
import logging
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .actions import carry_out
from .bodies import received
from .clock import http_date, stamp
from .control import answer as control_answer
from .faults import Fault, Hook
from .messages import Call, OrgError, Reply, parsed_json
from .org import Org
from .page import page
from .rest import answer
from .results import Stretch
from .spoils import prepare, spoilt

_LOG = logging.getLogger("scratch_org")
LONGEST_HEAD = 16_384
_LOCAL = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?", re.IGNORECASE)
_GATEWAY_PAGE = "<html><head><title>Service Unavailable</title></head><body><h1>We are down for maintenance.</h1></body></html>"
_FAULT_REPLIES = {
    "503": (503, "SERVER_UNAVAILABLE", "Server is temporarily unavailable, try again later"),
    "403_daily": (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    "403_concurrent": (
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    ),
}

Transports = dict[tuple[str, int], asyncio.Transport]


class ApiDoor:
    """The API port as an ASGI application. ``transports`` maps clients to their connections, for injected resets."""

    def __init__(self, org: Org, transports: Transports) -> None:
        self.org = org
        self.transports = transports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        refusal = _refused(request)
        if refusal is not None:
            await self.respond(refusal, scope, receive, send)
            return
        try:
            body = await received(request)
        except ClientDisconnect:
            return
        except OrgError as error:
            await self.respond(Reply(error.status, error.body()), scope, receive, send)
            return
        call = Call(
            method=request.method,
            path=scope["path"],
            params=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers={k.lower(): v for k, v in request.headers.items()},
            body=body,
            number=self.org.next_request(),
        )
        reply = await self.handled(call)
        if reply is None:
            self.reset(scope)
            await asyncio.sleep(0)
            return
        await self.respond(reply, scope, receive, send)

    async def handled(self, call: Call) -> Reply | None:
        """The reply after hooks and faults; None when the connection is to be reset."""
        faults = self.org.faults.due(call)
        await _slow(faults, after=False)
        hooks = self.org.faults.hooks_due(call)
        with self.org.tables.atomic():  # what it changed, its number and its log entry: one commit a request
            reply = self.carried_out(call, faults, hooks)
            self.note(call, reply, faults)
        await _slow(faults, after=True)
        return reply

    def carried_out(self, call: Call, faults: list[Fault], hooks: list[Hook]) -> Reply | None:
        """One request without a pause: hooks before, the request unless a fault stops it, hooks after."""
        carry_out(self.org, hooks, after=False)
        early, late = ([f for f in faults if f.after == after] for after in (False, True))
        if any(f.kind == "expire_token" for f in early):
            self.org.expire_tokens()
        call.locked = _locks(faults)
        if not call.path.strip("/") and call.method in ("GET", "HEAD"):
            return page(self.org, watch="watch" in call.params)
        stopped, reply = _faulty(early)
        if not stopped:
            prepare(self.org, call, faults)
            reply = spoilt(self.org, call, _answered(self.org, call), faults)
            carry_out(self.org, hooks, after=True)
            if any(f.kind == "expire_token" for f in late):
                self.org.expire_tokens()
            failed, instead = _faulty(late)
            reply = instead if failed else reply
        return reply

    def note(self, call: Call, reply: Reply | None, faults: list[Fault]) -> None:
        """Write the request log: names of query parameters, never their values, but for the locator of a page."""
        self.org.note_request(
            {
                "number": call.number,
                "method": call.method,
                "path": call.path,
                "query": sorted(call.params),
                "page": call.params.get("locator", ""),
                "status": reply.status if reply else None,
                "user": call.user or None,
                "at": stamp(self.org.clock.now()),
                "writes": call.writes,
                "steps": call.steps,
                "faults": [f.kind for f in faults],
            }
        )

    async def respond(self, reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a reply with the headers that every reply has."""
        headers = {
            "Date": http_date(self.org.clock.now()),
            "Sforce-Limit-Info": self.org.limit_info,
            "Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private",
            **reply.headers,
        }
        media_type = reply.media_type if reply.status not in (204, 304) else None
        if reply.stretch is not None:
            headers |= {"Content-Length": str(len(reply.stretch))}
            await StreamingResponse(_pieces(reply.stretch), reply.status, headers, media_type)(scope, receive, send)
            return
        response = Response(reply.encoded(), reply.status, headers, media_type)
        await response(scope, receive, send)

    def reset(self, scope: Scope) -> None:
        """Cut the connection with a TCP reset: the client doesn't learn what happened."""
        transport = self.transports.get(tuple(scope["client"]))
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class ControlDoor:
    """The control port as an ASGI application."""

    def __init__(self, org: Org, stop: Callable[[], None]) -> None:
        self.org = org
        self.stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a page in a browser can't reach this port, since it would name its origin."""
        request = Request(scope, receive)
        refusal = _refused(request)
        if refusal is None and "origin" in request.headers:
            refusal = Reply(403, {"error": "The control port is not for web pages"})
        try:
            reply = refusal or await self.handled(request)
        except ClientDisconnect:
            return
        response = Response(reply.encoded(), reply.status, reply.headers, reply.media_type)
        await response(scope, receive, send)
        if reply.status == 200 and scope["path"] == "/stop":
            self.stop()

    async def handled(self, request: Request) -> Reply:
        """The reply to a control request; a wrong order gets 400 with a sentence."""
        try:
            body = parsed_json(await request.body() or b"{}")
            if not isinstance(body, dict):
                return Reply(400, {"error": "The order has to be a JSON object"})
            params = dict(parse_qsl(request.scope["query_string"].decode("latin-1")))
            return control_answer(self.org, request.method, request.scope["path"], body, params)
        except OrgError as error:
            return Reply(400, {"error": f"{error.code}: {error.message}"})
        except KeyError as error:
            return Reply(400, {"error": f"Missing: {error}"})
        except (ValueError, TypeError, ArithmeticError, AttributeError, IndexError) as error:
            return Reply(400, {"error": str(error)})


def _refused(request: Request) -> Reply | None:
    """Refuse requests that don't name this machine (DNS rebinding), or whose head is too long for Salesforce."""
    if not _LOCAL.fullmatch(request.headers.get("host", "")):
        return Reply(421, OrgError(421, "MISDIRECTED_REQUEST", "This host is not served here").body())
    uri = len(request.scope["raw_path"]) + len(request.scope["query_string"]) + 1
    if uri > LONGEST_HEAD:
        return Reply(414, OrgError(414, "URI_TOO_LONG", "The URI is too long: 16,384 bytes are allowed").body())
    if uri + sum(len(k) + len(v) + 4 for k, v in request.headers.raw) > LONGEST_HEAD:
        return Reply(431, OrgError(431, "HEADERS_TOO_LONG", "URI and headers exceed 16,384 bytes").body())
    return None


async def _pieces(stretch: Stretch) -> AsyncIterator[bytes]:
    """Between two pieces other requests are answered."""
    for piece in stretch.chunks():
        yield piece


def _answered(org: Org, call: Call) -> Reply:
    try:
        return answer(org, call)
    except Exception:  # noqa: BLE001 - Salesforce answers its own mistakes with a 500 and an error id, so does this
        _LOG.exception("request %s failed", call.number)
        return Reply(500, OrgError(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.").body())


def _faulty(faults: list[Fault]) -> tuple[bool, Reply | None]:
    """Whether a fault decides the reply, and which; None means a reset."""
    for fault in faults:
        if fault.kind.startswith("reset"):
            return True, None
        if fault.kind in _FAULT_REPLIES:
            status, code, message = _FAULT_REPLIES[fault.kind]
            retry = fault.options.get("retry_after")
            headers = {"Retry-After": str(retry)} if retry is not None else {}
            return True, Reply(status, OrgError(status, code, message).body(), headers)
        if fault.kind == "html":
            return True, Reply(int(fault.options.get("status", 503)), text=_GATEWAY_PAGE, media_type="text/html")
        if fault.kind == "error":
            o = fault.options
            error = OrgError(int(o.get("status", 500)), str(o.get("code", "UNKNOWN_EXCEPTION")), str(o.get("message", "")))
            return True, Reply(error.status, error.body())
    return False, None


def _locks(faults: list[Fault]) -> frozenset[str] | None:
    """The ids that can't be locked during this request; an empty set means every row."""
    locks = [f for f in faults if f.kind == "lock"]
    return frozenset(i for f in locks for i in f.options.get("ids", ())) if locks else None


async def _slow(faults: list[Fault], *, after: bool) -> None:
    for fault in faults:
        if fault.kind == "slow" and fault.after == after:
            await asyncio.sleep(float(fault.options.get("seconds", 1)))
