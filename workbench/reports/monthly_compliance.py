"""One page for the board: the month's numbers, the year's trend, and opt-outs that waited longer than the law allows.

A breach is an opt-out that one side did not follow for more business days than the policy's limit (CAN-SPAM and CASL: 10), at any
moment of the month. Months are UTC; of a month that is not over only what has happened counts.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workbench import months
from workbench.mismatch import KINDS, business_days
from workbench.reports.presentation import Across, Chart, Facts, Note, Table, address, day, whole_numbers
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.bench import Workbench

Row = dict[str, Any]
MONTHS = 12
MORE = ("kind", "person", "record")  # for who looks into it; the board reads the words
SHOWN_BREACHES = 5
LEAVE_MAIL_GOING = (
    "opted_out_only_in_salesforce",
    "unsubscribed_only_locally",
    "records_disagree",
    "fields_disagree",
    "duplicate_address",
)
"""Kinds of mismatch under which somebody who opted out may still be mailed from one side."""
DRAWN = {"unsubscribed": "#b8860b", "resubscribed": "#0b4f8a"}
FIGURES = {
    "unsubscribed": "unsubscribed",
    "resubscribed": "resubscribed on consent",
    "refused": "refused by the rules",
    "aborted": "kept opted out at the last moment",
    "relapsed": "relapses found",
}
"""What is counted a month, and how the page calls it."""


class MonthlyCompliance:
    """One month and the eleven before it; each method is one part of the page."""

    def __init__(self, wb: Workbench, *, month: str, personal_data: str) -> None:
        self._personal, self._now = personal_data, wb.clock()
        year, number = (int(part) for part in month.split("-"))
        bounds = months.bounds(year, number, number=MONTHS)
        self._since, self._until = bounds[-2:]
        self._limit = wb.policy.honour_within_business_days
        self._months: list[Row] = [{"month": f"{row['since']:%Y-%m}", **{f: row[f] for f in FIGURES}} for row in records(wb.figures(bounds))[1]]
        found = [row for kind in LEAVE_MAIL_GOING for over in (False, True) for row in records(wb.mismatches(kind, resolved=over))[1]]
        self._breaches = sorted((b for row in found if (b := self._breach(row))), key=lambda b: (-b["business days"], b["kind"], b["person"], b["record"]))
        self._coverage = Counter(row["proof"] for row in records(wb.coverage())[1])

    def summary(self) -> Facts:
        """The month's numbers; what the board should ask about is marked."""
        this = self._months[-1]
        unproved = self._coverage.total() - self._coverage["sound"]
        late, gone = f"Opt-outs that waited over {self._limit} business days", "Resubscribed without sound proof today"
        values: dict[str, Any] = {
            "Unsubscribed": this["unsubscribed"],
            "Resubscribed on consent": this["resubscribed"],
            "Refused by the rules": this["refused"],
            "Kept opted out at the last moment": this["aborted"],
            "Relapses found": this["relapsed"],
            late: len(self._breaches),
            gone: unproved,
        }
        return Facts("Summary", values, frozenset(name for name in ("Relapses found", late, gone) if values[name]))

    def so_far(self) -> Note:
        """Whether the month is over."""
        if self._now < self._since:
            return Note("Period", "This month has not begun: its numbers are empty.", finding=True)
        if self._now < self._until:
            return Note("Period", f"This month is not over: the numbers are those until {day(self._now)} UTC.")
        return Note("Period", f"The whole month, {self._since:%Y-%m-%d} to the end of its last day, UTC.")

    def chart(self) -> Chart:
        """Unsubscribed and resubscribed people by month."""
        totals = {name: sum(row[name] for row in self._months) for name in DRAWN}
        if not any(totals.values()):
            return Chart("Trend", None, f"Nobody was unsubscribed or resubscribed in these {MONTHS} months.")
        says = f"In {MONTHS} months {totals['unsubscribed']} unsubscribes and {totals['resubscribed']} resubscriptions. Source: the register."
        return Chart("Unsubscribes and resubscriptions by month", _trend(self._months), says)

    def months(self) -> Across:
        """The same numbers month by month."""
        return Across("Month by month", "months", ("month", *FIGURES), self._months, words=FIGURES)

    def kinds(self) -> Table:
        """Breaches by kind, how many and how long the longest."""
        by_kind: dict[str, list[int]] = {}
        for row in self._breaches:
            by_kind.setdefault(row["kind"], []).append(row["business days"])
        rows = [
            {"what was wrong": KINDS[kind], "breaches": len(ages), "longest (business days)": max(ages), "kind": kind}
            for kind, ages in sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0]))
        ]
        empty = f"No opt-out waited longer than {self._limit} business days in this month."
        columns = ("what was wrong", "breaches", "longest (business days)")
        return Table("Breaches by kind", "breaches-by-kind", columns, rows, empty, ("kind",))

    def breaches(self) -> Table | Note:
        """Each breach, the longest first."""
        if self._personal == "counts":
            return Note("Breaches", f"{len(self._breaches)} in number; this report was issued with counts only.")
        columns = ("what was wrong", "address", "since (UTC)", "business days", "ended (UTC)")
        return Table("Breaches, longest first", "breaches", columns, self._breaches, "None.", MORE, SHOWN_BREACHES)

    def _breach(self, row: Row) -> Row | None:
        """The mismatch as far as it stood open in the month; None where it never was over the limit then."""
        began, resolved = (row["since"] if day(row["since"]) else row["first_seen"]), (row["resolved_at"] if day(row["resolved_at"]) else None)
        if resolved is not None and resolved < self._since:
            return None
        age = business_days(began, min(resolved or self._now, self._until, self._now))
        if age <= self._limit:
            return None
        return {
            "what was wrong": KINDS[row["kind"]],
            "kind": row["kind"],
            "person": row["person_id"],
            "address": address(row["email"], self._personal),
            "record": row["record_id"],
            "since (UTC)": day(began),
            "business days": age,
            "ended (UTC)": day(resolved) or "open",
        }


def _trend(months: list[Row]) -> Any:
    import altair as alt

    values = [{"month": row["month"], "what": name, "number": row[name]} for row in months for name in DRAWN]
    most = max(value["number"] for value in values)
    return alt.Chart(alt.InlineData(values=values), width=780, height=125).mark_bar().encode(
        x=alt.X("month:O", title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("what:N", sort=list(DRAWN)),
        y=alt.Y("number:Q", title="number a month", axis=alt.Axis(**whole_numbers(most))),
        color=alt.Color("what:N", title=None, scale=alt.Scale(domain=list(DRAWN), range=list(DRAWN.values())), legend=alt.Legend(orient="top")),
    )  # fmt: skip
