"""The folder that is handed to an auditor: events, checkpoints, key, evidence, and the verifier itself.

| file | holds |
|---|---|
| events.jsonl | one line an event: the leaf's very bytes, its hash, the payload's very bytes, salt; null where erased |
| checkpoints.txt | the signed notes, a blank line between two |
| vkey.txt | the key they are signed with; an auditor compares it with the one announced earlier |
| README.txt | how to verify it |
| evidence/ | the evidence files, each named by its SHA-256 |
| manifest.json | size and SHA-256 of every file above |
| verify_trail.py | verifies all this with nothing but Python |
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from workbench.errors import TrailError
from workbench.trail.checkpoint import VerifierKey, join_notes, split_notes
from workbench.trail.tree import leaf_hash, tree_root
from workbench.trail.verification import TrailRow, TrailVerdict, verify_trail

EXPORT_FORMAT = 1
EVENTS, CHECKPOINTS, VKEY, MANIFEST = "events.jsonl", "checkpoints.txt", "vkey.txt", "manifest.json"
EVIDENCE, VERIFIER, README = "evidence", "verify_trail.py", "README.txt"
_LISTED = re.compile(r"events\.jsonl|checkpoints\.txt|vkey\.txt|README\.txt|verify_trail\.py|evidence/[0-9a-f]{64}")
_EVENT = re.compile(rb'{"leaf":(.*?),"leaf_hash":"([0-9a-f]*)","payload":(.*),"salt":(?:null|"([0-9a-f]*)")}\n')
_BLOCK = 1 << 20
_HOW_TO_VERIFY = """\
This folder holds an audit trail, with personal data in it: keep it closed.

To verify it, with Python 3.9 or newer and nothing else, in this folder:

    python3 verify_trail.py . --vkey KEY

KEY is the text of the verifier key. It must have reached you by another way than this folder: whoever could change the trail could
also change the vkey.txt beside it. Take verify_trail.py from a source you trust, too. With --known FILE it also compares the trail
with a checkpoint that you received earlier. Exit code 0: verified; 1: tampered with, and where; 2: could not tell.
"""
_HOW_TO_VERIFY_AN_EXCERPT = """\
This folder holds an excerpt of an audit trail. It shows that the trail of an earlier checkpoint goes on in that of a later one, and no
event but those that hand the signing to a new key; of all others it holds hashes, from which nothing can be read.

To verify it, with Python 3.9 or newer and nothing else, in this folder:

    python3 verify_trail.py . --vkey KEY --known FILE --excerpt

FILE is a file of the checkpoint that you received earlier. KEY is the text of the verifier key. Both must have reached you by another
way than this folder. Take verify_trail.py from a source you trust, too. Exit code 0: verified; 1: tampered with; 2: could not tell.
"""
_INCOMPLETE = "Ask for the export again, as one archive, and unpack it anew."


@dataclass(frozen=True)
class TrailExport:
    """An export folder, opened but not verified; everything is read from disk each time it is asked for.

    What can't be read is passed on as it stands, for the verification to stumble over and to name.
    """

    folder: Path

    @property
    def vkey_text(self) -> str:
        """The verifier key that lies in the export, "" for none."""
        return self._text(VKEY).strip()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The signed notes; text that is no row of notes comes back as one, which nobody has signed."""
        text = self._text(CHECKPOINTS)
        try:
            return split_notes(text)
        except TrailError:
            return (text,)

    def rows(self) -> Iterator[TrailRow]:
        """The events in the order of the file; a line that is not an event comes back as a leaf without its hash."""
        with (self.folder / EVENTS).open("rb") as lines:
            for line in lines:
                yield _row(line)

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_bytes().decode("utf-8", "replace")
        except OSError:
            return ""


def write_export(
    folder: Path,
    *,
    rows: Iterable[TrailRow],
    checkpoints: Iterable[str],
    vkey: VerifierKey,
    evidence: Mapping[str, Path],
) -> Path:
    """Write an export to a folder that does not exist yet; it appears whole or not at all, and private. Returns the folder.

    ``evidence`` maps digests to files, to be copied as they are: an altered one is the verifier's to report.

    Raises:
        TrailError: the folder exists, or can't be written.
    """
    _write_folder(
        folder, lines=(_line(row) for row in rows), checkpoints=checkpoints, vkey=vkey, evidence=evidence, readme=_HOW_TO_VERIFY
    )
    return folder


def write_excerpt(
    folder: Path,
    *,
    rows: Sequence[TrailRow],
    shown: Collection[int],
    sizes: Collection[int],
    checkpoints: Iterable[str],
    vkey: VerifierKey,
) -> Path:
    """Write an export that shows only some events, by seq; of all others it holds hashes. Returns the folder.

    It proves that the trees of these sizes continue each other, and is verified with ``--excerpt``.

    Raises:
        TrailError: the folder exists, or can't be written.
    """
    lines = (_line(part) if isinstance(part, TrailRow) else _hidden_line(*part) for part in _parts(rows, shown, sizes))
    _write_folder(folder, lines=lines, checkpoints=checkpoints, vkey=vkey, evidence={}, readme=_HOW_TO_VERIFY_AN_EXCERPT)
    return folder


def _parts(rows: Sequence[TrailRow], shown: Collection[int], sizes: Collection[int]) -> Iterator[TrailRow | tuple[int, bytes]]:
    """The rows shown, and (width, root) of the largest perfect subtrees between them that none of the sizes cuts through."""
    stops = sorted({*shown, *sizes, len(rows)})
    start = 0
    while start < len(rows):
        if start in shown:
            yield rows[start]
            start += 1
            continue
        room = next(stop for stop in stops if stop > start) - start
        width = 1 << room.bit_length() - 1
        while start % width:
            width >>= 1
        yield width, tree_root(leaf_hash(row.leaf_bytes) for row in rows[start : start + width])
        start += width


def _hidden_line(width: int, root: bytes) -> bytes:
    return b'{"hidden":%d,"root":"%b"}\n' % (width, root.hex().encode())


def _write_folder(
    folder: Path,
    *,
    lines: Iterable[bytes],
    checkpoints: Iterable[str],
    vkey: VerifierKey,
    evidence: Mapping[str, Path],
    readme: str,
) -> None:
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    if folder.exists():
        raise TrailError(f"The folder {folder.name} exists already.", "Name a folder that does not exist yet.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir(mode=0o700)
        (beside / EVIDENCE).mkdir(mode=0o700)
        _write_files(beside, lines=lines, checkpoints=checkpoints, vkey=vkey, evidence=evidence, readme=readme)
        beside.rename(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise TrailError(f"The export could not be written: {error.strerror}.", "Check the disk and try again.") from None
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read_export(folder: Path) -> TrailExport:
    """Open an export folder.

    Raises:
        TrailError: there are no events to read, so that nothing can be said about the trail.
    """
    try:
        (folder / EVENTS).open("rb").close()
    except OSError:
        raise TrailError(f"The folder {folder.name} is not an export of a trail.", _INCOMPLETE) from None
    return TrailExport(folder)


def verify_export(folder: Path, *, vkey: VerifierKey, known: Iterable[str] = ()) -> TrailVerdict:
    """Verify an export: its files by the manifest, its events and checkpoints as a trail, its evidence by digest.

    Raises:
        TrailError: the folder can't be read as an export, or a known checkpoint is unusable.
    """
    export = read_export(folder)
    verdict = verify_trail(export.rows(), checkpoints=export.checkpoints, vkey=vkey, known=known)
    problems = (*verdict.problems, *_file_problems(export, vkey), *_evidence_problems(folder, verdict.evidence))
    return replace(verdict, ok=not problems, problems=problems)


def _write_files(
    folder: Path,
    *,
    lines: Iterable[bytes],
    checkpoints: Iterable[str],
    vkey: VerifierKey,
    evidence: Mapping[str, Path],
    readme: str,
) -> None:
    with (folder / EVENTS).open("wb") as out:
        out.writelines(lines)
    (folder / CHECKPOINTS).write_bytes(join_notes(checkpoints).encode())
    (folder / VKEY).write_bytes(f"{vkey.text}\n".encode())
    (folder / README).write_bytes(readme.encode())
    (folder / VERIFIER).write_bytes(resources.files("workbench").joinpath(VERIFIER).read_bytes())
    for digest, source in evidence.items():
        if not _LISTED.fullmatch(f"{EVIDENCE}/{digest}"):
            raise TrailError("An evidence file goes by a SHA-256, nothing else.")
        if source.is_file():
            shutil.copyfile(source, folder / EVIDENCE / digest)
    files = {name: _described(folder / name) for name in _names(folder)}
    manifest = {"files": files, "format": EXPORT_FORMAT, "origin": vkey.name}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _names(folder: Path) -> list[str]:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != MANIFEST)


def _described(path: Path) -> dict[str, Any]:
    return {"sha256": _file_sha256(path), "size": path.stat().st_size}


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _line(row: TrailRow) -> bytes:
    """One event as a line of JSON, leaf and payload as their very bytes: canonical JSON has no line breaks.

    A row that was damaged so that a line can't carry it is written escaped, for everybody to see; no verifier takes it for an event.
    """
    leaf, payload = row.leaf_bytes, row.payload
    if b"\n" in leaf or (payload is not None and (b"\n" in payload or payload == b"null")):
        damaged = [part if part is None else part.decode("utf-8", "surrogateescape") for part in (leaf, payload)]
        value = [damaged[0], row.leaf_hash.hex(), damaged[1], None if row.salt is None else row.salt.hex()]
        return b'{"damaged":%b}\n' % json.dumps(value).encode("ascii")
    salt = b"null" if row.salt is None else b'"%b"' % row.salt.hex().encode()
    said = b"null" if payload is None else payload
    return b'{"leaf":%b,"leaf_hash":"%b","payload":%b,"salt":%b}\n' % (leaf, row.leaf_hash.hex().encode(), said, salt)


def _row(line: bytes) -> TrailRow:
    try:
        if match := _EVENT.fullmatch(line):
            leaf, leaf_hash, payload, salt = match.groups()
            return TrailRow(
                leaf,
                bytes.fromhex(leaf_hash.decode()),
                None if salt is None else bytes.fromhex(salt.decode()),
                None if payload == b"null" else payload,
            )
        leaf_text, hash_text, payload_text, salt_text = json.loads(line.decode("ascii"))["damaged"]
        return TrailRow(
            leaf_text.encode("utf-8", "surrogateescape"),
            bytes.fromhex(hash_text),
            None if salt_text is None else bytes.fromhex(salt_text),
            None if payload_text is None else payload_text.encode("utf-8", "surrogateescape"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # told below: such a line has no hash that fits
    return TrailRow(line, b"", None, None)


def _file_problems(export: TrailExport, vkey: VerifierKey) -> Iterator[str]:
    if export.vkey_text != vkey.text:
        yield f"{VKEY} holds another key than the one you verify with"
    try:
        listed = json.loads((export.folder / MANIFEST).read_bytes())["files"]
        entries = {name: (entry["sha256"], entry["size"]) for name, entry in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield f"{MANIFEST} is missing or can't be read"
        return
    for name, described in entries.items():
        path = export.folder / name
        if not _LISTED.fullmatch(name):
            yield f"{MANIFEST} names a file that an export does not have"
        elif not path.is_file():
            yield f"{name} is listed in {MANIFEST} and missing"
        elif (_file_sha256(path), path.stat().st_size) != described:
            yield f"{name} is not the file that {MANIFEST} describes"


def _evidence_problems(folder: Path, wanted: Mapping[str, int]) -> Iterator[str]:
    found = {path.name: path for path in sorted((folder / EVIDENCE).glob("*"))}
    for digest, seq in wanted.items():
        if digest not in found:
            yield f"evidence {digest} is missing; event {seq} names it"
        elif not found[digest].is_file() or _file_sha256(found[digest]) != digest:
            yield f"evidence {digest} was changed; event {seq} names it"
    for name in found.keys() - wanted.keys():
        yield f"evidence {name[:64]} is named by no event"
