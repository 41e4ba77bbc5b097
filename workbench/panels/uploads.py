"""Files that come through the browser: their names are text, their bytes go into a private folder and away again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from workbench.errors import InputError
from workbench.panels.language import N_, _
from workbench.said import said

MOST_BYTES = 10 * 1024 * 1024
LIMIT = N_("At most 10 MB a file.")


def field(label: str, *, accept: str = "", multiple: bool = False) -> Any:
    """An upload button with this name."""
    return widgets.FileUpload(accept=accept, multiple=multiple, description=label, tooltip=f"{label}: {_(LIMIT)}")


@contextmanager
def as_files(uploaded: Sequence[Any]) -> Iterator[list[Path]]:
    """The uploaded files in a private folder for the length of the block, under their own names where these are plain.

    Raises:
        InputError: nothing was uploaded, a file is empty or too large, or two have the same name.
    """
    if not uploaded:
        raise InputError(said("no file was chosen"), said("Press the upload button and choose one."))
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        paths = []
        for item in uploaded:
            content = bytes(item["content"])
            if not 0 < len(content) <= MOST_BYTES:
                raise InputError(said("a file is empty or larger than 10 MB"), said("Split or shrink the file."))
            path = Path(folder) / plain_name(str(item["name"]))
            if path.exists():
                raise InputError(said("two files have the same name"), said("Rename one of them."))
            path.write_bytes(content)
            paths.append(path)
        yield paths


def plain_name(name: str) -> str:
    """A file name without folders and control characters; what the browser says is not to be trusted."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if c.isprintable()).strip(". ")
    return kept[-120:] or "file"
