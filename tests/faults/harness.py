"""One trial: fresh copies, a run that is killed or disturbed, the resume, and what the oracle says of the end."""

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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What happens: where the first process is killed, what befalls the victim, and at which boundary of which process.

    ``inject_at`` 0 with ``kill_at``: between crash and resume. Without ``kill_at`` the injection is made inside the one run.
    ``hook`` is an opt-out that the org itself makes at a request.
    """

    victim: str = VICTIM
    kill_at: int | None = None
    inject: str = ""
    inject_at: int = 0
    hook: dict[str, Any] = field(default_factory=dict)
    broken: str = ""

    def __str__(self) -> str:
        parts = [f"killed at {self.kill_at}" if self.kill_at else "", self.broken, self.victim]
        parts.append(f"{self.inject} at {self.inject_at}" if self.inject else "nothing")
        parts.append(f"hook {json.dumps(self.hook)}" if self.hook else "")
        return ", ".join(p for p in parts if p)


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
        assert self.order(do="warm", workspace=str(folder / "workspace"), batch=scene.batch) == {"state": "finished"}
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
    shutil.copytree(scene.workspace, folder / "workspace")
    shutil.copy(scene.database, folder / "org.db")


def play(player: Player, scene: Scene, trial: Trial, folder: Path) -> Judgement:
    """Carry out one trial in an empty folder and judge its end."""
    copied(scene, folder)
    org = player.order(do="org", database=str(folder / "org.db"))
    try:
        exits, said = _runs(player, scene, trial, folder=folder, org=org)
    finally:
        player.order(do="stop", pid=org["pid"])
    found = judge(Evidence(scene=scene, folder=folder, victim=trial.victim, exits=exits, said=said, hooked=bool(trial.hook)))
    shutil.rmtree(folder)
    return found


def _runs(
    player: Player, scene: Scene, trial: Trial, *, folder: Path, org: dict[str, Any]
) -> tuple[tuple[int, ...], dict[str, Any]]:
    point_at(folder / "workspace", org["url"])
    order = order_for(scene, folder=folder, org=org, victim=trial.victim) | {"broken": trial.broken}
    if trial.hook:
        _control(org, "/hooks", trial.hook)
    inject = {"what": trial.inject, "at": trial.inject_at} if trial.inject else {}
    exits = []
    if trial.kill_at:
        killed = player.order(**order, kill_at=trial.kill_at)
        exits.append(killed["exit"])
        if trial.inject == "late":
            inject["request"] = _last_clear(folder / "journal.jsonl")
    last = player.order(**order, finish=True, inject=inject)
    return (*exits, last["exit"]), last["said"] or {}


def order_for(scene: Scene, *, folder: Path, org: dict[str, Any], victim: str = VICTIM) -> dict[str, Any]:
    """The order to run the batch on these copies."""
    return {
        "do": "run",
        "workspace": str(folder / "workspace"),
        "journal": str(folder / "journal.jsonl"),
        "batch": scene.batch,
        "victim": scene.people[victim],
        "control_url": org["control_url"],
        "actions": actions(scene.records[victim]),
    }


def actions(records: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """What other users do to the victim's first record: a real opt-out leaves history, so it is preceded by an opt-in."""
    first = {"object": "Lead" if records[0].startswith("00Q") else "Contact", "id": records[0], "user": CENTRE}
    opt_in, opt_out = ({"values": {"HasOptedOutOfEmail": value}} for value in (False, True))
    edit = {"values": {"Title": "Director"}, "user": "Sales"}
    return {"salesforce": [first | opt_in, first | opt_out], "edit": [first | edit]}


def hook(scene: Scene, victim: str, when: str, matcher: dict[str, Any]) -> dict[str, Any]:
    """The victim's opt-out in Salesforce, made by the org itself before or after a request."""
    return {when: matcher, "do": [{"write": action} for action in actions(scene.records[victim])["salesforce"]]}


def _control(org: dict[str, Any], path: str, payload: dict[str, Any]) -> None:
    from faults.killed_run import control

    control(org["control_url"], path, payload)


def _last_clear(journal: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    request: dict[str, Any] = next(line["request"] for line in reversed(lines) if "request" in line)
    return request
