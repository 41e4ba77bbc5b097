"""What a report's cells show: facts, tables, charts, notes. Every text is escaped; a chart is a picture, never a script.

Each object renders itself as HTML for the page. A table also carries its rows as CSV, which the issuing takes out into a file
of its own and into the workbook; a page shows the first rows only.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from workbench.person import redact
from workbench.reports.tables import csv_text, number_columns, plain_text

if TYPE_CHECKING:
    from altair import Chart as AltairChart

SHOWN_ROWS = 500
FEW = 8
LONG_WORD = 24  # characters; a longer one may be broken anywhere, or it would widen the page
BREAKS = re.compile(r"[\s-]+")
LONG_TEXT = 40  # characters; a sentence, which gets room
SHORT = 18  # characters that stay on one line, such as a moment
IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LOOK: dict[str, Any] = {
    "font": "DejaVu Sans, Helvetica, Arial, sans-serif",
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {"labelFontSize": 12},
    "view": {"stroke": None},
}
Bundle = tuple[dict[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Shown:
    """Base of what a cell may end in; in a terminal it is its own title, without data."""

    title: str

    def html(self) -> str:
        """The object as HTML, every text escaped."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:  # noqa: ARG002 - IPython's signature
        return {"text/html": self.html(), "text/plain": self.title}, {}


@dataclass(frozen=True)
class Facts(Shown):
    """Names and values, one below the other; ``findings`` are names whose value is bad news and is marked so in words."""

    values: Mapping[str, Any]
    findings: frozenset[str] = frozenset()

    def html(self) -> str:
        """A description list."""
        rows = "".join(
            f"<div{self._mark(name)}><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in self.values.items()
        )
        return f'<dl class="facts" aria-label="{_text(self.title)}">{rows}</dl>'

    def _mark(self, name: str) -> str:
        return ' class="finding"' if name in self.findings else ""


@dataclass(frozen=True)
class Table(Shown):
    """Rows under named columns. ``name`` is the CSV file's, which also has the columns ``more``; ``empty`` the sentence for no rows.

    ``shown`` is how many rows the page shows.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    empty: str = "None."
    more: Sequence[str] = ()
    shown: int = SHOWN_ROWS

    def html(self) -> str:
        """A table with a caption and column headers, or the sentence for none."""
        if not self.rows:
            return f'<p class="none">{_text(self.empty)}</p>'
        head = "".join(self._heading(name) for name in self.columns)
        body = "".join(self._row(row) for row in self.rows[: self.shown])
        caption = f"{self.title}: {_count(len(self.rows))}"
        table = f"<table><caption>{_text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div class="scroll">{table}</div>{self._rest()}'

    def _heading(self, name: str) -> str:
        number = ' class="number"' if _is_number(self.rows[0].get(name)) else ""
        return f'<th scope="col"{number}>{_text(name)}</th>'

    def _row(self, row: Mapping[str, Any]) -> str:
        return f"<tr>{''.join(_cell(row.get(name)) for name in self.columns)}</tr>"

    def _rest(self) -> str:
        if len(self.rows) <= self.shown:
            return ""
        return f'<p class="none">The first {self.shown} of {len(self.rows)} rows; all of them are in tables/{_text(self.name)}.csv.</p>'

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        data, _ = super()._repr_mimebundle_(include, exclude)
        columns = [*self.columns, *self.more]
        data["text/csv"] = csv_text(columns, self.rows)
        return data, {"text/csv": {"name": self.name, "numbers": number_columns(columns, self.rows)}}


@dataclass(frozen=True)
class Across(Table):
    """A table of few columns that the page shows turned: a column for each row, headed by its first cell.

    ``words`` says what the other columns are called on the page.
    """

    words: Mapping[str, str] = field(default_factory=dict)

    def html(self) -> str:
        """A table whose lines begin with what they count."""
        if not self.rows:
            return super().html()
        first, *others = self.columns
        head = "".join(f'<th scope="col" class="number">{_text(row[first])}</th>' for row in self.rows)
        lines = "".join(
            f'<tr><th scope="row">{_text(self.words.get(name, name))}</th>{"".join(_cell(row[name]) for row in self.rows)}</tr>'
            for name in others
        )
        heads = f'<thead><tr><th scope="col">{_text(first)}</th>{head}</tr></thead>'
        return f'<div class="scroll"><table><caption>{_text(self.title)}</caption>{heads}<tbody>{lines}</tbody></table></div>'


@dataclass(frozen=True)
class Chart(Shown):
    """A chart as an SVG picture with a text that says the same; needs no network and no script.

    ``chart`` is one of altair's, or SVG as `charts` draws it; None where there is nothing to draw.
    """

    chart: AltairChart | str | None
    says: str

    def html(self) -> str:
        """A figure with its caption; the sentence alone where there is nothing to draw."""
        if not self.chart:
            return f'<p class="none">{_text(self.says)}</p>'
        svg = self.chart if isinstance(self.chart, str) else _drawn(self.chart)
        source = base64.b64encode(svg.encode()).decode()
        picture = f'<img alt="{_text(self.says)}" src="data:image/svg+xml;base64,{source}">'
        return f"<figure>{picture}<figcaption>{_text(self.title)}. {_text(self.says)}</figcaption></figure>"


@dataclass(frozen=True)
class Note(Shown):
    """A sentence, and below it a text that is shown letter by letter, such as a checkpoint."""

    sentence: str
    verbatim: str = ""
    finding: bool = False
    facts: Mapping[str, Any] | None = None

    def html(self) -> str:
        """A paragraph and a preformatted block."""
        mark = ' class="finding"' if self.finding else ""
        block = f"<pre>{_text(self.verbatim)}</pre>" if self.verbatim else ""
        return f"<p{mark}>{_text(self.sentence)}</p>{block}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        data, _ = super()._repr_mimebundle_(include, exclude)
        return data, {"workbench": dict(self.facts)} if self.facts else {}


def _drawn(chart: AltairChart) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.configure(**LOOK).to_dict()))


def address(email: Any, personal_data: str) -> str:
    """An address in the form that the report may show: as it is, or masked."""
    text = plain_text(email)
    return text if personal_data == "full" else redact(text) if text else ""


def whole_numbers(most: int) -> dict[str, Any]:
    """Settings of a chart's axis for counts up to ``most``: no ticks between whole numbers."""
    return {"values": list(range(most + 1)), "format": "d"} if most <= FEW else {"tickMinStep": 1, "format": "d"}


def day(value: Any) -> str:
    """A moment to the minute, UTC, as a report shows it."""
    return value.strftime("%Y-%m-%d %H:%M") if value is not None and value == value else ""  # noqa: PLR0124 - NaT differs from itself


def _cell(value: Any) -> str:
    text = plain_text(value)
    kind = ""
    if _is_number(value):
        kind = ' class="number"'
    elif len(text) <= SHORT or (len(text) <= LONG_WORD and not BREAKS.search(text)):
        kind = ' class="one"'
    elif IDENTIFIER.fullmatch(text):
        kind = ' class="id"'
    elif len(text) > LONG_TEXT and " " in text:
        kind = ' class="text"'
    elif any(len(word) > LONG_WORD for word in BREAKS.split(text)):
        kind = ' class="long"'
    return f"<td{kind}>{_text(text)}</td>"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _text(value: Any) -> str:
    return escape(plain_text(value), quote=True)
