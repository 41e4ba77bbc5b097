"""Events of what runs by the clock: snapshots, the nightly sync, mismatches, follow-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.trail.event import Code, Count, Event, Stamp


@dataclass(frozen=True, kw_only=True)
class SnapshotPulled(Event, action="snapshot_pulled"):
    """Org records were read: all or what changed, how many per object, complete up to the server's time ``until``."""

    mode: Literal["full", "delta"]
    rows: dict[str, Count]
    until: Stamp


@dataclass(frozen=True, kw_only=True)
class SyncStarted(Event, action="sync_started"):
    """The sync began: how many people and records it is about to opt out, and the cap that would stop it."""

    cap: Count | None
    people: Count
    records: Count


@dataclass(frozen=True, kw_only=True)
class SyncFinished(Event, action="sync_finished"):
    """The sync ended; ``counts`` maps each outcome to a number."""

    counts: dict[str, Count]


@dataclass(frozen=True, kw_only=True)
class PersonUnsubscribedBySync(Event, action="person_unsubscribed_by_sync"):
    """The register followed Salesforce: a new episode, the records that were opted out, when and by whom if known."""

    unsubscribe_id: str
    records: tuple[str, ...]
    opted_out_at: Stamp | None
    opted_out_by: str | None


@dataclass(frozen=True, kw_only=True)
class MismatchFound(Event, action="mismatch_found"):
    """Register and Salesforce disagree in a way not seen before."""

    mismatch_id: str
    kind: Code
    records: tuple[str, ...]
    detail: str


@dataclass(frozen=True, kw_only=True)
class MismatchResolved(Event, action="mismatch_resolved"):
    """A mismatch is gone, and what ended it."""

    mismatch_id: str
    kind: Code
    resolved_by: str


@dataclass(frozen=True, kw_only=True)
class FollowUpChecked(Event, action="follow_up_checked"):
    """A resubscribed person was looked at again: held, or relapsed and by which cause."""

    outcome: Literal["held", "relapsed"]
    cause: Code | None
    detail: str
