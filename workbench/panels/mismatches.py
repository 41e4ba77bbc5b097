"""Where register and Salesforce disagree, for how long, what tonight's sync will do about it, and how to be faster than it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import pandas as pd

from workbench.mismatch import KINDS
from workbench.panels import handover
from workbench.panels.frame import Panel
from workbench.panels.start import notebook_link
from workbench.panels.wording import heading, paragraph, people, spoken, table

COUNTS = {
    "kind": "Kind",
    "means": "What it means",
    "open": "Open",
    "oldest_business_days": "Oldest, in business days",
    "over_limit": "Over the limit",
}
ROWS = {
    "kind": "Kind",
    "age_business_days": "Business days",
    "email": "E-mail",
    "detail": "Detail",
    "forecast": "Tonight",
    "since": "Since (UTC)",
    "first_seen": "First seen (UTC)",
    "record_id": "Record",
}
FORECAST = {"action": "What tonight's sync does", "person_id": "Person", "record_id": "Record", "why": "Why"}
EVERY_KIND = ""
SHOWN = 100


class MismatchPanel(Panel):
    """Counts by kind with their age, the rows, tonight's forecast, and what can be done now."""

    purpose = "where register and Salesforce disagree, and since when."

    def body(self) -> Sequence[Any]:
        """Refresh, choose a kind, look at rows and forecast, act."""
        kinds = [("all kinds", EVERY_KIND), *((spoken(kind), kind) for kind in KINDS)]
        self.kind = widgets.Dropdown(description="Kind", options=kinds)
        self.kind.observe(lambda _: self.attempt(self._show_rows), names="value")
        self._counts_view, self._rows_view, self._forecast_view, self._next = (widgets.HTML() for _ in range(4))
        self._refresh = self.button(
            "Refresh from Salesforce", self.refresh, hint="Read what changed in Salesforce, then compare", main=True
        )
        self.full = widgets.Checkbox(description="Read everything again", value=False, indent=False)
        self._dry = self.button("Show what a sync would do", self.dry_run, hint="Counts only; writes nothing")
        self._sync = self.button(
            "Opt out the other side now", self.sync, hint="Run the unsubscribe sync at once; it only ever opts out"
        )
        self._batch = self.button("Hand these people to a batch", self.use_in_batch, hint="The people of the rows shown")
        self._busy = [self._refresh, self._dry, self._sync]
        acts = "Opting out the other side is always safe: it only ever sets opt-outs. Mailing people again takes a batch with their consent."
        self.rows = self.wb.mismatches()
        self.attempt(self.show)
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
        self._counts_view.value = heading("Open mismatches by kind") + table(
            counts[list(COUNTS)],
            COUNTS,
            caption=f"An opt-out has to be honoured within {limit} business days",
            empty="Register and Salesforce agree.",
            spell=("kind",),
        )
        self._show_rows(quiet=True)
        self._show_forecast()
        late = int(counts["over_limit"].sum()) if len(counts) else 0
        total = int(counts["open"].sum()) if len(counts) else 0
        self.say("look" if late else "done", f"{total:,} open mismatches, {late:,} of them over {limit} business days")

    def _show_rows(self, *, quiet: bool = False) -> None:
        self.rows = self.wb.mismatches(self.kind.value or None)
        self._rows_view.value = heading("The rows") + table(
            self.rows,
            ROWS,
            caption=f"{len(self.rows):,} open",
            empty="No open mismatch of this kind.",
            spell=("kind",),
            shown=SHOWN,
        )
        if not quiet:
            self.say("done", f"{len(self.rows):,} rows of {spoken(self.kind.value) if self.kind.value else 'all kinds'}")

    def _show_forecast(self) -> None:
        forecast = self.wb.forecast()
        self._forecast_view.value = heading("Tonight") + table(
            forecast,
            FORECAST,
            caption=f"{len(forecast):,} writes of tonight's sync",
            empty="Tonight's sync has nothing to do.",
            spell=("action",),
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
        self.start("Reading Salesforce", lambda tell: self.wb.pull(full=full, progress=tell), self._refreshed, resting=self._busy)

    def _refreshed(self, result: Any) -> None:
        self.show()
        self.say(
            self.status.tone,
            f"{result.rows:,} records read from Salesforce, {result.changed:,} of them new or changed. {self.status.sentence}",
        )

    def dry_run(self) -> None:
        """Say what the unsubscribe sync would do now."""
        self.start("Looking at what a sync would do", lambda _: self.wb.sync(dry_run=True), self._synced, resting=self._busy)

    def sync(self) -> None:
        """Run the unsubscribe sync now: opt-outs only."""
        self.start("Opting out the other side", lambda _: self.wb.sync(), self._synced, resting=self._busy)

    def _synced(self, result: Any) -> None:
        if not result.dry_run:
            self.show()
        self.say("refused" if result.failed else "done", result.sentence)

    def use_in_batch(self) -> None:
        """Hand the people of the rows to the batch notebook."""
        ids = tuple(dict.fromkeys(i for i in self.rows["person_id"] if i))
        handover.leave(self.wb.workspace, ids)
        self._next.value = f"<p>{notebook_link('02-batch-resubscribe', 'go on with these people there')}</p>"
        self.say("done", f"{people(len(ids))} handed over to 02-batch-resubscribe")
