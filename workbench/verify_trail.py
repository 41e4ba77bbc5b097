#!/usr/bin/env python3
"""Verify an exported audit trail. Needs Python 3.9 or newer and nothing else; imports nothing of the product it checks.

    python3 verify_trail.py EXPORT --vkey V [--known CHECKPOINT]

EXPORT is the folder. V is the verifier key, or a file holding it, as it was announced to you, not as it lies in the export.
CHECKPOINT is a file with a checkpoint you received earlier, for instance printed in a report: only with one in hand can
anyone find a trail that was cut short, or signed anew by someone who has the key. Take this program from a source you trust.
Exit code 0: verified. 1: tampered with, and where. 2: could not tell, and why.

Each event is a leaf: a line of JSON with the salted SHA-256 of its payload. All leaves form a Merkle tree (RFC 9162). A
checkpoint is its size and root, signed with Ed25519 (RFC 8032) as a note (c2sp.org/signed-note). Whoever changes, adds,
moves or removes an event changes the root, which only the holder of the key can sign.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# --- Ed25519 (RFC 8032): points (X, Y, Z, T) of -x^2 + y^2 = 1 + D x^2 y^2, integers modulo P
Point = tuple[int, int, int, int]
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493  # order of the base point
D = -121665 * pow(121666, -1, P) % P
BASE = (4 * pow(5, -1, P) % P).to_bytes(32, "little")


def add(p: Point, q: Point) -> Point:
    """The sum of two points (5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


@functools.lru_cache(maxsize=8)
def decode(data: bytes) -> list[Point]:
    """The point of 32 bytes and its 255 doublings; [] where this is not the one encoding of a point of large order."""
    sign, y = divmod(int.from_bytes(data, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P  # 5.1.3
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if len(data) != 32 or y >= P or x * x % P != square or (x == 0 and sign):
        return []
    x = P - x if x & 1 != sign else x
    points: list[Point] = [(x, y, 1, x * y % P)]
    while len(points) < 256:
        points.append(add(points[-1], points[-1]))
    return [] if points[3][0] == 0 and points[3][1] == points[3][2] else points


def multiply(points: list[Point], scalar: int) -> Point:
    """The first point times the scalar: the sum of those doublings whose bit is set."""
    return functools.reduce(add, (p for bit, p in enumerate(points) if scalar >> bit & 1), (0, 1, 1, 0))


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this key (32 bytes) made this signature (64 bytes) of the message (5.1.7, strict: S < L, R as encoded)."""
    key, s = decode(public), int.from_bytes(signature[32:], "little")
    if not key or len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    x, y, z, t = multiply(key, k)
    x, y, z, t = add(multiply(decode(BASE), s), (P - x, y, z, P - t))  # S B - k A must be R
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- The Merkle tree (RFC 9162), kept as the roots of its perfect subtrees, largest first
def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def append(peaks: list[bytes], size: int, node: bytes) -> None:
    """Add a leaf, given by its hash, to a tree that has ``size`` leaves."""
    while size & 1:
        node, size = hashlib.sha256(b"\x01" + peaks.pop() + node).digest(), size >> 1
    peaks.append(node)


def root(peaks: list[bytes]) -> bytes:
    return functools.reduce(lambda right, left: hashlib.sha256(b"\x01" + left + right).digest(), reversed(peaks))


# --- Keys and checkpoints
Roots = dict[int, set[bytes]]


def read_key(text: str) -> tuple[str, bytes, bytes]:
    """Name, id and public key of ``name+hexid+base64(0x01 || public key)``."""
    name, hexid, encoded = (*text.strip().split("+", 2), "", "")[:3]
    data = base64.b64decode(encoded, validate=True)
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if data[:1] != b"\x01" or key_id.hex() != hexid or not decode(data[1:]):
        raise ValueError("the verifier key is damaged, or not an Ed25519 key")
    return name, key_id, data[1:]


def read_checkpoints(text: str, key: tuple[str, bytes, bytes], roots: Roots) -> Iterator[str]:
    """Fill roots with {size: root} of every checkpoint this key signed; yield a sentence for each other one."""
    parts = text.split("\n\n") if text else []
    for place in range(0, len(parts), 2):
        lines, signatures = parts[place].split("\n"), "".join(parts[place + 1 : place + 2]).split("\n")
        mark = f"— {key[0]} "
        try:
            size, tree = int(lines[1]), base64.b64decode(lines[2], validate=True)
            blobs = [base64.b64decode(line[len(mark) :]) for line in signatures if line.startswith(mark)]
            mine = [is_signed(key[2], (parts[place] + "\n").encode(), b[4:]) for b in blobs if b[:4] == key[1]]
            good = all(mine) and mine != [] and lines[0] == key[0] and lines[1] == str(size) and "" not in lines
        except (ValueError, IndexError):
            good = False
        if good:
            roots.setdefault(size, set()).add(tree)
        else:
            yield f"checkpoint {place // 2 + 1} can't be trusted: not of this log, or not signed by this key"


# --- The trail
HEADER = {"v", "log", "seq", "ts", "actor", "actor_auth", "action", "batch_id", "intent_id", "subject", "payload_sha256"}
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def read_event(leaf: bytes, node: bytes, row: Any) -> tuple[dict[str, Any], Any]:
    """Header and payload (None: erased) of an event; an exception where it is not as it was written."""
    header = json.loads(leaf.decode("utf-8"))
    if header.keys() != HEADER or header["v"] != 1 or type(header["seq"]) is not int or len(row) != 4:
        raise ValueError("its fields are others")
    if node != bytes.fromhex(row["leaf_hash"]) or not TIME.fullmatch(header["ts"]):
        raise ValueError("its text does not have its hash, or no time")
    if row["payload"] is None and row["salt"] is None:
        return header, None
    payload = row["payload"].encode("utf-8", "surrogateescape")
    if hashlib.sha256(bytes.fromhex(row["salt"]) + payload).hexdigest() != header["payload_sha256"]:
        raise ValueError("its payload does not have its digest")
    return header, payload


def check_events(lines: Any, log: str, signed: Roots, known: Roots, evidence: dict[str, int]) -> Iterator[str]:  # noqa: PLR0912 - one pass
    """Yield a sentence for all that does not fit; fill evidence with {digest: event that names it}."""
    peaks: list[bytes] = []
    events, due, last_ts, fits, unexcused = 0, 0, "", 0, set()
    for line in lines:
        node, seq = b"", due  # an unreadable line fits no root
        try:
            row = json.loads(line.decode("ascii"))
            leaf = row["leaf"].encode("utf-8", "surrogateescape")
            node = leaf_hash(leaf)
            header, payload = read_event(leaf, node, row)
            seq = header["seq"]
            if header["log"] != log:
                yield f"event {seq} belongs to another log"
            if seq != due:
                yield f"events {due} to {seq - 1} are missing" if seq > due else f"event {seq} is out of its order"
            if header["ts"] < last_ts:
                yield f"event {seq} is dated before the event ahead of it: the clock was turned back"
            last_ts = max(last_ts, header["ts"])
            if payload is None:
                unexcused.add(seq)
            elif header["action"] == "evidence_stored":
                evidence.setdefault(json.loads(payload)["sha256"], seq)
            elif header["action"] == "person_erased":  # the only excuse for a missing payload or evidence file
                unexcused.difference_update(json.loads(payload)["seqs"])
                for digest in json.loads(payload)["evidence"]:
                    evidence.pop(digest, None)
        except UNREADABLE as error:
            yield f"event {seq} was changed: it is not as it was written ({error})"
        append(peaks, events, node)
        events, due = events + 1, max(due, seq + 1)
        if events in known and known[events] != {root(peaks)}:
            yield f"the trail was rewritten: events 0 to {events - 1} differ from the checkpoint you hold"
        if events in signed and fits >= 0:  # after the first misfit every root is another
            if signed[events] != {root(peaks)}:
                yield f"a checkpoint does not fit: one of the events {fits} to {events - 1} was changed, added or removed"
            fits = events if signed[events] == {root(peaks)} else -1
    yield from (f"event {seq} was changed: its payload is missing, no erasure names it" for seq in sorted(unexcused))
    if max(known, default=0) > events:
        yield f"events {events} to {max(known) - 1} are missing: the checkpoint you hold covers more than there is"
    if max(signed, default=0) > events:
        yield f"events {events} to {max(signed) - 1} are missing: a signed checkpoint covers more than there is"
    elif max(signed, default=0) < events or not events:
        yield f"no signed checkpoint vouches for the events {max(signed, default=0)} to {events - 1}" if events else "no events"


# --- The files beside it
LISTED = re.compile(r"events\.jsonl|checkpoints\.txt|vkey\.txt|README\.txt|verify_trail\.py|evidence/[0-9a-f]{64}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def check_files(folder: Path, vkey: str, evidence: dict[str, int]) -> Iterator[str]:
    """Yield a sentence for every file that is not what the manifest or an event says."""
    if sha256(folder / "vkey.txt") != hashlib.sha256(f"{vkey}\n".encode()).hexdigest():
        yield "vkey.txt does not hold the key you verify with"
    try:
        listed = {n: e["sha256"] for n, e in json.loads((folder / "manifest.json").read_bytes())["files"].items()}
    except (OSError, *UNREADABLE):
        listed = {"manifest.json": ""}
    for name, digest in listed.items():
        if not LISTED.fullmatch(name) or sha256(folder / name) != digest:
            yield f"{name!a} is missing, or not the file that was exported"
    for digest, seq in evidence.items():
        if sha256(folder / f"evidence/{digest}") != digest:
            yield f"evidence {digest} is missing or was changed; event {seq} names it"
    yield from (f"evidence {p.name!a} is named by no event" for p in folder.glob("evidence/*") if p.name not in evidence)


# --- The command
def verify(folder: Path, vkey: str, known_files: list[str]) -> list[str]:
    """Every problem; OSError or ValueError where nothing can be told."""
    key, signed, known, evidence = read_key(vkey), Roots(), Roots(), dict[str, int]()
    for name in known_files:
        if list(read_checkpoints(Path(name).read_text("utf-8").strip() or "nothing", key, known)):
            raise ValueError("the checkpoint you hold is not one of this log, signed by this key")
    stored = b"".join(path.read_bytes() for path in folder.glob("checkpoints.txt"))
    problems = list(read_checkpoints(stored.decode("utf-8", "replace"), key, signed))
    with (folder / "events.jsonl").open("rb") as lines:
        problems += check_events(lines, key[0], signed, known, evidence)
    return problems + list(check_files(folder, vkey.strip(), evidence))


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an audit trail: exit 0 verified, 1 tampered, 2 could not tell.")
    parser.add_argument("export", type=Path, metavar="EXPORT")
    parser.add_argument("--vkey", required=True, help="the verifier key, or a file that holds it")
    parser.add_argument("--known", action="append", default=[], help="a file with a checkpoint you received earlier")
    given = parser.parse_args()
    try:
        problems = verify(given.export, given.vkey if "+" in given.vkey else Path(given.vkey).read_text(), given.known)
        code, said = (1, ["TAMPERED", *problems[:100]]) if problems else (0, ["VERIFIED: every event, checkpoint and file"])
    except (OSError, ValueError) as error:
        code, said = 2, [f"COULD NOT TELL: {error}"]
    sys.stdout.write("\n".join(said).encode("ascii", "backslashreplace").decode() + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
