"""What a documented consent is: its fields, its evidence, and whether it is in force on a given day.

Decides nothing about a person's eligibility (that is `eligibility`) and stores nothing (that is `evidence` and `store`).
The fields follow ISO/IEC TS 27560, the W3C Data Privacy Vocabulary and EDPB Guidelines 05/2020, para 108.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

SCHEMA_VERSION = 1

AUTHORIZATION_TYPES = (
    "consent",
    "legitimate_interest",
    "performance_of_a_contract",
    "legal_obligation",
    "vital_interests",
    "public_interest",
    "other",
)
"""Sales Connect's list; only ``consent`` can reverse an opt-out (an objection to direct marketing is absolute)."""

STATES = ("given", "renewed", "withdrawn", "refused", "expired", "invalidated")
CONSENT_TYPES = ("explicitly_expressed", "expressed", "implied")
METHODS = ("web_form", "email", "paper", "telephone", "in_person")
EXPRESSED_BY = ("person", "representative")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One file that proves a consent, as it was when stored: its SHA-256 is its identity.

    ``source`` is where to read it from when it is not stored yet; ``original_name`` is text for people, never a path.
    """

    sha256: str = ""
    size: int = 0
    media_type: str = "application/octet-stream"
    original_name: str = field(default="", repr=False)
    source: Path | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_file(cls, path: str | Path) -> Evidence:
        """Name a file as evidence; it is read, counted and hashed when the consent is recorded."""
        path = Path(path)
        return cls(
            original_name=path.name, source=path, media_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        )


@dataclass(frozen=True, kw_only=True)
class Consent:
    """The documented authorisation to e-mail one person again.

    ``given_at`` is when the person acted, with zone and to the second; ``given_at_precision`` is ``second`` or ``day`` (a date
    without a time is weak evidence: AG Düsseldorf 23 C 3876/13). ``email`` is the exact address consented for, normalised.
    ``notice_text``/``notice_version``/``language`` are what the person was shown. ``pre_ticked`` marks a box that was ticked
    beforehand. ``solicited_by_email`` says the consent was won by mailing people who had opted out. ``given_to`` names the
    party the consent was given to when that is not the controller.
    """

    consent_id: str
    person_id: str
    email: str = field(repr=False)
    controller: str
    purpose: str
    given_at: datetime | None
    recorded_at: datetime
    recorded_by: str
    schema_version: int = SCHEMA_VERSION
    recipients: tuple[str, ...] = ()
    channel: str = "email"
    authorization_type: str = "consent"
    state: str = "given"
    consent_type: str = "explicitly_expressed"
    given_at_precision: str = "second"
    method: str = ""
    collection_point: str = ""
    expressed_by: str = "person"
    notice_text: str = field(default="", repr=False)
    notice_version: str = ""
    language: str = ""
    double_opt_in_at: datetime | None = None
    jurisdiction: str = ""
    valid_until: datetime | None = None
    retain_until: datetime | None = None
    withdrawn_at: datetime | None = None
    withdrawal_method: str = ""
    pre_ticked: bool = False
    solicited_by_email: bool = False
    given_to: str = ""
    transfer_notice_at: datetime | None = None
    recording_kept: bool = False
    error_proven: bool = False
    evidence: tuple[Evidence, ...] = ()

    @property
    def counts_from(self) -> datetime | None:
        """The earliest moment (UTC, whole seconds) the person may have acted: a mere date counts from its first moment.

        None where the record does not say when, or not in which time zone. In UTC because Python compares two times of one
        zone by the clock on the wall, which goes wrong in the hour that comes twice.
        """
        if self.given_at is None or self.given_at.utcoffset() is None:
            return None
        given = self.given_at
        if self.given_at_precision != "second":
            given = given.replace(hour=0, minute=0, second=0, fold=0)
        return given.replace(microsecond=0).astimezone(UTC)

    def to_come(self, now: datetime) -> bool:
        """Whether the consent is dated later than ``now``: nobody can have given it."""
        return self.counts_from is not None and self.counts_from > now

    @property
    def taken_back_at(self) -> datetime | None:
        """When the person withdrew or refused this consent, as far as the record says; None where they did not."""
        if self.withdrawn_at is None and self.state not in ("withdrawn", "refused"):
            return None
        return self.withdrawn_at or (self.counts_from if self.state == "refused" else None) or self.recorded_at

    def withdrawn(self, now: datetime) -> bool:
        """Whether the consent was withdrawn, refused or invalidated by ``now``."""
        gone = self.withdrawn_at is not None and self.withdrawn_at <= now
        return gone or self.state in ("withdrawn", "refused", "invalidated")

    def expired(self, now: datetime) -> bool:
        """Whether the consent's validity had ended by ``now``."""
        return self.state == "expired" or (self.valid_until is not None and self.valid_until <= now)
