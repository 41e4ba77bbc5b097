#!/usr/bin/env python3
"""Verify an exported audit trail. Needs Python 3.9 or newer and nothing else; imports nothing of the product it checks.

    python3 verify_trail.py EXPORT --vkey V [--known CHECKPOINT] [--excerpt]

EXPORT is the folder. V is the verifier key, or a file of it, as it was first announced to you, not as it lies in the export. CHECKPOINT
is a file of checkpoints you received earlier, say with a report: only with one in hand can anyone find a trail that was cut short, or
signed anew with a stolen key. Of some events an excerpt shows only hashes. Exit code 0: verified. 1: tampered with. 2: could not tell.

Each event is a leaf: a line of JSON with the salted SHA-256 of its payload. All leaves form a Merkle tree (RFC 9162). A checkpoint
is its size and root, signed with Ed25519 (RFC 8032) as a note (c2sp.org/signed-note). Whoever changes, adds, moves or removes an
event changes the root, which only the holder of the key can sign. A new key counts from where the old one signed it in.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import json
import re
import sys
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

# --- Ed25519 (RFC 8032): points (X, Y, Z, T) of -x^2 + y^2 = 1 + D x^2 y^2, integers modulo P
Point = tuple[int, int, int, int]
Key = tuple[str, bytes, bytes]  # name, id, public key
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493  # order of the base point
D = -121665 * pow(121666, -1, P) % P
BASE = (4 * pow(5, -1, P) % P).to_bytes(32, "little")


def add(p: Point, q: Point) -> Point:
    """The sum of two points (5.1.4)."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = p, q
    a, b, c, d = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P, 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


@functools.lru_cache(maxsize=8)
def decode(data: bytes) -> list[list[Point]]:
    """Multiples of the point of 32 bytes, row n: 0 to 31 times 32**n; [] where this is not the one encoding of a point of large order."""
    sign, y = divmod(int.from_bytes(data, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P  # 5.1.3
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if len(data) != 32 or y >= P or x * x % P != square or (x == 0 and sign):
        return []
    x = P - x if x & 1 != sign else x
    point, rows = (x, y, 1, x * y % P), list[list[Point]]()
    while len(rows) < 51:
        *row, point = accumulate([point] * 32, add, initial=(0, 1, 1, 0))
        rows.append(row)
    return [] if rows[0][8][0] == 0 and rows[0][8][1] == rows[0][8][2] else rows


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this key (32 bytes) made this signature (64 bytes) of the message (5.1.7, strict: S < L, R as encoded)."""
    s, negative = int.from_bytes(signature[32:], "little"), public[:31] + bytes([public[31] ^ 128])
    if not decode(public) or len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    summands = (row[n >> 5 * i & 31] for rows, n in ((decode(BASE), s), (decode(negative), k)) for i, row in enumerate(rows))
    x, y, z, _ = functools.reduce(add, summands)  # S B - k A must be R
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- Keys and checkpoints
def read_key(text: str) -> Key:
    """Name, id and public key of ``name+hexid+base64(0x01 || public key)``."""
    name, hexid, encoded = (*text.strip().split("+", 2), "", "")[:3]
    data = base64.b64decode(encoded, validate=True)
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if data[:1] != b"\x01" or key_id.hex() != hexid or not decode(data[1:]):
        raise ValueError("the verifier key is damaged, or not an Ed25519 key")
    return name, key_id, data[1:]


def split(text: str) -> list[str]:
    """The checkpoints of a text, two blocks each: what is said, and its signatures."""
    blocks = text.split("\n\n") if text else []
    return ["\n\n".join(blocks[n : n + 2]) for n in range(0, len(blocks), 2)]


def open_note(note: str, keys: dict[int, Key], *, newest: bool = True, handed: Iterable[int] = ()) -> tuple[int, bytes]:
    """Size and root that a checkpoint vouches for; ValueError where it is not by the key for trees of its size."""
    body, _, signatures = note.partition("\n\n")
    origin, size, tree = (*body.split("\n"), "", "")[:3]
    name, key_id, public = keys[max(start for start in keys if start <= int(size))]
    blobs = [base64.b64decode(line[len(name) + 3 :]) for line in signatures.split("\n") if line.startswith(f"— {name} ")]
    mine = [blob[4:] for blob in blobs if blob[:4] == key_id]
    rests = newest or int(size) in handed  # newer ones of the same key vouch for the same events: nothing rests on the others
    if not mine or origin != name or not all(is_signed(public, f"{body}\n".encode(), blob) for blob in mine if rests):
        raise ValueError("it is not of this log, or not signed by the key of its time")
    return int(size), base64.b64decode(tree, validate=True)


@dataclass
class Found:
    """What the events hold: how many (and hidden), roots {size: root}, evidence {digest: event}, keys handed on {size: key}."""

    events: int = 0
    hidden: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    evidence: dict[str, int] = field(default_factory=dict)
    new_keys: dict[int, str] = field(default_factory=dict)


def check_checkpoints(notes: list[str], found: Found, keys: dict[int, Key]) -> Iterator[str]:
    """Yield a sentence for all that does not fit; fill keys with {size from which a key signs: key}."""
    signed, fits, handed = 0, 0, dict(found.new_keys)
    for place, note in enumerate(notes, 1):
        try:
            size, tree = open_note(note, keys, newest=place == len(notes), handed=handed)
        except ValueError as error:
            yield f"checkpoint {place} can't be trusted: {error}"
            continue
        if size <= signed:
            yield f"checkpoint {place} is out of its order"
        signed = max(signed, size)
        if fits >= 0 and found.roots.get(size, tree) != tree:  # after the first misfit every root is another
            yield f"a checkpoint does not fit: one of the events {fits} to {size - 1} was changed, added or removed"
        fits = size if fits >= 0 and found.roots.get(size, tree) == tree else -1
        if size in handed and fits == size:
            keys[size + 1] = read_key(handed.pop(size))
    yield from (f"event {size - 1} names a new key, but the old one did not sign there" for size in handed)
    if signed > found.events:
        yield f"events {found.events} to {signed - 1} are missing: a signed checkpoint covers more than there is"
    elif signed < found.events or not signed:
        yield f"no signed checkpoint vouches for the events {signed} to {found.events - 1}"


# --- The events: leaves of the tree, of which the roots of its perfect subtrees are kept (peaks), largest first
TEXT, ID, HASH = rb'"[^"\\]*(?:\\.[^"\\]*)*"', rb'(?:null|"[^"]*")', rb'"(.{64})"'  # unhexlify looks at the digits of a hash
TIME = rb'"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)"'
LEAF = rb'{"action":"([a-z_]+)","actor":%b,"actor_auth":%b,"batch_id":%b,"intent_id":%b,"log":"([^"]*)","payload_sha256":%b,'
LEAF = (LEAF + rb'"seq":([0-9]{1,15}),"subject":%b,"ts":%b,"v":1}') % (TEXT, TEXT, ID, ID, HASH, ID, TIME)
EVENT = re.compile(rb'{"leaf":(%b),"leaf_hash":%b,"payload":(?:null|({.*})),"salt":(?:null|"(.{32})")}\n' % (LEAF, HASH))
HIDDEN = re.compile(rb'{"hidden":([0-9]{1,15}),"root":%b}\n' % HASH)


def check_events(lines: Iterable[bytes], log: str, sizes: set[int], found: Found) -> Iterator[str]:  # noqa: PLR0912 - one pass
    """Yield a sentence for all that does not fit; fill found, with the roots of these sizes."""
    peaks, size, due, last_ts, origin, unexcused, sha256 = list[bytes](), 0, 0, b"", log.encode(), set[int](), hashlib.sha256
    for line in lines:
        node, seq, width = b"", due, 1  # an unreadable line fits no root
        if match := EVENT.fullmatch(line):
            leaf, action, of, digest, number, ts, stated, payload, salt = match.groups()
            seq, node = int(number), sha256(b"\x00" + leaf).digest()
            if node != unhexlify(stated):
                yield f"event {seq} was changed: its text does not have its hash"
            if of != origin:
                yield f"event {seq} belongs to another log"
            if ts < last_ts:
                yield f"event {seq} is dated before the event ahead of it: the clock was turned back"
            last_ts = ts
            if payload is None and salt is None:
                unexcused.add(seq)
            elif sha256(unhexlify(salt or b"") + (payload or b"")).digest() != unhexlify(digest):
                yield f"event {seq} was changed: its payload does not have its digest"
            elif action == b"evidence_stored":
                found.evidence.setdefault(json.loads(payload).get("sha256"), seq)
            elif action == b"key_rotated":
                found.new_keys[seq + 1] = json.loads(payload).get("vkey", "")
            elif action == b"person_erased":  # the only excuse for a missing payload or evidence file
                unexcused.difference_update(json.loads(payload).get("seqs", []))
                for gone in json.loads(payload).get("evidence", []):
                    found.evidence.pop(gone, None)
        elif (match := HIDDEN.fullmatch(line)) and size % (span := max(1, int(match[1]))) == span & (span - 1) == 0:
            node, width, found.hidden = unhexlify(match[2]), span, found.hidden + span
        else:
            yield f"event {due} was changed: its line is not as it was written"
        if seq != due:
            yield f"events {due} to {seq - 1} are missing" if seq > due else f"event {seq} is out of its order"
        due, merged = max(due, seq + width), width
        while size & merged:  # a perfect subtree of this width stands left of it
            node, merged = sha256(b"\x01" + peaks.pop() + node).digest(), merged << 1
        peaks.append(node)
        size += width
        if size in sizes:
            found.roots[size] = functools.reduce(lambda r, p: sha256(b"\x01" + p + r).digest(), reversed(peaks))
    found.events = size
    yield from (f"event {seq} was changed: its payload is missing, no erasure names it" for seq in sorted(unexcused))


def check_files(folder: Path, vkey: str, evidence: dict[str, int]) -> Iterator[str]:
    """Yield a sentence for every file that is not what the manifest or an event says."""
    if (folder / "vkey.txt").read_bytes() != f"{vkey}\n".encode():
        yield "vkey.txt does not hold the key you verify with"
    listed = {name: entry["sha256"] for name, entry in json.loads((folder / "manifest.json").read_bytes())["files"].items()}
    for name, digest in (listed | {f"evidence/{digest}": digest for digest in evidence}).items():
        content = folder / name if re.fullmatch(r"\w+\.\w+|evidence/[0-9a-f]{64}", name) else None
        if not content or not content.is_file() or hashlib.sha256(content.read_bytes()).hexdigest() != digest:
            by = f"; event {evidence[name[9:]]} names it" if name[9:] in evidence else ""
            yield f"{name!a} is missing, or not the file that was exported{by}"
    yield from (f"evidence {p.name!a} is named by no event" for p in folder.glob("evidence/*") if p.name not in evidence)


def verify(folder: Path, vkey: str, known_files: list[str], *, excerpt: bool) -> list[str]:
    """Every problem; an exception where nothing can be told."""
    keys, found = {0: read_key(vkey)}, Found()
    own = split((folder / "checkpoints.txt").read_bytes().decode("utf-8", "replace"))
    held = [note for name in known_files for note in split(Path(name).read_text("utf-8").strip() + "\n")]
    sizes = {int(size) for size in re.findall(r"(?m)^[0-9]{1,15}$", "\n".join(own + held))}
    with (folder / "events.jsonl").open("rb") as lines:
        problems = [*check_events(lines, keys[0][0], sizes, found), *check_checkpoints(own, found, keys)]
    problems += check_files(folder, vkey.strip(), found.evidence)
    if found.hidden and not excerpt:
        problems.append(f"{found.hidden} of {found.events} events are hidden: give --excerpt where it need not show them all")
    for size, tree in (open_note(note, keys) for note in held if not problems):
        if size > found.events:
            problems.append(f"events {found.events} to {size - 1} are missing: the checkpoint you hold covers more than there is")
        elif found.hidden and size not in found.roots:
            raise ValueError(f"this excerpt can't be compared with a checkpoint of size {size}: ask for one that can")
        elif found.roots.get(size) != tree:
            problems.append(f"the trail was rewritten: events 0 to {size - 1} differ from the checkpoint you hold")
        elif not found.hidden and not any(note.startswith(f"{keys[0][0]}\n{size}\n") for note in own):
            problems.append(f"the trail's own checkpoint of size {size}, which you hold, was removed")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an audit trail: exit 0 verified, 1 tampered, 2 could not tell.")
    parser.add_argument("export", type=Path, metavar="EXPORT")
    parser.add_argument("--vkey", required=True, help="the verifier key, or a file that holds it")
    parser.add_argument("--known", action="append", default=[], help="a file with checkpoints you received earlier")
    parser.add_argument("--excerpt", action="store_true", help="it need not show every event")
    given = parser.parse_args()
    try:
        vkey = given.vkey if "+" in given.vkey else Path(given.vkey).read_text()
        problems = verify(given.export, vkey, given.known, excerpt=given.excerpt)
        good = f"VERIFIED: every event{' that is shown' * given.excerpt}, checkpoint and file"
        code, said = (1, ["TAMPERED", *problems[:100]]) if problems else (0, [good])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        code, said = 2, [f"COULD NOT TELL: {error}"]
    sys.stdout.write("\n".join(said).encode("ascii", "backslashreplace").decode() + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
