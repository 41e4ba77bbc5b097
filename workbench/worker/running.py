"""From an approved batch to a finished one; or to a paused one that loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from workbench.desk import Desk
from workbench.errors import BatchError, StoreError, WorkbenchError
from workbench.resubscription import FINAL, NOT_SENT, ROWS_A_READING, Batch, Intent, State, groups
from workbench.said import joined, kept, said
from workbench.store import batches, leases, mismatches, operators, records
from workbench.trail import events
from workbench.worker.beginning import begin
from workbench.worker.course import Course, Listener, Outcome, only_here
from workbench.worker.settling import settle

POSTPONED = kept("Some people's records were changed, or in use, a moment ago; resume in a minute.")


def run(desk: Desk, batch_id: str, *, listener: Listener | None = None, stop: threading.Event | None = None) -> Outcome:
    """Run an approved batch, or go on with one that was paused or whose process died. Running a finished one changes nothing.

    Raises:
        BatchError: not approved, changed since, stale, or being run elsewhere.
        OrgError, StoreError: the run had to pause; everything done so far is durable and `run` goes on from there.
    """
    with desk.store.read() as tx:
        batch = batches.get(tx, batch_id)
    if batch.state == "finished":
        return outcome_of(desk, batch)
    with only_here(desk, batch.batch_id):
        batch = _start(desk, batch.batch_id)
        try:
            course = Course(desk, batch, listener=listener, stop=stop)
            with desk.store.write() as tx:
                records.remember_own_user(tx, course.us)
            cause = _work(course)
        except WorkbenchError as error:
            with suppress(StoreError):  # a register that can't be written now says `running`, which can be resumed as well
                _end(desk, batch, cause=str(error))
            raise
        _end(desk, batch, cause=cause)
    with desk.store.read() as tx:
        return outcome_of(desk, batches.get(tx, batch.batch_id))


def outcome_of(desk: Desk, batch: Batch) -> Outcome:
    """How a batch stands, from the register."""
    with desk.store.read() as tx:
        counts = batches.by_state(tx, batch.batch_id)
    return Outcome(
        batch_id=batch.batch_id,
        state=batch.state,
        done=counts[State.DONE],
        refused=counts[State.REFUSED],
        aborted=counts[State.ABORTED],
        undone=counts[State.UNDONE] + counts[State.UNDOING],
        postponed=counts[State.POSTPONED],
        remaining=sum(n for state, n in counts.items() if state not in FINAL and state is not State.UNDOING),
        cause=batch.pause_cause,
    )


def _start(desk: Desk, batch_id: str) -> Batch:
    with desk.store.write() as tx:
        batch = batches.get(tx, batch_id)
        roles = operators.roles(tx, desk.operator.name)
        blockers = batch.run_blockers(desk.policy, digest=batches.digest_now(tx, batch), roles=roles, now=desk.clock())
        if blockers:
            raise BatchError(joined(" ", blockers), said("`workbench batch show` tells how the batch stands."))
        started = batch.started_at or desk.clock()
        left = sum(n for state, n in batches.by_state(tx, batch_id).items() if state not in FINAL)
        batches.change(tx, batch_id, expected=[batch.state], state="running", started_at=started, pause_cause="")
        first = events.BatchStarted(digest=batch.digest, cap=desk.policy.write_cap)
        desk.trail.append(tx, events.BatchResumed(left=left) if batch.started_at else first, batch_id=batch_id)
        desk.trail.checkpoint(tx)
    return replace(batch, state="running", started_at=started)


def _refuse_without_their_fields(course: Course, under_way: Sequence[Intent]) -> None:
    """People on the way are read, cleared and opted out by the fields that they were begun with, or not at all."""
    begun_with = {name for intent in under_way for row in intent.base for name in row.to_clear}
    if gone := sorted(begun_with.difference(course.desk.org.opt_out_fields)):
        raise BatchError(
            said(
                "people of this batch are on the way to be cleared of {fields}, which `opt_out_fields` no longer names",
                fields=", ".join(gone),
            ),
            said("Put it back in workbench.toml, resume the batch, and take it out when nobody is on the way any more."),
        )


def _work(course: Course) -> str:
    """All people of the batch, once; returns why the run stopped early, or ""."""
    with course.desk.store.read() as tx:
        under_way = batches.intents(tx, course.batch.batch_id, states=[State.SENT, State.VERIFIED, State.ABORTING])
    _refuse_without_their_fields(course, under_way)
    for group in groups(under_way, size=lambda i: max(len(i.base), 1), most=ROWS_A_READING):
        settle(course, group)
    position = -1
    while not course.alarm and (group := _next_group(course, after=position)):
        if course.stop.is_set():
            return said("Stopped by the operator.")
        if course.begun >= course.desk.policy.write_cap:
            return said("The policy's cap of {cap} people a run is reached.", cap=course.desk.policy.write_cap)
        course.desk.org.keep_within_budget()
        position = group[-1].position
        settle(course, begin(course, group))
        course.report()
    return course.alarm


def _next_group(course: Course, *, after: int) -> list[Intent]:
    """The next people in order, as many as fit one reading and the cap."""
    with course.desk.store.read() as tx:
        waiting = batches.intents(tx, course.batch.batch_id, states=NOT_SENT, after=after, limit=ROWS_A_READING)
    packed = groups(waiting, size=lambda i: max(len(i.planned_rows), 1), most=ROWS_A_READING)
    return packed[0][: max(course.desk.policy.write_cap - course.begun, 1)] if packed else []


def _end(desk: Desk, batch: Batch, *, cause: str) -> None:
    """Finished when everybody has an end, else paused and why; leases go back, mismatches are looked at again."""
    with desk.store.write() as tx:
        counts = batches.by_state(tx, batch.batch_id)
        left = sum(n for state, n in counts.items() if state not in FINAL)
        if left:
            why = cause or POSTPONED
            batches.change(tx, batch.batch_id, expected=["running"], state="paused", pause_cause=why)
            paused = events.BatchPaused(cause="paused", detail=why, done=counts[State.DONE], left=left)
            desk.trail.append(tx, paused, batch_id=batch.batch_id)
        else:
            batches.change(tx, batch.batch_id, expected=["running"], state="finished", finished_at=desk.clock())
            ends = {str(state).lower(): n for state, n in counts.items()}
            desk.trail.append(tx, events.BatchFinished(counts=ends), batch_id=batch.batch_id)
        leases.release(tx, holder=f"batch:{batch.batch_id}")
        mismatches.refresh(tx, desk.clock(), append_event=desk.trail.append)
        desk.trail.checkpoint(tx)
