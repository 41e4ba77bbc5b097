"""Forged exports by the hundred: what the auditor's verifier finds with an earlier checkpoint in hand, and without one.

    python tests/tampering.py [--times 1000]

Some honest trails are built once; each forgery is made on a copy in memory and laid into one folder, as a careful forger would hand it
over: manifest and digests made anew. The verifier is the auditor's one file, called in this process so that thousands take seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from random import Random

from trail_samples import FORGERIES, Trail, forged, honest_trail

from workbench import verify_trail
from workbench.trail import export, join_notes

HONEST = 10


@lru_cache(maxsize=1)
def honest_trails() -> tuple[Trail, ...]:
    """Honest trails to forge, made once: same keys, other events, checkpoints and salts."""
    trails = []
    for number in range(HONEST):
        random = Random(number)
        keys = iter((bytes([7]) * 32, bytes([8]) * 32))
        random.randbytes = lambda size, r=random, k=keys: next(k) if size == 32 else Random.randbytes(r, size)  # type: ignore[method-assign]  # same keys
        trails.append(honest_trail(random))
    return tuple(trails)


def lay_out(trail: Trail, folder: Path) -> None:
    """The export of a trail in this folder, whatever lay there before; its manifest fits."""
    for old in (folder / "evidence").glob("*"):
        old.unlink()
    files = {f"evidence/{digest}": content for digest, content in trail.evidence.items()}
    files["events.jsonl"] = b"".join(export._line(row) for row in trail.rows)
    files["checkpoints.txt"] = join_notes(trail.notes).encode()
    files["vkey.txt"] = f"{trail.signer.vkey.text}\n".encode()
    (folder / "evidence").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    trail.meddle(folder)
    described = {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in files}
    (folder / "manifest.json").write_text(json.dumps({"files": described}), encoding="utf-8")


def judged(trail: Trail, folder: Path, *, known: bool) -> str:
    """What the verifier says of this trail: verified, tampered, or unclear."""
    lay_out(trail, folder)
    (folder / "known").write_text(trail.known, encoding="utf-8")
    held = [str(folder / "known")] if known else []
    try:
        problems = verify_trail.verify(folder, trail.signer.vkey.text, held, excerpt=False)
    except (ValueError, OSError):
        return "unclear"
    return "tampered" if problems else "verified"


def missed(kind: str, times: int, folder: Path, *, known: bool) -> int:
    """How many of so many forgeries of a kind pass for verified."""
    honest = honest_trails()
    forgeries = (forged(kind, number, honest[number % len(honest)]) for number in range(times))
    return sum(judged(trail, folder, known=known) == "verified" for trail in forgeries)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--times", type=int, default=100)
    times = options.parse_args().times
    verify_trail.is_signed = lru_cache(maxsize=100_000)(verify_trail.is_signed)
    total = dict.fromkeys((True, False), 0)
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(f"| forgery, {times} of each | found with an earlier checkpoint | without one |\n|---|---|---|\n")
        for kind in FORGERIES:
            found = {known: times - missed(kind, times, Path(name), known=known) for known in (True, False)}
            total = {known: total[known] + found[known] for known in total}
            sys.stdout.write(f"| {kind.replace('_', ' ')} | {found[True]} | {found[False]} |\n")
    made = times * len(FORGERIES)
    sys.stdout.write(f"| all {len(FORGERIES)} kinds, {made:,} | {total[True]:,} | {total[False]:,} |\n")
    sys.exit(total[True] != made)


if __name__ == "__main__":
    main()
