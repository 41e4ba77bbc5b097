"""A row of a file of consents as the consent it documents, before it is known which person and which evidence it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from workbench.consent import AUTHORIZATION_TYPES, CONSENT_TYPES, EXPRESSED_BY, METHODS, STATES, Consent, Evidence
from workbench.intake import values
from workbench.intake.columns import Columns
from workbench.intake.files import Row
from workbench.intake.roster import Sought
from workbench.person import Person, new_id, normalize_address

CHOICES = {
    "authorization_type": AUTHORIZATION_TYPES,
    "state": STATES,
    "consent_type": CONSENT_TYPES,
    "method": METHODS,
    "expressed_by": EXPRESSED_BY,
}
ALIASES = {"phone": "telephone", "website": "webform", "letter": "paper"}
LATEST = {"valid_until": True, "retain_until": True, "given_at": False, "withdrawn_at": False, "transfer_notice_at": True}
"""The moments, and which end of a day counts where the file says no time: what helps the consent least, or what the word means."""
CONFIRMED = "double_opt_in_at"
FLAGS = ("pre_ticked", "solicited_by_email", "recording_kept", "error_proven")
LINES = (
    "controller", "purpose", "channel", "collection_point", "notice_version", "language", "jurisdiction", "withdrawal_method",
    "given_to",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ConsentRow:
    """What one row says; ``refusal`` is why it can't be understood ("" when it can)."""

    row: Row
    named: Sought
    stated: Mapping[str, Any]
    evidence_names: tuple[str, ...]
    refusal: str

    def consent(self, person: Person, evidence: tuple[Evidence, ...], *, operator: str, now: datetime) -> Consent:
        """The consent for the person whom the row turned out to mean; without an address in the row it is for theirs."""
        required = {"controller": "", "purpose": "", "given_at": None}
        return Consent(
            **required | dict(self.stated),
            consent_id=new_id(),
            person_id=person.person_id,
            email=self.named.email or person.email,
            recorded_at=now,
            recorded_by=operator,
            evidence=evidence,
        )


@dataclass(frozen=True)
class Reader:
    """How the rows of one file are read: its columns, the zone of times without one, what stands for a blank cell."""

    columns: Columns
    zone: tzinfo | None
    defaults: Mapping[str, str]

    def read(self, row: Row) -> ConsentRow:
        """The row's values; blank cells leave a field at its default."""
        if row.reason:
            return ConsentRow(row=row, named=Sought(), stated={}, evidence_names=(), refusal=row.reason)
        refusals: list[str] = []
        stated = dict(self._stated(row, refusals))
        if stated.pop("given_on_a_day", False):
            stated["given_at_precision"] = "day"
        return ConsentRow(
            row=row,
            named=self._named(row, refusals),
            stated=stated,
            evidence_names=self.evidence_names(row),
            refusal="; ".join(dict.fromkeys(refusals)),
        )

    def evidence_names(self, row: Row) -> tuple[str, ...]:
        """The names of the row's evidence files."""
        names = (name.strip() for name in self._cell(row, "evidence").split(";"))
        return tuple(dict.fromkeys(name for name in names if name))

    def _cell(self, row: Row, field: str) -> str:
        return self.columns.read(row.cells, field) or self.defaults.get(field, "")

    def _named(self, row: Row, refusals: list[str]) -> Sought:
        person, email = self._cell(row, "person"), self._cell(row, "email")
        if "@" in person:
            person, email = "", email or person
        address = normalize_address(email)
        if email and not address:
            refusals.append("this can't be an e-mail address")
        return Sought(external_id=person, email=address)

    def _stated(self, row: Row, refusals: list[str]) -> dict[str, Any]:
        stated: dict[str, Any] = {}
        for field in (*LINES, *CHOICES, *LATEST, CONFIRMED, *FLAGS, "recipients", "notice_text"):
            if text := self._cell(row, field):
                try:
                    stated |= self._value(field, text)
                except ValueError as error:
                    refusals.append(f"{field}: {error}")
        return stated

    def _value(self, field: str, text: str) -> dict[str, Any]:
        if field in CHOICES:
            return {field: _choice(text, CHOICES[field])}
        if field in LATEST:
            return self._moment(field, text)
        if field == CONFIRMED:
            return self._confirmed(text)
        readers: dict[str, Callable[[str], Any]] = {
            **dict.fromkeys(FLAGS, values.yes_or_no),
            "recipients": _several,
            "notice_text": str,
        }
        return {field: readers.get(field, values.line_of_text)(text)}

    def _moment(self, field: str, text: str) -> dict[str, Any]:
        found = values.moment(text, self.zone, latest=LATEST[field])
        if found.zoneless and not found.day:
            raise ValueError("the time has no time zone; add one, or name the zone of the file")
        return {field: found.at, "given_on_a_day": True} if field == "given_at" and found.day else {field: found.at}

    def _confirmed(self, text: str) -> dict[str, Any]:
        found = values.moment(text, self.zone, latest=False)
        if found.day or found.zoneless:
            raise ValueError("a confirmation needs its time and time zone, to show that it came second")
        return {CONFIRMED: found.at}


def _choice(text: str, choices: tuple[str, ...]) -> str:
    wanted = "".join(c for c in text.casefold() if c.isalnum())
    known = {choice.replace("_", ""): choice for choice in choices}
    found = known.get(wanted) or known.get(ALIASES.get(wanted, ""))
    if found is None:
        raise ValueError(f"the value is none of {', '.join(choices)}")
    return found


def _several(text: str) -> tuple[str, ...]:
    return tuple(values.line_of_text(part) for part in text.split(";") if part.strip())
