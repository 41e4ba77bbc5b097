"""One person's history, for an access request: what the register and Salesforce know, both on one line of time, with proof.

The person is named by id only. Somebody whom the register does not have, or no longer has, is an answer too and not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.reports.presentation import Facts, Note, Table, address, day
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.bench import Workbench
    from workbench.views import PersonCard

Row = dict[str, Any]
HISTORY = ("when (UTC)", "what", "detail", "source", "register after", "Salesforce after", "proof")
NOBODY = "Nobody in the register has this id."


def _card(wb: Workbench, person: str) -> PersonCard | None:
    try:
        return wb.person(person)
    except InputError:
        return None


class PersonHistory:
    """What is known of one person at this moment; each method is one part of the page."""

    def __init__(self, wb: Workbench, *, person: str, personal_data: str) -> None:
        self._personal = personal_data
        self._card = _card(wb, person)
        self._events: list[Row] = []
        self._mismatches: list[Row] = []
        if self._card is None:
            return
        self._events = records(wb.trail.events(person=person, newest=None))[1]
        rows = [row for resolved in (False, True) for row in records(wb.mismatches(resolved=resolved))[1]]
        self._mismatches = [row for row in rows if row["person_id"] == person]

    def summary(self) -> Facts | Note:
        """Who it is, as far as may be shown, and how they stand."""
        if self._card is None:
            return Note("Person", f"{NOBODY} Either nobody ever had it, or the person was erased on request.", finding=True)
        who, opted = self._card.person, records(self._card.unsubscribes)[1]
        still = [row for row in opted if not day(row["closed_at"])]
        values: dict[str, Any] = {"Person": who.person_id}
        if self._personal != "counts":
            values["Address"] = address(who.email_as_given, self._personal)
        if self._personal == "full":
            values |= {"Name": f"{who.first_name} {who.last_name}".strip(), "Company": who.company, "Title": who.title}
        values |= {
            "In the register": "unsubscribed" if still else "not unsubscribed",
            "Records in Salesforce": len(self._card.records),
            "Of these opted out": sum(bool(row["opted_out"]) for row in records(self._card.records)[1]),
            "Unsubscribes": len(opted),
            "Consents": len(self._card.consents),
            "Events on the trail": len(self._events),
        }
        return Facts("Summary", {name: value for name, value in values.items() if value != ""})

    def history(self) -> Table | Note:
        """Both systems on one line of time."""
        return self._shown("History", "history", HISTORY, [self._line(row) for row in self._of("history")])

    def unsubscribes(self) -> Table | Note:
        """Each episode: when, by what, until when."""
        rows = [
            {
                "opted out (UTC)": day(row["opted_out_at"]),
                "source": row["source"],
                "detail": self._free(row["detail"]),
                "recorded (UTC)": day(row["recorded_at"]),
                "closed (UTC)": day(row["closed_at"]) or "open",
            }
            for row in self._of("unsubscribes")
        ]
        columns = ("opted out (UTC)", "source", "detail", "recorded (UTC)", "closed (UTC)")
        return self._shown("Unsubscribes", "unsubscribes", columns, rows)

    def records(self) -> Table | Note:
        """The linked records as last read from Salesforce."""
        rows = [
            {
                "record": row["record_id"],
                "object": row["object"],
                "address": address(row["email"], self._personal),
                "opted out": row["opted_out"],
                "changed (UTC)": day(row["system_modstamp"]),
                "gone": "deleted" if row["is_deleted"] else "converted" if row["is_converted"] else "",
            }
            for row in self._of("records")
        ]
        return self._shown("Records in Salesforce", "records", ("record", "object", "address", "opted out", "changed (UTC)", "gone"), rows)

    def consents(self) -> Table | Note:
        """The consents on file."""
        rows = [
            {
                "consent": row["consent_id"],
                "given (UTC)": day(row["given_at"]),
                "address": address(row["email"], self._personal),
                "purpose": row["purpose"],
                "how": row["method"],
                "state": row["state"],
                "valid until (UTC)": day(row["valid_until"]) or "no end",
                "files": row["evidence"],
            }
            for row in self._of("consents")
        ]
        columns = ("consent", "given (UTC)", "address", "purpose", "how", "state", "valid until (UTC)", "files")
        return self._shown("Consents", "consents", columns, rows)

    def mismatches(self) -> Table | Note:
        """How the two systems disagreed about the person, now and before."""
        rows = [
            {
                "kind": row["kind"],
                "first seen (UTC)": day(row["first_seen"]),
                "business days": row["age_business_days"],
                "over (UTC)": day(row["resolved_at"]) or "open",
                "what": row["detail"],
            }
            for row in self._mismatches
        ]
        return self._shown("Mismatches", "mismatches", ("kind", "first seen (UTC)", "business days", "over (UTC)", "what"), rows)

    def events(self) -> Table | Note:
        """Everything that the trail holds of the person."""
        rows = [
            {"event": e["seq"], "when (UTC)": day(e["at"]), "operator": e["operator"], "what": e["action"], "batch": e["batch_id"]}
            | {"payload": e["payload"]}
            for e in self._events
        ]
        more = ("payload",) if self._personal == "full" else ()
        return self._shown("Events", "events", ("event", "when (UTC)", "operator", "what", "batch"), rows, more=more)

    def _of(self, part: str) -> list[Row]:
        return records(getattr(self._card, part))[1] if self._card else []

    def _shown(self, title: str, name: str, columns: tuple[str, ...], rows: list[Row], *, more: tuple[str, ...] = ()) -> Table | Note:
        if self._personal == "counts":
            return Note(title, f"{len(rows)} in number; this report was issued with counts only.")
        return Table(title, name, columns, rows, "None." if self._card else NOBODY, more=more)

    def _free(self, text: str) -> str:
        """What somebody typed may hold an address or a name."""
        return text if self._personal == "full" or not text else "(not shown)"

    def _line(self, row: Row) -> Row:
        detail = self._free(row["detail"]) if row["what"] == "unsubscribed" else row["detail"]
        values = (day(row["at"]), row["what"], detail, row["source"], row["register_after"], row["salesforce_after"], row["proof"])
        return dict(zip(HISTORY, values, strict=True))
