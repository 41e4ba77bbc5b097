"""Events of a batch's life, from proposal to undo."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.trail.event import Code, Count, Digest, Event


@dataclass(frozen=True, kw_only=True)
class BatchProposed(Event, action="batch_proposed"):
    """A plan was made: its digest, the policy it was judged by, how many it would resubscribe and refuse, API calls."""

    digest: Digest
    policy: Digest
    reason: Code
    eligible: Count
    refused: Count
    calls: Count


@dataclass(frozen=True, kw_only=True)
class BatchApproved(Event, action="batch_approved"):
    """An admin approved the plan with this digest, and no other."""

    digest: Digest
    proposed_by: str


@dataclass(frozen=True, kw_only=True)
class BatchStarted(Event, action="batch_started"):
    """The approved plan began to run; ``cap`` is the largest number of people this run may change."""

    digest: Digest
    cap: Count | None


@dataclass(frozen=True, kw_only=True)
class BatchPaused(Event, action="batch_paused"):
    """The run stopped before its end, and why; nothing is lost by it."""

    cause: Code
    detail: str
    done: Count
    left: Count


@dataclass(frozen=True, kw_only=True)
class BatchResumed(Event, action="batch_resumed"):
    """A paused or interrupted run went on."""

    left: Count


@dataclass(frozen=True, kw_only=True)
class BatchFinished(Event, action="batch_finished"):
    """Every person of the batch has an end; ``counts`` maps each end (done, refused, aborted, ...) to a number of people."""

    counts: dict[str, Count]


@dataclass(frozen=True, kw_only=True)
class BatchCancelled(Event, action="batch_cancelled"):
    """The batch will not run (again), and why."""

    cause: str


@dataclass(frozen=True, kw_only=True)
class BatchUndone(Event, action="batch_undone"):
    """The batch's people were opted out again on both sides; ``failed`` people are still to be opted out."""

    cause: str
    people: Count
    failed: Count
