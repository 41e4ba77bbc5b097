"""Checkpoints: a tree's size and root, signed, as C2SP signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).

Decides whether a note was signed by a key. Where the key is kept is `workbench.signing`'s concern.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from workbench.errors import TrailError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"  # the signed-note algorithm byte
HASH_BYTES = 32
SEED_BYTES = 32
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_ASK_FOR_KEY = "Take the key from where it was first announced: name+8 hexadecimal digits+base64."
_NOT_A_NOTE = "Hand in the checkpoint exactly as it was printed, with its last line."


@dataclass(frozen=True)
class VerifierKey:
    """The public half of a signing key: the log's name (its origin) and 32 bytes of Ed25519."""

    name: str
    public: bytes = field(repr=False)

    @property
    def key_id(self) -> bytes:
        """The four bytes that announce this key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The key as it is handed out: ``name+hexid+base64(0x01||public)``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """A key from its text form.

        Raises:
            TrailError: not such a text, not an Ed25519 key, or the id does not fit the key.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = _strict_base64(encoded)
        if not _NAME.fullmatch(name) or key is None or len(key) != HASH_BYTES + 1 or key[:1] != ED25519:
            raise TrailError("This is not the text of a verifier key.", _ASK_FOR_KEY)
        verifier = cls(name, key[1:])
        if key_id != verifier.key_id.hex():
            raise TrailError("The verifier key does not fit its own id: a character was changed.", _ASK_FOR_KEY)
        return verifier

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made the signature (64 bytes) of the message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """The private half: signs checkpoints of the log it is named after.

    Args:
        name: the log's origin, such as ``example.org/trail``; no spaces, no plus sign.
        seed: 32 secret bytes (RFC 8032, 5.1.5).
        kept_in: where the key lives, a sentence part for the operator.

    Raises:
        TrailError: a name or seed that can't be used.
    """

    def __init__(self, name: str, seed: bytes, *, kept_in: str = "memory") -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if not _NAME.fullmatch(name) or len(seed) != SEED_BYTES:
            raise TrailError("A signing key has a name without spaces or plus signs, and a seed of 32 bytes.")
        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(seed)
        self.vkey = VerifierKey(name, self._key.public_key().public_bytes_raw())
        self.kept_in = kept_in

    @property
    def name(self) -> str:
        """The origin of the log that this key signs for."""
        return self.vkey.name

    def __repr__(self) -> str:
        return f"Signer({self.vkey.name}, key {self.vkey.key_id.hex()}, kept in {self.kept_in})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not copied into files")

    def follow(self, vkey: VerifierKey) -> None:
        """Sign with this key from now on.

        Raises:
            TrailError: it is another key than this signer's.
        """
        if vkey != self.vkey:
            raise TrailError("The key that signs the trail was changed meanwhile.", "Run the command again.")

    def sign(self, size: int, root: bytes) -> str:
        """The checkpoint of a tree of ``size`` leaves with this root (32 bytes), as a signed note."""
        body = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self.vkey.key_id + self._key.sign(body.encode())).decode()
        return f"{body}\n— {self.name} {signature}\n"


@dataclass(frozen=True)
class Checkpoint:
    """What a note says: the log's origin, the tree's size and its root (32 bytes). Parsed is not yet verified."""

    origin: str
    size: int
    root: bytes
    note: str = field(repr=False)


def parse_checkpoint(note: str) -> Checkpoint:
    """What a checkpoint note says, whoever signed it; further lines of the body are allowed and ignored.

    Raises:
        TrailError: not a checkpoint note.
    """
    body, blank, signatures = note.partition("\n\n")
    lines = body.split("\n")
    if not blank or not signatures.endswith("\n") or len(lines) < 3 or "" in lines or "\n\n" in signatures:
        raise TrailError("This text is not a checkpoint.", _NOT_A_NOTE)
    root = _strict_base64(lines[2])
    if not _SIZE.fullmatch(lines[1]) or root is None or len(root) != HASH_BYTES:
        raise TrailError("This checkpoint has no size and root that can be read.", _NOT_A_NOTE)
    return Checkpoint(lines[0], int(lines[1]), root, note)


def open_checkpoint(note: str, vkey: VerifierKey) -> Checkpoint:
    """What a checkpoint says, after its signature by this key was verified. Signatures of other keys are ignored.

    Raises:
        TrailError: not a checkpoint note, of another log, or not signed by this key.
    """
    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != vkey.name:
        raise TrailError(f"The checkpoint of size {checkpoint.size} belongs to another log.", _ASK_FOR_KEY)
    body, _, lines = note.partition("\n\n")
    ours = [signature for line in lines.splitlines() if (signature := _signature_by(vkey, line)) is not None]
    if not ours or not all(vkey.signed(f"{body}\n".encode(), signature) for signature in ours):
        raise TrailError(f"The checkpoint of size {checkpoint.size} is not signed by key {vkey.key_id.hex()}.")
    return checkpoint


def join_notes(notes: Iterable[str]) -> str:
    """Many notes as one text, a blank line between two."""
    return "\n".join(notes)


def split_notes(text: str) -> tuple[str, ...]:
    """The notes of a joined text; an empty text has none.

    Raises:
        TrailError: the text is not a row of notes.
    """
    if not text:
        return ()
    parts = text.split("\n\n")
    if len(parts) % 2 or not text.endswith("\n"):
        raise TrailError("This text is not a row of checkpoints.", _NOT_A_NOTE)
    return tuple(
        f"{body}\n\n{signatures.removesuffix(chr(10))}\n" for body, signatures in zip(parts[::2], parts[1::2], strict=True)
    )


def _signature_by(vkey: VerifierKey, line: str) -> bytes | None:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    blob = _strict_base64(encoded)
    if dash != "—" or name != vkey.name or blob is None or blob[:4] != vkey.key_id:
        return None
    return blob[4:]


def _strict_base64(text: str) -> bytes | None:
    """The bytes of canonical base64, else None: one value, one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
