"""How an event becomes a leaf of the tree: the header that stays for ever, and the payload that can be erased.

The leaf holds only a salted digest of the payload, so that erasing the payload leaves a tree that still verifies and a
digest that tells nothing. Salt, time and place in the log are arguments: nothing here draws, reads a clock or stores.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from workbench.errors import TrailError
from workbench.trail.event import LARGEST_INTEGER, Event, canonical_checked, read_json
from workbench.trail.tree import leaf_hash

LEAF_VERSION = 1
SALT_BYTES = 16
_TEXT = re.compile(r".+", re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a leaf says openly: place, time, who, what, about what; ``ts`` as text, UTC in milliseconds.

    ``subject`` is the person's random id, ``batch_id`` and ``intent_id`` tie events together; none of them may hold an
    address or a name, because a leaf is never erased. ``actor_auth`` says how the actor was identified.

    Raises:
        TrailError: a field does not have its form.
    """

    v: int = LEAF_VERSION
    log: str
    seq: int
    ts: str
    actor: str
    actor_auth: str
    action: str
    batch_id: str | None = None
    intent_id: str | None = None
    subject: str | None = None
    payload_sha256: str

    def __post_init__(self) -> None:
        if type(self.v) is not int or self.v != LEAF_VERSION:
            raise TrailError("A leaf has a version that this program does not know.", "Use the version that wrote it.")
        if type(self.seq) is not int or not 0 <= self.seq <= LARGEST_INTEGER:
            raise TrailError("A leaf's seq is not a number from 0 on.")
        for name in ("log", "actor", "actor_auth", "action"):
            self._require(name, _TEXT)
        for name in ("batch_id", "intent_id", "subject"):
            if getattr(self, name) is not None:
                self._require(name, _ID)
        self._require("ts", _TIME)
        self._require("payload_sha256", _HEX)

    def _require(self, name: str, form: re.Pattern[str]) -> None:
        value = getattr(self, name)
        if not (isinstance(value, str) and form.fullmatch(value)):
            raise TrailError(f"Event {self.seq}: the header's {name} does not have its form.")


@dataclass(frozen=True, kw_only=True)
class SealedEvent:
    """An event as the store keeps it: the exact leaf, its hash (32 bytes), salt (16 bytes) and payload (canonical JSON)."""

    seq: int
    leaf_bytes: bytes = field(repr=False)
    leaf_hash: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    payload: bytes = field(repr=False)


def seal(
    event: Event,
    *,
    log: str,
    seq: int,
    ts: datetime,
    actor: str,
    actor_auth: str,
    salt: bytes,
    batch_id: str | None = None,
    intent_id: str | None = None,
    subject: str | None = None,
) -> SealedEvent:
    """The event as leaf number ``seq`` of ``log``; ``salt`` is 16 fresh random bytes.

    The caller sees to it that ``ts`` is not before the event ahead of it: verification calls that a clock turned back.

    Raises:
        TrailError: a header field does not have its form, ``ts`` has no zone, the salt another length.
    """
    if len(salt) != SALT_BYTES:
        raise TrailError(f"Event {seq}: a salt has {SALT_BYTES} bytes.")
    payload = event.payload_bytes()
    leaf = leaf_bytes(
        Header(
            log=log,
            seq=seq,
            ts=leaf_time(ts),
            actor=actor,
            actor_auth=actor_auth,
            action=event.action,
            batch_id=batch_id,
            intent_id=intent_id,
            subject=subject,
            payload_sha256=payload_digest(salt, payload),
        )
    )
    return SealedEvent(seq=seq, leaf_bytes=leaf, leaf_hash=leaf_hash(leaf), salt=salt, payload=payload)


def leaf_bytes(header: Header) -> bytes:
    """The header as canonical JSON (RFC 8785): the bytes that the tree is built on."""
    return canonical_checked({name: getattr(header, name) for name in _NAMES}, f"event {header.seq}'s header")


def read_leaf(leaf: bytes) -> Header:
    """The header that leaf bytes stand for.

    Raises:
        TrailError: not JSON, a field missing, unknown or of the wrong form, another version.
    """
    value: Any = read_json(leaf, "a leaf")
    if not isinstance(value, dict) or value.keys() != _NAMES:
        raise TrailError("A leaf does not have the fields of an event header.")
    return Header(**value)


def payload_digest(salt: bytes, payload: bytes) -> str:
    """SHA-256 of salt and payload, in hexadecimal digits."""
    return hashlib.sha256(salt + payload).hexdigest()


def leaf_time(moment: datetime) -> str:
    """A moment as leaves write it: UTC, cut to milliseconds, ``2026-11-23T02:15:00.000Z``.

    Raises:
        TrailError: the moment has no zone.
    """
    if moment.tzinfo is None:
        raise TrailError("An event's time needs a zone.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_NAMES = frozenset(item.name for item in fields(Header))
