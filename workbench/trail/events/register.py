"""Events about the workspace, its operators, the people in the register and the proofs of their consent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.trail.event import Count, Digest, Event, Stamp

Role = Literal["analyst", "admin", "auditor"]
Source = Annotated[str, UNSUBSCRIBE_SOURCES]


@dataclass(frozen=True, kw_only=True)
class WorkspaceCreated(Event, action="workspace_created"):
    """The trail begins: which version of the product wrote it and which key signs it."""

    product_version: str
    vkey: str
    key_kept_in: str


@dataclass(frozen=True, kw_only=True)
class SettingsChanged(Event, action="settings_changed"):
    """Settings or policy are not what they were; names of the settings only, a value might be a secret."""

    file: str
    before: Digest | None
    after: Digest
    changed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OperatorGranted(Event, action="operator_granted"):
    """An operator received a role."""

    operator: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class OperatorRevoked(Event, action="operator_revoked"):
    """An operator lost a role."""

    operator: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class PeopleImported(Event, action="people_imported"):
    """A file of people was taken in; ``opted_out`` counts the people whom the file unsubscribed."""

    file_name: str
    file_sha256: Digest
    rows: Count
    added: Count
    changed: Count
    unchanged: Count
    opted_out: Count
    rejected: Count


@dataclass(frozen=True, kw_only=True)
class UnsubscribesImported(Event, action="unsubscribes_imported"):
    """A file of unsubscribes was taken in; it can add episodes, never close one."""

    file_name: str
    file_sha256: Digest
    rows: Count
    added: Count
    unchanged: Count
    rejected: Count


@dataclass(frozen=True, kw_only=True)
class UnsubscribeRecorded(Event, action="unsubscribe_recorded"):
    """A person was opted out in the register: one new episode, when and by what."""

    unsubscribe_id: str
    opted_out_at: Stamp
    source: Source
    detail: str


@dataclass(frozen=True, kw_only=True)
class ConsentRecorded(Event, action="consent_recorded"):
    """A consent was documented: the whole record as exported, and the digests of its evidence."""

    consent_id: str
    record: dict[str, Any]
    evidence: tuple[Digest, ...]


@dataclass(frozen=True, kw_only=True)
class ConsentWithdrawn(Event, action="consent_withdrawn"):
    """A consent ended: when the person withdrew it and how."""

    consent_id: str
    withdrawn_at: Stamp
    withdrawal_method: str


@dataclass(frozen=True, kw_only=True)
class ConsentRenewed(Event, action="consent_renewed"):
    """A person gave a consent again: ``renewed_by`` is the new one, which has an event of its own."""

    consent_id: str
    renewed_by: str


@dataclass(frozen=True, kw_only=True)
class ConsentExpired(Event, action="consent_expired"):
    """It was noted that a consent's validity is over since ``valid_until``; it counts as over from then on, noted or not."""

    consent_id: str
    valid_until: Stamp


@dataclass(frozen=True, kw_only=True)
class EvidenceStored(Event, action="evidence_stored"):
    """A file that proves consents was stored under its SHA-256; size in bytes, the name as the user gave it."""

    sha256: Digest
    size: Count
    media_type: str
    original_name: str


@dataclass(frozen=True, kw_only=True)
class PersonErased(Event, action="person_erased"):
    """The right to erasure: the payloads of the events ``seqs`` and the evidence files named here were deleted.

    One event a person; one without ``seqs`` when the time of evidence that had to be kept is over. Nothing in it says who it was.
    Only this event excuses a missing payload or evidence file, so deletion can't pass for erasure.
    """

    seqs: tuple[Count, ...]
    evidence: tuple[Digest, ...]
    cause: str
