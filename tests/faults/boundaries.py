"""The numbered steps of a running process: a journal line at each, and what is ordered to happen there.

A boundary lies before and after every commit of a write transaction and every HTTP exchange of the process. A journal line tells
where everybody stands and how much is on the trail and in the org's ledger, so that the oracle knows the order of things without
asking the engine.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

from workbench.bench import Workbench
from workbench.salesforce import connection
from workbench.settings import Settings
from workbench.store.database import Store
from workbench.worker import course

Order = dict[str, Any]
ORG_ACTIONS = ("salesforce", "late_commit", "edit")


class Boundaries:
    """Counts the boundaries of this process, keeps the journal, and does what is ordered at one of them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.count = 0
        self.quiet = False
        self.holder = 0
        self.wal = Path(order["workspace"]) / "register.db-wal"
        self.register = _reading(Path(order["workspace"]) / "register.db")
        self.org = _reading(Path(order["workspace"]).parent / "org.db")
        self.journal = os.open(order["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def reached(self, at: str, what: str, **facts: Any) -> None:
        """One boundary: note it, let happen what is ordered here, then die if this is the one."""
        if self.quiet:
            return
        self.count += 1
        self.note(n=self.count, run=self.order.get("run", 0), at=at, what=what, **self.standing(), **facts)
        self.happen(self.count, locked=at == "tx:before")
        if self.count == self.order.get("hold", {}).get("at"):
            self.hold()
        if self.count == self.order.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    def standing(self) -> dict[str, Any]:
        """Everybody's state and how many events, org changes and bytes of write-ahead log are there for everybody to see."""
        return {
            "states": dict(self.register.execute("SELECT person_id, state FROM intent").fetchall()),
            "trail": self.register.execute("SELECT count(*) FROM trail_event").fetchone()[0],
            "ledger": self.org.execute("SELECT coalesce(max(number), 0) FROM opt_out_ledger").fetchone()[0],
            "wal": self.wal.stat().st_size if self.wal.exists() else 0,
        }

    def happen(self, n: int, *, locked: bool = False) -> None:
        """What was ordered for this boundary; 0 is before the process begins its work.

        The register has one writer at a time: a local opt-out that comes while we write is recorded at the next boundary.
        """
        due = [event for event in self.order.get("events", ()) if event["at"] == n]
        for event in [event for event in due if locked and event["what"] in ("local", "lock")]:
            event["at"] += 1
            due.remove(event)
        self.quiet = bool(due)
        for event in due:
            self.one(event)
        self.quiet = False

    def one(self, event: Order) -> None:
        """One thing that another process, another user, a late request or the clock does; noted before, for the process may die of it."""
        what = event["what"]
        if what == "late":
            self.send_late()
            return
        self.note(injected=what, who=event.get("who"), rows=[])
        if what == "local":
            with Workbench.open(self.order["workspace"]) as other:
                other.unsubscribe(event["who"], source="clicked_link")
        elif what in ORG_ACTIONS:
            for action in event["actions"]:
                control(self.order["control_url"], "/write", dated(action, self.order["control_url"]))
        elif what == "clock":
            CLOCK["offset"] = timedelta(seconds=event["seconds"])
        elif what == "lock":
            self.holder = lock_apart(Path(self.order["workspace"]) / "register.db")

    def send_late(self) -> None:
        """Let the last clear that was noted arrive now, whether its process has died or given it up.

        Noted before it leaves: this process may be killed in between.
        """
        lines = [json.loads(line) for line in Path(self.order["journal"]).read_text(encoding="utf-8").splitlines()]
        line = next((line for line in reversed(lines) if "request" in line), None)
        self.note(injected="late", who=None, rows=line["rows"] if line else [])
        if line is None:
            return
        request = line["request"]
        with requests.Session() as session, suppress(requests.RequestException):  # the org may break off this one, too
            session.trust_env = False
            url = request["url"].replace("https://", "http://", 1)
            session.post(url, data=request["body"].encode(), headers=request["headers"], timeout=60)

    def unlock(self) -> None:
        """Let the process that holds the register's lock end."""
        if self.holder:
            os.kill(self.holder, signal.SIGKILL)
            os.waitpid(self.holder, 0)
            self.holder = 0

    def hold(self) -> None:
        """Say that this boundary is reached, and go on when told to: both by named pipes."""
        Path(self.order["hold"]["reached"]).write_text("reached", encoding="utf-8")
        Path(self.order["hold"]["go_on"]).read_text(encoding="utf-8")

    def note(self, **line: Any) -> None:
        """One line of the journal, in one write: it survives the process, and is no part of what has no room."""
        room = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room[1], room[1]))
        os.write(self.journal, json.dumps(line).encode() + b"\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, room)


CLOCK = {"offset": timedelta(0)}
"""How far this process's clock is off."""


def hooked(boundaries: Boundaries) -> None:
    """Put the boundaries around what this process commits and sends, and take the waits between repeated requests out."""
    write, send = Store.write, requests.Session.send

    @contextmanager
    def counted_write(self: Store) -> Iterator[Any]:
        with write(self) as tx:
            yield tx
            boundaries.reached("tx:before", "commit")
        boundaries.reached("tx:after", "commit")

    def counted_send(self: requests.Session, request: Any, **options: Any) -> Any:
        what, rows = meaning(request)
        facts: dict[str, Any] = {"rows": rows} if rows else {}
        if what == "clear":
            facts["request"] = {"url": request.url, "headers": dict(request.headers), "body": text_of(request)}
        boundaries.reached("http:before", what, **facts)
        status = None
        try:
            if boundaries.count == boundaries.order.get("withhold"):
                raise requests.ConnectionError("this request is on its way for so long that nobody waits for it any more")
            reply = send(self, request, **options)
            status = reply.status_code
        finally:
            boundaries.reached("http:after", what, status=status)
        return reply

    Store.write, requests.Session.send = counted_write, counted_send  # type: ignore[method-assign]
    course.random = SimpleNamespace(uniform=lambda *_: 0.0)  # type: ignore[assignment]
    connection.SystemRandom = lambda: SimpleNamespace(uniform=lambda *_: 0.0)  # type: ignore[assignment,misc]
    Settings.clock = property(lambda _: lambda: datetime.now(UTC) + CLOCK["offset"])  # type: ignore[assignment]


def meaning(request: Any) -> tuple[str, list[str]]:
    """What a request is (read, clear, opt_out, other) and which records it writes."""
    path = request.url.partition("?")[0]
    if path.endswith("/composite"):
        parts = json.loads(text_of(request))["compositeRequest"]
        rows = [p["url"].rpartition("/")[2] for p in parts if p["method"] == "PATCH"]
        return ("clear", rows) if rows else ("read", [])
    if path.endswith("/composite/sobjects"):
        return "opt_out", [r["id"] for r in json.loads(text_of(request))["records"]]
    return "other", []


def text_of(request: Any) -> str:
    """The body of a prepared request."""
    return request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")


def dated(action: Order, url: str) -> Order:
    """An action of a transaction that began some seconds ago, by the org's clock, and shows only now."""
    if "seconds_ago" not in action:
        return action
    now = datetime.fromisoformat(control(url, "/clock", {})["now"])
    at = (now - timedelta(seconds=action["seconds_ago"])).isoformat()
    return {name: value for name, value in action.items() if name != "seconds_ago"} | {"at": at}


def control(url: str, path: str, payload: Order) -> Order:
    """One order to the org's control port; its answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    order = urllib.request.Request(url + path, json.dumps(payload).encode(), {"Content-Type": "application/json"})
    with opener.open(order, timeout=60) as answer:
        said: Order = json.load(answer)
    return said


def lock_apart(register: Path) -> int:
    """A process of its own that holds the register's write lock until it is ended; returns its id."""
    held, hold = os.pipe()
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(register, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        os.write(hold, b"held")
        signal.pause()
        os._exit(0)
    os.close(hold)
    os.read(held, 4)
    os.close(held)
    return child


def _reading(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
