"""A backup of the whole workspace in one file, made while it is in use and read again before it counts; and its way back.

In it: the register as of one moment, and every file of the workspace: evidence, issued reports, settings, policy, notebooks, the keys
that lie there as files. ``manifest.json`` names each with its size and SHA-256. It is as secret as the workspace is.

A backup is restored to a folder of its own, never over a register: a register that is there may know opt-outs that the backup does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from workbench import handed_in
from workbench.desk import Desk
from workbench.errors import InputError, NotAllowedError, StoreError
from workbench.settings import FILE as SETTINGS
from workbench.settings import in_file, read_settings
from workbench.store import consents, operators, trail_log
from workbench.store.database import Store
from workbench.trail import TrailRow, VerifierKey, events, leaf_time, verify_trail

REGISTER, MANIFEST = "register.db", "manifest.json"
FORM = "workbench-backup/1"
JUPYTER = ".jupyter"  # settings that `workbench lab` writes anew; Jupyter would run a program that was put there
LEFT_OUT = frozenset({"locks", JUPYTER, REGISTER, f"{REGISTER}-wal", f"{REGISTER}-shm", f"{REGISTER}-journal"})
BLOCK = 1 << 20
LARGEST_MANIFEST = 512 << 20  # bytes; a million evidence files are named in a quarter of it
NO_BACKUP = "this file is no backup, or it is damaged"


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup that was made or restored: where it is, its SHA-256, its moment (UTC), what it holds, and what is wrong with that."""

    path: Path
    sha256: str
    made_at: datetime
    files: int
    events: int
    problems: tuple[str, ...]


def make(desk: Desk, file: Path) -> Backup:
    """Write a backup to a new file outside the workspace; it appears when every part of it was read again and fits.

    Raises:
        NotAllowedError: the operator is no administrator.
        InputError: the file exists, lies in the workspace, or can't be written.
        StoreError: the register is not in the workspace's folder, or its copy is damaged.
    """
    _check_target(desk, file)
    with desk.store.write() as tx:
        if "admin" not in operators.roles(tx, desk.operator.name):
            raise NotAllowedError("this needs the role admin")
        desk.trail.append(tx, events.BackupMade())
        desk.trail.checkpoint(tx, required=False)
    made_at, beside = desk.clock(), file.with_name(f".{file.name}.{os.getpid()}.partial")
    with _written(file), tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as room:
        copy = Path(room) / REGISTER
        try:
            desk.store.snapshot(copy)
            _pack(desk.folder, copy, beside, made_at)
            digest, manifest = _whole(beside)
            size, problems = _looked_at(copy, manifest, made_at)
            beside.replace(file)
            _sync(file.parent)
        finally:
            beside.unlink(missing_ok=True)
    return Backup(path=file, sha256=digest, made_at=made_at, files=len(manifest), events=size, problems=problems)


def restore(file: Path, folder: Path, *, finish: Callable[[Path, Backup], None]) -> Backup:
    """Unpack a backup into a folder that does not exist yet, every file compared, the register brought to this version's schema.

    ``finish`` is called with the unpacked workspace before it gets its name: nobody opens one in which that was not done.

    Raises:
        InputError: the folder exists or can't be written; the file is no backup, damaged, or has been altered.
        StoreError: the register in it is damaged, or of a newer version.
    """
    if folder.exists():
        raise InputError(
            f"the folder {folder.name} exists already", "Name one that does not; compare both before you use either."
        )
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    with _written(folder):
        try:
            beside.mkdir(mode=0o700, parents=True)
            digest, manifest = _whole(file, into=beside)
            made_at = datetime.fromisoformat(_manifest(file)["made_at"])
            _check_settings(beside)
            store = Store(in_file(beside / REGISTER))
            try:
                store.upgrade()
                store.check_version()
            finally:
                store.close()
            size, problems = _looked_at(beside / REGISTER, manifest, made_at)
            restored = Backup(path=folder, sha256=digest, made_at=made_at, files=len(manifest), events=size, problems=problems)
            finish(beside, restored)
            beside.rename(folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return restored


def _check_target(desk: Desk, file: Path) -> None:
    register = desk.store.file
    if register is None:
        raise StoreError(
            "the register is kept by a PostgreSQL server, which a backup of the workspace does not hold",
            "Use `pg_dump` for the register and copy the workspace's folder at the same time: docs/postgresql.md.",
        )
    if register.resolve() != (desk.folder / REGISTER).resolve():
        raise StoreError(
            "workbench.toml keeps the register outside of the workspace, and a restored copy would open that one",
            "Move it to register.db in the workspace and take `database` out of workbench.toml.",
        )
    if file.exists():
        raise InputError(f"the file {file.name} exists already", "Name one that does not exist yet.")
    if file.resolve().is_relative_to(desk.folder.resolve()):
        raise InputError("a backup in the workspace is lost with it", "Name a file on another disk.")


def _check_settings(folder: Path) -> None:
    """A restored workspace opens its own register, and no other."""
    if read_settings(folder).database != in_file(folder / REGISTER):
        raise InputError(
            "the workbench.toml in the backup names another register", "Take `database` out of it in the original first."
        )


def _pack(folder: Path, register: Path, target: Path, made_at: datetime) -> None:
    """Everything into one archive, the manifest last."""
    listed: dict[str, dict[str, Any]] = {}
    with (
        os.fdopen(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as out,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, path in ((REGISTER, register), *_files(folder)):
            try:
                source = path.open("rb")
            except FileNotFoundError:
                continue  # deleted since it was listed, as an erasure does
            with source, archive.open(name, "w", force_zip64=True) as entry:
                listed[name] = _poured(source, entry)
        manifest = {"form": FORM, "made_at": leaf_time(made_at), "files": listed}
        archive.writestr(MANIFEST, json.dumps(manifest, indent=0))
        archive.close()
        out.flush()
        os.fsync(out.fileno())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The workspace's own files, in order: no links, no locks, nothing that is only on its way."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        on_its_way = any(part.startswith((".incoming-", ".making-")) or part.endswith(".partial") for part in parts)
        if parts[0] not in LEFT_OUT and not on_its_way and not path.is_symlink() and path.is_file():
            yield "/".join(parts), path


def _poured(source: IO[bytes], target: IO[bytes] | None) -> dict[str, Any]:
    """Copy a stream; its size and SHA-256."""
    hasher, size = hashlib.sha256(), 0
    while block := source.read(BLOCK):
        hasher.update(block)
        size += len(block)
        if target is not None:
            target.write(block)
    return {"size": size, "sha256": hasher.hexdigest()}


def _whole(file: Path, *, into: Path | None = None) -> tuple[str, dict[str, Any]]:
    """Read every part of a backup against its manifest, and keep it where ``into`` names a folder; the file's SHA-256 and manifest."""
    listed = _manifest(file)["files"]
    with _plainly(), zipfile.ZipFile(file) as archive:
        if sorted(archive.namelist()) != sorted([*listed, MANIFEST]) or not {REGISTER, SETTINGS} <= listed.keys():
            raise ValueError
        if into is not None:
            _check_room(into, sum(entry.file_size for entry in archive.infolist()))
        for name, expected in listed.items():
            entry = archive.getinfo(name)
            if entry.file_size != expected["size"] or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError  # other compressions, which we never write, end in errors of their own where they are spoilt
            place = _inside(name)
            if any(str(parent) in listed for parent in place.parents):
                raise ValueError
            with archive.open(name) as content:
                found = _poured(content, None) if into is None or _is_jupyters(place) else _kept(content, into / place)
            if found != expected:
                raise ValueError
    with file.open("rb") as whole:
        return hashlib.file_digest(whole, "sha256").hexdigest(), listed


def _is_jupyters(place: PurePosixPath) -> bool:
    """Whether Jupyter would find it among its settings, on file systems too that ignore case, or dots and blanks at an end."""
    return place.parts[0].casefold().rstrip(". ") == JUPYTER


def _check_room(folder: Path, needed: int) -> None:
    """Refuse before anything is unpacked; what an archive holds may be a thousand times its own size."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"the backup unpacks to {needed / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB left",
            "Make room, or restore it to another disk.",
        )


def _kept(entry: IO[bytes], path: Path) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        found = _poured(entry, target)
        target.flush()
        os.fsync(target.fileno())
    return found


def _inside(name: str) -> PurePosixPath:
    """A name of the archive as a place below the folder. Raises: ValueError for one that leads out of it."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or path.as_posix() != name
        or ".." in path.parts
        or "\\" in name
        or ":" in name
        or "\0" in name
        or not path.parts
    ):
        raise ValueError
    return path


def _manifest(file: Path) -> dict[str, Any]:
    with _readable(file):
        handed_in.check(file)
    with _plainly(), _readable(file), zipfile.ZipFile(file) as archive:
        if archive.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
            raise ValueError
        found = json.loads(archive.read(MANIFEST))
        if found["form"] != FORM or datetime.fromisoformat(found["made_at"]).tzinfo is None:
            raise ValueError
        return {"files": dict(found["files"]), "made_at": str(found["made_at"])}


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the backup {file.name} can't be read ({error.strerror})", "Check the path and its permissions."
        ) from None


@contextmanager
def _plainly() -> Iterator[None]:
    """Whatever is wrong with an archive as one sentence."""
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ):
        raise InputError(NO_BACKUP, "Take another backup; nothing was written.") from None


def _looked_at(register: Path, listed: dict[str, Any], now: datetime) -> tuple[int, tuple[str, ...]]:
    """A copy of a register: how many events its trail has, and what is wrong with trail or evidence, in sentences."""
    store = Store(in_file(register))
    try:
        if damage := store.damage():
            raise StoreError(f"the register in the backup is damaged ({damage})", "Use another backup.")
        with store.read() as tx:
            text = trail_log.vkey(tx)
            rows = (TrailRow(e.leaf_bytes, e.leaf_hash, e.salt, e.payload) for e in trail_log.events(tx))
            notes = [note for _, note, _ in trail_log.checkpoints(tx)]
            verdict = verify_trail(rows, checkpoints=notes, vkey=VerifierKey.parse(text or ""), known=())
            proofs = consents.all_digests(tx, now=now)
    finally:
        store.close()
    problems = [f"The trail does not verify: {problem}." for problem in verdict.problems]
    found = {digest: listed.get(f"evidence/{digest[:2]}/{digest}") for digest in proofs}
    bad = [(d, "missing" if it is None else "altered") for d, it in found.items() if it is None or it["sha256"] != d]
    problems += [f"The evidence file {digest} is {state}." for digest, state in bad]
    return verdict.events, tuple(problems)


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{target.name} can't be written ({error.strerror})", "Check the folder, its permissions and its space."
        ) from None


def _sync(folder: Path) -> None:
    """Make sure that a new name in a folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
