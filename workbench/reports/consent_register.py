"""The consent register: who of the resubscribed is covered by which proof, what ends soon, what is weak or missing.

Coverage is asked of the Workbench, which re-reads the evidence; a consent is weak when it lacks something without which nobody is
resubscribed on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.coverage import SOUND
from workbench.reports.presentation import Chart, Facts, Note, Table, address, day, whole_numbers
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.bench import Workbench

Row = dict[str, Any]
PROOF = {
    SOUND: "sound",
    "ended": "ended",
    "withdrawn": "withdrawn",
    "evidence": "evidence altered or missing",
    "none": "no consent on file",
}
"""How a proof stands, as the page says it; all but the first are findings."""
NEEDED = {"given_at": "the time it was given", "purpose": "a purpose", "method": "how it was given", "evidence": "evidence"}
OVER = ("withdrawn", "refused", "expired", "invalidated")
COLUMNS = ("person", "address", "proof", "ends (UTC)", "days left", "given (UTC)", "purpose", "files")


class ConsentRegister:
    """The proofs of this moment; each method is one part of the page."""

    def __init__(self, wb: Workbench, *, expiring_within_days: int, personal_data: str) -> None:
        self._personal, self._days = personal_data, expiring_within_days
        self._cover = [self._covered(row) for row in records(wb.coverage())[1]]
        self._consents = records(wb.consents())[1]
        self._evidence = Counter(row["state"] for row in records(wb.verify_consents())[1])
        self._unsound = [row for row in self._cover if row["code"] != SOUND]
        self._soon = [row for row in self._cover if row["code"] == SOUND and self._ends_soon(row["days left"])]
        self._weak = [weak for row in self._consents if (weak := self._lacking(row))]

    def summary(self) -> Facts:
        """The numbers of this moment; what needs somebody is marked."""
        bad = self._evidence.total() - self._evidence["intact"]
        values: dict[str, Any] = {
            "Resubscribed people, subscribed now": len(self._cover),
            "With sound proof": len(self._cover) - len(self._unsound),
            f"Ending within {self._days} days": len(self._soon),
            "Without sound proof": len(self._unsound),
            "Consents on file": len(self._consents),
            "Of these incomplete": len(self._weak),
            "Evidence files": self._evidence.total(),
            "Of these altered or missing": bad,
        }
        watched = ("Without sound proof", "Of these altered or missing")
        return Facts("Summary", values, frozenset(name for name in watched if values[name]))

    def chart(self) -> Chart:
        """Resubscribed people by how their proof stands."""
        counts = Counter(PROOF[row["code"]] for row in self._cover)
        if not counts:
            return Chart("Proof", None, "Nobody who was resubscribed is subscribed now, so no proof is needed.")
        says = ", ".join(f"{name} {counts[name]}" for name in PROOF.values() if counts[name]) + "."
        return Chart("Resubscribed people by how their proof stands", _proof_chart(counts), says)

    def endings(self) -> Chart:
        """In which month how many sound proofs end."""
        ends = [row["ends"] for row in self._cover if row["code"] == SOUND and row["ends"]]
        counts = Counter(month[:7] for month in ends)
        if not counts:
            return Chart("Endings", None, "No sound proof has an end.")
        first = min(counts)
        says = f"The first end in {first}: {counts[first]}. In all {len(ends)} end, by the consent's validity or the policy's interval."
        return Chart("Sound proofs by the month in which they end", _month_chart(counts), says)

    def unsound(self) -> Table | Note:
        """Everybody who is mailed again and whose proof does not hold, with what to do."""
        empty = "Every resubscribed person who is subscribed now has a sound proof."
        return self._people(Table("Without sound proof", "without-sound-proof", (*COLUMNS[:4], "what to do"), self._unsound, empty, more=("consent",)))

    def expiring(self) -> Table | Note:
        """Everybody whose sound proof ends soon, the first first."""
        empty = f"No sound proof ends within {self._days} days."
        return self._people(Table("Ending soon", "ending-soon", (*COLUMNS[:2], *COLUMNS[3:]), self._soon, empty, more=("consent",)))

    def weak(self) -> Table | Note:
        """Consents in force that lack something without which nobody is resubscribed on them."""
        columns = ("consent", "person", "address", "recorded (UTC)", "lacks")
        return self._people(Table("Incomplete consents", "incomplete-consents", columns, self._weak, "Every consent on file is complete."))

    def kinds(self) -> Table:
        """All consents by state, how they were given and jurisdiction."""
        keys = ("state", "method", "jurisdiction")
        counts = Counter(tuple(row[key] or "(not said)" for key in keys) for row in self._consents)
        rows = [dict(zip(keys, key, strict=True)) | {"consents": number} for key, number in sorted(counts.items())]
        return Table("Consents on file", "consents", (*keys, "consents"), rows, "No consent is on file.")

    def _people(self, table: Table) -> Table | Note:
        if self._personal != "counts":
            return table
        return Note(table.title, f"{len(table.rows)} in number; this report was issued with counts only.")

    def _ends_soon(self, days: Any) -> bool:
        return isinstance(days, int) and days <= self._days

    def _covered(self, row: Row) -> Row:
        return {
            "code": row["proof"],
            "person": row["person_id"],
            "address": address(row["email"], self._personal),
            "proof": PROOF[row["proof"]],
            "ends": day(row["ends_at"]),
            "ends (UTC)": day(row["ends_at"]) or "no end",
            "days left": int(row["days_left"]) if isinstance(row["days_left"], int) else "",
            "given (UTC)": day(row["given_at"]),
            "purpose": row["purpose"],
            "files": row["evidence"],
            "what to do": row["why"],
            "consent": row["consent_id"],
        }

    def _lacking(self, row: Row) -> Row | None:
        missing = [name for field, name in NEEDED.items() if not _there(row[field])]
        if not missing or row["state"] in OVER:
            return None
        return {
            "consent": row["consent_id"],
            "person": row["person_id"],
            "address": address(row["email"], self._personal),
            "recorded (UTC)": day(row["recorded_at"]),
            "lacks": ", ".join(missing),
        }


def _there(value: Any) -> bool:
    return bool(value) and value == value  # noqa: PLR0124 - NaT differs from itself


def _proof_chart(counts: Mapping[str, int]) -> Any:
    import altair as alt

    names = [name for name in PROOF.values() if counts.get(name)]
    values = [{"proof": name, "people": counts[name]} for name in names]
    colours = ["#0b4f8a" if name == PROOF[SOUND] else "#9a1b1b" for name in names]
    chart = alt.Chart(alt.InlineData(values=values), width=560, height=alt.Step(26)).mark_bar()
    return chart.encode(
        x=alt.X("people:Q", title="people", axis=alt.Axis(**whole_numbers(max(counts.values())))),
        y=alt.Y("proof:N", title=None, sort=names, axis=alt.Axis(labelLimit=280)),
        color=alt.Color("proof:N", legend=None, scale=alt.Scale(domain=names, range=colours)),
    )


def _month_chart(counts: Mapping[str, int]) -> Any:
    import altair as alt

    values = [{"month": month, "proofs": number} for month, number in sorted(counts.items())]
    chart = alt.Chart(alt.InlineData(values=values), width=alt.Step(max(14, 700 // len(values)) if len(values) > 8 else 70), height=200)
    return chart.mark_bar(color="#0b4f8a").encode(
        x=alt.X("month:O", title="month", axis=alt.Axis(labelAngle=-45)),
        y=alt.Y("proofs:Q", title="proofs that end", axis=alt.Axis(**whole_numbers(max(counts.values())))),
    )
