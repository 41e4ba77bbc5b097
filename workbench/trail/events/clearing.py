"""Events of one person in a batch: refused, postponed, cleared, resubscribed, or opted out again.

Every write to Salesforce is at least two events: intended, committed before the request leaves, and what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.trail.event import Code, Count, Digest, Event, Part, Stamp


@dataclass(frozen=True, kw_only=True)
class Finding(Part):
    """What one rule said: its code, how strong, the sentence the analyst read."""

    code: Code
    severity: Literal["refuse", "strengthen"]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class IntendedRow(Part):
    """One org record about to be cleared: the stamp it was read with and the fields to be set to false."""

    record_id: str
    base: Stamp
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RowAnswer(Part):
    """What Salesforce answered for one record: HTTP status (None: no answer came) and error code, never the body."""

    record_id: str
    status: Count | None
    code: str | None


@dataclass(frozen=True, kw_only=True)
class VerifiedRow(Part):
    """One org record read back with every opt-out field false, and the stamp it then had."""

    record_id: str
    stamp: Stamp


@dataclass(frozen=True, kw_only=True)
class BothSides(Part):
    """A person's state on both systems: in the register, and per org record the value of each opt-out field."""

    unsubscribed: bool
    org: dict[str, dict[str, bool]]


@dataclass(frozen=True, kw_only=True)
class PersonRefused(Event, action="person_refused"):
    """The rules said no: every finding, and the digest of the policy that was applied."""

    consent_id: str | None
    findings: tuple[Finding, ...]
    policy: Digest


@dataclass(frozen=True, kw_only=True)
class PersonPostponed(Event, action="person_postponed"):
    """Not now: a record changed a moment ago, or someone else holds the person; tried again after ``until``."""

    cause: Code
    until: Stamp | None


@dataclass(frozen=True, kw_only=True)
class ClearIntended(Event, action="clear_intended"):
    """Before the request leaves: which records are to be cleared, on which base, for the how-manieth time."""

    rows: tuple[IntendedRow, ...]
    attempt: Count


@dataclass(frozen=True, kw_only=True)
class ClearAnswered(Event, action="clear_answered"):
    """What Salesforce said to a request to clear; it is believed only after a read."""

    rows: tuple[RowAnswer, ...]
    attempt: Count


@dataclass(frozen=True, kw_only=True)
class ClearVerified(Event, action="clear_verified"):
    """Every record was read back as not opted out, changed by us and by nobody else."""

    rows: tuple[VerifiedRow, ...]


@dataclass(frozen=True, kw_only=True)
class PersonResubscribed(Event, action="person_resubscribed"):
    """The person may be e-mailed again: both sides before and after, on which consent and evidence, episodes closed."""

    before: BothSides
    after: BothSides
    consent_id: str
    evidence: tuple[Digest, ...]
    episodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AbortIntended(Event, action="abort_intended"):
    """Something did not fit: the person is to be opted out again on these records."""

    cause: Code
    detail: str
    rows: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PersonAborted(Event, action="person_aborted"):
    """Both sides are opted out again; a person decides what happens next."""

    cause: Code
    after: BothSides


@dataclass(frozen=True, kw_only=True)
class OptOutIntended(Event, action="opt_out_intended"):
    """Before the request leaves: the sync, an undo, an unsubscribe made here or a batch that turns back is to opt these records out."""

    by: Literal["sync", "undo", "unsubscribe", "batch"]
    rows: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OptOutWritten(Event, action="opt_out_written"):
    """These records were opted out in Salesforce."""

    rows: tuple[RowAnswer, ...]


@dataclass(frozen=True, kw_only=True)
class OptOutFailed(Event, action="opt_out_failed"):
    """These records could not be opted out; they stay on the list until they are."""

    cause: Code
    rows: tuple[RowAnswer, ...]
