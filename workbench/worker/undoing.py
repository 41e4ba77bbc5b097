"""Undo: everybody whom a batch resubscribed is opted out again on both sides. Always allowed to an admin; the safe direction."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.desk import Desk, read_people
from workbench.errors import BatchError, NotAllowedError
from workbench.org import OrgError
from workbench.resubscription import MOST_ATTEMPTS, ROWS_A_READING, Batch, Intent, State, groups, known_ids, linked_rows, living
from workbench.said import said
from workbench.store import batches, mismatches, operators, people, records
from workbench.trail import events
from workbench.worker.course import Outcome, only_here
from workbench.worker.running import outcome_of
from workbench.worker.step import step


def undo(desk: Desk, batch_id: str) -> Outcome:
    """Opt the batch's people out again: the register first, then Salesforce. May be repeated until all of Salesforce followed.

    Raises:
        NotAllowedError: the operator is no administrator.
        BatchError: there is no such batch, or it is being run.
        OrgError: Salesforce could not be written; it says so: the register is opted out already, undo goes on from there.
    """
    with desk.store.read() as tx:
        batch = batches.get(tx, batch_id)
        if "admin" not in operators.roles(tx, desk.operator.name):
            raise NotAllowedError(said("only an administrator undoes a batch"))
    with only_here(desk, batch.batch_id):
        _refuse_while_under_way(desk, batch)
        _unsubscribe(desk, batch)
        undoing = _undoing(desk, batch)
        failed = len(undoing)
        try:
            for _ in range(MOST_ATTEMPTS):  # an answer may be lost or a row be locked; setting an opt-out twice does no harm
                failed = _opt_out(desk, batch, _undoing(desk, batch)) if failed else 0
        except OrgError as error:
            raise _half_done(error, len(_undoing(desk, batch))) from error
        with desk.store.write() as tx:
            batches.change(tx, batch.batch_id, expected=[batch.state], state=batch.state if failed else "undone")
            event = events.BatchUndone(cause="undone by an administrator", people=len(undoing), failed=failed)
            desk.trail.append(tx, event, batch_id=batch.batch_id)
            if not failed:
                batches.let_go(tx, batch.batch_id)
            mismatches.refresh(tx, desk.clock(), append_event=desk.trail.append)
            desk.trail.checkpoint(tx, required=False)
    with desk.store.read() as tx:
        return outcome_of(desk, batches.get(tx, batch.batch_id))


def _half_done(error: OrgError, people: int) -> OrgError:
    """The same error, which also says what is done and what is left."""
    text = said(
        "{count} people of the batch are unsubscribed in the register, but their Salesforce records are not opted out yet: {error}",
        count=people,
        error=error.args[0],
    )
    advice = said("{sentence} Then undo the batch again, or let the next `workbench sync` opt them out.", sentence=error.advice)
    return type(error)(text, advice)


def _refuse_while_under_way(desk: Desk, batch: Batch) -> None:
    with desk.store.read() as tx:
        counts = batches.by_state(tx, batch.batch_id)
    if batch.state not in ("finished", "paused", "running", "cancelled", "undone"):
        raise BatchError(
            said("the batch is {state}; there is nothing to undo", state=batch.state),
            said("Cancel it instead with `workbench batch cancel`."),
        )
    if any(counts[state] for state in (State.SENT, State.VERIFIED, State.ABORTING)):
        raise BatchError(
            said("some people of this batch are still on the way"),
            said("Bring them to their end first with `workbench batch resume`."),
        )


def _unsubscribe(desk: Desk, batch: Batch) -> None:
    """In one transaction: everybody done is unsubscribed in the register, and what Salesforce must follow is on the trail."""
    with step(desk, batch.batch_id, signed=False) as made:
        done = batches.intents(made.tx, batch.batch_id, states=[State.DONE])
        alive = people.by_ids(made.tx, [i.person_id for i in done])
        done = tuple(i for i in done if i.person_id in alive)  # who was erased since is kept out on both sides anyhow
        elsewhere = batches.open_batches_of(made.tx, [i.person_id for i in done], other_than=batch.batch_id)
        now = desk.trail.moment(made.tx)  # however wrong the clock is, this is no older than the consent that it overrules
        for intent in done:
            people.unsubscribe(
                made.tx,
                intent.person_id,
                opted_out_at=now,
                source="manual",
                detail=f"batch {batch.batch_id} was undone",
                recorded_at=now,
                recorded_by=desk.operator.name,
            )
            made.move(intent, State.UNDOING, expected=[State.DONE], holds_person=intent.person_id not in elsewhere)
            made.note(events.OptOutIntended(by="undo", rows=tuple(b.record_id for b in intent.base)), intent)


def _undoing(desk: Desk, batch: Batch) -> Sequence[Intent]:
    with desk.store.read() as tx:
        return batches.intents(tx, batch.batch_id, states=[State.UNDOING])


def _rows(desk: Desk, undoing: Sequence[Intent]) -> dict[str, list[tuple[str, str]]]:
    """By intent, (object, id) of every living row that was cleared or is the person's by now."""
    with desk.store.read() as tx:
        known = people.by_ids(tx, [i.person_id for i in undoing])
    rows: dict[str, list[tuple[str, str]]] = {}
    for some in groups(undoing, size=lambda i: max(len(i.base), 1), most=ROWS_A_READING):
        ids = {r for i in some for r in known_ids(i, known.get(i.person_id))}
        reading = read_people(desk, [known[i.person_id] for i in some if i.person_id in known], ids)
        alive = living(reading.rows)
        for intent in some:
            person = known.get(intent.person_id)
            mine = linked_rows(reading, person, known_ids(intent, person)) if person else ()
            theirs = {b.record_id for b in intent.base} | {row.record_id for row in mine}
            rows[intent.intent_id] = sorted((alive[i].object, i) for i in theirs if i in alive)
    return rows


def _announce(desk: Desk, batch: Batch, undoing: Sequence[Intent], rows: dict[str, list[tuple[str, str]]]) -> None:
    """Durable before the request leaves: the records that are these people's by now, beside those that the batch cleared."""
    cleared = {i.intent_id: {b.record_id for b in i.base} for i in undoing}
    more = {i: tuple(record_id for _, record_id in some if record_id not in cleared[i]) for i, some in rows.items()}
    if any(more.values()):
        with step(desk, batch.batch_id, signed=False) as made:
            for intent in undoing:
                if more[intent.intent_id]:
                    made.note(events.OptOutIntended(by="undo", rows=more[intent.intent_id]), intent)


def _opt_out(desk: Desk, batch: Batch, undoing: Sequence[Intent]) -> int:
    """Write the opt-outs to Salesforce; returns how many people are still to be written."""
    rows = _rows(desk, undoing)
    _announce(desk, batch, undoing, rows)
    every = sorted({row for some in rows.values() for row in some})
    answers = {a.record_id: a for a in desk.org.opt_out(every)} if every else {}
    still_mailed = _still_mailed(desk, [record_id for _, record_id in every])
    failed = 0
    with step(desk, batch.batch_id, signed=False) as made:
        for intent in undoing:
            said = [answers[record_id] for _, record_id in rows[intent.intent_id]]
            parts = tuple(events.RowAnswer(record_id=a.record_id, status=None, code=a.code or a.outcome) for a in said)
            if still_mailed.isdisjoint(record_id for _, record_id in rows[intent.intent_id]):
                made.move(intent, State.UNDONE, expected=[State.UNDOING], cause="undone")
                made.note(events.OptOutWritten(rows=parts), intent)
            else:
                failed += 1
                made.note(events.OptOutFailed(cause="not_written", rows=parts), intent)
    return failed


def _still_mailed(desk: Desk, record_ids: Sequence[str]) -> frozenset[str]:
    """Those of the records that are not opted out, read back: an answer is not believed, and the register learns how they stand."""
    found: set[str] = set()
    for i in range(0, len(record_ids), ROWS_A_READING):
        asked_at = desk.clock()
        reading = desk.org.read(record_ids=record_ids[i : i + ROWS_A_READING], addresses=[], history=True)
        found.update(record_id for record_id, row in living(reading.rows).items() if not all(row.opt_outs.values()))
        with desk.store.write() as tx:
            records.store_reading(tx, reading, seen_at=desk.clock(), asked_at=asked_at)
    return frozenset(found)
