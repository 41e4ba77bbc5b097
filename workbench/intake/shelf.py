"""The folder in which the evidence files of an import lie: only plain files directly in it, named by their plain names."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from workbench.consent import Evidence
from workbench.errors import EvidenceError, InputError, WorkbenchError
from workbench.evidence import EvidenceStore


class Shelf:
    """Evidence files by name: looked at once, refused as often as they are asked for, stored when a consent needs them."""

    def __init__(self, store: EvidenceStore, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._found: dict[str, Evidence] = {}
        self._paths: dict[str, Path] = {}
        self._refused: dict[str, WorkbenchError] = {}

    def look_at(self, name: str) -> None:
        """Count and hash the file with this name, unless that was done before."""
        if name in self._found or name in self._refused:
            return
        try:
            path = self._path(name)
            self._found[name] = self._store.describe(path, name)
            self._paths.setdefault(self._found[name].sha256, path)
        except WorkbenchError as error:
            self._refused[name] = error

    def take(self, name: str) -> Evidence:
        """The evidence that the file with this name is.

        Raises:
            InputError: not a plain name of a file in the folder.
            EvidenceError: empty, too large, unreadable.
        """
        self.look_at(name)
        if name in self._refused:
            raise self._refused[name]
        return self._found[name]

    def put(self, evidence: Evidence) -> None:
        """Store a file that was taken.

        Raises:
            EvidenceError: it can't be stored, or is not what it was when it was looked at.
        """
        if self._store.put(self._paths[evidence.sha256], evidence.original_name).sha256 != evidence.sha256:
            raise EvidenceError("an evidence file was changed while it was taken in", "Run the same command again.")

    def _path(self, name: str) -> Path:
        if name != Path(name).name or "\\" in name or name in ("", ".", "..") or not name.isprintable():
            raise InputError("an evidence file is named by a path; only a plain name in the evidence folder is allowed")
        folder = self._folder.resolve()
        for spelling in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):  # macOS writes NFD
            path = folder / spelling
            if path.is_symlink() and path.resolve().parent != folder:
                raise InputError("an evidence file is a link that leads out of the evidence folder")
            if path.exists():
                return path.resolve()
        raise InputError("an evidence file is not in the evidence folder")
