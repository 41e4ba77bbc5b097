"""The trail verified: every event, payload and checkpoint, who wrote how much of it, and what anchors it elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from workbench.person import redact
from workbench.reports.presentation import Facts, Note, Table, day
from workbench.reports.proof import verdict_facts
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.bench import Workbench

Row = dict[str, Any]
SHOWN_CHECKPOINTS = 20
ANCHORS = {
    "checkpoint_answered": "Checkpoints sent to Salesforce",
    "timestamp_received": "Time stamps of an outside authority",
    "key_rotated": "Changes of the signing key",
    "trail_exported": "Exports for an auditor",
    "person_erased": "People erased on request",
}


class TrailVerification:
    """The whole trail at this moment; each method is one part of the page."""

    def __init__(self, wb: Workbench, *, personal_data: str) -> None:
        self._personal = personal_data
        self._verdict = wb.trail.verify()
        self._tally = records(wb.trail.tally())[1]
        self._checkpoints = records(wb.trail.checkpoints())[1]
        self._vkey = wb.trail.vkey

    def verdict(self) -> Facts:
        """Intact or not, and every problem in a sentence of its own."""
        return verdict_facts(self._verdict)

    def key(self) -> Note:
        """The key that verifies this trail."""
        said = "The key that verifies this trail. It must have reached you by another way than this page; compare them letter by letter."
        return Note("Key", said, verbatim=self._vkey)

    def anchors(self) -> Facts:
        """What was done that ties the trail to somebody else, or changed what it is verified by."""
        counts: Counter[str] = Counter()
        for row in self._tally:
            counts[row["action"]] += row["events"]
        return Facts("Anchors", {name: counts[action] for action, name in ANCHORS.items()})

    def actions(self) -> Table:
        """How often what was done, first and last."""
        return Table("Events by kind", "events-by-kind", ("what", "events", "first (UTC)", "last (UTC)"), self._grouped("action", "what"))

    def operators(self) -> Table | Note:
        """Who wrote how many events; masked are names, as far as they are more than a letter."""
        rows = self._grouped("operator", "operator")
        if self._personal == "counts":
            return Note("Operators", f"{len(rows)} in number; this report was issued with counts only.")
        shown = [row | {"operator": self._name(str(row["operator"]))} for row in rows]
        return Table("Events by operator", "events-by-operator", ("operator", "events", "first (UTC)", "last (UTC)"), shown)

    def checkpoints(self) -> Table:
        """The newest signed checkpoints; all of them are in the table's file."""
        rows = [{"events covered": row["size"], "signed (UTC)": day(row["made_at"]), "note": row["note"]} for row in self._checkpoints]
        rows.reverse()
        return Table(
            "Checkpoints, newest first", "checkpoints", ("events covered", "signed (UTC)"), rows, "None was signed yet.",
            more=("note",), shown=SHOWN_CHECKPOINTS,
        )  # fmt: skip

    def _grouped(self, key: str, name: str) -> list[Row]:
        groups: dict[str, Row] = {}
        for row in self._tally:
            one = groups.setdefault(row[key], {name: row[key], "events": 0, "first": row["first_at"], "last": row["last_at"]})
            one["events"] += row["events"]
            one["first"], one["last"] = min(one["first"], row["first_at"]), max(one["last"], row["last_at"])
        ordered = sorted(groups.values(), key=lambda one: (-one["events"], one[name]))
        return [one | {"first (UTC)": day(one["first"]), "last (UTC)": day(one["last"])} for one in ordered]

    def _name(self, operator: str) -> str:
        if self._personal == "full":
            return operator
        return redact(operator) if "@" in operator else f"{operator[:1]}…"
