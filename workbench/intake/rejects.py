"""The rejects file: rows that could not be taken in, as they stood, with line and reason, to be mended and imported again."""

from __future__ import annotations

import csv
import filecmp
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TextIO

from workbench.errors import InputError
from workbench.intake.files import Row, Rows, SourceFile
from workbench.spreadsheet import harmless, restored

LINE, REASON = "Rejected Line", "Rejected Reason"


class Rejects:
    """Rejected rows on their way to ``FILE.rejected.csv``: beside it under another name until the import is committed."""

    def __init__(self, source: SourceFile, *, wanted: bool = True) -> None:
        """Nothing is written before the first reject, and nothing at all unless ``wanted``."""
        self._wanted = wanted
        self.path = source.path.with_name(source.path.name + ".rejected.csv")
        self._source = source
        self._file: TextIO | None = None
        self._temporary = Path()

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def add(self, row: Row, reason: str) -> None:
        """Keep one rejected row.

        Raises:
            InputError: nothing can be written beside the file.
        """
        if not self._wanted:
            return
        file = self._file or self._begin()
        cells = row.cells[2:] if marked(self._source.header) and len(row.cells) > 2 else row.cells
        csv.writer(file, delimiter=self._source.delimiter).writerow([row.line, reason, *map(harmless, cells)])

    def publish(self) -> Path | None:
        """Give the file its name, now that the import is committed; None when there is nothing in it.

        A file of that name that says something else is kept: somebody may have begun to mend it. The new one is numbered then.
        """
        if self._file is None:
            return None
        self._file.flush()
        os.fsync(self._file.fileno())
        names = (self.path, *(self.path.with_name(f"{self._source.path.name}.rejected-{n}.csv") for n in range(2, 10_000)))
        self.path = next(name for name in names if not name.exists() or filecmp.cmp(name, self._temporary, shallow=False))
        self._temporary.replace(self.path)
        return self.path

    def _begin(self) -> TextIO:
        try:
            handle, name = tempfile.mkstemp(prefix=".rejected-", suffix=".csv", dir=self.path.parent)
        except OSError:
            raise InputError(
                "some rows have to be rejected, and the rejects file can't be written beside the file",
                f"Copy the file to a folder in which you may write; {self.path.parent} is not one.",
            ) from None
        self._temporary = Path(name)
        self._file = os.fdopen(handle, "w", encoding="utf-8-sig", newline="")
        header = self._source.header[2:] if marked(self._source.header) else self._source.header
        csv.writer(self._file, delimiter=self._source.delimiter).writerow([LINE, REASON, *map(harmless, header)])
        return self._file


def marked(header: Sequence[str]) -> bool:
    """Whether a file is a rejects file that comes back, mended."""
    return tuple(header[:2]) == (LINE, REASON)


def rows_of(source: SourceFile) -> Iterator[Row]:
    """The file's rows; those of a mended rejects file without the apostrophes that were put in front.

    Raises:
        InputError: see `SourceFile.blocks`.
    """
    return chain.from_iterable(blocks_of(source))


def blocks_of(source: SourceFile) -> Iterator[Rows]:
    """The same, some thousands at once.

    Raises:
        InputError: see `SourceFile.blocks`.
    """
    if not marked(source.header):
        yield from source.blocks()
        return
    for rows in source.blocks():
        odd = {place: Row(row.line, tuple(map(restored, row.cells)), row.reason) for place, row in rows.odd.items()}
        yield Rows(rows.lines, [tuple(map(restored, cells)) for cells in rows.cells], odd)
