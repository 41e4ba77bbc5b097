"""The card of one person: who it is, what both systems say now, and everything that happened, on one line of time."""

from __future__ import annotations

from datetime import datetime
from html import escape
from itertools import islice
from typing import Any

import ipywidgets as widgets
import pandas as pd

from workbench.bench import Workbench
from workbench.errors import EvidenceError
from workbench.panels.language import N_, _, day_form, told, told_part
from workbench.panels.wording import heading, paragraph, plain_time, spoken, table, titled
from workbench.pictures import person_timeline
from workbench.preview import preview
from workbench.views import UNSUBSCRIBED

HISTORY = {
    "at": N_("When (UTC)"),
    "what": N_("What"),
    "detail": N_("Detail"),
    "source": N_("Source"),
    "register_after": N_("Register after it"),
    "salesforce_after": N_("Salesforce after it"),
    "proof": N_("Proof"),
}
RECORDS = {
    "record_id": N_("Record"),
    "object": N_("Kind"),
    "email": N_("E-mail"),
    "opted_out": N_("Opted out"),
    "is_deleted": N_("Deleted"),
    "is_converted": N_("Converted"),
    "system_modstamp": N_("Last changed (UTC)"),
}
CONSENTS = {
    "consent_id": N_("Consent"),
    "given_at": N_("Given (UTC)"),
    "purpose": N_("Purpose"),
    "method": N_("Method"),
    "state": N_("State"),
    "evidence": N_("Files"),
    "recorded_by": N_("Recorded by"),
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
                kept = preview(content, media_type=item.media_type, name=item.original_name, tell=told)
                shown.append(kept if content else paragraph(_("{name}: too large to be shown here.", name=item.original_name)))
            more = sum(1 for _item in found)
        except EvidenceError as error:
            wrong = titled(told(error.args[0]))
            return heading(_("Evidence")) + "".join(shown) + paragraph(f"{wrong}. {told(error.advice)}")
        rest = paragraph(_("And {number} more.", number=more)) if more else ""
        return heading(_("Evidence")) + "".join(shown) + rest if shown else ""

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
        _("E-mail"): person.email,
        _("Company"): person.company,
        _("Title"): person.title,
        _("Register"): _("unsubscribed ({state})", state=state) if state else _("subscribed"),
        _("Salesforce ids"): ", ".join(person.salesforce_ids) or _("none"),
        _("Person id"): person.person_id,
    }
    rows = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in facts.items() if v)
    label = escape(_("Person card"), quote=True)
    flags, codes = ("opted_out", "is_deleted", "is_converted"), ("method", "state", "purpose")
    records = table(
        card.records,
        RECORDS,
        caption=_("Salesforce records"),
        empty=_("No Salesforce record is known. Refresh from Salesforce in 03-mismatches looks for one by the address."),
        spell=flags,
    )
    consents = table(
        card.consents,
        CONSENTS,
        caption=_("Consents on file"),
        empty=_("No consent is on file. It is recorded in 02-batch-resubscribe, step 2."),
        spell=codes,
    )
    history = table(
        _told_history(card.history),
        HISTORY,
        caption=_("History of both systems"),
        empty=_("Nothing is on record yet."),
        tell=("what", "register_after", "salesforce_after"),
    )
    timeline = person_timeline(card.timeline, now=now, told=told, day=day_form)
    return (
        f'<section aria-label="{label}">{heading(name)}<table class="cw-table">{rows}</table>'
        f"{records}{consents}{timeline}{history}</section>"
    )


def _told_history(history: pd.DataFrame) -> pd.DataFrame:
    """The history with our own words told. What was noted with an unsubscribe is somebody's, and so is a user's name."""
    noted = [what == UNSUBSCRIBED for what in history["what"]]
    details = [text if own else told_part(text) for own, text in zip(noted, history["detail"], strict=True)]
    sources = [told(text) if own else text for own, text in zip(noted, history["source"], strict=True)]
    proofs = [told_part(text) for text in history["proof"]]
    return history.assign(detail=details, source=sources, proof=proofs)


def nobody() -> str:
    """What stands where a card will be."""
    return paragraph(_("Press Open in a row, or Enter on it, to see a person's card here."))
