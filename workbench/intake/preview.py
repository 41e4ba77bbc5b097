"""A look at a file before it is imported: which column is read as which field, and the first rows with what is wrong with them.

Nothing is written, and the register is not asked: whom a row means shows only in a dry run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from workbench.errors import InputError
from workbench.intake import columns, unsubscribes, values
from workbench.intake.columns import Columns
from workbench.intake.consent_rows import Reader
from workbench.intake.files import Row, Rows
from workbench.intake.mappings import Mappings
from workbench.intake.optouts import Reading
from workbench.intake.person_rows import PeopleReader
from workbench.intake.rejects import rows_of
from workbench.intake.run import given_for, opened

ROWS = 10


@dataclass(frozen=True, kw_only=True)
class Preview:
    """``fields`` says by column of the file which field it is read as ("" for one that is not read).

    ``rows`` are the first ones: line, the fields' texts as they stand (personal data), and ``problem``, "" where there is none.
    ``problems`` are sentences about the columns; ``recalled`` says which mapping of an earlier import is used, if any.
    """

    fields: tuple[tuple[str, str], ...]
    rows: tuple[dict[str, str | int], ...] = field(repr=False)
    problems: tuple[str, ...]
    recalled: str
    encoding: str
    delimiter: str


def preview(
    file: Path | str,
    kind: str,
    *,
    mapping: Mapping[str, str] | None = None,
    encoding: str | None = None,
    mappings: Mappings | None = None,
    now: datetime,
) -> Preview:
    """Look at the first rows of a file of ``people``, ``unsubscribes`` or ``consents``.

    Raises:
        InputError: the file or its columns can't be used, or there is no such kind.
    """
    if kind not in KINDS:
        raise InputError("there is no such import", f"These are: {', '.join(KINDS)}.")
    names, one_of, problems_of = KINDS[kind]
    source = opened(file, names, encoding)
    given = given_for(source, kind, mapping, mappings)
    found = columns.find(source.header, names, mapping=given.mapping, one_of=one_of)
    read_as = {position: name for name, position in found.positions.items()}
    if kind == "people":
        read_as |= dict.fromkeys(columns.more_opt_outs(source.header, found), "unsubscribed")
    first = list(islice(rows_of(source), ROWS))
    if not first:
        raise InputError("the file holds no rows", "It has a line of column names and nothing below; export it again.")
    problems: dict[int, list[str]] = defaultdict(list)
    for line, problem in problems_of(first, found, source.header, values.to_millisecond(now)):
        problems[line].append(problem)
    return Preview(
        fields=tuple((column, read_as.get(position, "")) for position, column in enumerate(source.header)),
        rows=tuple(
            {"line": row.line}
            | {name: found.read(row.cells, name) if not row.reason else "" for name in found.positions}
            | {"problem": "; ".join(problems[row.line])}
            for row in first
        ),
        problems=columns.passed_over(source.header, found) if kind == "people" else (),
        recalled=given.sentence,
        encoding=source.encoding,
        delimiter=source.delimiter,
    )


def _people(rows: list[Row], found: Columns, header: Sequence[str], now: datetime) -> Iterator[tuple[int, str]]:
    blank = ("",) * len(header)
    odd = {place: row for place, row in enumerate(rows) if row.reason}
    together = Rows([row.line for row in rows], [blank if row.reason else row.cells for row in rows], odd)
    notes: list[tuple[int, str]] = []
    reader = PeopleReader(found, columns.more_opt_outs(header, found), Reading(now))
    read = reader.read(together, lambda line, problem: notes.append((line, problem)))
    yield from ((rows[place].line, f"rejected: {refusal}") for place, refusal in read.refusals.items())
    yield from notes


def _unsubscribes(rows: list[Row], found: Columns, _header: Sequence[str], now: datetime) -> Iterator[tuple[int, str]]:
    notes: list[tuple[int, str]] = []
    reading = Reading(now, undated=now)
    for row in rows:
        read = unsubscribes.read(row, found, reading, lambda line, problem: notes.append((line, problem)))
        if not (read.named.email or read.named.external_id):
            yield row.line, f"rejected: {unsubscribes.refusal_of(read)}"
    yield from notes


def _consents(rows: list[Row], found: Columns, _header: Sequence[str], _now: datetime) -> Iterator[tuple[int, str]]:
    reader = Reader(found, None, {})
    for row in rows:
        if refusal := reader.read(row).refusal:
            yield row.line, f"rejected: {refusal}"


KINDS = {
    "people": (columns.PEOPLE, ("email",), _people),
    "unsubscribes": (columns.UNSUBSCRIBES, ("person", "email"), _unsubscribes),
    "consents": (columns.CONSENTS, ("person", "email"), _consents),
}
"""What can be imported: its fields, those of which a file needs one, and what tells line and problem of some rows."""
