"""Files that somebody hands in: regular ones only, for a pipe or a device may never end, and of bounded size where they are read whole."""

from __future__ import annotations

import errno
from pathlib import Path


def check(path: Path) -> None:
    """Raises: OSError for what exists and is no file; its `strerror` is the part of a sentence."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")


def read(path: Path, *, most: int) -> bytes:
    """The content, of at most so many bytes. Raises: OSError, also for what is no file or too large."""
    check(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return content
