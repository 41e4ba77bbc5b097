"""Whether a trail is what was written: every event in its place, every payload its own, every checkpoint fitting.

Decides by the bytes alone, row by row, and names what does not fit by the event's number. Reads no database and no file.
What it can't see without an earlier checkpoint in hand: a tail cut off together with its checkpoints, and a whole trail
signed anew by someone who has the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.errors import TrailError
from workbench.trail.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from workbench.trail.event import read_event
from workbench.trail.events import EvidenceStored, PersonErased
from workbench.trail.leaf import Header, payload_digest, read_leaf
from workbench.trail.tree import EMPTY_ROOT, Frontier, leaf_hash

MOST_PROBLEMS = 100


class TrailRow(NamedTuple):
    """One event as stored; ``salt`` and ``payload`` are None where the payload was erased."""

    leaf_bytes: bytes
    leaf_hash: bytes
    salt: bytes | None
    payload: bytes | None


@dataclass(frozen=True)
class TrailVerdict:
    """What a verification found.

    Attributes:
        ok: nothing does not fit, and a signed checkpoint vouches for every event.
        events: rows read.
        size, root: of the last signed checkpoint that fits the events (0 and the empty root: none).
        problems: sentences that name the event; empty when ok.
        unsigned: events after the last signed checkpoint. A crash between an append and its checkpoint leaves some; so
            does an event slipped in without the key.
        evidence: digest of each evidence file that must exist, and the event that named it.
    """

    ok: bool
    events: int
    size: int
    root: bytes
    problems: tuple[str, ...]
    unsigned: int = 0
    evidence: dict[str, int] = field(default_factory=dict, repr=False)


def verify_trail(
    rows: Iterable[TrailRow], *, checkpoints: Iterable[str], vkey: VerifierKey, known: Iterable[str] = ()
) -> TrailVerdict:
    """Verify all rows, in order of seq, against the notes stored with them and notes kept elsewhere (``known``).

    Raises:
        TrailError: a known checkpoint is unusable, so that nothing can be said: not a note, or not signed by ``vkey``.
    """
    verification = TrailVerification(vkey, checkpoints=checkpoints, known=known)
    for row in rows:
        verification.add(row)
    return verification.verdict()


class TrailVerification:
    """A verification in progress: give it every row in order, then ask for the verdict.

    Holds: `_next`, the seq that should come; `_frontier`, the tree of the rows so far; `_unexcused`, payloads missing that
    no erasure has named yet; `_fits`, the last signed checkpoint that fits; `_broken`, once one did not.
    """

    def __init__(self, vkey: VerifierKey, *, checkpoints: Iterable[str], known: Iterable[str] = ()) -> None:
        self._vkey = vkey
        self._problems: list[str] = []
        self._more_problems = 0
        self._known = _by_size(open_checkpoint(note, vkey) for note in known)
        self._checkpoints = _by_size(self._opened(checkpoints))
        self._signed = max(self._checkpoints, default=0)
        self._frontier = Frontier()
        self._next = 0
        self._last_ts = ""
        self._unexcused: set[int] = set()
        self._evidence: dict[str, int] = {}
        self._fits = (0, EMPTY_ROOT)
        self._broken = False
        self._compare()

    def add(self, row: TrailRow) -> None:
        """Take the next row."""
        self._check_row(row)
        self._frontier = self._frontier.append(leaf_hash(row.leaf_bytes))
        self._compare()

    def verdict(self) -> TrailVerdict:
        """What was found in all rows given so far."""
        problems = [*self._problems, *self._end_problems()]
        if self._more_problems:
            problems.append(f"and {self._more_problems} more problems of these kinds")
        events = self._frontier.size
        return TrailVerdict(
            ok=not problems,
            events=events,
            size=self._fits[0],
            root=self._fits[1],
            problems=tuple(problems),
            unsigned=max(0, events - self._signed),
            evidence=dict(self._evidence),
        )

    def _problem(self, sentence: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(sentence)
        else:
            self._more_problems += 1

    def _opened(self, notes: Iterable[str]) -> Iterable[Checkpoint]:
        for place, note in enumerate(notes, start=1):
            try:
                yield open_checkpoint(note, self._vkey)
            except TrailError as error:
                self._problem(f"checkpoint {place} of the trail can't be trusted: {error}")

    def _check_row(self, row: TrailRow) -> None:
        try:
            header = read_leaf(row.leaf_bytes)
        except TrailError as error:
            self._problem(f"event {self._next} was changed: {error}")
            self._next += 1
            return
        if leaf_hash(row.leaf_bytes) != row.leaf_hash:
            self._problem(f"event {header.seq} was changed: its text does not have the hash stored with it")
        if header.log != self._vkey.name:
            self._problem(f"event {header.seq} belongs to another log")
        self._check_order(header)
        self._check_payload(header, row)

    def _check_order(self, header: Header) -> None:
        if header.seq > self._next:
            self._problem(f"{_span(self._next, header.seq)} missing before event {header.seq}")
        elif header.seq < self._next:
            self._problem(f"event {header.seq} stands after event {self._next - 1}, out of its order")
        if header.ts < self._last_ts:
            self._problem(f"event {header.seq} is dated before the event ahead of it: the clock was turned back")
        self._next = max(self._next, header.seq + 1)
        self._last_ts = max(self._last_ts, header.ts)

    def _check_payload(self, header: Header, row: TrailRow) -> None:
        if row.payload is None and row.salt is None:
            self._unexcused.add(header.seq)
        elif row.payload is None or row.salt is None:
            self._problem(f"event {header.seq} was changed: half of its payload is missing")
        elif payload_digest(row.salt, row.payload) != header.payload_sha256:
            self._problem(f"event {header.seq} was changed: its payload does not have the digest in its header")
        else:
            self._read(header, row.payload)

    def _read(self, header: Header, payload: bytes) -> None:
        if header.action not in (EvidenceStored.action, PersonErased.action):
            return  # the bytes are those that were written; their form was checked then, and is checked when shown
        try:
            event = read_event(header.action, payload)
        except TrailError as error:
            self._problem(f"event {header.seq} can't be read: {error}")
            return
        if isinstance(event, EvidenceStored):
            self._evidence.setdefault(event.sha256, header.seq)
        elif isinstance(event, PersonErased):
            self._unexcused.difference_update(event.seqs)
            for digest in event.evidence:
                self._evidence.pop(digest, None)

    def _compare(self) -> None:
        """Hold the tree of the rows so far against the checkpoints of this size."""
        size = self._frontier.size
        if size in self._known and self._known[size] != {self._frontier.root()}:
            self._problem(f"the trail was rewritten: {_some(0, size)} differs from the known checkpoint of size {size}")
        if size not in self._checkpoints or self._broken:
            return
        if self._checkpoints[size] == {self._frontier.root()}:
            self._fits = (size, self._frontier.root())
        else:
            self._broken = True
            span = _some(self._fits[0], size)
            self._problem(f"the checkpoint of size {size} does not fit: {span} was changed, added or removed")

    def _end_problems(self) -> Iterable[str]:
        events = self._frontier.size
        if not events:
            yield "the trail has no events"
        for seq in sorted(self._unexcused)[:MOST_PROBLEMS]:
            yield f"event {seq} was changed: its payload is missing and no erasure names it"
        if (largest := max(self._known, default=0)) > events:
            yield f"{_span(events, largest)} missing: the known checkpoint of size {largest} covers more than the trail has"
        if self._signed > events:
            yield f"{_span(events, self._signed)} missing: the checkpoint of size {self._signed} covers more than there is"
        if self._signed < events:
            yield f"{_span(self._signed, events)} not vouched for: no signed checkpoint covers this part of the trail"


def _by_size(checkpoints: Iterable[Checkpoint]) -> dict[int, set[bytes]]:
    sizes: dict[int, set[bytes]] = {}
    for checkpoint in checkpoints:
        sizes.setdefault(checkpoint.size, set()).add(checkpoint.root)
    return sizes


def _span(start: int, stop: int) -> str:
    """``event 5 is`` or ``events 5 to 7 are``: the events from start up to, not including, stop."""
    return f"event {start} is" if stop - start == 1 else f"events {start} to {stop - 1} are"


def _some(start: int, stop: int) -> str:
    return f"event {start}" if stop - start == 1 else f"an event among {start} to {stop - 1}"
