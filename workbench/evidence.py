"""The evidence files' door: takes files in once under their SHA-256, hands them out, says whether they are still what they were.

A file is counted and hashed while it is read (a declared size lies), never unpacked and never run; its media type comes from
its first bytes, its original name is text for people and never a path. Which consent a file proves is the register's matter.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from workbench.consent import Evidence
from workbench.errors import EvidenceError
from workbench.said import said

LARGEST_BYTES = 50 * 1024 * 1024
PIECE = 1024 * 1024
LONGEST_NAME = 255
SNIFFED = 4096  # bytes that decide on the media type

State = Literal["intact", "altered", "missing"]

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),  # Outlook's .msg, older Office files
    (8, b"WAVE", "audio/wav"),  # recordings of spoken consent
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "video/mp4"),
)
OFFICE = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
MAIL_HEADER = re.compile(
    rb"(?:From|To|Subject|Date|Received|Return-Path|Delivered-To|MIME-Version|Message-ID|DKIM-Signature|X-[\w-]+|ARC-[\w-]+):",
    re.I,
)
DIGEST = re.compile(r"[0-9a-f]{64}")


class EvidenceStore:
    """A folder of evidence files, each named by its own SHA-256 and never changed."""

    def __init__(self, folder: Path, *, largest_bytes: int = LARGEST_BYTES) -> None:
        """Name the folder; it is made when the first file comes in."""
        self.folder = Path(folder)
        self.largest_bytes = largest_bytes

    def put(self, source: Path | BinaryIO, original_name: str) -> Evidence:
        """Take a file in: temporary file, hash, fsync, rename to its digest, fsync of the folder. The same bytes are kept once.

        Raises:
            EvidenceError: empty, too large, not a readable regular file, or the disk refused; nothing is left behind.
        """
        name = plain_name(original_name)
        with _said_plainly(name), _opened(source, name) as stream:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".incoming-", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as copy:
                    found = self._read(stream, name, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                self._keep(Path(temporary), found.sha256)
            finally:
                Path(temporary).unlink(missing_ok=True)
        return found

    def describe(self, source: Path | BinaryIO, original_name: str) -> Evidence:
        """What `put` would return, and raise, without keeping the file: for dry runs.

        Raises:
            EvidenceError: as for `put`.
        """
        name = plain_name(original_name)
        with _said_plainly(name), _opened(source, name) as stream:
            return self._read(stream, name, None)

    def check(self, sha256: str) -> State:
        """Read a stored file again: ``intact``, ``altered`` (its bytes have another digest now) or ``missing``.

        Raises:
            EvidenceError: not a SHA-256, or the file is there and can't be read.
        """
        path = self.path(sha256)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return "altered"
            with path.open("rb") as stored:
                return "intact" if hashlib.file_digest(stored, "sha256").hexdigest() == sha256 else "altered"
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError:
            raise EvidenceError(
                said("the evidence file {sha256} can't be read", sha256=sha256), said("Check the permissions of the folder.")
            ) from None

    def open(self, sha256: str) -> BinaryIO:
        """A stored file for reading, after its bytes were checked against its name.

        Raises:
            EvidenceError: missing, altered, unreadable, or not a SHA-256.
        """
        state = self.check(sha256)
        if state != "intact":
            raise EvidenceError(
                said("the evidence file {sha256} is {state}", sha256=sha256, state=state),
                said("Restore it from a backup of the evidence folder."),
            )
        return self.path(sha256).open("rb")

    def path(self, sha256: str) -> Path:
        """Where the file of this digest lies, or would lie.

        Raises:
            EvidenceError: this is no SHA-256.
        """
        if not DIGEST.fullmatch(sha256):
            raise EvidenceError(said("an evidence file is named by the 64 hexadecimal digits of its SHA-256"))
        return self.folder / sha256[:2] / sha256

    def _read(self, stream: BinaryIO, name: str, copy: BinaryIO | None) -> Evidence:
        digest, size, head = hashlib.sha256(), 0, b""
        while piece := stream.read(PIECE):
            if not isinstance(piece, bytes):
                raise EvidenceError(said("evidence has to be handed in as bytes"), said("Open the file in binary mode."))
            size += len(piece)
            if size > self.largest_bytes:
                raise EvidenceError(
                    said("an evidence file is larger than {largest_bytes} bytes", largest_bytes=self.largest_bytes),
                    said("Hand in a smaller copy of {name}, or raise largest_bytes in [evidence] of workbench.toml.", name=name),
                )
            head = (head + piece)[:SNIFFED] if len(head) < SNIFFED else head
            digest.update(piece)
            if copy is not None:
                copy.write(piece)
        if not size:
            raise EvidenceError(
                said("an evidence file is empty"),
                said("{name} holds no bytes; hand in the file that proves the consent.", name=name),
            )
        return Evidence(sha256=digest.hexdigest(), size=size, media_type=media_type(head), original_name=name)

    def _keep(self, temporary: Path, sha256: str) -> None:
        target = self.path(sha256)
        if self.check(sha256) == "intact":
            return
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            _sync_folder(self.folder)
        temporary.chmod(0o400)
        temporary.replace(target)
        _sync_folder(target.parent)


def media_type(head: bytes) -> str:
    """The media type that a file's first bytes show; ``application/octet-stream`` where they show none."""
    for offset, signature, found in SIGNATURES:
        if head.startswith(signature, offset):
            return found
    if b"%PDF-" in head[:1024]:  # ISO 32000: the header may stand anywhere in the first 1,024 bytes
        return "application/pdf"
    if head.startswith(b"PK\x03\x04"):
        office = (found for sign, found in OFFICE if sign in head)
        return next(office, "application/vnd.openxmlformats-package" if b"[Content_Types].xml" in head else "application/zip")
    return _text_type(head)


def _text_type(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if MAIL_HEADER.match(text):
        return "message/rfc822"
    if text.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text/plain"
    try:
        decoded = text[: -3 if len(head) >= SNIFFED else None].decode("utf-8", "strict" if len(head) < SNIFFED else "replace")
    except UnicodeDecodeError:
        return "application/octet-stream"
    odd = sum(1 for c in decoded if c == "\ufffd" or (c < " " and c not in "\t\r\n\f"))
    return "application/octet-stream" if odd > (1 if len(head) >= SNIFFED else 0) else "text/plain"


def plain_name(original_name: str) -> str:
    """A file's name as text for people: no folders, no control or direction characters, 255 characters at most."""
    last = original_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    return shown[:LONGEST_NAME] if shown not in ("", ".", "..") else "unnamed"


@contextmanager
def _opened(source: Path | BinaryIO, name: str) -> Iterator[BinaryIO]:
    if not isinstance(source, (str, os.PathLike)):
        yield source
        return
    path = Path(source)
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever, a device never ends
        raise EvidenceError(
            said("evidence has to be a file"), said("{name} is a folder or a device; name the file itself.", name=name)
        )
    with path.open("rb") as stream:
        yield stream


@contextmanager
def _said_plainly(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EvidenceError(
                said("the disk is full; the evidence was not stored"), said("Free some space, then try again.")
            ) from None
        raise EvidenceError(
            said("an evidence file can't be read or stored ({code})", code=errno.errorcode.get(error.errno or 0, "I/O error")),
            said("Check that {name} exists, and the permissions of it and of the evidence folder.", name=name),
        ) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(PermissionError):  # some network drives can't sync a folder
            os.fsync(handle)
    finally:
        os.close(handle)
