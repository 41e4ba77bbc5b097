"""The resubscription audit of a period: who was resubscribed, on what proof, by whom; who was not, and why; who relapsed.

What was resubscribed is read from the trail, not from the register, and held against it. Refusals, aborts and their causes are
the batches' own. The period is [since, until), days in UTC.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from workbench.reports.presentation import Chart, Facts, Note, Table, address, day, whole_numbers
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.bench import Workbench

Row = dict[str, Any]
OUTCOMES = ("resubscribed", "refused", "aborted")
COLOURS = ("#0b4f8a", "#b8860b", "#9a1b1b")
DONE = ("DONE", "UNDOING", "UNDONE")
WHO = ("when (UTC)", "person", "address")
RESUBSCRIBED = (*WHO, "reason", "consent given", "how", "evidence", "approved / run by", "since then", "event")
PROOF = ("approved by", "run by", "batch", "consent", "jurisdiction", "evidence sha256")
REFUSED = (*WHO, "batch", "rules", "reasons")
ABORTED = (*WHO, "batch", "cause", "state")
RELAPSED = (*WHO, "what")
LONGEST_DAILY = 62  # days; a longer period is drawn by week


@dataclass(frozen=True)
class Sources:
    """What the Workbench said, as rows: trail events from the period's start on, batches, their items, consents, evidence, relapses."""

    events: list[Row]
    relapses: list[Row]
    batches: dict[str, Row]
    items: list[Row]
    consents: dict[str, Row]
    evidence: dict[str, str]

    @classmethod
    def read(cls, wb: Workbench, since: datetime) -> Sources:
        """Ask the Workbench once for everything."""
        events = [_event(row) for row in _rows(wb.trail.events(since=since, newest=None))]
        batches = {row["batch_id"]: row for row in _rows(wb.batches())}
        touched = {event["batch_id"] for event in events if event["batch_id"]} & batches.keys()
        items = [{**item, "batch_id": batch} for batch in sorted(touched) for item in _rows(wb.batch_items(batch))]
        consents = {row["consent_id"]: row for row in _rows(wb.consents())}
        relapses = [row for resolved in (False, True) for row in _rows(wb.mismatches("relapse", resolved=resolved))]
        evidence = {row["sha256"]: row["state"] for row in _rows(wb.verify_consents())}
        return cls(events, relapses, batches, items, consents, evidence)


class ResubscriptionAudit:
    """One period's audit; each method is one part of the page."""

    def __init__(self, wb: Workbench, *, since: str, until: str, personal_data: str) -> None:
        self._since, self._until = _midnight(since), _midnight(until)
        self._personal = personal_data
        self._from = Sources.read(wb, self._since)
        self._emails = {item["person_id"]: item["email"] for item in self._from.items}
        self._item = {(item["batch_id"], item["person_id"]): item for item in self._from.items}
        self._checked = {_case(e): e for e in self._from.events if e["action"] == "follow_up_checked"}
        self._relapses = self._all_relapses()
        self._resubscribed = [self._proof_of(event) for event in self._events("person_resubscribed")]
        self._refused = [self._refusal(item) for item in self._items("REFUSED")]
        self._aborted = [self._abort(item) for item in self._items("ABORTED", "ABORTING")]
        self._relapsed = [row for row in self._relapses.values() if self._since <= row["when"] < self._until]

    def summary(self) -> Facts:
        """The numbers of the period; what an auditor should look at is marked."""
        values: dict[str, Any] = {
            "Resubscribed": len(self._resubscribed),
            "Refused": len(self._refused),
            "Aborted, opted out again": len(self._aborted),
            "Relapsed": len(self._relapsed),
            "Resubscribed without intact evidence": sum(1 for row in self._resubscribed if not row["proof holds"]),
            "Approved by their own proposer": sum(
                1 for row in self._batch_rows() if row["proposed by"] == row["approved by"] != ""
            ),
            "Trail and register differ": len(self._differences()),
        }
        return Facts("Summary", values, frozenset(name for name in list(values)[3:] if values[name]))

    def chart(self) -> Chart:
        """People by outcome and day, or by week where the period is long."""
        weekly = (self._until - self._since).days > LONGEST_DAILY
        counts: Counter[tuple[str, str]] = Counter()
        for outcome, rows in zip(OUTCOMES, (self._resubscribed, self._refused, self._aborted), strict=True):
            counts.update((_bucket(row["when"], weekly=weekly), outcome) for row in rows)
        says = ", ".join(f"{sum(n for (_, o), n in counts.items() if o == outcome)} {outcome}" for outcome in OUTCOMES) + "."
        if not counts:
            return Chart("Outcomes", None, "Nobody was resubscribed, refused or aborted in this period.")
        return Chart(
            f"People by outcome and {'week' if weekly else 'day'}", _outcome_chart(counts, self._since, self._until), says
        )

    def refusal_chart(self) -> Chart:
        """How often each rule refused."""
        counts = Counter(code for row in self._refused for code in row["codes"] if code)
        if not counts:
            return Chart("Refusals by rule", None, "No rule refused anybody in this period.")
        most = ", ".join(f"{code} {number}" for code, number in counts.most_common(3))
        return Chart("Refusals by rule; one person may have several", _rule_chart(counts), f"Most often: {most}.")

    def batches(self) -> Table:
        """The batches that were at work in the period."""
        who = ("proposed (UTC)", "proposed by", "approved (UTC)", "approved by")
        columns = ("batch", "reason", *who, "state", "people", "done", "refused", "aborted", "open")
        more = ("plan digest", "policy digest")
        return Table("Batches", "batches", columns, self._batch_rows(), "No batch was at work in this period.", more=more)

    def resubscribed(self) -> Table | Note:
        """Everyone resubscribed, on what consent and evidence, by whom, and whether it held."""
        table = Table(
            "Resubscribed",
            "resubscribed",
            RESUBSCRIBED,
            self._resubscribed,
            "Nobody was resubscribed in this period.",
            more=PROOF,
        )
        return self._people(table)

    def refused(self) -> Table | Note:
        """Everyone refused, with the rules that said no."""
        return self._people(Table("Refused", "refused", REFUSED, self._refused, "Nobody was refused in this period."))

    def aborted(self) -> Table | Note:
        """Everyone whose resubscription was begun and taken back."""
        return self._people(Table("Aborted", "aborted", ABORTED, self._aborted, "Nobody was aborted in this period."))

    def relapsed(self) -> Table | Note:
        """Everyone found opted out again in the period, and by which cause."""
        return self._people(Table("Relapsed", "relapsed", RELAPSED, self._relapsed, "No relapse was found in this period."))

    def differences(self) -> Table | Note:
        """People whom trail and register tell different things about."""
        empty = "Trail and register agree on everyone resubscribed in this period."
        return self._people(Table("Differences", "differences", ("batch", "person", "difference"), self._differences(), empty))

    def _people(self, table: Table) -> Table | Note:
        if self._personal != "counts":
            return table
        number = len(table.rows)
        return Note(table.title, f"{number} {'person' if number == 1 else 'people'}; this report was issued with counts only.")

    def _events(self, action: str) -> list[Row]:
        return [e for e in self._from.events if e["action"] == action and e["at"] < self._until]

    def _items(self, *states: str) -> list[Row]:
        return [i for i in self._from.items if i["state"] in states and self._since <= i["changed_at"] < self._until]

    def _about(self, row: Mapping[str, Any], when: datetime) -> Row:
        person = row["person_id"] or "(erased)"
        shown = address(self._emails.get(person), self._personal)
        return {"when": when, "when (UTC)": day(when), "person": person, "address": shown, "batch": row["batch_id"]}

    def _proof_of(self, event: Row) -> Row:
        consent = self._from.consents.get(_says(event, "consent_id"), {})
        states = [self._from.evidence.get(digest, "missing") for digest in _says(event, "evidence") or ()]
        batch = self._from.batches.get(event["batch_id"], {})
        return {
            **self._about(event, event["at"]),
            "reason": batch.get("reason", ""),
            "consent given": day(consent.get("given_at")),
            "how": consent.get("method", ""),
            "evidence": _evidence(states),
            "proof holds": bool(consent) and bool(states) and set(states) == {"intact"},
            "approved by": batch.get("approved_by") or "",
            "run by": event["operator"],
            "approved / run by": f"{batch.get('approved_by') or 'nobody'} / {event['operator']}",
            "event": event["seq"],
            "consent": _says(event, "consent_id") or "",
            "jurisdiction": consent.get("jurisdiction", ""),
            "evidence sha256": list(_says(event, "evidence") or ()),
            "since then": self._since_then(event),
        }

    def _since_then(self, event: Row) -> str:
        if self._item.get(_case(event), {}).get("state") in ("UNDONE", "UNDOING"):
            return "undone"
        relapse = self._relapses.get(event["person_id"])
        if relapse is not None and relapse["when"] >= event["at"]:
            return f"relapsed, found {relapse['when']:%Y-%m-%d}"
        check = self._checked.get(_case(event))
        return f"held on {check['at']:%Y-%m-%d}" if check else "not checked yet"

    def _all_relapses(self) -> dict[str, Row]:
        """By person: found by a follow-up check, or as a mismatch, whichever was first."""
        checked = [e for e in self._checked.values() if _says(e, "outcome") == "relapsed"]
        found = [self._relapse(e, e["at"], _says(e, "detail") or _says(e, "cause") or "") for e in checked]
        found += [self._relapse(m, m["first_seen"], m["detail"]) for m in self._from.relapses]
        return {row["person"]: row for row in sorted(found, key=lambda row: row["when"], reverse=True)}

    def _relapse(self, source: Row, when: datetime, what: str) -> Row:
        return {**self._about({"batch_id": "", **source}, when), "what": what}

    def _refusal(self, item: Row) -> Row:
        codes = item["codes"].split(", ")
        return {**self._about(item, item["changed_at"]), "codes": codes, "rules": codes, "reasons": item["sentences"]}

    def _abort(self, item: Row) -> Row:
        state = "opted out again on both sides" if item["state"] == "ABORTED" else "being opted out again"
        return {**self._about(item, item["changed_at"]), "cause": item["cause"], "state": state}

    def _batch_rows(self) -> list[Row]:
        touched = dict.fromkeys(e["batch_id"] for e in self._from.events if e["batch_id"] and e["at"] < self._until)
        return [self._batch_row(self._from.batches[batch]) for batch in touched if batch in self._from.batches]

    def _batch_row(self, batch: Row) -> Row:
        mine = [e for e in self._from.events if e["batch_id"] == batch["batch_id"]]
        proposed = next((e for e in mine if e["action"] == "batch_proposed"), None)
        approved = next((e for e in mine if e["action"] == "batch_approved"), None)
        return {
            **{name: batch[name] for name in ("reason", "state", "people", "done", "refused", "aborted", "open")},
            "batch": batch["batch_id"],
            "proposed (UTC)": day(batch["proposed_at"]),
            "proposed by": batch["proposed_by"],
            "approved (UTC)": day(approved["at"]) if approved else "",
            "approved by": batch["approved_by"],
            "plan digest": _says(proposed, "digest") if proposed else "",
            "policy digest": _says(proposed, "policy") if proposed else "",
        }

    def _differences(self) -> list[Row]:
        told = {(e["batch_id"], e["person_id"]) for e in self._from.events if e["action"] == "person_resubscribed"}
        kept = {
            (i["batch_id"], i["person_id"]) for i in self._from.items if i["state"] in DONE and i["changed_at"] >= self._since
        }
        known = {key for key, item in self._item.items() if item["state"] in DONE}
        only_trail = [(*key, "resubscribed on the trail, not in the register") for key in told - known if key[1]]
        only_register = [
            (*key, "resubscribed in the register, not on the trail") for key in kept - told if self._item[key]["state"] == "DONE"
        ]
        return [{"batch": b, "person": p, "difference": what} for b, p, what in sorted(only_trail + only_register)]


def _rows(frame: Any) -> list[Row]:
    return records(frame)[1]


def _event(row: Row) -> Row:
    """An event with its payload read; an erased one is empty."""
    return {**row, "payload": json.loads(row["payload"]) if row["payload"] else {}}


def _says(event: Row, field: str) -> Any:
    """One field of an event's payload; None where the payload was erased."""
    return event["payload"].get(field)


def _case(row: Row) -> tuple[str, str]:
    return row["batch_id"], row["person_id"]


def _evidence(states: Iterable[str]) -> str:
    """Such as ``2 intact`` or ``1 intact, 1 altered``."""
    counts = Counter(states)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items(), reverse=True)) or "none"


def _midnight(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _bucket(when: datetime, *, weekly: bool) -> str:
    first = when - timedelta(days=when.weekday()) if weekly else when
    return f"{first:%Y-%m-%d}"


def _outcome_chart(counts: Mapping[tuple[str, str], int], since: datetime, until: datetime) -> Any:
    import altair as alt

    values = [{"day": bucket, "outcome": outcome, "people": number} for (bucket, outcome), number in sorted(counts.items())]
    days = Counter[str]()
    for (bucket, _), number in counts.items():
        days[bucket] += number
    domain = [f"{since:%Y-%m-%d}", f"{until:%Y-%m-%d}"]
    chart = alt.Chart(alt.InlineData(values=values), width=820, height=220).mark_bar(
        size=max(4, 600 // max((until - since).days, 20))
    )
    return chart.encode(
        x=alt.X("day:T", title=None, scale=alt.Scale(type="utc", domain=domain), axis=alt.Axis(format="%d %b", grid=False, tickCount=10)),
        y=alt.Y("people:Q", title="people", axis=alt.Axis(**whole_numbers(max(days.values())))),
        color=alt.Color(
            "outcome:N",
            title=None,
            sort=list(OUTCOMES),
            scale=alt.Scale(domain=list(OUTCOMES), range=list(COLOURS)),
            legend=alt.Legend(orient="top"),
        ),
        order=alt.Order("outcome:N", sort="descending"),
    )


def _rule_chart(counts: Mapping[str, int]) -> Any:
    import altair as alt

    values = [{"rule": rule, "people": number} for rule, number in counts.items()]
    chart = alt.Chart(alt.InlineData(values=values), width=520, height=alt.Step(24)).mark_bar(color=COLOURS[1])
    return chart.encode(
        x=alt.X("people:Q", title="people", axis=alt.Axis(**whole_numbers(max(counts.values())))),
        y=alt.Y("rule:N", title=None, sort="-x", axis=alt.Axis(labelLimit=260)),
    )
