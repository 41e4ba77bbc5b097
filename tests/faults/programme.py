"""Which trials are played, on how many players, and what they add up to."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from faults.harness import Event, Player, Process, Trial, hook, play
from faults.oracle import Judgement
from faults.scene import OPTED_OUT_THERE_ONLY, VICTIM, WITH_A_CONVERTED_LEAD, Scene

PLAYERS = 2
VICTIMS = (VICTIM, OPTED_OUT_THERE_ONLY)
OFTEN = (VICTIM, OPTED_OUT_THERE_ONLY, "bea", WITH_A_CONVERTED_LEAD, "ivo", "dora")
"""Who takes a victim's part by turns: records of all kinds, in the first and in the last request."""
READ, CLEAR = "POST .*/composite$", {"on": "POST .*/composite$", "contains": "PATCH"}


@dataclass
class Tally:
    """What a programme came to; printed at the end of the test run."""

    name: str = ""
    boundaries: int = 0
    trials: int = 0
    cells: int = 0
    kills: int = 0
    opt_outs: int = 0
    pauses: int = 0
    states: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[Trial, tuple[str, ...]]] = field(default_factory=list)

    def add(self, trial: Trial, found: Judgement) -> None:
        """Count one trial."""
        self.trials += 1
        self.cells += trial.cells
        self.kills += found.exits.count(-9)
        self.opt_outs += found.opt_outs
        self.pauses += sum(len(said.get("pauses", ())) for said in found.said)
        self.states += found.states
        self.causes += found.causes
        self.faults += found.faults + Counter({"withheld": sum(bool(p.withhold) for p in trial.processes)})
        if found.losses:
            self.lost.append((trial, found.losses))

    def __str__(self) -> str:
        done, aborted, refused = (self.states[s] for s in ("DONE", "ABORTED", "REFUSED"))
        faults = ", ".join(f"{kind} {n}" for kind, n in sorted(self.faults.items()) if n) or "none"
        return (
            f"faults: {self.name}: {self.trials} trials ({self.cells} cells), {self.kills} kills (exit -9), {self.boundaries}"
            f" boundaries in an undisturbed run, {self.opt_outs} opt-outs, faults: {faults}; {self.pauses} pauses; done {done},"
            f" aborted {aborted}, refused {refused}, lost {len(self.lost)}"
        )


class Stage:
    """The scene and some players; trials run side by side, one on each player."""

    def __init__(self, scene: Scene, folder: Path, players: Sequence[Player]) -> None:
        self.scene, self.folder, self.players = scene, folder, players
        self.free: SimpleQueue[Player] = SimpleQueue()
        for player in players:
            self.free.put(player)

    def play(self, trial: Trial, *, keep: Path | None = None) -> Judgement:
        """One trial on the next free player; its traces stay in the folder that is named for them."""
        player = self.free.get()
        try:
            return play(player, self.scene, trial, keep or Path(tempfile.mkdtemp(dir=self.folder)), keep=keep is not None)
        finally:
            self.free.put(player)

    def play_all(self, trials: Iterable[Trial], tally: Tally) -> Tally:
        """All trials, in order as far as the players allow; drawn as they are needed, so that there may be endlessly many."""
        drawn = iter(trials)
        with ThreadPoolExecutor(len(self.players)) as pool:
            while some := list(islice(drawn, 4 * len(self.players))):
                for trial, found in zip(some, pool.map(self.play, some), strict=True):
                    tally.add(trial, found)
        return tally


def staged(stack: ExitStack, scene: Scene, folder: Path) -> Stage:
    """A stage whose players end with the stack."""
    return Stage(scene, folder, [stack.enter_context(Player(scene, Path(tempfile.mkdtemp(dir=folder)))) for _ in range(PLAYERS)])


def by_turns(turn: int, count: int) -> tuple[str, ...]:
    """So many different people, others at every turn."""
    return tuple(OFTEN[(turn + i) % len(OFTEN)] for i in range(count))


def between(turn: int) -> tuple[Event, ...]:
    """What happens before a process begins: a local opt-out of one person, one in Salesforce of another, nothing to the rest."""
    here, there = by_turns(turn, 2)
    return Event(what="local", who=here), Event(what="salesforce", who=there)


def kills(boundaries: int, *, turns: Iterable[int] = (0,)) -> Iterator[Trial]:
    """Every boundary x {no opt-out, a local one, one in Salesforce} between crash and resume, all three in one trial."""
    for turn in turns:
        for n in range(1, boundaries + 1):
            yield Trial(processes=(Process(kill_at=n), Process(events=between(turn + n))), cells=3)


def pairs(boundaries: int) -> Iterator[Trial]:
    """Two crashes, every boundary with every other, with opt-outs after the first, after the second, and late requests; endless."""
    turn = 0
    while True:
        for first in range(1, boundaries + 1):
            for second in range(1, boundaries + 1):
                turn += 1
                here, there, later_here, later_there = by_turns(turn, 4)
                begun = (Event(what="local", who=here), Event(what="salesforce", who=there))
                late = (Event(what="late", at=turn % boundaries),) if first >= boundaries / 2 and turn % 3 == 0 else ()
                resumed = (Event(what="local", who=later_here), Event(what="salesforce", who=later_there), *late)
                processes = Process(kill_at=first), Process(kill_at=second, events=begun), Process(events=resumed)
                yield Trial(processes=processes, cells=5)


def disturbances(journal: Sequence[dict[str, Any]], *, victim: str = VICTIM) -> Iterator[Trial]:
    """One thing alone at every boundary of one run.

    The register has one writer at a time: while a transaction is open a local unsubscribe waits until it has ended, which is
    the next boundary.
    """
    for line in journal:
        for what in ("salesforce", "late_commit", "local", "edit"):
            if not (what == "local" and line["at"] == "tx:before"):
                yield Trial(processes=(Process(events=(Event(what=what, who=victim, at=line["n"]),)),))


def late_requests(boundaries: Iterable[int], *, killed_at: int) -> Iterator[Trial]:
    """The process died with a request on its way, which arrives at some boundary of the resume, also behind an opt-out."""
    for n in boundaries:
        yield Trial(processes=(Process(kill_at=killed_at), Process(events=(Event(what="late", at=n),))))


def inside(scene: Scene, *, victim: str = VICTIM) -> Iterator[Trial]:
    """An opt-out that the org makes inside a composite request: beside the victim's own change, and between two queries."""
    record = scene.records[victim][0]
    for when in ("before", "after"):
        yield Trial(hooks=(hook(scene, victim, when, {"on": f"PATCH .*/{record}$", "inside": True}),))
    for nth in range(1, 13):
        yield Trial(hooks=(hook(scene, victim, "after", {"on": "GET .*/queryAll", "inside": True, "nth": nth}),))


def opt_out_behind_the_clear(scene: Scene, victim: str) -> dict[str, Any]:
    """The victim's opt-out right behind the first request that clears."""
    return hook(scene, victim, "after", CLEAR)


def crashes_of_an_abort(scene: Scene, boundaries: int, victim: str) -> Iterator[Trial]:
    """The victim opts out while the batch runs, and the process dies at every boundary of turning back."""
    opt_out = opt_out_behind_the_clear(scene, victim)
    for n in range(1, boundaries + 1):
        yield Trial(processes=(Process(kill_at=n), Process()), hooks=(opt_out,))
