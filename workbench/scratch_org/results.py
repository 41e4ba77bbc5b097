"""The CSV of finished query jobs, on disk: a page is a stretch of a file, so it costs no memory however long it is.

Beside the lines stands where each one ends, eight bytes a line. Lines are never changed once they are written, so a page can be
read again. An org on a file keeps them in a folder beside it; an org in memory in one that goes with it.
"""

import os
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO

_BATCH = 1_000  # lines that are written at once
_CHUNK = 256 * 1024  # bytes that are sent at once
_PLACE = 8  # bytes of one line's end


@dataclass(frozen=True)
class Stretch:
    """A header line and a part of a file, as the body of a reply. The file is open, so removing the job doesn't cut it."""

    header: bytes
    file: BinaryIO
    start: int
    end: int

    def __len__(self) -> int:
        return len(self.header) + self.end - self.start

    def first(self, length: int) -> bytes:
        """The first bytes of it."""
        return (self.header + os.pread(self.file.fileno(), length, self.start))[:length]

    def chunks(self) -> Iterator[bytes]:
        """All of it, piece by piece."""
        yield self.header
        for at in range(self.start, self.end, _CHUNK):
            yield os.pread(self.file.fileno(), min(_CHUNK, self.end - at), at)


class Results:
    """The results of one org's query jobs; ``folder`` None for an org in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._given = folder

    def write(self, job: str, lines: Iterable[bytes]) -> int:
        """Write a job's lines, in place of any that were there; returns how many. In any thread."""
        count, end = 0, 0
        lines = iter(lines)
        text, places = self._paths(job)
        text.parent.mkdir(exist_ok=True)
        with text.open("wb") as lines_out, places.open("wb") as places_out:
            while batch := list(islice(lines, _BATCH)):
                lines_out.write(b"".join(batch))
                ends = array("Q", accumulate(map(len, batch), initial=end))[1:]
                places_out.write(ends.tobytes())
                count, end = count + len(batch), ends[-1]
        return count

    def page(self, job: str, header: bytes, start: int, most: int) -> tuple[Stretch, int]:
        """At most so many lines of a job from one on, and how many they are."""
        text, places = self._paths(job)
        with places.open("rb") as ends:
            total = os.fstat(ends.fileno()).st_size // _PLACE
            start = min(start, total)
            end = min(start + most, total)
            return Stretch(header, text.open("rb"), _place(ends, start), _place(ends, end)), end - start

    def remove(self, job: str) -> None:
        """Forget a job's lines, if there are any."""
        for path in self._paths(job):
            path.unlink(missing_ok=True)

    def _paths(self, job: str) -> tuple[Path, Path]:
        return self._folder / f"{job}.csv", self._folder / f"{job}.ends"

    @cached_property
    def _folder(self) -> Path:
        if self._given:
            return self._given
        self._own = tempfile.TemporaryDirectory(prefix="scratch-org-")
        return Path(self._own.name)


def _place(places: BinaryIO, line: int) -> int:
    """Where a line begins."""
    return int.from_bytes(os.pread(places.fileno(), _PLACE, (line - 1) * _PLACE), sys.byteorder) if line else 0
