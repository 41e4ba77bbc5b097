"""One moment of the model: both sides, the register, what each process holds in memory, what is on the wire, what may yet go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.resubscription import State as Stated


class Item:
    """The person's state in the batch: the values of `resubscription.State`, as plain text because an enum's hash is slow."""

    PROPOSED, POSTPONED, REFUSED = Stated.PROPOSED.value, Stated.POSTPONED.value, Stated.REFUSED.value
    SENT, VERIFIED, DONE = Stated.SENT.value, Stated.VERIFIED.value, Stated.DONE.value
    ABORTING, ABORTED = Stated.ABORTING.value, Stated.ABORTED.value


US, OTHERS = "us", "others"
WORKER, SYNC, NOBODY = "worker", "sync", ""
NONE, OPEN, CLOSED = 0, 1, 2
"""Episodes of the register: there is none, one at least is open, all are closed."""

NOT_SENT = frozenset({Item.PROPOSED, Item.POSTPONED})
FINAL = frozenset({Item.REFUSED, Item.DONE, Item.ABORTED})


class Row(NamedTuple):
    """An org record: its opt-out, and how often it was modified (its stamp); ``history`` holds (stamp, new value, by)."""

    flag: bool
    stamp: int
    by: str
    history: tuple[tuple[int, bool, str], ...]


class Base(NamedTuple):
    """A record as read before the write: `resubscription.BaseRow` in small; ``verified`` is -1 before it was read back."""

    stamp: int
    to_clear: bool
    verified: int = -1


class Request(NamedTuple):
    """A write on its way: who waits for the answer, and the parts that the org has not come to yet, as (record, condition)."""

    waiting: str
    kind: str
    parts: tuple[tuple[int, int], ...]
    refused: bool = False


UNCONDITIONAL = -1


class Worker(NamedTuple):
    """What the worker's process has in memory; all of it is gone after a crash. ``at`` is the step that comes next."""

    at: str = "down"
    token: str = ""
    reading: tuple[Row, ...] = ()
    sending: tuple[int, ...] = ()
    refused: bool = False
    tries: int = 0
    fresh: int = 0


class Sync(NamedTuple):
    """What the sync's process has in memory; ``targets`` are the records to be opted out."""

    at: str = "down"
    reading: tuple[Row, ...] = ()
    targets: tuple[int, ...] = ()
    holds: bool = False


class Budget(NamedTuple):
    """How often each thing may yet happen. ``opt_outs``: on either side. ``lost``: a request or part of one that is lost, late, locked or refused."""

    crashes: int = 0
    opt_outs: int = 0
    lost: int = 0
    stalls: int = 0
    errors: int = 0
    edits: int = 0
    syncs: int = 0


class State(NamedTuple):
    """Everything. ``fresh``: the records changed within the quiet period, while that matters, as a bit mask.

    ``stored`` is the register's knowledge of the org. ``older`` and ``newer`` are the person's episodes from before and after
    the consent. ``moved``: the person's version is no longer the one that was decided on. ``spoke``: an opt-out after the
    consent was made; ``repeated``: one on a record that was opted out anyway, which only a stamp tells. ``wrong`` collects what
    must never happen.
    """

    rows: tuple[Row, ...]
    stored: tuple[Row, ...]
    older: int
    budget: Budget
    newer: int = NONE
    moved: bool = False
    fresh: int = 0
    item: str = Item.PROPOSED
    base: tuple[Base, ...] = ()
    attempts: int = 0
    holder: str = NOBODY
    expired: bool = False
    worker: Worker = Worker()
    sync: Sync = Sync()
    flight: tuple[Request, ...] = ()
    spoke: bool = False
    repeated: bool = False
    wrong: frozenset[str] = frozenset()

    @property
    def unsubscribed(self) -> bool:
        """Whether the register would not mail the person."""
        return OPEN in (self.older, self.newer)

    @property
    def at_rest(self) -> bool:
        """Nothing is under way: the person has an end, both processes are down, nothing is on the wire."""
        return self.item in FINAL and self.worker.at == "down" == self.sync.at and not self.flight


Step = tuple[str, State]
Steps = Iterator[Step]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is explored: opt-outs of the records and the person at first, and what may happen.

    ``same_second``: somebody else may write in the very second of our own write, so that the stamp does not tell.
    """

    name: str
    flags: tuple[bool, ...]
    budget: Budget
    unsubscribed: bool = True
    same_second: bool = True
    broken: frozenset[str] = field(default_factory=frozenset)

    @property
    def undisturbed(self) -> bool:
        """Whether nothing happens but worker and sync."""
        return not any(self.budget._replace(syncs=0))

    def beginning(self) -> State:
        """Both sides as they were pulled last, and an approved batch with this person in it."""
        rows = tuple(Row(flag, 0, OTHERS, ((0, True, OTHERS),) if flag else ()) for flag in self.flags)
        return State(rows, rows, OPEN if self.unsubscribed else NONE, self.budget)
