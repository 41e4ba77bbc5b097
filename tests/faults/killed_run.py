"""Runs batches in processes of their own and kills them at numbered boundaries. Started as a program, driven over stdin.

Everything is imported once; each order then forks: a scratch org on a copied database, or a process that runs one batch. A
boundary lies before and after every commit of a write transaction and every HTTP exchange of the running process. Each one
is a line of the journal, so that the oracle knows the order of things without asking the engine. Nothing of the product is
changed but the jitter between repeated requests, and what a `broken` worker is to do wrong.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sqlite3
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock  # noqa: F401 - what a run imports late is imported here, so that no child has to
import requests

from faults.broken import BROKEN
from workbench.bench import Workbench
from workbench.errors import WorkbenchError
from workbench.salesforce import SalesforceOrg  # noqa: F401 - as above
from workbench.scratch_org import serve
from workbench.store.database import Store
from workbench.worker import course

LONGEST_RUN = 120  # seconds; a child that hangs is ended by the system and fails its test
MOST_ROUNDS = 6
Order = dict[str, Any]


class Boundaries:
    """Counts the boundaries of this process, keeps the journal, and does what is ordered at one of them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.count = 0
        self.quiet = False
        self.register = Path(order["workspace"]) / "register.db"
        self.journal = os.open(order["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def reached(self, at: str, what: str, **facts: Any) -> None:
        """One boundary: note it, then kill or inject if this is the one."""
        if self.quiet:
            return
        self.count += 1
        self.note(n=self.count, at=at, what=what, victim=self._victim(), **facts)
        if self.count == self.order.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.count == self.order.get("inject", {}).get("at"):
            self.inject()
        if self.count == self.order.get("hold", {}).get("at"):
            self.hold()

    def inject(self) -> None:
        """The opt-out of the victim that was ordered, as another process or another user would make it."""
        what, self.quiet = self.order["inject"]["what"], True
        if what == "local":
            with Workbench.open(self.order["workspace"]) as other:
                other.unsubscribe(self.order["victim"], source="clicked_link")
        elif what == "late":
            send_late(self.order["inject"]["request"])
        else:
            for action in self.order["actions"][what]:
                control(self.order["control_url"], "/write", action)
        self.quiet = False
        self.note(injected=what, victim=self._victim())

    def hold(self) -> None:
        """Say that this boundary is reached, and go on when told to: both by named pipes."""
        Path(self.order["hold"]["reached"]).write_text("reached", encoding="utf-8")
        Path(self.order["hold"]["go_on"]).read_text(encoding="utf-8")

    def note(self, **line: Any) -> None:
        """One line of the journal, in one write: it survives the process."""
        os.write(self.journal, json.dumps(line).encode() + b"\n")

    def committed(self) -> int:
        """How many events are on the trail for everybody to see."""
        return int(self._one("SELECT count(*) FROM trail_event")[0])

    def _victim(self) -> str:
        found = self._one("SELECT state FROM intent WHERE person_id = ?", self.order["victim"])
        return str(found[0])

    def _one(self, query: str, *values: str) -> Any:
        connection = sqlite3.connect(f"file:{self.register}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchone()
        finally:
            connection.close()


def hooked(boundaries: Boundaries) -> None:
    """Put the boundaries around what this process commits and sends."""
    write, send = Store.write, requests.Session.send

    @contextmanager
    def counted_write(self: Store) -> Iterator[Any]:
        with write(self) as tx:
            yield tx
            boundaries.reached("tx:before", "commit")
        boundaries.reached("tx:after", "commit")

    def counted_send(self: requests.Session, request: Any, **options: Any) -> Any:
        what, rows = meaning(request)
        facts = {"rows": rows, "trail": boundaries.committed()} if rows else {}
        if what == "clear":
            facts["request"] = {"url": request.url, "headers": dict(request.headers), "body": text_of(request)}
        boundaries.reached("http:before", what, **facts)
        reply = send(self, request, **options)
        boundaries.reached("http:after", what)
        return reply

    Store.write, requests.Session.send = counted_write, counted_send  # type: ignore[method-assign]
    course.random = SimpleNamespace(uniform=lambda *_: 0.0)  # type: ignore[assignment]  # no waiting between attempts


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


def control(url: str, path: str, payload: Order) -> None:
    """One order to the org's control port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    order = urllib.request.Request(url + path, json.dumps(payload).encode(), {"Content-Type": "application/json"})
    opener.open(order, timeout=60).close()


def send_late(request: Order) -> None:
    """A request that had left when its process died, and arrives only now."""
    with requests.Session() as session:
        session.trust_env = False
        url = request["url"].replace("https://", "http://", 1)
        session.post(url, data=request["body"].encode(), headers=request["headers"], timeout=60)


def run(order: Order) -> dict[str, Any]:
    """Run the batch, at most to the boundary where it is killed; ``finish`` goes on until nobody waits any more."""
    if order.get("broken"):
        BROKEN[order["broken"]]()
    boundaries = Boundaries(order)
    hooked(boundaries)
    if order.get("inject", {}).get("at") == 0:
        boundaries.inject()
    with Workbench.open(order["workspace"]) as wb:
        try:
            outcome = wb.run(order["batch"])
        except WorkbenchError as error:
            return {"error": type(error).__name__, "sentence": str(error), "boundaries": boundaries.count}
        for _ in range(MOST_ROUNDS if order.get("finish") else 0):
            if outcome.state != "paused":
                break
            control(order["control_url"], "/clock", {"advance": 120})
            outcome = wb.run(order["batch"])
        first = boundaries.count
        again = wb.run(order["batch"]) if outcome.state == "finished" else outcome
        verdict = wb.trail.verify()
        return {
            "state": outcome.state,
            "cause": outcome.cause,
            "boundaries": first,
            "again": boundaries.count - first,
            "same_again": again == outcome,
            "trail_ok": verdict.ok,
        }


def warm(order: Order) -> dict[str, Any]:
    """One run in this process, so that what is imported and computed once is there in every child."""
    with Workbench.open(order["workspace"]) as wb:
        state = wb.run(order["batch"]).state
        wb.trail.verify()
    gc.collect()
    gc.freeze()
    return {"state": state}


def run_apart(order: Order) -> dict[str, Any]:
    """`run` in a process of its own; gives its exit code (-9 when killed) and what it said."""
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(said)
        _as_child(lambda: os.write(say, json.dumps(run(order)).encode()))
    os.close(say)
    with os.fdopen(said, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "said": json.loads(text) if text else None}


def _as_child(work: Callable[[], Any]) -> None:
    try:
        signal.alarm(LONGEST_RUN)
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's code
        sys.excepthook(*sys.exc_info())
        os._exit(1)


class Orgs:
    """The scratch orgs of this program: each a forked process that ends when its pipe closes, also if this program dies."""

    def __init__(self) -> None:
        self.lifelines: dict[int, int] = {}

    def start(self, database: str) -> dict[str, Any]:
        """Serve a database; gives the start-up facts and the process."""
        facts, tell = os.pipe()
        lifeline, hold = os.pipe()
        child = os.fork()
        if child == 0:
            for handle in (facts, hold, *self.lifelines.values()):
                os.close(handle)
            os.dup2(lifeline, 0)
            options = serve.Options(database=Path(database), until_stdin_closes=True)
            _serve(options, tell)
        for handle in (tell, lifeline):
            os.close(handle)
        self.lifelines[child] = hold
        with os.fdopen(facts, encoding="utf-8") as pipe:
            return {"pid": child, **json.loads(pipe.readline())}

    def stop(self, child: int) -> dict[str, Any]:
        """End one at once and wait for it; what it has committed is in its files."""
        os.kill(child, signal.SIGKILL)
        os.close(self.lifelines.pop(child))
        _, status = os.waitpid(child, 0)
        return {"exit": os.waitstatus_to_exitcode(status)}


def _serve(options: serve.Options, tell: int) -> None:
    def ready(facts: dict[str, str]) -> None:
        os.write(tell, json.dumps(facts).encode() + b"\n")
        os.close(tell)

    try:
        serve.serve(options, ready=ready)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's code
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def main() -> None:
    """Carry out orders, one JSON line each, until stdin closes."""
    orgs = Orgs()
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "org":
            answer = orgs.start(order["database"])
        elif order["do"] == "stop":
            answer = orgs.stop(order["pid"])
        elif order["do"] == "warm":
            answer = warm(order)
        else:
            answer = run_apart(order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
