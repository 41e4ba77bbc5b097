"""The secret under which erased people are remembered: with it an address can be recognised, without it nothing can be told.

An erased person must stay out although nothing of them is left, so a keyed digest (HMAC-SHA256) of each address and id is kept. A
plain or salted hash would not do: whoever has the register could try known addresses against it, and a hash slow enough to hinder
that would take hours for a large import. The secret lies where the key that signs the trail lies: the operating system's keyring,
else a file of the workspace that others may not read. It is never replaced: under another one nobody erased would be recognised,
and an opt-out would be lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import StoreError
from workbench.person import normalize_address

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "compliance-workbench suppression"
SECRET_FILE = "suppression.key"  # noqa: S105 - a file's name
SECRET_BYTES = 32
_HEX = re.compile(r"[0-9a-f]{64}")
_RESTORE = f"Restore {SECRET_FILE}, or the keyring, from its backup; without it nobody erased on request would be kept out."


def digest(secret: bytes, identifier: str) -> str:
    """What is kept of an address or id of an erased person; two spellings of one address have one digest."""
    known = normalize_address(identifier) or identifier.strip() if "@" in identifier else identifier.strip()
    return hmac.new(secret, known.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def fingerprint(secret: bytes) -> str:
    """Tells one secret from another, and nothing about it."""
    return hmac.new(secret, b"\x00fingerprint", hashlib.sha256).hexdigest()[:16]


class SecretKeeper:
    """Where one workspace's secret is kept; reads it once, makes it when it is first needed."""

    def __init__(self, name: str, folder: Path, *, keyring_allowed: bool) -> None:
        self._name, self._path, self._keyring_allowed = name, folder / SECRET_FILE, keyring_allowed
        self._secret: bytes | None = None

    def secret(self, expected: str | None) -> bytes:
        """The secret; ``expected`` is its fingerprint, None where nobody was erased yet, and only then a new one is made.

        Raises:
            StoreError: it is gone, damaged, another one, or others may read its file.
        """
        if self._secret is None:
            self._secret = self._from_file() or self._from_keyring()
        if self._secret is None and expected is None:
            self._secret = self._created()
        if self._secret is None:
            raise StoreError("the secret that keeps erased people out is in neither of its places", _RESTORE)
        if expected is not None and fingerprint(self._secret) != expected:
            raise StoreError("the secret that keeps erased people out is another one than it was", _RESTORE)
        return self._secret

    def _from_file(self) -> bytes | None:
        try:
            with os.fdopen(os.open(self._path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
                mode, text = os.fstat(file.fileno()).st_mode, file.read(4096).decode("ascii", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"the file {SECRET_FILE} can't be opened ({error.strerror})", _RESTORE) from None
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise StoreError(
                f"others may read {SECRET_FILE}, the secret that hides erased people",
                f"Find out who could have copied it, then: chmod 600 {SECRET_FILE}",
            )
        return _read(text)

    def _from_keyring(self) -> bytes | None:
        if (ring := self._ring()) is None:
            return None
        from keyring.errors import KeyringError

        try:
            text = ring.get_password(SERVICE, self._name)
        except (KeyringError, OSError, RuntimeError) as error:
            raise StoreError(
                f"the keyring can't be read ({type(error).__name__})", "Unlock the keyring and run the command again."
            ) from None
        return None if text is None else _read(text)

    def _created(self) -> bytes:
        from keyring.errors import KeyringError

        fresh = secrets.token_bytes(SECRET_BYTES)
        if (ring := self._ring()) is not None:
            with contextlib.suppress(KeyringError, OSError, RuntimeError):
                ring.set_password(SERVICE, self._name, fresh.hex())
                if (kept := self._from_keyring()) is not None:
                    return kept
        return self._created_in_file(fresh)

    def _created_in_file(self, fresh: bytes) -> bytes:
        """Written beside and linked into place: whole, private, and never over one made a moment ago."""
        beside = self._path.with_name(f".{SECRET_FILE}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(f"{fresh.hex()}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(beside, self._path)
        except OSError as error:
            raise StoreError(f"the file {SECRET_FILE} can't be written ({error.strerror})") from None
        finally:
            beside.unlink(missing_ok=True)
        return self._from_file() or fresh

    def _ring(self) -> KeyringBackend | None:
        """The operating system's keyring, or None where keyring would only fail, forget, or write a plain file."""
        if not self._keyring_allowed:
            return None
        import keyring

        ring = keyring.get_keyring()
        return ring if ring.priority >= 1 else None


def _read(text: str) -> bytes:
    if not _HEX.fullmatch(text.strip()):
        raise StoreError("the secret that keeps erased people out was damaged", _RESTORE)
    return bytes.fromhex(text.strip())
