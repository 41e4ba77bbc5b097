"""Which columns an operator named for files with these columns: kept in the workspace, names of columns only, nothing of a person.

A file is recognised by the names in its header, in whatever order they stand. Only what an import was carried out with is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError
from workbench.intake.columns import like_data

FILE = "mappings.json"
MOST = 200


@dataclass(frozen=True)
class Mappings:
    """What is kept in one workspace."""

    workspace: Path

    def recall(self, kind: str, header: Sequence[str]) -> dict[str, str]:
        """Field -> column, as it was last given for a file of this kind with these columns; {} where none was.

        Raises:
            InputError: the file of mappings can't be read: without it a file could be read otherwise than last time.
        """
        return self._kept().get(_key(kind, header), {})

    def remember(self, kind: str, header: Sequence[str], mapping: Mapping[str, str]) -> None:
        """Keep a mapping that was given; an empty one is forgotten.

        Raises:
            InputError: the file of mappings can't be read or written.
        """
        if any(map(like_data, header)):  # the first line of a file without a header
            return
        before, key = self._kept(), _key(kind, header)
        kept = {k: m for k, m in before.items() if k != key} | ({key: dict(mapping)} if mapping else {})
        kept = dict(list(kept.items())[-MOST:])
        if kept == before:
            return
        beside = self.workspace / f"{FILE}.new"
        try:
            beside.write_text(json.dumps(kept, indent=1), encoding="ascii")
            beside.replace(self.workspace / FILE)
        except OSError:
            raise InputError(
                "the import is done, but its mapping of columns can't be kept", f"Make {FILE} in the workspace writeable."
            ) from None

    def _kept(self) -> dict[str, dict[str, str]]:
        try:
            kept = json.loads((self.workspace / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, OSError):
            kept = None
        texts = kept.values() if isinstance(kept, dict) else [None]
        if not all(isinstance(one, dict) and all(isinstance(column, str) for column in one.values()) for one in texts):
            raise InputError(
                f"{FILE}, which keeps the mappings of columns, can't be read", "Delete it in the workspace, and give --map again."
            )
        return dict(kept)


def _key(kind: str, header: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([kind, sorted(header)]).encode()).hexdigest()
