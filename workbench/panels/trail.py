"""What was done, by whom, and whether it can be proved: events, verification, export, one person's proof, reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from workbench import reports
from workbench.errors import InputError
from workbench.panels import spreadsheet
from workbench.panels.frame import ADMIN, ROLES, Panel
from workbench.panels.language import N_, _, ngettext, told, word
from workbench.panels.wording import bullets, heading, paragraph, spoken, table, titled
from workbench.said import said

EVENTS = {
    "seq": N_("Entry"),
    "at": N_("When (UTC)"),
    "operator": N_("By"),
    "action": N_("What"),
    "batch_id": N_("Batch"),
    "person_id": N_("Person"),
    "payload": N_("Detail"),
}
CHECKPOINTS = {"size": N_("Entries"), "made_at": N_("Signed (UTC)")}
ISSUED = {"name": N_("Report"), "issued_at": N_("Issued (UTC)"), "issued_by": N_("By"), "folder": N_("Folder in issued/")}
REPORTS = (
    N_("Consent register"), N_("Mismatch review"), N_("Monthly compliance"), N_("Person history"), N_("Resubscription audit"),
    N_("Trail verification"),
)  # fmt: skip
"""The titles of the templates; an issued report itself is English."""
ASKED = (
    N_("how far ahead to look for proofs that end"),
    N_("how people are shown: addresses, masked addresses, or numbers only"),
    N_("one kind of mismatch"),
    N_("only those open for longer than the limit"),
    N_("the month, such as 2026-10"),
    N_("the person's id, as workbench people lists it"),
    N_("first day of the period"),
    N_("the day after its last"),
)
"""What the templates say of their parameters."""
SHOWN = 100
NEWEST = 500
DETAIL = 160  # characters
NEWEST_CHECKPOINTS = 5


class TrailPanel(Panel):
    """Filter and verify the trail, hand it to an auditor, prove one person's part, issue reports."""

    purpose = "what was done, by whom, and can we prove it."
    limits = N_("Look, verify, export and run reports; an administrator signs a new checkpoint.")

    def body(self) -> Sequence[Any]:
        """Events, proof and reports, one tab each."""
        self._events_view, self._proof_view, self._report_view, self._issued_view = (widgets.HTML() for _view in range(4))
        self.events = pd.DataFrame()
        steps = [self._events_tab(), self._proof_tab(), self._reports_tab()]
        self.tabs = widgets.Tab(children=[widgets.VBox(step) for step in steps], titles=(_("Events"), _("Proof"), _("Reports")))
        self._show_checkpoints()
        self._show_issued()
        self.filter()
        return [self.tabs]

    # -- events ----------------------------------------------------------------------------------------------------------------

    def _events_tab(self) -> list[Any]:
        self.person = widgets.Text(description=_("Person"), placeholder=_("address or person id"))
        self.by = widgets.Text(description=_("Operator"))
        self.batch = widgets.Text(description=_("Batch"), placeholder=_("batch id"))
        self.day_from = widgets.DatePicker(description=_("From day"))
        self.day_to = widgets.DatePicker(description=_("To day"))
        for field in (self.person, self.by, self.batch, self.day_from, self.day_to):
            field.add_class("cw-narrow")
        show, clear = self.button(_("Show events"), self.filter, main=True), self.button(_("Clear filters"), self.clear_filters)
        fields = [self.person, self.by, self.batch, self.day_from, self.day_to]
        return [widgets.HBox(fields), widgets.HBox([show, clear]), self._events_view]

    def filter(self) -> None:
        """Show the newest events that fit the fields."""
        self.events = self.wb.trail.events(
            person=self.person.value.strip() or None,
            operator=self.by.value.strip() or None,
            batch_id=self.batch.value.strip() or None,
            since=_midnight(self.day_from.value),
            until=_midnight(self.day_to.value, days=1),
            newest=NEWEST,
        )
        newest = self.events.iloc[::-1]
        newest = newest.assign(payload=[_short(text) for text in newest["payload"]])
        self._events_view.value = table(
            newest,
            EVENTS,
            caption=_("Newest first"),
            empty=_("No event fits. Press Clear filters to see the newest of everybody."),
            spell=("action",),
            shown=SHOWN,
        )
        many = len(self.events) == NEWEST
        if many:
            self.say("done", _("The newest {number} events that fit", number=NEWEST))
        else:
            self.say("done", ngettext("{number} event fits", "{number} events fit", len(self.events)))

    def clear_filters(self) -> None:
        """Show the newest events of everybody."""
        self.person.value = self.by.value = self.batch.value = ""
        self.day_from.value = self.day_to.value = None
        self.filter()

    @property
    def selection(self) -> pd.DataFrame:
        """The events that fit the fields."""
        return self.events

    # -- proof -----------------------------------------------------------------------------------------------------------------

    def _proof_tab(self) -> list[Any]:
        self.proved = widgets.Text(description=_("Proof for"), placeholder=_("address or person id"))
        self._verdict_view, self._checkpoints_view = widgets.HTML(), widgets.HTML()
        self._verify = self.button(_("Verify trail"), self.verify, hint=_("Read every event and signature again"), main=True)
        self._export = self.button(
            _("Export for auditor"), self.export, hint=_("A folder with the whole trail, evidence and a verifier")
        )
        self._checkpoint = self.button(_("New checkpoint"), self.checkpoint, hint=_("Sign the trail as it stands"))
        one = self.button(_("Show proof"), self.prove, hint=_("That this one person's events are on the trail"))
        self.reserve(ADMIN, self._checkpoint)
        self.reserve(ROLES, self._export)
        buttons = widgets.HBox([self._verify, self._checkpoint, self._export])
        return [buttons, self._verdict_view, self._checkpoints_view, self.proved, widgets.HBox([one]), self._proof_view]

    def verify(self) -> None:
        """Verify every event and signature, off the kernel's thread."""
        self.start(
            _("Verifying the trail"), lambda _tell: self.wb.trail.verify(), self._verified, resting=[self._verify, self._export]
        )

    def _verified(self, verdict: Any) -> None:
        sentence = (
            ngettext(
                "The one event fits its signed checkpoint", "All {number} events fit their signed checkpoint", verdict.events
            )
            if verdict.ok
            else _("The trail does not verify")
        )
        self._verdict_view.value = heading(sentence) + bullets(told(problem) for problem in verdict.problems)
        self.say(
            "done" if verdict.ok else "failed",
            sentence,
            "" if verdict.ok else _("Keep the database as it is and call the auditor."),
        )

    def checkpoint(self) -> None:
        """Sign the trail as it stands."""
        note = self.wb.trail.checkpoint()
        self._show_checkpoints()
        self._verdict_view.value = (
            paragraph(_("Keep this note elsewhere; it proves later that nothing was removed:")) + f"<pre>{escape(note)}</pre>"
        )
        self.say("done", _("The trail was signed as it stands"))

    def _show_checkpoints(self) -> None:
        found = self.wb.trail.checkpoints().iloc[::-1].head(NEWEST_CHECKPOINTS)
        self._checkpoints_view.value = table(
            found,
            CHECKPOINTS,
            caption=_("Newest checkpoints"),
            empty=_("No checkpoint was signed yet. Press New checkpoint to sign the trail as it stands."),
        )

    def export(self) -> None:
        """Write the trail for an auditor into a new folder of the workspace."""
        folder = spreadsheet.exports(self.wb.workspace) / f"trail-{self.wb.clock():%Y%m%d-%H%M%S}"
        self.start(
            _("Exporting the trail"),
            lambda _tell: self.wb.trail.export(folder),
            self._exported,
            resting=[self._verify, self._export],
        )

    def _exported(self, folder: Any) -> None:
        self._show_checkpoints()
        self.say(
            "done",
            _("The trail was written to exports/{folder}, with a verifier that needs nothing else", folder=folder.name),
            _("It holds personal data."),
        )

    def prove(self) -> None:
        """Show that one person's events are on the trail, and nobody else's data.

        Raises:
            InputError: nobody is named, or nobody known.
        """
        named = self.proved.value.strip()
        if not named:
            raise InputError(said("no person was named"), said("Write an address or a person id."))
        proof = self.wb.trail.proof(named)
        text = json.dumps(proof, indent=2, ensure_ascii=False)
        summary = escape(_("Proof, to be handed on"))
        self._proof_view.value = (
            f'<details open><summary>{summary}</summary><pre class="cw-scroll" tabindex="0">{escape(text)}</pre></details>'
        )
        self.say(
            "done",
            ngettext(
                "{number} event of this person is on the signed trail",
                "{number} events of this person are on the signed trail",
                len(proof["events"]),
            ),
        )

    # -- reports ---------------------------------------------------------------------------------------------------------------

    def _reports_tab(self) -> list[Any]:
        self._templates = {t.name: t for t in reports.templates()}
        self.report = widgets.Dropdown(
            description=_("Report"), options=[(word(t.title), name) for name, t in self._templates.items()]
        )
        self.report.observe(lambda _change: self._show_fields(), names="value")
        self._fields_box = widgets.VBox([])
        self._run_report = self.button(_("Run report"), self.run_report, main=True)
        self.reserve(ROLES, self._run_report)
        self._show_fields()
        return [self.report, self._fields_box, widgets.HBox([self._run_report]), self._report_view, self._issued_view]

    def _show_fields(self) -> None:
        template = self._templates.get(self.report.value)
        self._fields = {p.name: _field(p) for p in template.parameters} if template else {}
        helps = {p.name: p.help for p in template.parameters} if template else {}
        rows = [widgets.VBox([field, widgets.HTML(paragraph(word(helps[name])))]) for name, field in self._fields.items()]
        self._fields_box.children = rows

    def run_report(self) -> None:
        """Issue the chosen report with these parameters, off the kernel's thread."""
        name = self.report.value
        given = {key: field.value for key, field in self._fields.items() if field.value not in (None, "")}
        self.start(
            _("Running the report {name}", name=name),
            lambda _tell: reports.run(self.wb, name, given),
            self._issued,
            resting=[self._run_report],
        )

    def _issued(self, report: Any) -> None:
        page = escape(report.html.read_text(encoding="utf-8"), quote=True)
        # An issued page is a document of its own: sandboxed, so that nothing in it reaches JupyterLab.
        title = escape(_("Report {name}", name=report.name), quote=True)
        self._report_view.value = (
            f'<iframe sandbox="" title="{title}" srcdoc="{page}" style="width:100%;height:640px;border:1px solid"></iframe>'
        )
        self._show_issued()
        self.say(
            "done",
            _(
                "Report {name} issued as issued/{folder}/{page}; its digest is on the trail",
                name=report.name,
                folder=report.html.parent.name,
                page=report.html.name,
            ),
        )

    def _show_issued(self) -> None:
        found = self.wb.reports()
        self._issued_view.value = heading(_("Issued reports")) + table(
            found, ISSUED, caption=_("Newest first"), empty=_("No report was issued yet. Choose one above and press Run report.")
        )


def _short(payload: str) -> str:
    """The beginning of an event's details, with room to break the line; `TrailPanel.selection` has all of it."""
    text = payload.replace('","', '", "').replace('":', '": ').replace(",", ", ").replace(",  ", ", ")
    return text if len(text) <= DETAIL else f"{text[:DETAIL]}…"


def _field(parameter: Any) -> Any:
    label = titled(spoken(parameter.name))
    if parameter.kind == "date":
        return widgets.DatePicker(description=label, value=date.fromisoformat(parameter.default) if parameter.default else None)
    if parameter.kind == "bool":
        return widgets.Checkbox(description=label, value=bool(parameter.default), indent=False)
    if parameter.kind == "choice":
        options = [(spoken(choice), choice) for choice in parameter.choices]
        return widgets.Dropdown(description=label, options=options, value=parameter.default or parameter.choices[0])
    return widgets.Text(description=label, value="" if parameter.default is None else str(parameter.default))


def _midnight(day: date | None, *, days: int = 0) -> datetime | None:
    return datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=days) if day else None
