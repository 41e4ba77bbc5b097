"""One example's world: a fresh workspace, the org that all examples share, a clock, and processes that die on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from conftest import CONTROLLER

from workbench.bench import Workbench
from workbench.scratch_org.process import ScratchOrg, start_scratch_org
from workbench.settings import Settings
from workbench.store.database import Store
from workbench.worker import course

FIELDS = ("HasOptedOutOfEmail", "Sales_Opt_Out__c")
OTHER_USER = "Preference Centre"


class Crash(BaseException):
    """The process is gone: nothing catches it, and nothing that it does afterwards counts."""


class Trouble:
    """Counts what a process commits and sends, and does something at one of these steps: dies there, or lets others act."""

    def __init__(self) -> None:
        self.armed: dict[tuple[str, int], Callable[[], None]] = {}
        self.seen: dict[str, int] = {}
        self.dead = self.busy = False

    def at(self, step: str, number: int, act: Callable[[], None]) -> None:
        """``step`` is commit:before, commit:after, http:before or http:after; 1 is the next one."""
        self.armed = {(step, number): act}
        self.seen = {}

    def die(self) -> None:
        """What a crash does."""
        self.dead = True
        raise Crash

    def reached(self, step: str) -> None:
        """One step of the process."""
        if self.dead:
            raise Crash
        if self.busy:
            return
        self.seen[step] = self.seen.get(step, 0) + 1
        if act := self.armed.pop((step, self.seen[step]), None):
            self.busy = True
            try:
                act()
            finally:
                self.busy = False

    def over(self) -> None:
        """Nothing more is to happen; the next process begins."""
        self.armed, self.dead = {}, False


@dataclass
class Stage:
    """What all examples share: the org, the template of a workspace, and by how much the org's clock was moved."""

    org: ScratchOrg
    template: Path
    folder: Path
    trouble: Trouble
    moved: timedelta = timedelta(0)
    skew: timedelta = timedelta(0)
    examples: int = 0

    def now(self) -> datetime:
        """The true time, which is the org's."""
        return datetime.now(UTC) + self.moved

    def pass_time(self, seconds: float) -> None:
        """Time goes by for everybody."""
        self.moved += timedelta(seconds=seconds)
        self.org.control("/clock", {"advance": seconds})

    def workspace(self) -> Path:
        """A fresh copy of the template."""
        self.examples += 1
        return shutil.copytree(self.template, self.folder / f"workspace-{self.examples}")


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Start the org and hook the steps of this process; everything is as before at the end."""
    (folder / "org.jsonl").write_text("", encoding="utf-8")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        org = stack.enter_context(start_scratch_org(data=folder / "org.jsonl"))
        with Workbench.init(folder / "template", name="machine", url=org.url, controller=CONTROLLER, opt_out_fields=FIELDS) as wb:
            wb.pull()
        stage = Stage(org, folder / "template", folder, Trouble())
        _hook(patch, stage)
        yield stage


def _hook(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    write, send, trouble = Store.write, requests.Session.send, stage.trouble

    @contextmanager
    def counted_write(self: Store) -> Iterator[Any]:
        if trouble.dead:
            raise Crash
        with write(self) as tx:
            yield tx
            trouble.reached("commit:before")
        trouble.reached("commit:after")

    def counted_send(self: requests.Session, request: Any, **options: Any) -> Any:
        trouble.reached("http:before")
        reply = send(self, request, **options)
        trouble.reached("http:after")
        return reply

    patch.setattr(Store, "write", counted_write)
    patch.setattr(requests.Session, "send", counted_send)
    patch.setattr(course.Course, "pause_before", lambda *_: None)  # the wait is for an org that is busy; this one never is
    patch.setattr(Settings, "clock", property(lambda _: lambda: stage.now() + stage.skew))


def opened(workspace: Path) -> Workbench:
    """The workbench of a new process; its commits are not forced to the disk, since no power is cut here."""
    wb = Workbench.open(workspace)
    wb.store.engine.dispose()
    sa.event.listen(wb.store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return wb
