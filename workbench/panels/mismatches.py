"""Where register and Salesforce disagree, for how long, what tonight's sync will do about it, and how to be faster than it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import pandas as pd

from workbench.mismatch import KINDS
from workbench.panels import handover
from workbench.panels.frame import ADMIN, Panel
from workbench.panels.language import N_, _, ngettext, told
from workbench.panels.start import notebook_link
from workbench.panels.wording import heading, paragraph, people, spoken, table
from workbench.pictures import mismatch_ages

COUNTS = {
    "kind": N_("Kind"),
    "means": N_("What it means"),
    "open": N_("Number"),
    "oldest_business_days": N_("Oldest, in business days"),
    "over_limit": N_("Over the limit"),
}
ROWS = {
    "kind": N_("Kind"),
    "age_business_days": N_("Business days"),
    "email": N_("E-mail"),
    "detail": N_("Detail"),
    "forecast": N_("Tonight"),
    "since": N_("Since (UTC)"),
    "first_seen": N_("First seen (UTC)"),
    "record_id": N_("Record"),
}
FORECAST = {"action": N_("What tonight's sync does"), "person_id": N_("Person"), "record_id": N_("Record"), "why": N_("Why")}
EVERY_KIND = ""
SHOWN = 100


class MismatchPanel(Panel):
    """Counts by kind with their age, the rows, tonight's forecast, and what can be done now."""

    purpose = "where register and Salesforce disagree, and since when."
    limits = N_(
        "Refresh, compare and hand people on; an administrator opts out the other side at once, or the nightly sync does."
    )

    def body(self) -> Sequence[Any]:
        """Refresh, choose a kind, look at rows and forecast, act."""
        self.rows = pd.DataFrame()
        kinds = [(_("all kinds"), EVERY_KIND), *((spoken(kind), kind) for kind in KINDS)]
        self.kind = widgets.Dropdown(description=_("Kind"), options=kinds)
        self.kind.observe(lambda _change: self.attempt(self._show_rows), names="value")
        self._counts_view, self._rows_view, self._forecast_view, self._next = (widgets.HTML() for _view in range(4))
        self._refresh = self.button(
            _("Refresh from Salesforce"), self.refresh, hint=_("Read what changed in Salesforce, then compare"), main=True
        )
        self.full = widgets.Checkbox(description=_("Read everything again"), value=False, indent=False)
        self._dry = self.button(_("Show what a sync would do"), self.dry_run, hint=_("Counts only; writes nothing"))
        self._sync = self.button(
            _("Opt out the other side now"), self.sync, hint=_("Run the unsubscribe sync at once; it only ever opts out")
        )
        self._batch = self.button(_("Hand these people to a batch"), self.use_in_batch, hint=_("The people of the rows shown"))
        self.reserve(ADMIN, self._sync)
        self._busy = [self._refresh, self._dry, self._sync]
        acts = _(
            "Opting out the other side is always safe: it only ever sets opt-outs. Mailing people again takes a batch with their consent."
        )
        self.show()
        return [
            widgets.HBox([self._refresh, self.full]), self._counts_view, self.kind, self._rows_view, widgets.HTML(paragraph(acts)),
            widgets.HBox([self._dry, self._sync, self._batch]), self._next, self._forecast_view,
        ]  # fmt: skip

    def show(self) -> None:
        """Show counts, rows and forecast as the register has them."""
        counts = self.wb.mismatch_counts()
        counts = counts[counts["open"] > 0]
        counts = counts.assign(means=[KINDS.get(kind, "") for kind in counts["kind"]])
        limit = self.wb.policy.honour_within_business_days
        drawn = mismatch_ages(self.wb.mismatch_ages(), limit=limit, told=told)
        self._counts_view.value = (
            heading(_("Open mismatches by kind"))
            + drawn
            + table(
                counts[list(COUNTS)],
                COUNTS,
                caption=_("An opt-out has to be honoured within {limit} business days", limit=limit),
                empty=_("No mismatch is open. Press Refresh from Salesforce to read what changed there since."),
                spell=("kind",),
                tell=("means",),
            )
        )
        self._show_rows(quiet=True)
        self._show_forecast()
        late = int(counts["over_limit"].sum()) if len(counts) else 0
        total = int(counts["open"].sum()) if len(counts) else 0
        self.say(
            "look" if late else "done",
            ngettext(
                "{number} open mismatch, {late} over {limit} business days",
                "{number} open mismatches, {late} of them over {limit} business days",
                total,
                late=late,
                limit=limit,
            ),
        )

    def _show_rows(self, *, quiet: bool = False) -> None:
        self.rows = self.wb.mismatches(self.kind.value or None)
        rows = table(
            self.rows,
            ROWS,
            caption=_("{number} open", number=len(self.rows)),
            empty=_("No mismatch of this kind is open. Choose all kinds, or press Refresh from Salesforce."),
            spell=("kind",),
            tell=("detail", "forecast"),
            shown=SHOWN,
        )
        self._rows_view.value = heading(_("The rows")) + rows if self.kind.value or len(self.rows) else ""
        if not quiet:
            kind = spoken(self.kind.value) if self.kind.value else _("all kinds")
            self.say("done", ngettext("{number} row of {kind}", "{number} rows of {kind}", len(self.rows), kind=kind))

    def _show_forecast(self) -> None:
        forecast = self.wb.forecast()
        self._forecast_view.value = heading(_("Tonight")) + table(
            forecast,
            FORECAST,
            caption=ngettext("{number} write of tonight's sync", "{number} writes of tonight's sync", len(forecast)),
            empty=_("Tonight's sync has nothing to do, as far as Salesforce was read. Press Refresh from Salesforce to be sure."),
            spell=("action",),
            tell=("why",),
            shown=SHOWN,
        )

    @property
    def selection(self) -> pd.DataFrame:
        """The rows of the chosen kind, all of them."""
        return self.rows

    # -- acting ----------------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read what changed in Salesforce and compare, off the kernel's thread."""

        full = bool(self.full.value)
        self.start(
            _("Reading Salesforce"), lambda tell: self.wb.pull(full=full, progress=tell), self._refreshed, resting=self._busy
        )

    def _refreshed(self, result: Any) -> None:
        self.show()
        self.say(
            self.status.tone,
            ngettext(
                "{number} record read from Salesforce, {changed} of them new or changed.",
                "{number} records read from Salesforce, {changed} of them new or changed.",
                result.rows,
                changed=result.changed,
            )
            + f" {self.status.sentence}",
        )

    def dry_run(self) -> None:
        """Say what the unsubscribe sync would do now."""
        self.start(
            _("Looking at what a sync would do"), lambda _tell: self.wb.sync(dry_run=True), self._synced, resting=self._busy
        )

    def sync(self) -> None:
        """Run the unsubscribe sync now: opt-outs only."""
        self.start(_("Opting out the other side"), lambda _tell: self.wb.sync(), self._synced, resting=self._busy)

    def _synced(self, result: Any) -> None:
        if not result.dry_run:
            self.show()
        self.say("refused" if result.failed else "done", told(result.sentence))

    def use_in_batch(self) -> None:
        """Hand the people of the rows to the batch notebook."""
        ids = tuple(dict.fromkeys(i for i in self.rows["person_id"] if i))
        handover.leave(self.wb.workspace, ids)
        go_on = notebook_link("02-batch-resubscribe", _("go on with these people there"))
        self._next.value = f"<p>{go_on}</p>"
        self.say("done", _("{people} handed over to {notebook}", people=people(len(ids)), notebook="02-batch-resubscribe"))
