"""Step 1 of a batch: whom it is about; from the selection of the review notebook, or from a CSV of addresses or ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd

from workbench.bench import Workbench
from workbench.errors import InputError
from workbench.intake import columns as known_columns
from workbench.intake.files import SourceFile
from workbench.panels import handover, uploads
from workbench.panels.grid import FRAME_COLUMNS
from workbench.panels.language import N_, _, told
from workbench.panels.wording import bullets, paragraph, people, table
from workbench.said import said

NAMES: known_columns.Names = {
    "person": ("Person ID", "External ID", "Person"),
    "email": ("Email ID", "Email", "Email Address", "Address", "Addresses"),
}
SHOWN = {
    "email": N_("E-mail"),
    "first_name": N_("First name"),
    "last_name": N_("Last name"),
    "company": N_("Company"),
    "unsubscribed_at": N_("Unsubscribed (UTC)"),
    "source": N_("Source"),
    "salesforce": N_("Salesforce"),
    "consents": N_("Consents"),
}
UNMATCHED_SHOWN = 20
PORTION = 1000


class PeopleStep:
    """Holds the people of the batch; ``changed`` is called when they are others."""

    def __init__(
        self, wb: Workbench, *, button: Callable[..., Any], say: Callable[..., None], changed: Callable[[], None]
    ) -> None:
        """Start with the people that the review notebook handed over, if there are any."""
        self._wb, self._say, self._changed = wb, say, changed
        self.frame = pd.DataFrame(columns=list(FRAME_COLUMNS))
        self.unmatched: tuple[str, ...] = ()
        self._shown = widgets.HTML()
        self._file = uploads.field(_("Addresses (CSV)"), accept=".csv,text/csv")
        self._file.observe(lambda _change: self._on_upload(), names="value")
        self._guard = button
        take = button(_("Take the selection"), self.take_selection, hint=_("The people selected in 01-review-unsubscribed"))
        hint = paragraph(
            _(
                "Select people in 01-review-unsubscribed, or upload a CSV with a column Email or Person ID. {sentence}",
                sentence=_(uploads.LIMIT),
            )
        )
        self.widget = widgets.VBox([widgets.HTML(hint), widgets.HBox([take, self._file]), self._shown])
        self._show()

    @property
    def person_ids(self) -> tuple[str, ...]:
        """Whom the batch is about."""
        return tuple(self.frame["person_id"])

    def take_selection(self) -> None:
        """Take the people that the review notebook handed over.

        Raises:
            InputError: nobody was handed over.
        """
        ids = handover.take(self._wb.workspace)
        if not ids:
            raise InputError(
                said("no selection was handed over"),
                said("Select people in 01-review-unsubscribed and press its batch button."),
            )
        self.set_people(self._found("person_ids", ids), tuple(ids))

    def _on_upload(self) -> None:
        if not self._file.value:
            return
        try:
            with uploads.as_files(self._file.value) as (path,):
                self.take_file(path)
        except InputError as error:
            self._say("failed", told(error.args[0]), told(error.advice))
        finally:
            self._file.value = ()

    def take_file(self, path: Path) -> None:
        """Take the people whose address or id stands in a CSV file; what can't be matched is listed.

        Raises:
            InputError: a file that can't be read, or without a column of addresses or ids.
        """
        known = known_columns.known(NAMES)
        source = SourceFile(path, known=lambda name: known_columns.key(name) in known)
        where = known_columns.find(source.header, NAMES, mapping=None, one_of=("person", "email"))
        rows = [(where.read(row.cells, "person"), where.read(row.cells, "email")) for row in source.rows()]
        ids = [person or "" for person, email in rows if person and not email]
        addresses = [email for _person, email in rows if email]
        found = pd.concat([self._found("addresses", addresses), self._found("person_ids", ids)], ignore_index=True)
        self.set_people(found.drop_duplicates("person_id", ignore_index=True), (*addresses, *ids))

    def _found(self, name: str, values: Sequence[str]) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for start in range(0, len(values), PORTION // 2):
            asked = {name: list(values[start : start + PORTION // 2])}
            page = self._wb.review_page(asked, sort="email", descending=False, after=None, before=None, limit=PORTION)
            rows += page.rows
        frame = pd.DataFrame(rows, columns=list(FRAME_COLUMNS)).drop_duplicates("person_id", ignore_index=True)
        return frame.assign(unsubscribed_at=pd.to_datetime(frame["unsubscribed_at"], utc=True))

    def set_people(self, frame: pd.DataFrame, asked: Sequence[str]) -> None:
        """Make these the people of the batch; ``asked`` are the addresses and ids that were looked for."""
        from workbench.person import normalize_address

        matched = {*frame["person_id"], *frame["email"]}
        self.frame = frame
        self.unmatched = tuple(dict.fromkeys(a for a in asked if a not in matched and normalize_address(a) not in matched))
        self._show()
        self._changed()
        missing = _("; {number} could not be matched", number=len(self.unmatched)) if self.unmatched else ""
        self._say("refused" if frame.empty else "done", _("{people} chosen", people=people(len(frame))) + missing, "")

    def _show(self) -> None:
        missing = ""
        if self.unmatched:
            more = len(self.unmatched) - UNMATCHED_SHOWN
            listed = (*self.unmatched[:UNMATCHED_SHOWN], *([_("and {number} more", number=more)] if more > 0 else []))
            missing = paragraph(_("Nobody in the register has this address or id:")) + bullets(listed)
        chosen = table(
            self.frame,
            SHOWN,
            caption=_("{people} chosen", people=people(len(self.frame))),
            empty=_("Nobody is chosen yet. Press Take the selection, or upload a CSV of addresses."),
            spell=("source", "salesforce"),
        )
        self._shown.value = chosen + missing
