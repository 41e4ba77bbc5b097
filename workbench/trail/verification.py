"""Whether a trail is what was written: every event in its place, every payload its own, every checkpoint fitting.

Decides by the bytes alone, row by row, and names what does not fit by the event's number. Reads no database and no file.
What it can't see without an earlier checkpoint in hand: a tail cut off together with its checkpoints, and a whole trail
signed anew by someone who has the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.errors import TrailError
from workbench.said import said
from workbench.trail.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse_checkpoint
from workbench.trail.event import read_event
from workbench.trail.events import EvidenceStored, KeyRotated, PersonErased
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

    ``vkey`` is the log's first key; a key that its predecessor signed in is followed from there.

    Raises:
        TrailError: all else fits, and a known checkpoint is unusable: not a note, or not signed by the key of its time.
    """
    verification = TrailVerification(vkey, checkpoints=checkpoints, known=known)
    for row in rows:
        verification.add(row)
    return verification.verdict()


class TrailVerification:
    """A verification in progress: give it every row in order, then ask for the verdict.

    Holds: `_next`, the seq that should come; `_frontier`, the tree of the rows so far; `_roots`, its root at every size that a
    checkpoint names; `_unexcused`, payloads missing that no erasure has named yet; `_new_keys`, keys handed over, by the size of the
    tree that the old key had to sign.
    """

    def __init__(self, vkey: VerifierKey, *, checkpoints: Iterable[str], known: Iterable[str] = ()) -> None:
        self._vkey = vkey
        self._problems: list[str] = []
        self._more_problems = 0
        self._known, self._notes = tuple(known), tuple(checkpoints)
        self._sizes = {size for note in (*self._known, *self._notes) if (size := _size_of(note)) is not None}
        self._roots: dict[int, bytes] = {}
        self._frontier = Frontier()
        self._next = 0
        self._last_ts = ""
        self._unexcused: set[int] = set()
        self._new_keys: dict[int, VerifierKey] = {}
        self._evidence: dict[str, int] = {}

    def add(self, row: TrailRow) -> None:
        """Take the next row."""
        self._check_row(row)
        self._frontier = self._frontier.append(leaf_hash(row.leaf_bytes))
        if self._frontier.size in self._sizes:
            self._roots[self._frontier.size] = self._frontier.root()

    def verdict(self) -> TrailVerdict:
        """What was found in all rows given so far.

        Raises:
            TrailError: all else fits, and a known checkpoint is unusable.
        """
        events = self._frontier.size
        signatures = _Signatures(self._vkey, self._new_keys, self._roots)
        problems = [*self._problems, *signatures.check(self._notes), *self._end_problems(signatures.covered)]
        problems += self._known_problems(signatures, tell=bool(problems))
        if self._more_problems:
            problems.append(said("and {number} more problems of these kinds", number=self._more_problems))
        return TrailVerdict(
            ok=not problems,
            events=events,
            size=signatures.fits,
            root=self._roots.get(signatures.fits, EMPTY_ROOT),
            problems=tuple(problems),
            unsigned=max(0, events - signatures.covered),
            evidence=dict(self._evidence),
        )

    def _problem(self, sentence: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(sentence)
        else:
            self._more_problems += 1

    def _check_row(self, row: TrailRow) -> None:
        try:
            header = read_leaf(row.leaf_bytes)
        except TrailError as error:
            self._problem(said("event {seq} was changed: {error}", seq=str(self._next), error=str(error)))
            self._next += 1
            return
        if leaf_hash(row.leaf_bytes) != row.leaf_hash:
            self._problem(said("event {seq} was changed: its text does not have the hash stored with it", seq=str(header.seq)))
        if header.log != self._vkey.name:
            self._problem(said("event {seq} belongs to another log", seq=str(header.seq)))
        self._check_order(header)
        self._check_payload(header, row)

    def _check_order(self, header: Header) -> None:
        if header.seq > self._next:
            self._problem(said("{what} missing before event {seq}", what=_span(self._next, header.seq), seq=str(header.seq)))
        elif header.seq < self._next:
            self._problem(
                said("event {seq} stands after event {last}, out of its order", seq=str(header.seq), last=str(self._next - 1))
            )
        if header.ts < self._last_ts:
            self._problem(
                said("event {seq} is dated before the event ahead of it: the clock was turned back", seq=str(header.seq))
            )
        self._next = max(self._next, header.seq + 1)
        self._last_ts = max(self._last_ts, header.ts)

    def _check_payload(self, header: Header, row: TrailRow) -> None:
        if row.payload is None and row.salt is None:
            self._unexcused.add(header.seq)
        elif row.payload is None or row.salt is None:
            self._problem(said("event {seq} was changed: half of its payload is missing", seq=str(header.seq)))
        elif payload_digest(row.salt, row.payload) != header.payload_sha256:
            self._problem(
                said("event {seq} was changed: its payload does not have the digest in its header", seq=str(header.seq))
            )
        else:
            self._read(header, row.payload)

    def _read(self, header: Header, payload: bytes) -> None:
        if header.action not in (EvidenceStored.action, PersonErased.action, KeyRotated.action):
            return  # the bytes are those that were written; their form was checked then, and is checked when shown
        try:
            event = read_event(header.action, payload)
            if isinstance(event, KeyRotated):
                self._new_keys[header.seq + 1] = VerifierKey.parse(event.vkey)
        except TrailError as error:
            self._problem(said("event {seq} can't be read: {error}", seq=str(header.seq), error=str(error)))
            return
        if isinstance(event, EvidenceStored):
            self._evidence.setdefault(event.sha256, header.seq)
        elif isinstance(event, PersonErased):
            self._unexcused.difference_update(event.seqs)
            for digest in event.evidence:
                self._evidence.pop(digest, None)

    def _known_problems(self, signatures: _Signatures, *, tell: bool) -> list[str]:
        """What the known checkpoints show; with ``tell`` an unusable one is a sentence among others, else nothing can be said."""
        problems, events = list[str](), self._frontier.size
        for note in self._known:
            try:
                known = signatures.opened(note)
            except TrailError as error:
                if not tell:
                    raise
                problems.append(said("a known checkpoint can't be compared: {error}", error=str(error)))
                continue
            if known.size > events:
                span = _span(events, known.size)
                problems.append(
                    said(
                        "{what} missing: the known checkpoint of size {size} covers more than the trail has",
                        what=span,
                        size=str(known.size),
                    )
                )
            elif self._roots.get(known.size, EMPTY_ROOT) != known.root:
                span = _some(0, known.size)
                problems.append(
                    said(
                        "the trail was rewritten: {what} differs from the known checkpoint of size {size}",
                        what=span,
                        size=str(known.size),
                    )
                )
            elif known.size not in signatures.sizes:
                problems.append(
                    said("the trail's own checkpoint of size {size}, which is known, was removed", size=str(known.size))
                )
        return problems

    def _end_problems(self, covered: int) -> Iterable[str]:
        events = self._frontier.size
        if not events:
            yield said("the trail has no events")
        for seq in sorted(self._unexcused)[:MOST_PROBLEMS]:
            yield said("event {seq} was changed: its payload is missing and no erasure names it", seq=str(seq))
        if covered > events:
            yield said(
                "{what} missing: the checkpoint of size {size} covers more than there is",
                what=_span(events, covered),
                size=str(covered),
            )
        if covered < events:
            yield said("{what} not vouched for: no signed checkpoint covers this part of the trail", what=_span(covered, events))


class _Signatures:
    """The trail's own checkpoints against its tree, and which key signs for which size.

    Holds: `keys`, {size from which a key signs: key}; `covered`, the largest size signed; `fits`, the last that fits the tree.
    """

    def __init__(self, vkey: VerifierKey, handed: Mapping[int, VerifierKey], roots: Mapping[int, bytes]) -> None:
        self.keys = {0: vkey}
        self.covered = self.fits = 0
        self.sizes: set[int] = set()
        self._handed, self._roots, self._broken = dict(handed), roots, False

    def opened(self, note: str) -> Checkpoint:
        """A checkpoint, after the signature by the key for its size was verified."""
        size = parse_checkpoint(note).size
        return open_checkpoint(note, self.keys[max(start for start in self.keys if start <= size)])

    def check(self, notes: Iterable[str]) -> Iterator[str]:
        """A sentence for each that does not fit; keys that were signed in are taken over."""
        for place, note in enumerate(notes, start=1):
            try:
                signed = self.opened(note)
            except TrailError as error:
                yield said("checkpoint {number} of the trail can't be trusted: {error}", number=place, error=str(error))
                continue
            if signed.size <= self.covered:
                yield said("checkpoint {number} of the trail is out of its order", number=place)
            self.covered = max(self.covered, signed.size)
            self.sizes.add(signed.size)
            yield from self._compared(signed)
        for size in self._handed:
            yield said("event {seq} names a new key, but the old one did not sign there", seq=str(size - 1))

    def _compared(self, signed: Checkpoint) -> Iterator[str]:
        if self._broken or signed.size not in self._roots:
            return  # after the first misfit every root is another; one beyond the end is told elsewhere
        if self._roots[signed.size] != signed.root:
            self._broken = True
            span = _some(self.fits, signed.size)
            yield said(
                "the checkpoint of size {size} does not fit: {what} was changed, added or removed",
                size=str(signed.size),
                what=span,
            )
            return
        self.fits = signed.size
        if signed.size in self._handed:
            self.keys[signed.size + 1] = self._handed.pop(signed.size)


def _size_of(note: str) -> int | None:
    try:
        return parse_checkpoint(note).size
    except TrailError:
        return None


def _span(start: int, stop: int) -> str:
    """``event 5 is`` or ``events 5 to 7 are``: the events from start up to, not including, stop."""
    if stop - start == 1:
        return said("event {seq} is", seq=str(start))
    return said("events {first} to {last} are", first=str(start), last=str(stop - 1))


def _some(start: int, stop: int) -> str:
    if stop - start == 1:
        return said("event {seq}", seq=str(start))
    return said("an event among {first} to {last}", first=str(start), last=str(stop - 1))
