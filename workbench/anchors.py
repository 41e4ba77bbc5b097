"""Checkpoints kept where the workbench can't take them back: in a file elsewhere, to which lines are only ever added."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import TrailError
from workbench.trail import parse_checkpoint, split_notes


def add_to_file(file: Path, note: str, *, workspace: Path) -> bool:
    """Add a checkpoint to a file outside the workspace, on disk before this returns; False where it is its last one already.

    The file is made when it is not there, is never shortened or replaced, and has to hold checkpoints of the same log only.

    Raises:
        TrailError: the file lies in the workspace, holds something else, or can't be written; it is left as it is.
    """
    target = Path(os.path.realpath(file))
    if target.is_relative_to(workspace.resolve()):
        raise TrailError(
            "the file for checkpoints lies in the workspace", "Name a file elsewhere, best where nobody here can change it."
        )
    try:
        with os.fdopen(os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b", buffering=0) as kept:
            held = _held(kept.read().decode("utf-8", "replace"), note)
            if held[-1:] == (note,):
                return False
            added = ("\n" if held else "") + note
            kept.write(added.encode())
            os.fsync(kept.fileno())
    except OSError as error:
        raise TrailError(
            f"the file for checkpoints can't be written ({error.strerror})", "Check its folder and permissions."
        ) from None
    return True


def _held(text: str, note: str) -> tuple[str, ...]:
    """The checkpoints in the file, which are of the same log."""
    held = split_notes(text)
    if any(parse_checkpoint(other).origin != parse_checkpoint(note).origin for other in held):
        raise TrailError("this file holds checkpoints of another log", "Name another file.")
    return held
