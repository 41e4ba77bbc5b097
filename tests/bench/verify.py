"""Verifying an exported trail against hashing the same bytes with hashlib alone, as a ratio of processor time within one process.

    python tests/bench/verify.py [--events 100000] [--rounds 5] [--checkpoint-every 200]

The baseline does with hashlib what a verification has to hash, and nothing else, from bytes that lie ready in memory: each leaf behind
0x00, the inner nodes of the tree (0x01 and two hashes), the folds of its right edge into a root at each checkpoint, each salt with its
payload, and every file that the manifest names. It reads and parses nothing, compares nothing, and checks no signature. The verifier's
own time is all of `verify`: reading the folder, taking the lines apart, the same hashes, every comparison, every Ed25519 signature in
plain Python. Goal: at most 3. The two alternate, so that a busy machine slows both; of each the fastest round counts. The line "bare
calls" is the same again with every text put together beforehand, so that not even the tree is built: the least that hashlib can take.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from workbench import verify_trail
from workbench.trail import Event, Frontier, Signer, TrailRow, seal, write_export
from workbench.trail.events import (
    BothSides,
    ClearAnswered,
    ClearIntended,
    ClearVerified,
    IntendedRow,
    PersonResubscribed,
    RowAnswer,
    VerifiedRow,
)

GOAL = 3.0
ORIGIN = "bench.example.org/trail"
START = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
STAMP = "2026-11-23T02:15:00Z"
FIELD = "HasOptedOutOfEmail"


def events_of(person: int) -> tuple[Event, ...]:
    """What a batch writes about one person with one record, from the intended clear to the resubscription."""
    record = f"00Qxx{person:010d}AAA"
    return (
        ClearIntended(rows=(IntendedRow(record_id=record, base=STAMP, fields=(FIELD,)),), attempt=1),
        ClearAnswered(rows=(RowAnswer(record_id=record, status=204, code=None),), attempt=1),
        ClearVerified(rows=(VerifiedRow(record_id=record, stamp=STAMP),)),
        PersonResubscribed(
            before=BothSides(unsubscribed=True, org={record: {FIELD: True}}),
            after=BothSides(unsubscribed=False, org={record: {FIELD: False}}),
            consent_id=f"{person:036d}",
            evidence=(f"{person:064x}",),
            episodes=(f"{person:036d}",),
        ),
    )


def rows_of(number: int, random: Random) -> Iterator[TrailRow]:
    """So many events of a batch, sealed."""
    for seq in range(number):
        person = seq // 4
        sealed = seal(
            events_of(person)[seq % 4], log=ORIGIN, seq=seq, ts=START + timedelta(milliseconds=seq), actor="ann",
            actor_auth="os-user", salt=random.randbytes(16), subject=f"{person:036d}", batch_id="b" * 36, intent_id=f"{person:036x}",
        )  # fmt: skip
        yield TrailRow(sealed.leaf_bytes, sealed.leaf_hash, sealed.salt, sealed.payload)


def export(folder: Path, *, events: int, every: int) -> tuple[str, list[TrailRow], list[int]]:
    """Write an export; returns the key, the rows and the sizes that were signed."""
    random = Random(7)
    signer, frontier = Signer(ORIGIN, random.randbytes(32)), Frontier()
    rows, notes, sizes = list(rows_of(events, random)), list[str](), list[int]()
    for size, row in enumerate(rows, start=1):
        frontier = frontier.append(row.leaf_hash)
        if size % every == 0 or size == events:
            notes.append(signer.sign(size, frontier.root()))
            sizes.append(size)
    write_export(folder, rows=rows, checkpoints=notes, vkey=signer.vkey, evidence={})
    return signer.vkey.text, rows, sizes


def hashing(folder: Path, rows: list[TrailRow], sizes: list[int]) -> Callable[[], list[bytes]]:
    """A function that hashes the same bytes as a verification; returns the inner nodes' texts, which exist only while it hashes."""
    signed, sha256 = set(sizes), hashlib.sha256
    leaves, salted = [row.leaf_bytes for row in rows], [(row.salt or b"") + (row.payload or b"") for row in rows]
    files = [path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "manifest.json"]

    def hash_all() -> list[bytes]:
        inner, peaks = list[bytes](), list[bytes]()
        for seq, leaf in enumerate(leaves):
            node, size = sha256(b"\x00" + leaf).digest(), seq
            while size & 1:
                inner.append(b"\x01" + peaks.pop() + node)
                node, size = sha256(inner[-1]).digest(), size >> 1
            peaks.append(node)
            if seq + 1 in signed:
                for peak in reversed(peaks[:-1]):
                    inner.append(b"\x01" + peak + node)
                    node = sha256(inner[-1]).digest()
        for text in (*salted, *files):
            sha256(text).digest()
        return inner

    return hash_all


def texts_of(folder: Path, rows: list[TrailRow], inner: list[bytes]) -> list[bytes]:
    """Every text that is hashed, put together."""
    leaves = [b"\x00" + row.leaf_bytes for row in rows]
    salted = [(row.salt or b"") + (row.payload or b"") for row in rows]
    return leaves + salted + inner + [p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != "manifest.json"]


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this process for one piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--checkpoint-every", type=int, default=200)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "export"
        vkey, rows, sizes = export(folder, events=given.events, every=given.checkpoint_every)
        hash_all = hashing(folder, rows, sizes)
        texts = texts_of(folder, rows, hash_all())

        def verified() -> None:
            verify_trail.decode.cache_clear()  # the tables of both points are part of the work
            if problems := verify_trail.verify(folder, vkey, [], excerpt=False):
                sys.exit(f"the export does not verify: {problems[0]}")

        def bare() -> None:
            for text in texts:
                hashlib.sha256(text).digest()

        rounds = [(seconds(verified), seconds(hash_all), seconds(bare)) for _ in range(given.rounds)]
    ours, hashed, calls = (min(times) for times in zip(*rounds, strict=True))
    size = sum(map(len, texts)) / 1e6
    sys.stdout.write(f"{given.events:,} events, {len(sizes):,} checkpoints; hashed: {len(texts):,} texts, {size:.1f} MB\n")
    sys.stdout.write(
        f"processor time, fastest of {given.rounds}: verify {ours:.2f} s, hashlib {hashed:.2f} s, bare calls {calls:.2f} s\n"
    )
    sys.stdout.write(f"verify is {ours / hashed:.2f} times hashlib, goal {GOAL:.0f}; {ours / calls:.2f} times the bare calls\n")
    sys.exit(ours / hashed > GOAL)


if __name__ == "__main__":
    main()
