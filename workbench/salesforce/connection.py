"""One logged-in connection to one org: sends requests, logs in again once when the login expired, repeats reads.

`ask` is for reads: repeated after a lost or busy answer, raises for everything that isn't fine. `tell` is for writes: sent
once, and a second time only when the org answered that the login had expired, that is, when nothing was done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import SystemRandom
from typing import TypeVar

import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from workbench.org import ApiUsage, OrgError
from workbench.salesforce import bounds
from workbench.salesforce.login import Login, OrgCredentials, log_in, with_token
from workbench.salesforce.replies import (
    NO_ANSWER,
    RETRIED,
    Reply,
    Request,
    date_of,
    error_of,
    first_fault,
    login_expired,
    rejected_whole,
    retry_after,
    unreadable,
)
from workbench.salesforce.transport import Route, Timeouts, bound_session

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a read is tried and how long is waited between (seconds); ``sleep`` is the clock's door.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
    """

    tries: int = 4
    first: float = 0.5
    longest: float = 20.0
    longest_asked: float = 120.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, asked: float) -> bool:
        """Wait before try number ``attempt`` + 1; False when no further try is due, or the server asks for too long."""
        if attempt >= self.tries or asked > self.longest_asked:
            return False
        jittered = SystemRandom().uniform(0, min(self.longest, self.first * 2 ** (attempt - 1)))
        self.sleep(max(asked, jittered))
        return True


class Connection:
    """A session bound to one org, its login, and what its answers say about calls and time. Threads may share one."""

    def __init__(self, credentials: OrgCredentials, *, timeouts: Timeouts, patience: Patience, route: Route) -> None:
        self.credentials = credentials
        self.patience = patience
        self._timeouts = timeouts
        self._session = bound_session(credentials.url, timeouts=timeouts, route=route)
        self._login: Login | None = with_token(self._session, credentials) if credentials.access_token else None
        self._renewal = threading.Lock()
        self._notes = threading.Lock()
        self._calls = 0
        self._usage: ApiUsage | None = None
        self._clock: tuple[datetime, float] | None = None

    @property
    def calls(self) -> int:
        """API calls made so far, failed ones included; logins don't count against the org's limit."""
        return self._calls

    @property
    def usage(self) -> ApiUsage | None:
        """API calls of the org's current 24 hours as the latest answer told; None before there was one."""
        return self._usage

    def server_now(self) -> datetime | None:
        """The org's time now, reckoned from its latest answer; None before there was one."""
        clock = self._clock
        return clock[0] + timedelta(seconds=time.monotonic() - clock[1]) if clock else None

    def ask(self, request: Request, parse: Callable[[Reply], T]) -> T:
        """Send a read, again after a lost or busy answer, and parse it.

        Raises:
            OrgError: the answer isn't fine after the allowed tries, or ``parse`` can't make sense of it.
        """
        return _parsed(self._persist(lambda login: self._exchange(login, request), request.what), parse, request.what)

    def ask_stream(self, request: Request, parse: Callable[[Reply, Iterable[bytes]], T]) -> T:
        """Send a read whose answer is not JSON and parse it from its bytes as they come; all again if it breaks off.

        ``parse`` raises ValueError when what came is not whole. Raises: as `ask`.
        """
        parsed: list[T] = []

        def once(login: Login) -> Reply:
            parsed.clear()
            return self._exchange_stream(login, request, lambda reply, chunks: parsed.append(parse(reply, chunks)))

        self._persist(once, request.what)
        return parsed[0]

    def tell(self, request: Request) -> Reply:
        """Send a write once; a lost or unusable answer comes back as it is, for the caller to find out what happened.

        Raises:
            OrgError: nothing was written: no login, the quota is used up, or Salesforce turned the request down as a whole.
        """
        reply = self._authorised(lambda login: self._exchange(login, request))
        fault = rejected_whole(reply)
        if fault:
            raise error_of(fault, request.what)
        return reply

    def login(self) -> Login:
        """The current login; logs in when there is none yet. Raises: as `login.log_in`."""
        return self._login or self._renewed(None)

    def close(self) -> None:
        """Close the open sockets."""
        self._session.close()

    def _persist(self, once: Callable[[Login], Reply], what: str) -> Reply:
        attempt = 1
        while True:
            reply = self._authorised(once)
            fault = first_fault(reply)
            if fault is None:
                return reply
            if fault.kind not in RETRIED or not self.patience.wait(attempt, retry_after(reply, datetime.now(UTC))):
                raise error_of(fault, what)
            attempt += 1

    def _authorised(self, once: Callable[[Login], Reply]) -> Reply:
        """One exchange; one more after a new login when the org answered that the login had expired. Never a third."""
        login = self.login()
        reply = once(login)
        return once(self._renewed(login)) if login_expired(reply) else reply

    def _renewed(self, stale: Login | None) -> Login:
        with self._renewal:
            if self._login is None or self._login is stale:  # else another thread has logged in meanwhile
                self._login = self._log_in()
            return self._login

    def _log_in(self) -> Login:
        attempts = count(1)

        def wait(reply: Reply) -> bool:
            return self.patience.wait(next(attempts), retry_after(reply, datetime.now(UTC)))

        return log_in(self._session, self.credentials, timeouts=self._timeouts, wait=wait)

    def _exchange(self, login: Login, request: Request) -> Reply:
        """One HTTP exchange through simple-salesforce; every way in which it can fail becomes a `Reply`."""
        seen: list[Reply] = []

        def note(answer: requests.Response, *_: object, **__: object) -> None:
            seen.append(_head(answer))

        try:
            body, readable = self._call(login.client, request, note), True
        except SalesforceError as error:
            body, readable = error.content, True
        except (requests.RequestException, OSError, ValueError, TypeError, RecursionError):
            body, readable = None, False  # lost, broken off, redirected, not JSON, or nested beyond all sense
        head = seen[-1] if seen else NO_ANSWER
        self._note(head)
        return Reply(status=head.status, headers=head.headers, body=body, readable=readable)

    def _call(self, client: Salesforce, request: Request, note: Callable[..., None]) -> object:
        headers = {**client.headers, "X-PrettyPrint": "0"}
        hooks = {"response": note}
        if request.csv:
            headers["Content-Type"] = "text/csv; charset=UTF-8"
            address = f"{client.base_url}{request.path}"
            answer = client.session.request(request.method, address, data=request.csv, headers=headers, hooks=hooks)
            return answer.json() if answer.content else None
        if not request.path.startswith("/"):
            return client.restful(
                request.path, params=request.params, method=request.method, json=request.body, headers=headers, hooks=hooks
            )
        address = f"https://{client.sf_instance}{request.path}"
        answer = client.session.request(request.method, address, json=request.body, headers=headers, hooks=hooks)
        return answer.json()

    def _exchange_stream(self, login: Login, request: Request, consume: Callable[[Reply, Iterable[bytes]], None]) -> Reply:
        client, head = login.client, NO_ANSWER
        try:
            with client.session.get(
                f"{client.base_url}{request.path}",
                params=request.params,
                headers={**client.headers, "Accept": "text/csv"},
                stream=True,
            ) as answer:
                head = _head(answer)
                if answer.status_code != 200:
                    return Reply(status=head.status, headers=head.headers, body=_json(answer), readable=False)
                consume(head, bounds.pieces(answer, patience=self._timeouts.read, largest=bounds.LARGEST_STREAM))
                return head
        except (requests.RequestException, OSError, ValueError, LookupError, TypeError):
            return Reply(status=head.status, headers=head.headers, readable=False)
        finally:
            self._note(head)

    def _note(self, reply: Reply) -> None:
        used, clock = None, None
        with suppress(ValueError):  # more digits than a number may have
            used = Salesforce.parse_api_usage(reply.headers.get("sforce-limit-info", "")).get("api-usage")
        with suppress(ValueError):
            clock = (date_of(reply), time.monotonic())
        with self._notes:
            self._calls += 1
            self._usage = ApiUsage(used=used.used, allowed=used.total) if used else self._usage
            self._clock = clock or self._clock


def _parsed(reply: Reply, parse: Callable[[Reply], T], what: str) -> T:
    try:
        return parse(reply)
    except OrgError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError):
        pass
    raise unreadable(what)  # outside of the clause above: the cause may quote the answer


def _head(answer: requests.Response) -> Reply:
    return Reply(status=answer.status_code, headers={name.lower(): value for name, value in answer.headers.items()})


def _json(answer: requests.Response) -> object:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None
