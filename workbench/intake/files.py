"""CSV files, read strictly: what a file says is taken as it stands, or the place where it can't be read is named.

Decides on encoding, delimiter and rows. A row that can't be read is handed on as it stands with the reason; a file that can't be
read is an `InputError`. What the columns mean is the matter of `columns`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice
from pathlib import Path

from workbench.errors import InputError
from workbench.said import kept, said

LARGEST_CELL = 1_000_000  # characters
TOO_LARGE = f"a cell has more than {LARGEST_CELL:,} characters"
MOST_READ_AGAIN = 20_000_000  # characters behind quotation marks that nobody closes; then lines are read one by one
AT_HAND = (
    5_000  # lines: behind a quotation mark that nobody closed all that follow may be held, and are not looked through for each
)
LONGEST_LINE = 4_000_000  # characters; a file without line ends must not fill the memory
PIECE = 256 * 1024  # bytes
DELIMITERS = (",", ";", "\t", "|")
MARKS = (
    (b"\xff\xfe\x00\x00", ""),  # UTF-32, which nobody exports; it would pass as UTF-16 otherwise
    (b"\x00\x00\xfe\xff", ""),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE_AS = kept("Save it as CSV in UTF-8, or name its encoding, for instance encoding='cp1252'.")


@dataclass(frozen=True)
class Row:
    """One record of a file: the line it begins on, its cells as they stand, and why it can't be used ("" when it can)."""

    line: int
    cells: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows below each other: the line each begins on, and its cells; ``odd`` has those that can't be used, by their place."""

    lines: Sequence[int]
    cells: Sequence[Sequence[str]]
    odd: dict[int, Row]

    def __iter__(self) -> Iterator[Row]:
        for place, (line, cells) in enumerate(zip(self.lines, self.cells, strict=True)):
            yield self.odd[place] if place in self.odd else Row(line, tuple(cells))

    def __len__(self) -> int:
        return len(self.lines)

    def only(self, places: Sequence[int]) -> Rows:
        """Those at these places."""
        odd = {now: self.odd[place] for now, place in enumerate(places) if place in self.odd}
        return Rows([self.lines[place] for place in places], [self.cells[place] for place in places], odd)


def together(blocks: Sequence[Rows]) -> Rows:
    """Blocks that follow each other as one."""
    if len(blocks) == 1:
        return blocks[0]
    odd: dict[int, Row] = {}
    above = 0
    for block in blocks:
        odd |= {above + place: row for place, row in block.odd.items()}
        above += len(block)
    return Rows([i for b in blocks for i in b.lines], [c for b in blocks for c in b.cells], odd)


class SourceFile:
    """A CSV file that was opened, hashed and whose header was read; `rows` reads on from there.

    ``encoding`` is needed for anything but UTF-8 and UTF-16 with a byte order mark. ``known`` says which texts are names of
    columns: of two ways to cut the header, the one that yields more of them is right.

    Raises:
        InputError: not a readable file, empty, an unknown encoding or not in this encoding.
    """

    def __init__(self, path: Path, *, encoding: str | None = None, known: Callable[[str], bool] = bool) -> None:
        self.path = path
        self.sha256, head, self.lines = _digest(path)  # lines: as many ends of lines as it has
        self.encoding = _encoding(head, encoding)
        if encoding and _is_utf8(path, self.encoding):
            raise InputError(
                said("the file is in UTF-8, and {encoding} would make other letters of it", encoding=encoding),
                said("Leave the encoding out, or name utf-8."),
            )
        self.header: tuple[str, ...] = ()
        first = next(self._records(","), None)
        if first is None:
            raise InputError(
                said("the file is empty"), said("Hand in a CSV file with a line of column names and at least one row.")
            )
        self._preamble = first.cells[0].lower().startswith("sep=") and first.line == 1  # what Excel writes and obeys
        self._named = [d for d in DELIMITERS if ",".join(first.cells)[4:] == d] if self._preamble else []
        self.delimiter, self.header = self._header(known)

    def rows(self) -> Iterator[Row]:
        """The rows below the header, blank ones left out; one that can't be used says why.

        Raises:
            InputError: see `blocks`.
        """
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[Rows]:
        """The same, some thousands at once. Cells as many as the header has; of a row that can't be used, blank ones.

        Raises:
            InputError: the bytes don't fit the encoding, or the file was changed since it was opened.
        """
        above = 2 if self._preamble else 1
        for block in self._blocks(self.delimiter):
            below = block.only(range(above, len(block))) if above else block
            above = max(above - len(block), 0)
            if len(below) and len(judged := self._judged(below)):
                yield judged
        if _digest(self.path)[0] != self.sha256:
            raise InputError(
                said("the file was changed while it was read"), said("Nothing was taken in; run the same command again.")
            )

    def _judged(self, block: Rows) -> Rows:
        texts = ["".join(cells) for cells in block.cells]
        said = [bool(text) and not text.isspace() for text in texts]
        if block.odd or not all(said):
            kept = [place for place, says in enumerate(said) if says or place in block.odd]
            block, texts = block.only(kept), [texts[place] for place in kept]
        width = len(self.header)
        all_fit = set(map(len, block.cells)) <= {width}
        if all_fit and not block.odd and "\0" not in "".join(texts) and max(map(len, texts), default=0) <= LARGEST_CELL:
            return block
        judged = list(map(self._judged_row, block))
        blank = ("",) * width
        odd = {place: row for place, row in enumerate(judged) if row.reason}
        return Rows(block.lines, [blank if row.reason else row.cells for row in judged], odd)

    def _judged_row(self, row: Row) -> Row:
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
            raise InputError(
                said("the file's first line can't be read as column names"), said("Look at the quotation marks of that line.")
            )
        _, _, delimiter, header = max(cuts, key=lambda cut: cut[:2])  # the first of equals: comma before semicolon
        return delimiter, header

    def _records(self, delimiter: str) -> Iterator[Row]:
        return chain.from_iterable(self._blocks(delimiter))

    def _blocks(self, delimiter: str) -> Iterator[Rows]:
        """Every record that is not an empty line: those without a problem together, any other alone."""
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST_CELL))
        lines = _Lines(_decoded(self.path, self.encoding))
        swallowed = _Swallowed(delimiter, len(self.header))
        while waiting := lines.waiting():
            ends, records = _plain_records(waiting, delimiter, swallowed) if lines.may_span else ([], [])
            if records:
                first = lines.number
                begun = [first, *(first + end for end in ends[:-1])]
                lines.take(ends[-1])
                filled = [bool(cells) for cells in records]
                yield Rows(list(compress(begun, filled)), list(compress(records, filled)), {})
            else:
                row = _record(lines, delimiter, swallowed)
                if row.reason or row.cells:
                    yield Rows([row.line], [row.cells], {0: row} if row.reason else {})


@dataclass(frozen=True)
class _Swallowed:
    """Tells a record that swallowed the rows below it: its quotation mark was left open, and a later row happens to close it."""

    delimiter: str
    width: int

    def __call__(self, cells: Sequence[str]) -> bool:
        """Whether a line within one of the cells looks like a row, or like its part on this side of the quotation mark."""
        return self.width > 0 and any(
            self._has_a_row(place, cell) for place, cell in enumerate(cells) if "\n" in cell or "\r" in cell
        )

    def _has_a_row(self, place: int, cell: str) -> bool:
        first, *middle, last = re.split(r"\r\n|\r|\n", cell)
        return (
            self._is_like_a_row(first, beside=place)
            or self._is_like_a_row(last, beside=self.width - 1 - place)
            or any(self._is_like_a_row(line, beside=0) for line in middle)
        )

    def _is_like_a_row(self, line: str, *, beside: int) -> bool:
        """As many cells as a row has, with those ``beside`` the cell; one is an address, or none begins with a space as prose does."""
        mark = re.escape(self.delimiter)
        address = re.search(rf"(^|{mark})[^\s@{mark}]+@[^\s@{mark}]+({mark}|$)", line)
        if self.width == 1:
            return address is not None
        prose = f"{self.delimiter} " in line
        return 0 < line.count(self.delimiter) >= self.width - 1 - beside and (address is not None or not prose)


def _plain_records(lines: Sequence[str], delimiter: str, swallowed: _Swallowed) -> tuple[list[int], list[list[str]]]:
    """The records up to the first one that has a problem, or does not end in these lines; behind how many lines each one ends."""
    ends: list[int] = []
    records: list[list[str]] = []
    if _LongLine in set(map(type, lines)) or max(map(len, lines)) > LONGEST_LINE:
        return ends, records
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        end = 0
        for record in reader:
            begin, end = end, reader.line_num
            if end - begin > 1 and swallowed(record):
                break
            records.append(record)
            ends.append(end)
    except csv.Error:
        """It is looked at by itself."""
    return ends, records


def _record(lines: _Lines, delimiter: str, swallowed: _Swallowed) -> Row:
    """The next record, however long it is and whatever is wrong with it."""
    lines.begin_record()
    first = lines.number
    try:
        cells = next(csv.reader(lines if lines.may_span else islice(lines, 1), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return Row(first, (lines.give_back_all_but_first(),), _csv_reason(str(error)))
    if swallowed(cells):
        return Row(first, (lines.give_back_all_but_first(),), LEFT_OPEN)
    if lines.cut:
        return Row(first, tuple(cell[:1000] for cell in cells), TOO_LARGE)
    return Row(first, tuple(cells))


class _Lines(Iterator[str]):
    """The file's lines: those at hand together, or one after the other, remembered while the csv module reads their record."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.cut = False  # whether a line of the record was too long to be kept whole
        self._blocks = _split(pieces)
        self._lines: list[str] = []
        self._above = 0  # lines of the file that come before these
        self._next = self._begun = 0
        self._read_again = 0

    @property
    def may_span(self) -> bool:
        """Whether a record may have several lines: not any more once too much had to be read again, for that would never end."""
        return self._read_again <= MOST_READ_AGAIN

    def later(self) -> Sequence[str]:
        """The lines of the record that was read, but its first."""
        return self._lines[self._begun + 1 : self._next]

    @property
    def number(self) -> int:
        """The number of the next line."""
        return self._above + self._next + 1

    def waiting(self) -> list[str]:
        """The next lines that were not taken yet, some thousands at most; none at the end of the file."""
        self.begin_record()
        if self._next == len(self._lines):
            self._read_on()
        return self._lines[self._next : self._next + AT_HAND]

    def take(self, number: int) -> None:
        """So many of the lines at hand were read."""
        self._next += number

    def begin_record(self) -> None:
        self._begun, self.cut = self._next, False

    def __next__(self) -> str:
        if self._next == len(self._lines) and not self._read_on():
            raise StopIteration
        line = self._lines[self._next]
        self._next += 1
        if isinstance(line, _LongLine) or len(line) > LONGEST_LINE:
            self.cut = True
            return line[:1000].replace('"', "") + "\n"
        return line

    def give_back_all_but_first(self) -> str:
        """A quotation mark that nobody closes must cost one row, not all that follow."""
        self._read_again += sum(map(len, self.later()))
        self._next = self._begun + 1
        return self._lines[self._begun].rstrip("\r\n")[:LARGEST_CELL]

    def _read_on(self) -> bool:
        more = next(self._blocks, [])
        self._above += self._begun
        self._lines = self._lines[self._begun :] + more
        self._next, self._begun = self._next - self._begun, 0
        return bool(more)


LEFT_OPEN = "a quotation mark seems to be left open: what follows in the cell looks like rows of its own"


def _csv_reason(message: str) -> str:
    if "field larger" in message:
        return TOO_LARGE + ", or a quotation mark is opened and not closed"
    if "unexpected end" in message:
        return "a quotation mark is opened and not closed"
    return "a quotation mark stands where none may stand"


class _LongLine(str):
    """The beginning of a line that is too long to be kept whole."""

    __slots__ = ()


def _split(pieces: Iterator[str]) -> Iterator[list[str]]:
    r"""Lines with their ends (\n, \r\n or \r), piece by piece; of a line that is far too long only the beginning is kept."""
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
        if lines:
            yield lines
    if rest:
        yield [_LongLine(rest) if long else rest]


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
                raise InputError(
                    said(
                        "the file is not {encoding}: byte {at} in line {lines} does not fit",
                        encoding=encoding,
                        at=at,
                        lines=lines,
                    ),
                    SAVE_AS,
                ) from None
            fed += len(piece)
            lines += text.count("\n")
            yield text.removeprefix("\ufeff") if first else text
            first = first and not text


def _is_utf8(path: Path, encoding: str) -> bool:
    """Whether a file that is to be read in another encoding fits UTF-8, with letters in it that have to be told apart."""
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "utf-16"):
        return False
    decoder, plain = codecs.getincrementaldecoder("utf-8")("strict"), True
    try:
        with path.open("rb") as stream:
            while piece := stream.read(PIECE):
                plain = plain and piece.isascii()
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return not plain


def _digest(path: Path) -> tuple[str, bytes, int]:
    try:
        if not path.is_file():
            raise InputError(said("there is no such file"), said("Check the path {path}.", path=path))
        with path.open("rb") as stream:
            digest, head, lines, returns = hashlib.sha256(), b"", 0, 0
            while piece := stream.read(LARGEST_CELL):
                head = head or piece[:8]
                digest.update(piece)
                lines, returns = lines + piece.count(b"\n"), returns + piece.count(b"\r")
            return digest.hexdigest(), head, lines or returns
    except OSError as error:
        raise InputError(
            said("the file can't be read ({kind})", kind=type(error).__name__),
            said("Check the permissions of {path}.", path=path),
        ) from None


def _encoding(head: bytes, named: str | None) -> str:
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InputError(
            said("the file is an Excel workbook or an archive, not CSV"), said("Save the sheet as `CSV UTF-8` and import that.")
        )
    mark = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    if mark == "":
        raise InputError(said("the file is in UTF-32"), SAVE_AS)
    try:
        codecs.getincrementaldecoder(named or "utf-8")
        "".encode(named or "utf-8")
    except (LookupError, ValueError):
        raise InputError(
            said("no text encoding has this name"), said("Name one that Python knows, for instance cp1252.")
        ) from None
    return mark or named or "utf-8"
