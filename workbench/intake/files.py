"""CSV files, read strictly: what a file says is taken as it stands, or the place where it can't be read is named.

Decides on encoding, delimiter and rows. A row that can't be read is handed on as it stands with the reason; a file that can't be
read is an `InputError`. What the columns mean is the matter of `columns`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from workbench.errors import InputError

LARGEST_CELL = 1_000_000  # characters
TOO_LARGE = f"a cell has more than {LARGEST_CELL:,} characters"
LONGEST_LINE = 4_000_000  # characters; a file without line ends must not fill the memory
PIECE = 64 * 1024
DELIMITERS = (",", ";", "\t", "|")
MARKS = (
    (b"\xff\xfe\x00\x00", ""),  # UTF-32, which nobody exports; it would pass as UTF-16 otherwise
    (b"\x00\x00\xfe\xff", ""),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE_AS = "Save it as CSV in UTF-8, or name its encoding, for instance encoding='cp1252'."


@dataclass(frozen=True)
class Row:
    """One record of a file: the line it begins on, its cells as they stand, and why it can't be used ("" when it can)."""

    line: int
    cells: tuple[str, ...]
    reason: str = ""


class SourceFile:
    """A CSV file that was opened, hashed and whose header was read; `rows` reads on from there.

    ``encoding`` is needed for anything but UTF-8 and UTF-16 with a byte order mark. ``known`` says which texts are names of
    columns: of two ways to cut the header, the one that yields more of them is right.

    Raises:
        InputError: not a readable file, empty, an unknown encoding or not in this encoding.
    """

    def __init__(self, path: Path, *, encoding: str | None = None, known: Callable[[str], bool] = bool) -> None:
        self.path = path
        self.sha256, head = _digest(path)
        self.encoding = _encoding(head, encoding)
        first = next(self._records(","), None)
        if first is None:
            raise InputError("the file is empty", "Hand in a CSV file with a line of column names and at least one row.")
        self._preamble = first.cells[0].lower().startswith("sep=") and first.line == 1  # what Excel writes and obeys
        self._named = [d for d in DELIMITERS if ",".join(first.cells)[4:] == d] if self._preamble else []
        self.delimiter, self.header = self._header(known)

    def rows(self) -> Iterator[Row]:
        """The rows below the header, blank ones left out; one that can't be used says why.

        Raises:
            InputError: the bytes don't fit the encoding, or the file was changed since it was opened.
        """
        records = self._records(self.delimiter)
        for row in islice(records, 2 if self._preamble else 1, None):
            if row.reason or any(cell and not cell.isspace() for cell in row.cells):
                yield self._judged(row)
        if _digest(self.path)[0] != self.sha256:
            raise InputError("the file was changed while it was read", "Nothing was taken in; run the same command again.")

    def _judged(self, row: Row) -> Row:
        if row.reason:
            return row
        if len(row.cells) != len(self.header):
            return Row(row.line, row.cells, f"the row has {len(row.cells)} cells, the header has {len(self.header)}")
        if any("\0" in cell for cell in row.cells):
            return Row(row.line, row.cells, "a cell holds a NUL character")
        if any(len(cell) > LARGEST_CELL for cell in row.cells):
            return Row(row.line, row.cells, TOO_LARGE)
        return row

    def _header(self, known: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
        """The delimiter that cuts the header into most known columns, and the columns."""
        cuts = []
        for delimiter in self._named or DELIMITERS:
            records = self._records(delimiter)
            row = next(islice(records, 1, 2), None) if self._preamble else next(records, None)
            if row and not row.reason:
                cuts.append((sum(map(known, row.cells)), len(row.cells), delimiter, tuple(c.strip() for c in row.cells)))
        if not cuts:
            raise InputError("the file's first line can't be read as column names", "Look at the quotation marks of that line.")
        _, _, delimiter, header = max(cuts, key=lambda cut: cut[:2])  # the first of equals: comma before semicolon
        return delimiter, header

    def _records(self, delimiter: str) -> Iterator[Row]:
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST_CELL))
        lines = _Lines(_decoded(self.path, self.encoding))
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            lines.begin_record()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Row(lines.first, (lines.give_back_all_but_first(),), _csv_reason(str(error)))
                continue
            if cells is None:
                return
            if lines.cut:
                yield Row(lines.first, tuple(cell[:1000] for cell in cells), TOO_LARGE)
            elif cells:
                yield Row(lines.first, tuple(cells))


class _Lines(Iterator[str]):
    """The file's lines as the csv module asks for them, remembered for as long as their record is being read."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.first = 0  # number of the record's first line
        self.cut = False  # whether a line of the record was too long to be kept whole
        self._source = _split(pieces)
        self._ahead: deque[str] = deque()
        self._taken: list[str] = []
        self._line = 0

    def begin_record(self) -> None:
        self.first, self.cut = self._line + 1, False
        self._taken.clear()

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._source)
        self._line += 1
        self._taken.append(line)
        if isinstance(line, _LongLine) or len(line) > LONGEST_LINE:
            self.cut = True
            return line[:1000].replace('"', "") + "\n"
        return line

    def give_back_all_but_first(self) -> str:
        """A quotation mark that nobody closes must cost one row, not all that follow."""
        self._ahead.extendleft(reversed(self._taken[1:]))
        self._line -= max(len(self._taken) - 1, 0)
        return self._taken[0].rstrip("\r\n")[:LARGEST_CELL] if self._taken else ""


def _csv_reason(message: str) -> str:
    if "field larger" in message:
        return TOO_LARGE + ", or a quotation mark is opened and not closed"
    if "unexpected end" in message:
        return "a quotation mark is opened and not closed"
    return "a quotation mark stands where none may stand"


class _LongLine(str):
    """The beginning of a line that is too long to be kept whole."""

    __slots__ = ()


def _split(pieces: Iterator[str]) -> Iterator[str]:
    r"""Lines with their ends (\n, \r\n or \r); of a line that is far too long only the beginning is kept."""
    rest, long = "", False
    for piece in pieces:
        text = rest + piece
        held = "\r" if text.endswith("\r") else ""  # its \n may be in the next piece
        lines = list(io.StringIO(text.removesuffix("\r") if held else text, newline=""))
        rest = (lines.pop() if lines and not lines[-1].endswith(("\n", "\r")) else "") + held
        if lines and long:
            lines[0], long = _LongLine(lines[0]), False
        if len(rest) > LONGEST_LINE:
            rest, long = rest[:1000], True
        yield from lines
    if rest:
        yield _LongLine(rest) if long else rest


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    fed, lines, first, last = 0, 1, True, False
    with path.open("rb") as stream:
        while not last:
            piece = stream.read(PIECE)
            last = not piece
            waiting = len(decoder.getstate()[0])
            try:
                text = decoder.decode(piece, final=last)
                text.encode("utf-8")  # lone surrogates pass some decoders, and no database
            except UnicodeError as error:
                at = fed - waiting
                if isinstance(error, UnicodeDecodeError):
                    at, lines = at + error.start, lines + error.object[: error.start].count(b"\n")
                raise InputError(f"the file is not {encoding}: byte {at:,} in line {lines:,} does not fit", SAVE_AS) from None
            fed += len(piece)
            lines += text.count("\n")
            yield text.removeprefix("\ufeff") if first else text
            first = first and not text


def _digest(path: Path) -> tuple[str, bytes]:
    try:
        if not path.is_file():
            raise InputError("there is no such file", f"Check the path {path}.")
        with path.open("rb") as stream:
            head = stream.read(8)
            stream.seek(0)
            return hashlib.file_digest(stream, "sha256").hexdigest(), head
    except OSError as error:
        raise InputError(f"the file can't be read ({type(error).__name__})", f"Check the permissions of {path}.") from None


def _encoding(head: bytes, named: str | None) -> str:
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InputError("the file is an Excel workbook or an archive, not CSV", "Save the sheet as `CSV UTF-8` and import that.")
    mark = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    if mark == "":
        raise InputError("the file is in UTF-32", SAVE_AS)
    try:
        codecs.getincrementaldecoder(named or "utf-8")
        "".encode(named or "utf-8")
    except (LookupError, ValueError):
        raise InputError("no text encoding has this name", "Name one that Python knows, for instance cp1252.") from None
    return mark or named or "utf-8"
