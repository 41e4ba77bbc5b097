"""The mismatch review: in which ways register and Salesforce disagree now, for how long, and what tonight's sync would do.

Ages are business days against the limit of the policy (CAN-SPAM and CASL: 10). It speaks of the last snapshot, whose time it names.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from workbench.mismatch import KINDS, NAMES
from workbench.pictures import mismatch_ages
from workbench.reports.presentation import Chart, Facts, Note, Table, address, day, whole_numbers
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.bench import Workbench

Row = dict[str, Any]
ACTIONS = {"unsubscribe_person": "unsubscribe the person in the register", "opt_out_record": "opt out the record in Salesforce"}


class MismatchReview:
    """The open mismatches of this moment; each method is one part of the page."""

    def __init__(self, wb: Workbench, *, kind: str, only_over_limit: bool, personal_data: str) -> None:
        self._personal = personal_data
        self._limit = wb.policy.honour_within_business_days
        wanted = None if kind == "all" else kind
        counts = [row for row in records(wb.mismatch_counts())[1] if wanted in (None, row["kind"])]
        self._counts = [row for row in counts if row["open"]]
        self._ages = [ages for ages in wb.mismatch_ages() if wanted in (None, ages.kind)]
        rows = records(wb.mismatches(wanted))[1]
        self._rows = [self._row(row) for row in rows if row["age_business_days"] > self._limit or not only_over_limit]
        self._rows.sort(key=lambda row: (-row["business days"], row["kind"], row["person"], row["record"]))
        self._forecast = records(wb.forecast())[1]
        self._snapshots = records(wb.trail.events(action="snapshot_pulled", newest=1))[1]

    def summary(self) -> Facts:
        """The numbers of this moment."""
        late = sum(row["over_limit"] for row in self._counts)
        values: dict[str, Any] = {
            "Open mismatches": sum(row["open"] for row in self._counts),
            f"Open for more than {self._limit} business days": late,
            "Oldest, in business days": max((row["oldest_business_days"] for row in self._counts), default=0),
            "Changes of the next sync": len(self._forecast),
            "Snapshot of Salesforce (UTC)": day(self._snapshots[-1]["at"]) if self._snapshots else "never taken",
        }
        bad = (list(values)[1:2] if late else []) + ([] if self._snapshots else list(values)[-1:])
        return Facts("Summary", values, frozenset(bad))

    def chart(self) -> Chart:
        """Open mismatches by kind and age, within and over the limit."""
        if not self._counts:
            return Chart("Mismatches", None, "Register and Salesforce agree.")
        by_number = sorted(self._counts, key=lambda row: -row["over_limit"])
        late = [f"{NAMES[row['kind']]} ({row['over_limit']})" for row in by_number if row["over_limit"]]
        says = f"Over the limit: {'; '.join(late)}." if late else f"None is older than {self._limit} business days."
        return Chart("Open mismatches by kind and age", mismatch_ages(self._ages, limit=self._limit), says)

    def kinds(self) -> Table:
        """What each kind means, how many are open, how old the oldest is."""
        columns = ("kind", "what it means", "open", "oldest (business days)", "over the limit")
        rows = [
            {
                "kind": row["kind"],
                "what it means": KINDS.get(row["kind"], ""),
                "open": row["open"],
                "oldest (business days)": row["oldest_business_days"],
                "over the limit": row["over_limit"],
            }
            for row in self._counts
        ]
        return Table("Kinds", "kinds", columns, rows, "Register and Salesforce agree.")

    def mismatches(self) -> Table | Note:
        """Every open mismatch, the oldest first, with what the next sync makes of it."""
        columns = ("kind", "person", "address", "since (UTC)", "business days", "what", "next sync")
        if self._personal == "counts":
            return Note("Mismatches", f"{len(self._rows)} mismatches; this report was issued with counts only.")
        more = ("record", "first seen (UTC)")
        return Table("Mismatches, oldest first", "mismatches", columns, self._rows, "Register and Salesforce agree.", more=more)

    def forecast(self) -> Table | Note:
        """What the next sync would write, and why."""
        if self._personal == "counts":
            counts = Counter(row["action"] for row in self._forecast)
            rows = [{"change": ACTIONS.get(action, action), "number": number} for action, number in sorted(counts.items())]
            return Table(
                "Changes of the next sync", "forecast", ("change", "number"), rows, "The next sync would change nothing."
            )
        rows = [
            {"change": ACTIONS.get(r["action"], r["action"]), "person": r["person_id"], "record": r["record_id"], "why": r["why"]}
            for r in self._forecast
        ]
        return Table(
            "Changes of the next sync",
            "forecast",
            ("change", "person", "record", "why"),
            rows,
            "The next sync would change nothing.",
        )

    def _row(self, row: Row) -> Row:
        return {
            "kind": row["kind"],
            "person": row["person_id"] or "",
            "address": address(row["email"], self._personal),
            "record": row["record_id"] or "",
            "since (UTC)": day(row["since"]),
            "first seen (UTC)": day(row["first_seen"]),
            "business days": row["age_business_days"],
            "what": row["detail"],
            "next sync": row["forecast"],
        }
