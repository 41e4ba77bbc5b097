"""Which trials are played, on how many players, and what they add up to."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from faults.harness import Player, Trial, hook, play
from faults.oracle import Judgement
from faults.scene import OPTED_OUT_THERE_ONLY, VICTIM, Scene

PLAYERS = 2
BETWEEN = ("", "local", "salesforce")
"""What befalls the victim between crash and resume."""


@dataclass
class Tally:
    """What a programme came to; printed at the end of the test run."""

    boundaries: int = 0
    trials: int = 0
    kills: int = 0
    injected: int = 0
    states: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[Trial, tuple[str, ...]]] = field(default_factory=list)

    def add(self, trial: Trial, found: Judgement) -> None:
        """Count one trial."""
        self.trials += 1
        self.kills += found.exits.count(-9)
        self.injected += found.injected > 0
        self.states += found.states
        if found.losses:
            self.lost.append((trial, found.losses))

    def __str__(self) -> str:
        done, aborted, refused = (self.states[s] for s in ("DONE", "ABORTED", "REFUSED"))
        return (
            f"faults: {self.trials} trials, {self.kills} kills at {self.boundaries} boundaries, {self.injected} with an opt-out; "
            f"done {done}, aborted {aborted}, refused {refused}, lost {len(self.lost)}"
        )


class Stage:
    """The scene and some players; trials run side by side, one on each player."""

    def __init__(self, scene: Scene, folder: Path, players: Sequence[Player]) -> None:
        self.scene, self.folder, self.players = scene, folder, players
        self.free: SimpleQueue[Player] = SimpleQueue()
        for player in players:
            self.free.put(player)

    def play(self, trial: Trial) -> Judgement:
        """One trial on the next free player."""
        player = self.free.get()
        try:
            return play(player, self.scene, trial, Path(tempfile.mkdtemp(dir=self.folder)))
        finally:
            self.free.put(player)

    def play_all(self, trials: Iterable[Trial], tally: Tally) -> Tally:
        """All trials, in order as far as the players allow."""
        wanted = list(trials)
        with ThreadPoolExecutor(len(self.players)) as pool:
            for trial, found in zip(wanted, pool.map(self.play, wanted), strict=True):
                tally.add(trial, found)
        return tally


def staged(stack: ExitStack, scene: Scene, folder: Path) -> Stage:
    """A stage whose players end with the stack."""
    return Stage(scene, folder, [stack.enter_context(Player(scene, Path(tempfile.mkdtemp(dir=folder)))) for _ in range(PLAYERS)])


def kills(boundaries: int) -> Iterator[Trial]:
    """Every boundary x everything that may happen between crash and resume."""
    for n in range(1, boundaries + 1):
        for what in BETWEEN:
            yield Trial(kill_at=n, inject=what)


def some_kills(boundaries: int) -> Iterator[Trial]:
    """Every boundary once, with what happens in between by turns."""
    for n in range(1, boundaries + 1):
        yield Trial(kill_at=n, inject=BETWEEN[n % len(BETWEEN)])


def disturbances(journal: Sequence[dict[str, Any]], *, victim: str = VICTIM, broken: str = "") -> Iterator[Trial]:
    """An opt-out on either side at every boundary of one run.

    The register has one writer at a time: while a transaction is open a local unsubscribe waits until it has ended, which is
    the next boundary.
    """
    for line in journal:
        for what in ("salesforce", "local", "edit"):
            if not (what == "local" and line["at"] == "tx:before"):
                yield Trial(victim=victim, inject=what, inject_at=line["n"], broken=broken)


def some_disturbances(journal: Sequence[dict[str, Any]]) -> Iterator[Trial]:
    """From the first reading on: in Salesforce between any two exchanges, in the register after every exchange and commit."""
    first = next(line["n"] for line in journal if line["what"] == "read")
    for line in journal[first - 1 :]:
        if line["at"].startswith("http"):
            yield Trial(inject="salesforce", inject_at=line["n"])
        if line["at"].endswith("after"):
            yield Trial(inject="local", inject_at=line["n"])


def late_requests(boundaries: int, *, killed_at: int) -> Iterator[Trial]:
    """The process died with a request on its way, which arrives at some boundary of the resume, also behind an opt-out."""
    for n in range(boundaries + 1):
        yield Trial(kill_at=killed_at, inject="late", inject_at=n)


def inside(scene: Scene, *, victim: str = VICTIM) -> Iterator[Trial]:
    """An opt-out that the org makes inside a composite request: beside the victim's own change, and between two queries."""
    record = scene.records[victim][0]
    for when in ("before", "after"):
        yield Trial(victim=victim, hook=hook(scene, victim, when, {"on": f"PATCH .*/{record}$", "inside": True}))
    for nth in range(1, 13):
        yield Trial(victim=victim, hook=hook(scene, victim, "after", {"on": "GET .*/queryAll", "inside": True, "nth": nth}))


def opt_out_behind_the_clear(scene: Scene, victim: str) -> dict[str, Any]:
    """The victim's opt-out right behind the first request that clears."""
    return hook(scene, victim, "after", {"on": "POST .*/composite$", "contains": "PATCH"})


def crashes_of_an_abort(scene: Scene, boundaries: int, victim: str) -> Iterator[Trial]:
    """The victim opts out while the batch runs, and the process dies at every boundary of turning back."""
    opt_out = opt_out_behind_the_clear(scene, victim)
    for n in range(1, boundaries + 1):
        yield Trial(victim=victim, kill_at=n, hook=opt_out)


VICTIMS = (VICTIM, OPTED_OUT_THERE_ONLY)
