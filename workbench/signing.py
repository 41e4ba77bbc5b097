"""Where the key that signs the trail's checkpoints is kept: the operating system's keyring, else a file in the workspace.

Decides which of the two, and never replaces a key that is there: a trail continued under another key can't be verified.
A file protects against other users of the machine, not against whoever runs the workbench; the operator is told which
it is (`Signer.kept_in`).
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import TrailError
from workbench.trail import Signer, VerifierKey

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "compliance-workbench trail"
KEY_FILE = "trail.key"
NEXT = ".next"  # a key that is made and not yet named by the trail
IN_KEYRING = "the operating system's keyring"
IN_FILE = f"the file {KEY_FILE} of the workspace"
_HEAD = "PRIVATE+KEY"
_RESTORE = "Restore the key from its backup; a new key would start a trail that nobody can tie to the old one."


def keyring_allowed() -> bool:
    """Whether keys may go to the operating system's keyring; WORKBENCH_NO_KEYRING says no."""
    return not os.environ.get("WORKBENCH_NO_KEYRING")


class KeptSigner(Signer):
    """A signer whose key is fetched when it first signs: reading and verifying a trail need its public half only."""

    def __init__(self, vkey: VerifierKey, load: Callable[[VerifierKey], Signer]) -> None:
        """Name the public half; ``load`` fetches the key to it, and may raise a TrailError."""
        self.vkey = vkey
        self._load = load
        self._loaded: Signer | None = None

    @property
    def kept_in(self) -> str:  # type: ignore[override]  # read-only here: where it is found is known once it is fetched
        """Where the key lives, a sentence part for the operator."""
        return self._fetched().kept_in

    def __repr__(self) -> str:
        return f"KeptSigner({self.vkey.name}, key {self.vkey.key_id.hex()})"

    def follow(self, vkey: VerifierKey) -> None:
        """Sign with this key from now on: another process may have changed it."""
        if vkey != self.vkey:
            self.vkey, self._loaded = vkey, None

    def sign(self, size: int, root: bytes) -> str:
        """As `Signer.sign`.

        Raises:
            TrailError: the key can't be fetched.
        """
        return self._fetched().sign(size, root)

    def _fetched(self) -> Signer:
        if self._loaded is None:
            self._loaded = self._load(self.vkey)
        return self._loaded


def create_next_signer(origin: str, workspace_path: Path, *, keyring_allowed: bool) -> Signer:
    """A new key beside the present one, in the same kind of place; `take_over` makes it the key once the trail says so.

    Raises:
        TrailError: it can't be kept.
    """
    path = workspace_path / KEY_FILE
    ring = _real_keyring() if keyring_allowed and not path.exists() else None
    if ring is not None and (made := _create_in_keyring(origin, ring, name=origin + NEXT)):
        return made
    (workspace_path / (KEY_FILE + NEXT)).unlink(missing_ok=True)  # of a change that was never made
    return _create_in_file(origin, workspace_path / (KEY_FILE + NEXT))


def take_over(origin: str, workspace_path: Path, *, keyring_allowed: bool, vkey: VerifierKey) -> Signer | None:
    """Put the next key, if it is the one that the trail names, in the place of the present one, which is gone then."""
    path, following = workspace_path / KEY_FILE, workspace_path / (KEY_FILE + NEXT)
    signer = _from_file(origin, following)
    if signer is not None and signer.vkey == vkey:
        following.replace(path)
        return _from_file(origin, path)
    ring = _real_keyring() if keyring_allowed else None
    signer = _from_keyring(origin, ring, name=origin + NEXT) if ring else None
    if ring is None or signer is None or signer.vkey != vkey:
        return None
    text = ring.get_password(SERVICE, origin + NEXT)
    ring.set_password(SERVICE, origin, text or "")
    ring.delete_password(SERVICE, origin + NEXT)
    return _from_keyring(origin, ring)


def load_or_create_signer(
    origin: str, workspace_path: Path, *, keyring_allowed: bool, expected_vkey: str | None = None
) -> Signer:
    """The signer of this log: the key that is kept, or a new one where there is none and none is expected.

    A key file in the workspace goes first, then the keyring. ``expected_vkey`` is the verifier key that the trail so far was
    signed with (None for a trail that only begins); with it no key is ever made, and another key is refused.

    Raises:
        TrailError: the key can't be read, others may read its file, it belongs to another log, it is not the expected
            one, or an expected key is gone.
    """
    path = workspace_path / KEY_FILE
    ring = _real_keyring() if keyring_allowed else None
    signer = _from_file(origin, path) or (_from_keyring(origin, ring) if ring else None)
    if expected_vkey is not None and (signer is None or signer.vkey != VerifierKey.parse(expected_vkey)):
        expected = VerifierKey.parse(expected_vkey)  # a change of keys may have been cut off after the trail named the new one
        signer = take_over(origin, workspace_path, keyring_allowed=keyring_allowed, vkey=expected) or signer
    if signer is None and expected_vkey is not None:
        raise TrailError("The key that signs this trail is in neither of its places.", _RESTORE)
    if signer is None:
        signer = (_create_in_keyring(origin, ring) if ring else None) or _create_in_file(origin, path)
    if expected_vkey is not None and signer.vkey != VerifierKey.parse(expected_vkey):
        raise TrailError(f"The key in {signer.kept_in} is not the one that signed this trail so far.", _RESTORE)
    return signer


def _from_file(origin: str, path: Path) -> Signer | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            status, text = os.fstat(file.fileno()), file.read(4096).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrailError(f"The file {KEY_FILE} can't be opened: {error.strerror}.", _RESTORE) from None
    _require_private(status)
    return _signer(origin, text, kept_in=IN_FILE)


def _require_private(status: os.stat_result) -> None:
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
        raise TrailError(
            f"Others may read {KEY_FILE}, the key that signs the trail.",
            f"Find out who could have copied it, then: chmod 600 {KEY_FILE}",
        )


def _create_in_file(origin: str, path: Path) -> Signer:
    """Write a new key beside and link it into place: whole, private, and never over a key made a moment ago."""
    beside = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_key_text(origin, secrets.token_bytes(32)).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        _link(beside, path)
    except OSError as error:
        raise TrailError(f"The file {KEY_FILE} can't be written: {error.strerror}.") from None
    finally:
        beside.unlink(missing_ok=True)
    signer = _from_file(origin, path)
    if signer is None:
        raise TrailError(f"The file {KEY_FILE} vanished while it was made.")
    return signer


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return  # another process was faster: its key is the key


def _real_keyring() -> KeyringBackend | None:
    """The operating system's keyring, or None where keyring would only fail, forget, or write a plain file."""
    import keyring

    ring = keyring.get_keyring()
    return ring if ring.priority >= 1 else None


def _from_keyring(origin: str, ring: KeyringBackend, *, name: str = "") -> Signer | None:
    from keyring.errors import KeyringError

    try:
        text = ring.get_password(SERVICE, name or origin)
    except (KeyringError, OSError, RuntimeError) as error:
        raise TrailError(
            f"The keyring can't be read ({type(error).__name__}).", "Unlock the keyring and run the command again."
        ) from None
    return None if text is None else _signer(origin, text, kept_in=IN_KEYRING)


def _create_in_keyring(origin: str, ring: KeyringBackend, *, name: str = "") -> Signer | None:
    """A new key in the keyring, read back; None where the keyring does not take it."""
    from keyring.errors import KeyringError

    try:
        ring.set_password(SERVICE, name or origin, _key_text(origin, secrets.token_bytes(32)))
    except (KeyringError, OSError, RuntimeError):
        return None
    return _from_keyring(origin, ring, name=name)


def _key_text(origin: str, seed: bytes) -> str:
    """The private key as text, in the form of Go's sumdb/note: ``PRIVATE+KEY+name+hexid+base64(0x01||seed)``."""
    signer = Signer(origin, seed)
    return f"{_HEAD}+{origin}+{signer.vkey.key_id.hex()}+{base64.b64encode(bytes([1]) + seed).decode()}\n"


def _signer(origin: str, text: str, *, kept_in: str) -> Signer:
    name, key_id, seed = _fields(text, kept_in)
    if name != origin:
        raise TrailError(f"The key in {kept_in} belongs to another log.", _RESTORE)
    signer = Signer(origin, seed, kept_in=kept_in)
    if signer.vkey.key_id.hex() != key_id:
        raise TrailError(f"The key in {kept_in} was damaged: it does not fit its own id.", _RESTORE)
    return signer


def _fields(text: str, kept_in: str) -> tuple[str, str, bytes]:
    """Name, id and seed of a private key's text."""
    try:
        name, key_id, encoded = text.strip().removeprefix(f"{_HEAD}+").split("+", 2)
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise TrailError(f"The key in {kept_in} can't be read.", _RESTORE) from None
    if len(data) != 33 or data[0] != 1:
        raise TrailError(f"The key in {kept_in} is not an Ed25519 key.", _RESTORE)
    return name, key_id, data[1:]
