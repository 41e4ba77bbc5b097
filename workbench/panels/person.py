"""The card of one person: who it is, what both systems say now, and everything that happened, on one line of time."""

from __future__ import annotations

from datetime import datetime
from html import escape
from itertools import islice
from typing import Any

import ipywidgets as widgets

from workbench.bench import Workbench
from workbench.errors import EvidenceError
from workbench.panels.language import day_form, told
from workbench.panels.wording import heading, paragraph, plain_time, spoken, table
from workbench.pictures import person_timeline
from workbench.preview import preview

HISTORY = {
    "at": "When (UTC)",
    "what": "What",
    "detail": "Detail",
    "source": "Source",
    "register_after": "Register after it",
    "salesforce_after": "Salesforce after it",
    "proof": "Proof",
}
RECORDS = {
    "record_id": "Record",
    "object": "Kind",
    "email": "E-mail",
    "opted_out": "Opted out",
    "is_deleted": "Deleted",
    "is_converted": "Converted",
    "system_modstamp": "Last changed (UTC)",
}
CONSENTS = {
    "consent_id": "Consent",
    "given_at": "Given (UTC)",
    "purpose": "Purpose",
    "method": "Method",
    "state": "State",
    "evidence": "Files",
    "recorded_by": "Recorded by",
}
MOST_FILES = 5  # of a person that are shown


class PersonView:
    """Shows one person's card; empty until a person is named."""

    def __init__(self, wb: Workbench) -> None:
        """Nobody is shown yet."""
        self._wb = wb
        self.widget = widgets.HTML()

    def __repr__(self) -> str:
        return "PersonView"

    def show(self, named: str) -> None:
        """Show the person with this address or id.

        Raises:
            InputError: nobody, or several people.
        """
        self.widget.value = card_html(self._wb.person(named), now=self._wb.clock()) + self._evidence(named)

    def _evidence(self, named: str) -> str:
        """A look at the person's evidence files, the first ones; what is wrong with one is said in its place."""
        shown, found = [], self._wb.evidence_of(named)
        try:
            for item, content in islice(found, MOST_FILES):
                kept = preview(content, media_type=item.media_type, name=item.original_name)
                shown.append(kept if content else paragraph(f"{item.original_name}: too large to be shown here."))
            more = sum(1 for _ in found)
        except EvidenceError as error:
            return heading("Evidence") + "".join(shown) + paragraph(f"{error}. {error.advice}")
        rest = paragraph(f"And {more} more.") if more else ""
        return f"{heading('Evidence')}{''.join(shown)}{rest}" if shown else ""

    def clear(self) -> None:
        """Show nobody."""
        self.widget.value = ""


def card_html(card: Any, *, now: datetime) -> str:
    """A PersonCard as escaped HTML; ``now`` is where its line of time ends."""
    person = card.person
    name = " ".join(part for part in (person.first_name, person.last_name) if part) or person.email
    open_now = card.unsubscribes[card.unsubscribes["closed_at"].isna()]
    state = "; ".join(f"{spoken(u.source)}, {plain_time(u.opted_out_at)} UTC" for u in open_now.itertuples())
    facts = {
        "E-mail": person.email,
        "Company": person.company,
        "Title": person.title,
        "Register": f"unsubscribed ({state})" if state else "subscribed",
        "Salesforce ids": ", ".join(person.salesforce_ids) or "none",
        "Person id": person.person_id,
    }
    rows = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in facts.items() if v)
    return (
        f'<section aria-label="Person card">{heading(name)}<table class="cw-table">{rows}</table>'
        + table(card.records, RECORDS, caption="Salesforce records", empty="No Salesforce record is known.", spell=("opted_out", "is_deleted", "is_converted"))
        + table(card.consents, CONSENTS, caption="Consents on file", empty="No consent is on file.", spell=("method", "state", "purpose"))
        + person_timeline(card.timeline, now=now, told=told, day=day_form)
        + table(card.history, HISTORY, caption="History of both systems", empty="Nothing is on record yet.")
        + "</section>"
    )  # fmt: skip


def nobody() -> str:
    """What stands where a card will be."""
    return paragraph("Press Open in a row, or Enter on it, to see a person's card here.")
