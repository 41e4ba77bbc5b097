"""Events of the audit itself: reports, exports, and the sign of life when nothing happened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from workbench.trail.event import Count, Digest, Event, Stamp

Number = Annotated[str, re.compile(r"[0-9]{1,60}")]
"""A whole number that may be larger than JSON carries exactly, in decimal digits."""
Base64 = Annotated[str, re.compile(r"[A-Za-z0-9+/]+={0,2}")]
"""Bytes as base64 (RFC 4648, 4)."""


@dataclass(frozen=True, kw_only=True)
class ReportIssued(Event, action="report_issued"):
    """A report was sealed: its template, the digest of its parameters and of the file."""

    name: str
    parameters: Digest
    file_name: str
    file_sha256: Digest


@dataclass(frozen=True, kw_only=True)
class ReportErased(Event, action="report_erased"):
    """The workspace's copy of an issued report was deleted, because it named somebody who was erased; its files by name.

    Their digests stay with the `report_issued` events, so that a copy handed out before can still be told from a forgery.
    """

    name: str
    files: tuple[str, ...]
    cause: str


@dataclass(frozen=True, kw_only=True)
class AccessReported(Event, action="access_reported"):
    """A person was told everything that is known about them; who asked for it is the event's subject."""


@dataclass(frozen=True, kw_only=True)
class TrailExported(Event, action="trail_exported"):
    """The trail was handed out: how many events (this one included) and evidence files the export holds."""

    events: Count
    evidence: Count


@dataclass(frozen=True, kw_only=True)
class BackupMade(Event, action="backup_made"):
    """A backup of the whole workspace was begun, which holds the trail up to this event: personal data has left by it."""


@dataclass(frozen=True, kw_only=True)
class BackupRestored(Event, action="backup_restored"):
    """The workspace was restored from the backup of this moment and digest: what was entered after it is not here."""

    made_at: Stamp
    sha256: Digest


@dataclass(frozen=True, kw_only=True)
class RestoreConfirmed(Event, action="restore_confirmed"):
    """An administrator said that the unsubscribes, withdrawals and erasures received since the backup of this moment are entered."""

    made_at: Stamp


@dataclass(frozen=True, kw_only=True)
class KeyRotated(Event, action="key_rotated"):
    """The signing was handed to a new key: ``vkey`` counts from the event after this one, if the old key signed the tree up to here.

    Whoever holds only the first key follows these events from key to key; a key that its predecessor did not sign in counts nothing.
    """

    old_vkey: str
    vkey: str
    key_kept_in: str
    cause: str


@dataclass(frozen=True, kw_only=True)
class CheckpointIntended(Event, action="checkpoint_intended"):
    """The checkpoint of this size is about to be inserted into Salesforce, as a record of this custom object."""

    size: Count
    note_sha256: Digest
    object: str
    field: str


@dataclass(frozen=True, kw_only=True)
class CheckpointAnswered(Event, action="checkpoint_answered"):
    """What came of it: kept as that record, or not (``record_id`` is empty); after a lost answer there may be a record nonetheless."""

    size: Count
    outcome: Literal["kept", "refused", "unknown"]
    record_id: str


@dataclass(frozen=True, kw_only=True)
class TimestampRequested(Event, action="timestamp_requested"):
    """A time stamp (RFC 3161) was asked for: of the checkpoint of this size, whose note has this SHA-256; the answer repeats the nonce."""

    size: Count
    note_sha256: Digest
    nonce: Number


@dataclass(frozen=True, kw_only=True)
class TimestampReceived(Event, action="timestamp_received"):
    """An authority stamped that checkpoint at this moment, by its clock: its whole answer, and the SHA-256 of the authority's root file.

    The answer was verified when it came in; ``openssl ts -verify`` verifies it again, by the checkpoint's note and the root file.
    """

    size: Count
    note_sha256: Digest
    stamped_at: Stamp
    response: Base64
    ca_sha256: Digest


@dataclass(frozen=True, kw_only=True)
class CheckpointIdle(Event, action="checkpoint_idle"):
    """Nothing happened; a checkpoint was signed all the same, so that silence can be told from deletion."""
