"""Runs batches in processes of their own and kills them. Started as a program, driven over stdin.

Everything is imported once; each order then forks: a scratch org on a copied database, or a process that runs one batch. Nothing
of the product is changed but the jitter between repeated requests, the clock where that is the trial, and what a `broken` worker
is to do wrong. Children share what SQLAlchemy has compiled, as one long-lived process would.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock  # noqa: F401 - what a run imports late is imported here, so that no child has to
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

from faults.boundaries import Boundaries, Order, control, hooked
from faults.broken import BROKEN
from workbench import nightly, pull, worker  # noqa: F401 - as above
from workbench.bench import Workbench
from workbench.cli import app
from workbench.errors import WorkbenchError
from workbench.salesforce import SalesforceOrg  # noqa: F401 - as above
from workbench.scratch_org import serve
from workbench.store import sqlite
from workbench.store.database import Store

LONGEST_RUN = 120  # seconds; a child that hangs is ended by the system and fails its test
MOST_ROUNDS = 8
LOCK_WAIT = 0.2
COMPILED: Any = LRUCache(2_000)


def share_compiled() -> None:
    """Let every engine of this program and its children use the same compiled statements: the dialects are all alike."""
    SQLiteDialect_pysqlite.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[assignment,method-assign]
    SQLiteDialect_pysqlite.__hash__ = lambda self: hash(type(self))  # type: ignore[assignment,method-assign]
    make = sqlite.engine

    def engine(*args: Any, **options: Any) -> sa.Engine:
        made = make(*args, **options)
        made._compiled_cache = COMPILED
        return made

    sqlite.engine = engine


def limited(order: Order) -> None:
    """No more room: so many pages in the register, or so many bytes in any file (the write-ahead log's turn comes first)."""
    if pages := order.get("pages"):
        sa.event.listen(
            sa.pool.Pool, "connect", lambda connection, _: connection.execute(f"PRAGMA max_page_count = {int(pages)}").close()
        )
    if size := order.get("file_size"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    if order.get("by_command"):
        Store.__init__.__kwdefaults__["lock_wait"] = LOCK_WAIT  # a test does not wait as long as a person would


def run(order: Order) -> dict[str, Any]:
    """Run the batch, at most to the boundary where it is killed; ``finish`` goes on until nobody waits any more."""
    if order.get("broken"):
        BROKEN[order["broken"]]()
    boundaries = Boundaries(order)
    hooked(boundaries)
    boundaries.happen(0)
    limited(order)
    if order.get("by_command"):
        return by_command(order, boundaries)
    with Workbench.open(order["workspace"]) as wb:
        return _finished(wb, order, boundaries) if order.get("finish") else _once(wb, order, boundaries)


def _once(wb: Workbench, order: Order, boundaries: Boundaries) -> dict[str, Any]:
    try:
        outcome = wb.run(order["batch"])
    except WorkbenchError as error:
        return {"error": type(error).__name__, "sentence": str(error), "boundaries": boundaries.count}
    return {"state": outcome.state, "cause": outcome.cause, "boundaries": boundaries.count}


def _finished(wb: Workbench, order: Order, boundaries: Boundaries) -> dict[str, Any]:
    pauses = []
    for _ in range(MOST_ROUNDS):
        said = _once(wb, order, boundaries)
        if said.get("state") == "finished":
            break
        pauses.append(said.get("sentence") or said["cause"])
        control(order["control_url"], "/clock", {"advance": 120})
    first = boundaries.count
    again = _once(wb, order, boundaries) if said.get("state") == "finished" else said
    said |= (
        {"pauses": pauses, "again": boundaries.count - first, "same_again": again["state"] == said["state"]}
        if again.get("state")
        else {"pauses": pauses}
    )
    if order.get("sync"):
        # The sync is to carry over what happened before it; what comes after its reading is for the next one.
        order["events"] = []
        os.read(order["others"], 1)  # ends when the last of those who did something meanwhile has ended
        control(order["control_url"], "/faults", {"clear": True})
        wb.sync()
    return said | {"trail_ok": wb.trail.verify().ok}


def by_command(order: Order, boundaries: Boundaries) -> dict[str, Any]:
    """The same by the command line: its exit code, and all that it said."""
    talk, data = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(talk), contextlib.redirect_stdout(data):
        code = app.run(["batch", "run", order["batch"], "--workspace", order["workspace"]])
    boundaries.unlock()
    return {"code": code, "talk": talk.getvalue(), "boundaries": boundaries.count}


def warm(order: Order) -> dict[str, Any]:
    """One run in this process, so that what is imported and computed once is there in every child."""
    with Workbench.open(order["workspace"]) as wb:
        state = wb.run(order["batch"]).state
        wb.unsubscribe(order["victim"], source="clicked_link")
        wb.trail.verify()
        wb.sync()
    gc.collect()
    gc.freeze()
    return {"state": state}


def run_apart(order: Order) -> dict[str, Any]:
    """`run` in a process of its own; gives its exit code (-9 when killed) and what it said."""
    said, say = os.pipe()
    order["others"], busy = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(said)
        os.close(busy)
        _as_child(lambda: os.write(say, json.dumps(run(order)).encode()))
    os.close(say)
    others = [_bystander(order, some) for some in order.get("meanwhile", ())]
    os.close(busy)  # from now on only they hold it
    os.close(order["others"])
    if order.get("kill_after") and not select.select([said], [], [], order["kill_after"])[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(said, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    for other in others:
        os.waitpid(other, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "said": json.loads(text) if text else None}


def _bystander(order: Order, event: Order) -> int:
    """A process of its own that lets one thing happen after some time, whatever the run is at."""

    def act() -> None:
        time.sleep(event["after"])
        Boundaries(order).one(event)

    child = os.fork()
    if child == 0:
        _as_child(act)
    return child


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
    share_compiled()
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
