"""The unsubscribed in a grid: find, look closer, select, hand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import pandas as pd

from workbench.panels import handover, spreadsheet
from workbench.panels.frame import Panel
from workbench.panels.grid import PeopleGrid
from workbench.panels.language import _, told
from workbench.panels.person import PersonView, nobody
from workbench.panels.start import notebook_link
from workbench.panels.wording import folding, people, spoken
from workbench.pictures import unsubscribes_by_month


class ReviewPanel(Panel):
    """Filter, sort and page through the unsubscribed; ``selection`` is what was ticked, as a DataFrame."""

    purpose = "who is unsubscribed, and where."

    def body(self) -> Sequence[Any]:
        """The grid, what to do with a selection, and the card of the person last opened."""
        self._card = PersonView(self.wb)
        self._card.widget.value = nobody()
        self._next, self._months = widgets.HTML(), widgets.HTML()
        self.grid = PeopleGrid(self.wb, base={"unsubscribed": True}, say=self.say, open_card=self.open_card)
        buttons = [
            self.button(
                _("Use selection in a batch"),
                self.use_in_batch,
                hint=_("Hand the selected people to 02-batch-resubscribe"),
                main=True,
            ),
            self.button(
                _("Export selection (CSV)"), self.export, hint=_("Write the selected people to a CSV file in the workspace")
            ),
            self.button(_("Read again"), self.refresh, hint=_("Count and read the people again")),
        ]
        self.say("idle", _("Tick people, or select all that fit the filters, and hand them to a batch"))
        self.attempt(self._show_months)
        return [self._months, self.grid.widget, widgets.HBox(buttons), self._next, self._card.widget]

    def _show_months(self) -> None:
        rows = self.wb.unsubscribes_by_month().to_dict("records")
        self._months.value = folding(
            _("Unsubscribes and resubscriptions by month"), unsubscribes_by_month(rows, told=told, spoken=spoken)
        )

    @property
    def selection(self) -> pd.DataFrame:
        """The selected people, one row each; empty, with the same columns, when nobody is selected."""
        return self.grid.selection()

    def open_card(self, person_id: str) -> None:
        """Show one person's card below the grid."""
        self._card.show(person_id)
        self.say("done", _("The card of the person is shown below the grid"))

    def use_in_batch(self) -> None:
        """Hand the selected people's ids to the batch notebook."""
        chosen = self.grid.selected_ids()
        handover.leave(self.wb.workspace, chosen)
        go_on = notebook_link("02-batch-resubscribe", _("go on with these people there"))
        self._next.value = f"<p>{go_on}</p>"
        self.say("done", _("{people} handed over to {notebook}", people=people(len(chosen)), notebook="02-batch-resubscribe"))

    def export(self) -> Any:
        """Write the selected people to a CSV file that no spreadsheet runs formulas from; returns its path."""
        frame = self.selection
        if frame.empty:
            self.say("refused", _("nobody is selected"), _("Tick some people first."))
            return None
        path = spreadsheet.write(frame, spreadsheet.exports(self.wb.workspace), name="people", at=self.wb.clock())
        self.say(
            "done",
            _("{people} written to exports/{file}", people=people(len(frame)), file=path.name),
            _("The file holds personal data; delete it when it is no longer needed."),
        )
        return path

    def refresh(self) -> None:
        """Read the people again, keeping filters and selection."""
        self.grid.refresh()
        self._show_months()
        self.say("done", _("The people were read again"))
