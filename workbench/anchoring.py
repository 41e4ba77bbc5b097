"""Anchoring a checkpoint outside the workspace, with events on the trail that say where: as a record of Salesforce, or stamped by an
outside authority."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from workbench import handed_in, timestamps
from workbench.desk import Desk
from workbench.errors import SettingsError, TrailError
from workbench.org import OrgError, OrgUnreachableError
from workbench.store import trail_log
from workbench.store.database import Transaction
from workbench.trail import Event, events, parse_checkpoint, read_event

LARGEST_FILE = 1_000_000
"""Bytes of an answer or a root file; real ones have a few thousand."""


def keep_in_salesforce(desk: Desk, note: str) -> str:
    """Insert a checkpoint into Salesforce as a record; its id. What is intended and what came of it are on the trail.

    Raises:
        SettingsError: workbench.toml names no object for it.
        OrgError: it was not kept, or that can't be told; running it again is harmless.
    """
    kind, field = _place(desk)
    size = parse_checkpoint(note).size
    _noted(desk, events.CheckpointIntended(size=size, note_sha256=_sha256(note.encode()), object=kind, field=field))
    try:
        record_id = desk.org.keep_text(kind, field, text=note)
    except OrgError as error:
        unknown = isinstance(error, OrgUnreachableError)
        _noted(desk, events.CheckpointAnswered(size=size, outcome="unknown" if unknown else "refused", record_id=""))
        raise
    _noted(desk, events.CheckpointAnswered(size=size, outcome="kept", record_id=record_id))
    return record_id


def kept_in_salesforce(desk: Desk) -> tuple[str, ...]:
    """This log's checkpoints that Salesforce keeps, each once, the smallest first; other texts there are left out.

    Raises:
        SettingsError: workbench.toml names no object for them.
        OrgError: they could not be read.
        TrailError: there is none of this log.
    """
    ours: dict[str, int] = {}
    for text in desk.org.kept_texts(*_place(desk)):
        with suppress(TrailError):
            checkpoint = parse_checkpoint(text.replace("\r\n", "\n").strip() + "\n")  # as a long text field gives it back
            if checkpoint.origin == desk.trail.signer.name:
                ours[checkpoint.note] = checkpoint.size
    if not ours:
        raise TrailError(
            "Salesforce keeps no checkpoint of this trail", "Keep one with `workbench trail checkpoint --to-salesforce`."
        )
    return tuple(sorted(ours, key=lambda note: ours[note]))


def _place(desk: Desk) -> tuple[str, str]:
    kind, field = desk.checkpoint_place
    if not kind:
        raise SettingsError(
            "workbench.toml names no object that keeps checkpoints",
            "Write checkpoint_object and checkpoint_field under [org]: a custom object and its long text field.",
        )
    return kind, field


def _noted(desk: Desk, event: Event) -> None:
    with desk.store.write() as tx:
        desk.trail.append(tx, event)
        desk.trail.checkpoint(tx)


def request_timestamp(desk: Desk, note: str, file: Path) -> None:
    """Write a request for a time stamp of this checkpoint to a new file, and note on the trail that it was asked for.

    Raises:
        TrailError: the file exists already, or can't be written; nothing was noted.
    """
    request = timestamps.request_for(note.encode())
    with desk.store.write() as tx:
        asked = events.TimestampRequested(
            size=parse_checkpoint(note).size, note_sha256=_sha256(note.encode()), nonce=str(request.nonce)
        )
        desk.trail.append(tx, asked)
        desk.trail.checkpoint(tx)
        _write_new(file, request.der)


def add_timestamp(desk: Desk, response: Path, ca: Path) -> tuple[int, datetime]:
    """Verify an authority's answer against the checkpoint that was sent, and file it on the trail, once. Returns size and moment (UTC).

    Raises:
        TrailError: a file can't be read, this workspace did not ask for it, or the stamp does not hold; nothing was filed.
    """
    answer, roots = _read(response, "the time stamp"), _read(ca, "the authority's certificate")
    nonce = timestamps.nonce_of(answer)
    with desk.store.read() as tx:
        asked = next((e for e in _requests(tx) if e.nonce == str(nonce)), None)
        notes = {size: note for size, note, _ in trail_log.checkpoints(tx)}
    note = notes.get(asked.size, "") if asked else ""
    if asked is None or _sha256(note.encode()) != asked.note_sha256:
        raise TrailError(
            "no checkpoint of this trail was sent for this time stamp", "Ask with `workbench trail timestamp request`."
        )
    moment = timestamps.verified_moment(answer, content=note.encode(), nonce=int(asked.nonce), roots=roots)
    received = events.TimestampReceived(
        size=asked.size,
        note_sha256=asked.note_sha256,
        stamped_at=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        response=base64.b64encode(answer).decode(),
        ca_sha256=_sha256(roots),
    )
    with desk.store.write() as tx:
        if received not in _received(tx):
            desk.trail.append(tx, received)
            desk.trail.checkpoint(tx)
    return asked.size, moment


def _requests(tx: Transaction) -> Iterator[events.TimestampRequested]:
    for stored in trail_log.events(tx, action=events.TimestampRequested.action):
        event = read_event(events.TimestampRequested.action, stored.payload or b"")
        if isinstance(event, events.TimestampRequested):
            yield event


def _received(tx: Transaction) -> list[object]:
    action = events.TimestampReceived.action
    return [read_event(action, stored.payload or b"") for stored in trail_log.events(tx, action=action)]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(file: Path, what: str) -> bytes:
    try:
        return handed_in.read(file, most=LARGEST_FILE)
    except OSError as error:
        raise TrailError(f"{what} can't be read ({error.strerror})", "Check the file's name and permissions.") from None


def _write_new(file: Path, content: bytes) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError:
        raise TrailError(f"the file {file.name} exists already", "Name a file that does not exist yet.") from None
    except OSError as error:
        raise TrailError(f"the request can't be written ({error.strerror})", "Check the folder and its permissions.") from None
