"""Rows of a file of people, column by column: whether all cells of a column are plain is asked of the whole column at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

from workbench.intake import optouts, values
from workbench.intake.columns import Columns
from workbench.intake.files import Row, Rows
from workbench.intake.optouts import OptOut, Reading
from workbench.intake.roster import Sought

TEXTS = ("first_name", "last_name", "company", "title")

NoteOn = Callable[[int, str], None]
"""Takes the line of a row and a sentence about it that the operator should look at."""


@dataclass(frozen=True, kw_only=True)
class PersonRow:
    """One row of a file of people; ``refusal`` says why it can't come in ("" when it can)."""

    row: Row
    named: Sought
    email_as_given: str
    texts: Mapping[str, Any]  # names, company and title, as `TEXTS` has them
    opt_out: OptOut | None
    refusal: str


@dataclass(frozen=True, kw_only=True)
class PersonRows:
    """The same of many rows: a column a field, and by a row's place its opt-out and why it can't come in, where there is such."""

    rows: Rows
    external_ids: Sequence[str]
    record_ids: Sequence[tuple[str, ...]]
    emails: Sequence[str]
    emails_as_given: Sequence[str]
    texts: Mapping[str, Sequence[str]]
    opt_outs: Mapping[int, OptOut]
    refusals: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, place: int) -> PersonRow:
        """One of them by itself."""
        odd = self.rows.odd.get(place)
        named = Sought(external_id=self.external_ids[place], record_ids=tuple(self.record_ids[place]), email=self.emails[place])
        return PersonRow(
            row=odd or Row(self.rows.lines[place], tuple(self.rows.cells[place])),
            named=Sought() if odd else named,
            email_as_given=self.emails_as_given[place],
            texts={name: column[place] for name, column in self.texts.items()},
            opt_out=self.opt_outs.get(place),
            refusal=self.refusals.get(place, ""),
        )


@dataclass(frozen=True)
class PeopleReader:
    """How the rows of one file are read: its columns, those that tell of opt-outs beside the field for it, and how dates are read."""

    columns: Columns
    more: Sequence[int]
    reading: Reading

    def read(self, rows: Rows, note: NoteOn) -> PersonRows:
        """What the rows say; a row that can't be used says why, and nothing else."""
        cells = list(zip(*rows.cells, strict=True))
        nothing = [""] * len(rows)

        def column(field: str) -> Sequence[str]:
            position = self.columns.positions.get(field)
            return nothing if position is None else list(map(str.strip, cells[position]))

        reasons: dict[int, list[str]] = {}

        def refuse(place: int, reason: str) -> None:
            reasons.setdefault(place, []).append(reason)

        given = column("email")
        external_ids = values.lines_of_text(column("external_id"), refuse)
        record_ids = values.columns_of_record_ids(column("salesforce_id"), refuse)
        emails = values.addresses(given, refuse)
        texts = {name: values.lines_of_text(column(name), refuse) for name in TEXTS}
        said = {place: "; ".join(dict.fromkeys(why)) for place, why in reasons.items()}
        flags = self._flags([column("unsubscribed"), *(list(map(str.strip, cells[i])) for i in self.more)])
        return PersonRows(
            rows=rows,
            external_ids=external_ids,
            record_ids=record_ids,
            emails=emails,
            emails_as_given=given,
            texts=texts,
            opt_outs=self._opt_outs(rows.lines, flags, column, note),
            refusals=said | {place: row.reason for place, row in rows.odd.items()},
        )

    def _flags(self, columns: Sequence[Sequence[str]]) -> Sequence[str]:
        return columns[0] if len(columns) == 1 else [_flag(cells) for cells in zip(*columns, strict=True)]

    def _opt_outs(
        self, lines: Sequence[int], flags: Sequence[str], column: Callable[[str], Sequence[str]], note: NoteOn
    ) -> dict[int, OptOut]:
        """By place. Whoever is plainly not unsubscribed, and has no date, is passed over."""
        dates, fallbacks = column("unsubscribed_at"), column("updated_at")
        sources, details = column("unsubscribe_source"), column("unsubscribe_detail")
        plainly_not = {flag for flag in set(flags) if is_no(flag)}
        telling = [flag not in plainly_not or bool(date) for flag, date in zip(flags, dates, strict=True)]
        found: dict[int, OptOut] = {}
        for place in compress(range(len(lines)), telling):
            opt_out = optouts.said(
                flag=flags[place],
                date=dates[place],
                fallback=fallbacks[place],
                source=sources[place],
                detail=details[place],
                reading=self.reading,
                note=lambda problem, line=lines[place]: note(line, problem),  # type: ignore[misc]
            )
            if opt_out is not None:
                found[place] = opt_out
        return found


def _flag(cells: Collection[str]) -> str:
    """Of several cells that may say unsubscribed, the first that does not say no; else the first that says anything."""
    said = [cell for cell in cells if cell.strip(values.BLANK)]
    return next((cell for cell in said if not is_no(cell)), said[0] if said else "")


def is_no(cell: str) -> bool:
    """Whether a cell plainly says no, or nothing."""
    try:
        return not values.yes_or_no(cell)
    except ValueError:
        return False
