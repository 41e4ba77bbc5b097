"""Step 2 of a batch: the documented consent; by form with evidence files, or a CSV of consents with their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from workbench.bench import Workbench
from workbench.consent import AUTHORIZATION_TYPES, CONSENT_TYPES, EXPRESSED_BY, METHODS, Evidence
from workbench.errors import InputError
from workbench.evidence import SNIFFED, media_type
from workbench.panels import uploads
from workbench.panels.language import N_, _, ngettext, told
from workbench.panels.wording import heading, paragraph, people, spoken, table
from workbench.preview import preview
from workbench.said import said

EVERYONE = "all"
TIME_FORM = "2026-10-20 14:05:00 +02:00"
SHOWN = {
    "email": N_("E-mail"),
    "given_at": N_("Given (UTC)"),
    "purpose": N_("Purpose"),
    "method": N_("Method"),
    "jurisdiction": N_("Jurisdiction"),
    "state": N_("State"),
    "evidence": N_("Files"),
    "recorded_by": N_("Recorded by"),
}


@dataclass(frozen=True)
class Step:
    """How far recording is."""

    done: int
    total: int
    sentence: str


class ConsentStep:
    """The consent form. ``start`` runs long work as `Panel.start` does; ``chosen`` tells whom the batch is about."""

    def __init__(
        self,
        wb: Workbench,
        *,
        button: Callable[..., Any],
        start: Callable[..., None],
        say: Callable[..., None],
        chosen: Callable[[], Any],
    ) -> None:
        """An empty form with the policy's purposes."""
        self._wb, self._start, self._say, self._chosen = wb, start, say, chosen
        self.for_whom = widgets.Dropdown(description=_("For whom"), options=[(_("everyone chosen"), EVERYONE)])
        self.authorization = _choice(_("Authorization"), AUTHORIZATION_TYPES)
        self.purpose = _choice(_("Purpose"), wb.policy.purposes)
        self.given_at = widgets.Text(description=_("Consent given at"), placeholder=_("for instance {form}", form=TIME_FORM))
        self.method = _choice(_("Method"), METHODS)
        self.collection_point = widgets.Text(description=_("Where"), placeholder=_("URL or place where it was given"))
        self.notice = widgets.Textarea(description=_("Notice shown"), placeholder=_("exactly what the person was shown"), rows=3)
        self.jurisdiction = widgets.Text(description=_("Jurisdiction"), placeholder=_("country code, for instance US or DE"))
        self.kind = _choice(_("How expressed"), CONSENT_TYPES)
        self.expressed_by = _choice(_("Expressed by"), EXPRESSED_BY)
        self.double_opt_in_at = widgets.Text(
            description=_("Double opt-in at"), placeholder=_("if confirmed, for instance {form}", form=TIME_FORM)
        )
        self.evidence = uploads.field(_("Evidence"), multiple=True)
        self.table_file = uploads.field(_("Consents (CSV)"), accept=".csv,text/csv")
        self._record = button(_("Record consent"), self.record, main=True)
        self._import = button(_("Import consents"), self.take_file)
        self.buttons = (self._record, self._import)
        self._shown = widgets.HTML()
        self.looked_at = widgets.HTML()
        self.evidence.observe(lambda _change: self._look(), "value")
        self.widget = widgets.VBox(self._layout())

    def _layout(self) -> list[Any]:
        hint = _(
            "One consent is recorded for each person, with the evidence files that prove it. {sentence} Times need their zone.",
            sentence=_(uploads.LIMIT),
        )
        many = _("Or a CSV of consents; upload the files that it names under Evidence, then import.")
        form = [
            self.for_whom, self.authorization, self.purpose, self.given_at, self.method, self.collection_point, self.notice,
            self.jurisdiction, self.kind, self.expressed_by, self.double_opt_in_at,
        ]  # fmt: skip
        return [
            widgets.HTML(paragraph(hint)), *form, widgets.HBox([self.evidence, self._record]), self.looked_at,
            widgets.HTML(paragraph(many)), widgets.HBox([self.table_file, self._import]), self._shown,
        ]  # fmt: skip

    def show(self) -> None:
        """Show the chosen people's names to choose from, and the consents that are on file for them."""
        frame = self._chosen()
        named = [(_("{email} only", email=row.email), row.person_id) for row in frame.head(200).itertuples()]
        self.for_whom.options = [(_("everyone chosen ({people})", people=people(len(frame))), EVERYONE), *named]
        on_file = self._wb.consents()
        mine = on_file[on_file["person_id"].isin(set(frame["person_id"]))]
        self._shown.value = heading(_("On file for the chosen people")) + table(
            mine,
            SHOWN,
            caption=ngettext("{number} consent", "{number} consents", len(mine)),
            empty=_(
                "No consent is on file for them. Fill in the form above and press Record consent, or import a CSV of consents."
            ),
            spell=("method", "state", "purpose"),
        )

    def _look(self) -> None:
        """Show the files that were chosen, before anything is recorded."""
        files = [(bytes(item["content"]), uploads.plain_name(str(item["name"]))) for item in self.evidence.value]
        self.looked_at.value = "".join(
            preview(content, media_type=media_type(content[:SNIFFED]), name=name, tell=told) for content, name in files
        )

    # -- the form --------------------------------------------------------------------------------------------------------------

    def record(self) -> None:
        """Record the consent for everyone it is for.

        Raises:
            InputError: nobody is chosen, no evidence, or a time that can't be read.
        """
        ids = tuple(self._chosen()["person_id"]) if self.for_whom.value == EVERYONE else (self.for_whom.value,)
        if not ids:
            raise InputError(said("nobody is chosen"), said("Choose people in step 1 first."))
        if not self.evidence.value:
            raise InputError(
                said("a consent needs at least one file that proves it"), said("Press Evidence and choose the file.")
            )
        values, files = self._values(), self.evidence.value
        self._start(
            _("Recording {people}", people=people(len(ids))),
            lambda tell: self._record_all(ids, values, files, tell),
            self._recorded,
            resting=[self._record, self._import],
        )

    def _values(self) -> dict[str, Any]:
        given_at, precision = moment(self.given_at.value, field=said("Consent given at"))
        confirmed = (
            moment(self.double_opt_in_at.value, field=said("Double opt-in at"))[0]
            if self.double_opt_in_at.value.strip()
            else None
        )
        return {
            "given_at": given_at,
            "given_at_precision": precision,
            "purpose": self.purpose.value,
            "method": self.method.value,
            "notice_text": self.notice.value,
            "jurisdiction": self.jurisdiction.value.strip().upper(),
            "authorization_type": self.authorization.value,
            "consent_type": self.kind.value,
            "expressed_by": self.expressed_by.value,
            "collection_point": self.collection_point.value,
            "double_opt_in_at": confirmed,
        }

    def _record_all(self, ids: Sequence[str], values: dict[str, Any], files: Any, tell: Callable[[Any], None]) -> int:
        with uploads.as_files(files) as paths:
            evidence = [Evidence.from_file(path) for path in paths]
            for number, person_id in enumerate(ids):
                tell(Step(number, len(ids), said("Recording consents")))
                self._wb.record_consent(person=person_id, evidence=evidence, **values)
        return len(ids)

    def _recorded(self, number: int) -> None:
        self.evidence.value = ()
        self.show()
        self._say("done", _("Consent recorded for {people}, with its evidence", people=people(number)))

    # -- a CSV of consents -----------------------------------------------------------------------------------------------------

    def take_file(self) -> None:
        """Import the uploaded CSV of consents with the uploaded evidence files.

        Raises:
            InputError: no CSV, or no evidence files.
        """
        table_file, files = self.table_file.value, self.evidence.value
        if not table_file or not files:
            raise InputError(
                said("the CSV of consents or its evidence files are missing"),
                said("Upload the CSV, and the files it names under Evidence."),
            )
        self._start(
            _("Importing consents"),
            lambda _tell: self._import_all(table_file, files),
            self._imported,
            resting=[self._record, self._import],
        )

    def _import_all(self, table_file: Any, files: Any) -> Any:
        with uploads.as_files(table_file) as (path,), uploads.as_files(files) as paths:
            return self._wb.import_consents(path, Path(paths[0]).parent)

    def _imported(self, result: Any) -> None:
        self.table_file.value, self.evidence.value = (), ()
        self.show()
        tone = "refused" if result.rejected else "done"
        self._say(
            tone,
            _(
                "{imported} of {rows} consents imported; {rejected} rejected",
                imported=result.imported,
                rows=result.rows,
                rejected=result.rejected,
            ),
            " ".join(told(problem) for problem in result.problems[:3]),
        )


def _choice(label: str, values: Sequence[str]) -> Any:
    return widgets.Dropdown(description=label, options=[(spoken(value), value) for value in values])


def moment(text: str, *, field: str) -> tuple[datetime, str]:
    """A time with its zone, and how exact it is: ``second``, or ``day`` for a date alone.

    Raises:
        InputError: empty, not a time, or a time without its zone.
    """
    text = text.strip()
    try:
        if len(text) == len("2026-10-20"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC), "day"
        found = datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
    except ValueError:
        raise InputError(
            said("{what}: this is not a date and time", what=field), said("Write it like {form}.", form=TIME_FORM)
        ) from None
    if found.tzinfo is None:
        raise InputError(
            said("{what}: the time zone is missing", what=field), said("Write it like {form}, or with Z for UTC.", form=TIME_FORM)
        )
    return found, "second"
