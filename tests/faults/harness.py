"""One trial: fresh copies, processes that are killed, disturbed or out of room, the resume, and what the oracle says of the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from faults.oracle import Evidence, Judgement, judge
from faults.scene import VICTIM, Scene
from workbench.settings import point_at

TESTS = Path(__file__).parents[1]
CENTRE = "Preference Centre"
LATE_BY = 45  # seconds that a long transaction of another user takes to show; shorter than the quiet period


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that befalls a person (or, without one, the process) at a boundary; 0 is before the process begins.

    ``what``: local (an unsubscribe in the register), salesforce (an opt-out there), late_commit (one whose transaction began
    earlier), edit (another field), late (the last request of ours arrives only now), lock, clock.
    """

    what: str
    who: str = ""
    at: int = 0
    after: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process that runs the batch: what happens while it does, and how it ends. The last one of a trial goes to the end.

    ``kill_at`` is a boundary, ``kill_after`` a time in seconds. ``withhold`` names the boundary whose request never arrives.
    ``pages`` and ``file_size`` are the room it has. ``torn``: how much of the commit before ``kill_at`` reached the disk when
    the power went. ``meanwhile`` happens in other processes, by time.
    """

    kill_at: int = 0
    kill_after: float = 0.0
    events: tuple[Event, ...] = ()
    meanwhile: tuple[Event, ...] = ()
    withhold: int = 0
    pages: int = 0
    file_size: int = 0
    torn: float | None = None
    by_command: bool = False


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Processes one after the other; what the org itself does (``hooks``) and gets wrong (``faults``); who works wrongly."""

    processes: tuple[Process, ...] = (Process(),)
    hooks: tuple[dict[str, Any], ...] = ()
    faults: tuple[dict[str, Any], ...] = ()
    broken: str = ""
    sync: bool = False
    cells: int = field(default=1, compare=False)
    """How many combinations of the programme's table this one trial covers."""


class Player:
    """The program that forks orgs and runs; as a context manager it is ended at the end."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        """Start the program; ``folder`` is for its own files and has to outlive it."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKBENCH_")}
        paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "faults.killed_run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=inherited | {"WORKBENCH_NO_KEYRING": "1", "PYTHONPATH": paths, "TMPDIR": str(folder)},
        )
        copied(scene, folder)
        org = self.order(do="org", database=str(folder / "org.db"))
        point_at(folder / "workspace", org["url"])
        warm = {"workspace": str(folder / "workspace"), "batch": scene.batch, "victim": scene.people[VICTIM]}
        assert self.order(do="warm", **warm) == {"state": "finished"}
        self.order(do="stop", pid=org["pid"])

    def order(self, **order: Any) -> dict[str, Any]:
        """Carry out one order and wait for its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def copied(scene: Scene, folder: Path) -> None:
    """Fresh copies of both sides."""
    at_rest = shutil.ignore_patterns("*-wal", "*-shm")  # these come and go while another trial is judged against the master copy
    shutil.copytree(scene.workspace, folder / "workspace", ignore=at_rest)
    shutil.copy(scene.database, folder / "org.db")


def play(player: Player, scene: Scene, trial: Trial, folder: Path, *, keep: bool = False) -> Judgement:
    """Carry out one trial in an empty folder and judge its end; its traces stay only where they are to be kept."""
    copied(scene, folder)
    org = player.order(do="org", database=str(folder / "org.db"))
    try:
        exits, said = _runs(player, scene, trial, folder=folder, org=org)
    finally:
        player.order(do="stop", pid=org["pid"])
    faulty = bool(trial.faults) or any(p.withhold for p in trial.processes)
    found = judge(Evidence(scene=scene, folder=folder, exits=exits, said=said, faulty=faulty, synced=trial.sync))
    if not keep:
        shutil.rmtree(folder)
    return found


def _runs(
    player: Player, scene: Scene, trial: Trial, *, folder: Path, org: dict[str, Any]
) -> tuple[tuple[int, ...], tuple[dict[str, Any], ...]]:
    point_at(folder / "workspace", org["url"])
    for hook in trial.hooks:
        _control(org, "/hooks", hook)
    if trial.faults:
        _control(org, "/faults", {"plan": list(trial.faults)})
    exits, said = [], []
    for number, process in enumerate(trial.processes):
        order = order_for(scene, folder=folder, org=org) | order_of(scene, process) | {"run": number, "broken": trial.broken}
        if process is trial.processes[-1]:
            order |= {"finish": True, "sync": trial.sync}
        answer = player.order(**order)
        exits.append(answer["exit"])
        said.append(answer["said"] or {})
        if process.torn is not None and answer["exit"] == -9:
            cut_power(folder, process.torn)
    return tuple(exits), tuple(said)


def order_for(scene: Scene, *, folder: Path, org: dict[str, Any]) -> dict[str, Any]:
    """The order to run the batch on these copies."""
    return {
        "do": "run",
        "workspace": str(folder / "workspace"),
        "journal": str(folder / "journal.jsonl"),
        "batch": scene.batch,
        "control_url": org["control_url"],
    }


def order_of(scene: Scene, process: Process) -> dict[str, Any]:
    """What is ordered of one process beyond that."""
    plain = {
        name: getattr(process, name)
        for name in ("kill_at", "kill_after", "withhold", "pages", "file_size", "by_command")
        if getattr(process, name)
    }
    return plain | {
        "events": [_told(scene, event) for event in process.events],
        "meanwhile": [_told(scene, event) for event in process.meanwhile],
    }


def _told(scene: Scene, event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"what": event.what, "at": event.at, "after": event.after, "seconds": event.seconds}
    if event.who:
        told |= {"who": scene.people[event.who], "actions": actions(scene.records[event.who]).get(event.what, [])}
    return told


def actions(records: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """What other users do to a person's first record: a real opt-out leaves history, so it is preceded by an opt-in."""
    if not records:
        return {}
    first = {"object": "Lead" if records[0].startswith("00Q") else "Contact", "id": records[0], "user": CENTRE}
    opt_in, opt_out = ({"values": {"HasOptedOutOfEmail": value}} for value in (False, True))
    edit = {"values": {"Title": "Director"}, "user": "Sales"}
    late = {"seconds_ago": LATE_BY}
    return {
        "salesforce": [first | opt_in, first | opt_out],
        "late_commit": [first | opt_in | late, first | opt_out | late],
        "edit": [first | edit],
    }


def hook(scene: Scene, who: str, when: str, matcher: dict[str, Any]) -> dict[str, Any]:
    """A person's opt-out in Salesforce, made by the org itself before or after a request."""
    return {when: matcher, "do": [{"write": action} for action in actions(scene.records[who])["salesforce"]]}


def cut_power(folder: Path, torn: float) -> None:
    """What a power cut during the last commit leaves: no shared memory, and only a part of the write-ahead log's new end.

    The journal's last line was written after that commit, so it goes as well.
    """
    journal, register = folder / "journal.jsonl", folder / "workspace" / "register.db"
    register.with_name("register.db-shm").unlink(missing_ok=True)
    lines = journal.read_text(encoding="utf-8").splitlines()
    before, after = (json.loads(line) for line in lines[-2:])
    if (before["at"], after["at"]) == ("tx:before", "tx:after") and after["wal"] > before["wal"]:
        os.truncate(register.with_name("register.db-wal"), before["wal"] + int((after["wal"] - before["wal"]) * torn))
        journal.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")


def _control(org: dict[str, Any], path: str, payload: dict[str, Any]) -> None:
    from faults.boundaries import control

    control(org["control_url"], path, payload)
