"""The people grid: one page of people as an HTML table, with filters, sorting and a selection that can be a whole filter.

Only the visible page travels to the browser, as text and without ids; what the browser sends back is a position on that page or a
name from a list, and everything in it is checked here. The questions themselves are the Workbench's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets

from workbench.bench import Workbench
from workbench.errors import InputError, WorkbenchError
from workbench.mismatch import KINDS
from workbench.panels.language import N_, _, figure, ngettext, told, word
from workbench.panels.wording import plain_time, spoken
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.said import said

HERE = Path(__file__).parent
ROWS_A_PAGE = 25
MOST_SELECTED = 30_000  # more than any batch may hold; a selection is kept in memory

COLUMNS = {
    "email": N_("E-mail"),
    "name": N_("Name"),
    "company": N_("Company"),
    "unsubscribed_at": N_("Unsubscribed"),
    "source": N_("Source"),
    "salesforce": N_("Salesforce"),
    "records": N_("Records"),
    "mismatches": N_("Mismatches"),
    "consents": N_("Consents"),
}
SORTS = {"email": "email", "name": "last_name", "company": "company", "unsubscribed_at": "unsubscribed_at"}
NUMBERS = ("records", "mismatches", "consents")
NOBODY = N_("Nobody is unsubscribed. Import people with `workbench import`, or press Refresh from Salesforce in 03-mismatches.")
SALESFORCE = ("opted_out", "opted_in", "no_record")
FRAME_COLUMNS = (
    "person_id", "email", "first_name", "last_name", "company", "unsubscribed_at", "source",
    "salesforce", "records", "mismatches", "consents",
)  # fmt: skip


FIELDS = {
    "text": N_("name or address"),
    "company": N_("company"),
    "domain": N_("domain"),
    "since": N_("unsubscribed from"),
    "until": N_("unsubscribed to"),
    "source": N_("source"),
    "salesforce": N_("Salesforce"),
    "mismatch": N_("mismatch"),
    "consent": N_("consent"),
}
DATES = ("since", "until")
WORDS = {
    "filter": N_("Filter {label}"),
    "filters": N_("Filters"),
    "select_page": N_("Select this page"),
    "select": N_("Select {person}"),
    "select_all": N_("Select all {count} matching"),
    "card": N_("Card"),
    "open": N_("Open"),
    "open_card": N_("Open the card of {person}"),
    "clear_selection": N_("Clear selection"),
    "clear_filters": N_("Clear filters"),
    "first": N_("First"),
    "previous": N_("Previous"),
    "next": N_("Next"),
    "last": N_("Last"),
    "pages": N_("Pages"),
    "selection": N_("Selection"),
}
"""What the browser says itself; it fills the places."""


def _fields() -> list[dict[str, Any]]:
    """The filters in the language that is spoken now."""
    everything = ["", _("all")]
    choices = {
        "source": [everything, *([code, spoken(code)] for code in UNSUBSCRIBE_SOURCES)],
        "salesforce": [everything, *([code, spoken(code)] for code in SALESFORCE)],
        "mismatch": [everything, ["any", _("any mismatch")], *([code, spoken(code)] for code in KINDS)],
        "consent": [everything, ["yes", _("on file")], ["no", _("none on file")]],
    }
    made = []
    for name, label in FIELDS.items():
        kind = {"kind": "choice", "choices": choices[name]} if name in choices else {"kind": "date" if name in DATES else "text"}
        made.append({"name": name, "label": _(label), **kind})
    return made


class GridView(anywidget.AnyWidget):
    """What the browser holds: the page shown, and nothing else."""

    _esm = HERE / "grid.js"
    _css = HERE / "grid.css"
    columns: Any = traitlets.List().tag(sync=True)
    fields: Any = traitlets.List().tag(sync=True)
    words: Any = traitlets.Dict().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)


class PeopleGrid:
    """The grid over the people of one fixed set of filters (``base``), with the analyst's own filters on top.

    ``say`` receives (tone, sentence, advice) for the panel's status line, ``open_card`` the id of the person whose card was
    asked for.
    """

    def __init__(
        self,
        wb: Workbench,
        *,
        base: Mapping[str, Any],
        say: Callable[[str, str, str], None],
        open_card: Callable[[str], None],
    ) -> None:
        """Ask for the first page."""
        self._wb, self._base, self._say, self._open_card = wb, dict(base), say, open_card
        self.filters: dict[str, str] = {}
        self.sort, self.descending = "unsubscribed_at", True
        self._start, self._number = 0, 0
        self._chosen: dict[str, None] | None = {}  # None: everyone who fits `_everyone`, less `_left_out`
        self._everyone: dict[str, Any] = {}
        self._left_out: set[str] = set()
        self._counts: dict[str, int] = {}
        columns = [{"name": n, "label": _(label), "sortable": n in SORTS, "number": n in NUMBERS} for n, label in COLUMNS.items()]
        self.widget = GridView(columns=columns, fields=_fields(), words={name: word(text) for name, text in WORDS.items()})
        self.widget.on_msg(lambda _widget, message, _buffers: self.receive(message))
        self.refresh()

    def __repr__(self) -> str:
        return "PeopleGrid"

    # -- what the browser asks -------------------------------------------------------------------------------------------------

    def receive(self, message: object) -> None:
        """Do what a message from the browser asks, if it is one of ours; anything else is refused in the status line."""
        try:
            if not isinstance(message, dict) or not isinstance(message.get("act"), str) or message["act"] not in self._acts():
                raise InputError(
                    said("the grid did not understand what the browser sent"), said("Reload the page and run all cells again.")
                )
            self._acts()[message["act"]](message)
        except WorkbenchError as error:
            self._say("failed", told(error.args[0]), told(error.advice))

    def _acts(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        return {
            "filter": self._on_filter,
            "clear_filters": lambda _message: self.show_filters({}),
            "sort": self._on_sort,
            "page": self._on_page,
            "select": self._on_select,
            "select_page": self._on_select_page,
            "select_all": lambda _message: self.select_all(),
            "clear_selection": lambda _message: self.clear_selection(),
            "open": lambda message: self._open_card(self._row(message)["person_id"]),
        }

    def _on_filter(self, message: dict[str, Any]) -> None:
        given = message.get("filters")
        if (
            not isinstance(given, dict)
            or not given.keys() <= FIELDS.keys()
            or not all(isinstance(v, str) for v in given.values())
        ):
            raise InputError(said("the grid did not understand these filters"), said("Clear the filters and set them again."))
        self.show_filters(given)

    def _on_sort(self, message: dict[str, Any]) -> None:
        column = message.get("column")
        if not isinstance(column, str) or column not in SORTS:
            raise InputError(said("the list can't be sorted by this column"))
        self.descending = not self.descending if column == self.sort else column == "unsubscribed_at"
        self.sort = column
        self._show()

    def _on_page(self, message: dict[str, Any]) -> None:
        page, count = self._page, self._count()
        if message.get("to") == "first":
            self._show()
        elif message.get("to") == "last":
            self._show(before="end", start=count - ROWS_A_PAGE)
        elif message.get("to") == "next" and page.has_next:
            self._show(after=page.last_key, start=self._start + len(page.rows))
        elif message.get("to") == "previous" and page.has_previous:
            self._show(before=page.first_key, start=self._start - ROWS_A_PAGE)

    def _row(self, message: dict[str, Any]) -> dict[str, Any]:
        row, rows = message.get("row"), self._page.rows
        if message.get("view") != self._number or type(row) is not int or not 0 <= row < len(rows):
            raise InputError(said("this row is no longer on the screen"), said("Look at the page again and repeat it."))
        found: dict[str, Any] = rows[row]
        return found

    def _on_select(self, message: dict[str, Any]) -> None:
        self._choose([self._row(message)["person_id"]], on=message.get("on") is True)

    def _on_select_page(self, message: dict[str, Any]) -> None:
        if message.get("view") != self._number:
            raise InputError(said("this page is no longer on the screen"), said("Look at the page again and repeat it."))
        self._choose([row["person_id"] for row in self._page.rows], on=message.get("on") is True)

    # -- filters ---------------------------------------------------------------------------------------------------------------

    def show_filters(self, given: Mapping[str, str]) -> None:
        """Show the people who fit these filters, as typed in the browser: names of `FIELDS`, values as text.

        Raises:
            InputError: a date that is none, or a value that the register does not know.
        """
        wanted = {name: value.strip() for name, value in given.items() if value.strip()}
        before, self.filters = self.filters, wanted
        try:
            self._show()
        except WorkbenchError:
            self.filters = before
            raise

    def _asked(self) -> dict[str, Any]:
        """The filters as the Workbench takes them."""
        asked: dict[str, Any] = dict(self.filters)
        if "since" in asked:
            asked["since"] = _midnight(asked["since"])
        if "until" in asked:
            asked["until"] = _midnight(asked["until"], days=1)
        if "consent" in asked:
            asked["consent"] = asked["consent"] == "yes"
        return self._base | asked

    def refresh(self) -> None:
        """Count and read again, from the first page."""
        self._counts.clear()
        self._show()

    def _count(self) -> int:
        return self._count_of(self._asked())

    def _count_of(self, filters: Mapping[str, Any]) -> int:
        key = repr(sorted(filters.items()))
        if key not in self._counts:
            self._counts[key] = self._wb.review_count(filters)
        return self._counts[key]

    # -- selection -------------------------------------------------------------------------------------------------------------

    def select_all(self) -> None:
        """Select everyone who fits the filters now, kept as the filter."""
        self._chosen, self._everyone, self._left_out = None, self._asked(), set()
        self._say(
            "done",
            ngettext(
                "{number} person selected: everyone who fits the filters.",
                "{number} people selected: everyone who fits the filters.",
                self._count(),
            ),
            "",
        )
        self._paint()

    def clear_selection(self) -> None:
        """Select nobody."""
        self._chosen, self._left_out = {}, set()
        self._say("done", _("Nobody is selected."), "")
        self._paint()

    def _choose(self, person_ids: list[str], *, on: bool) -> None:
        if self._chosen is None and self._everyone != self._asked():
            self._chosen, self._left_out = dict.fromkeys(self.selected_ids()), set()  # the filter moved on: fix who was meant
        for person_id in person_ids:
            if self._chosen is None:
                (self._left_out.discard if on else self._left_out.add)(person_id)
            elif on:
                self._chosen[person_id] = None
            else:
                self._chosen.pop(person_id, None)
        self._paint()

    @property
    def selected_count(self) -> int:
        """How many people are selected."""
        if self._chosen is not None:
            return len(self._chosen)
        return max(0, self._count_of(self._everyone) - len(self._left_out))

    def _is_selected(self, person_id: str) -> bool:
        if self._chosen is not None:
            return person_id in self._chosen
        return self._everyone == self._asked() and person_id not in self._left_out

    def selection(self) -> pd.DataFrame:
        """The selected people, one row each, with the columns `FRAME_COLUMNS`; sorted by address.

        Raises:
            InputError: more people than a selection may hold.
        """
        filters = self._everyone if self._chosen is None else self._base | {"person_ids": list(self._chosen)}
        if self.selected_count > MOST_SELECTED:
            raise InputError(
                said("a selection holds at most {most} people", most=MOST_SELECTED), said("Narrow the filters first.")
            )
        rows: list[dict[str, Any]] = []
        page = None
        while self.selected_count and (page is None or page.has_next):
            after = page.last_key if page else None
            page = self._wb.review_page(filters, sort="email", descending=False, after=after, before=None, limit=1000)
            rows += [row for row in page.rows if row["person_id"] not in self._left_out]
        frame = pd.DataFrame(rows, columns=list(FRAME_COLUMNS))
        return frame.assign(unsubscribed_at=pd.to_datetime(frame["unsubscribed_at"], utc=True))

    def selected_ids(self) -> tuple[str, ...]:
        """The ids of the selected people."""
        return tuple(self._chosen) if self._chosen is not None else tuple(self.selection()["person_id"])

    # -- what the browser is shown ---------------------------------------------------------------------------------------------

    def _show(self, *, after: str | None = None, before: str | None = None, start: int = 0) -> None:
        self._page = self._wb.review_page(
            self._asked(), sort=SORTS[self.sort], descending=self.descending, after=after, before=before, limit=ROWS_A_PAGE
        )
        self._start = max(0, start) if self._page.has_previous else 0
        self._paint()

    def _paint(self) -> None:
        page, count = self._page, self._count()
        self._number += 1
        last = self._start + len(page.rows)
        self.widget.view = {
            "number": self._number,
            "rows": [[_cell(name, row) for name in COLUMNS] for row in page.rows],
            "selected": [self._is_selected(row["person_id"]) for row in page.rows],
            "sort": self.sort,
            "descending": self.descending,
            "filters": self.filters,
            "count": count,
            "count_text": figure(count),
            "chosen": self.selected_count,
            "chosen_text": _("{number} selected", number=self.selected_count),
            "caption": self._caption(count),
            "where": _("Rows {first} to {last} of {count}", first=self._start + 1, last=last, count=count) if page.rows else "",
            "empty": _("Nobody fits these filters. Press Clear filters to see everybody.") if self.filters else _(NOBODY),
            "has_next": page.has_next,
            "has_previous": page.has_previous,
        }

    def _caption(self, count: int) -> str:
        if self.filters:
            return ngettext(
                "{number} unsubscribed person fits the filters; times in UTC",
                "{number} unsubscribed people fit the filters; times in UTC",
                count,
            )
        return ngettext("{number} unsubscribed person; times in UTC", "{number} unsubscribed people; times in UTC", count)


def _midnight(text: str, *, days: int = 0) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise InputError(said("this is not a date"), said("Write it as year-month-day, for instance 2026-11-02.")) from None


def _cell(name: str, row: Mapping[str, Any]) -> str:
    if name == "name":
        return f"{row['first_name']} {row['last_name']}".strip()
    value = row[name]
    if isinstance(value, datetime):
        return plain_time(value)
    if isinstance(value, int):
        return figure(value)
    return spoken(str(value)) if name in ("source", "salesforce") and value else "" if value is None else str(value)
