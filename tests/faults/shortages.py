"""A full disk, a locked register, a clock that goes backwards, a power cut: one run each that meets with it, and the resume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from faults.harness import Event, Process, Trial
from faults.oracle import Judgement
from faults.programme import OFTEN, between, by_turns
from faults.scene import Scene
from faults.traces import select

FRAME = 4096 + 24  # bytes of one page in SQLite's write-ahead log
BACKWARDS = (-3600.0, -86_400.0 * 400)  # an hour; before the consents were given


def pages_of(scene: Scene) -> int:
    """How many pages the register has before the run."""
    return int(select(scene.workspace / "register.db", "PRAGMA page_count")[0]["page_count"])


def full_register(pages: int, *, turn: int = 0) -> Trial:
    """The register may not grow beyond so many pages; opt-outs come before the resume."""
    return Trial(processes=(Process(pages=pages, by_command=True), Process(events=between(turn))), cells=3)


def full_disk(size: int, *, turn: int = 0) -> Trial:
    """No file may grow beyond so many bytes: the write-ahead log can't take the next page."""
    return Trial(processes=(Process(file_size=size, by_command=True), Process(events=between(turn))), cells=3)


def log_sizes(found: Judgement) -> Iterator[int]:
    """A size for every page that a run writes to the write-ahead log."""
    longest = max(line["wal"] for line in found.journal if "wal" in line)
    yield from range(32, longest, FRAME)


def locked(n: int) -> Trial:
    """From this boundary on another process holds the register's lock."""
    return Trial(processes=(Process(events=(Event(what="lock", at=n),), by_command=True), Process(events=between(n))), cells=3)


def set_back(n: int, seconds: float) -> Trial:
    """From this boundary on the clock is wrong; then people opt out on either side, two boundaries later."""
    here, there = by_turns(n, 2)
    clock = Event(what="clock", at=n, seconds=seconds)
    opt_outs = Event(what="local", who=here, at=n + 2), Event(what="salesforce", who=there, at=n + 2)
    return Trial(processes=(Process(events=(clock, *opt_outs)),))


def power_cuts(boundaries: Iterable[int], *, torn: Iterable[float]) -> Iterator[Trial]:
    """The power goes at a boundary: whatever the last commit had not yet brought to the disk is torn; opt-outs before the resume."""
    for part in torn:
        for n in boundaries:
            yield Trial(processes=(Process(kill_at=n, torn=part), Process(events=between(n % len(OFTEN)))), cells=3)
