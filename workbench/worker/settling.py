"""Steps 5 to 8: read back, verify, close the register; or opt the person out again everywhere.

Nobody here trusts an answer. A person is done when every record was read back twice as not opted out, changed by us and by nobody
else, and the register knew of no newer unsubscribe in the very transaction that closed it.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.consent import Consent
from workbench.desk import Desk, Files, check_evidence
from workbench.org import FieldChange, OrgRow, Reading, RowAnswer
from workbench.person import Unsubscribe, unsubscribed
from workbench.resubscription import (
    CAUSES,
    MOST_ATTEMPTS,
    PATCHES_A_CALL,
    Abort,
    BaseRow,
    Intent,
    SendAgain,
    State,
    Verified,
    after_sending,
    before_closing,
    clears,
    groups,
    living,
    still_to_opt_out,
)
from workbench.said import said
from workbench.store import consents, people
from workbench.store.database import Transaction
from workbench.trail import events, leaf_time
from workbench.worker.beginning import intended, send
from workbench.worker.course import Course, rows_of
from workbench.worker.step import Step

ON_THE_WAY = (State.SENT, State.VERIFIED)


def settle(course: Course, group: Sequence[Intent]) -> None:
    """Bring people whose request may have left to their end: resubscribed on both sides, or opted out on both."""
    with course.desk.store.write() as tx:
        course.lease(tx, group)
    verify(course, course.current(group, State.SENT))
    close(course, course.current(group, State.VERIFIED))
    opt_out_again(course, course.current(group, State.ABORTING))


def verify(course: Course, group: Sequence[Intent]) -> None:
    """Step 5: read until every row is known to be cleared by us, or something does not fit."""
    while group:
        reading = course.read(group)
        repeatable = group if any(row.opted_out for row in reading.rows) else ()  # else no request is sent a second time
        evidence = check_evidence(course.desk, [i.consent_id for i in repeatable if i.consent_id])
        again: list[tuple[Intent, tuple[BaseRow, ...]]] = []
        with course.step() as step:
            course.lease(step.tx, group)
            files = Files.of(step.tx, [i.person_id for i in group], batch_id=course.batch.batch_id)
            chosen = consents.by_ids(step.tx, [i.consent_id for i in repeatable if i.consent_id])
            for intent in group:
                rows = rows_of(intent, reading, files)
                decision = _after_sending(course, intent, rows, files=files, reading=reading)
                if isinstance(decision, SendAgain):
                    verdict = course.verdict(intent, files=files, chosen=chosen, reading=reading, evidence=evidence)
                    if not verdict.eligible:
                        decision = Abort("no_longer_eligible", ", ".join(verdict.codes))
                _carry_out(course, step, intent, decision, rows)
                if isinstance(decision, SendAgain):
                    again.append((intent, decision.rows))
        group = _send_again(course, again)


def close(course: Course, group: Sequence[Intent]) -> None:
    """Steps 6 and 7: the final check on a new reading, then the register, in one transaction."""
    if not group:
        return
    reading = course.read(group)
    with course.step() as step:
        files = Files.of(step.tx, [i.person_id for i in group], batch_id=course.batch.batch_id)
        chosen = consents.by_ids(step.tx, [i.consent_id for i in group if i.consent_id])
        held = course.held(step.tx, group)
        fitting: list[tuple[Intent, tuple[OrgRow, ...]]] = []
        for intent in group:
            rows = rows_of(intent, reading, files)
            objection = _last_objection(course, intent, rows, files=files, reading=reading, held=held)
            if objection is not None:
                _begin_abort(course, step, intent, objection, rows)
            else:
                fitting.append((intent, rows))
        episodes = people.close_unsubscribes(step.tx, {i.person_id: i.intent_id for i, _ in fitting}, at=course.desk.clock())
        for intent, rows in fitting:
            consent = chosen[intent.consent_id or ""]
            _done(course, step, intent, rows=rows, consent=consent, episodes=episodes.get(intent.person_id, ()))
        course.remember(step.tx, reading)
    course.report()


def opt_out_again(course: Course, group: Sequence[Intent]) -> None:
    """Step 8: write the opt-out to every row that a request may have reached, read it back, and say why.

    Read back means: every row is opted out and no longer on the stamp that a clear of ours, should it still be on its way, asks for.
    """
    for _ in range(MOST_ATTEMPTS):
        if not group:
            return
        answers = {a.record_id: a for a in course.desk.org.opt_out(_announced(course, group))}
        reading = course.read(group)
        with course.step() as step:
            files = Files.of(step.tx, [i.person_id for i in group], batch_id=course.batch.batch_id)
            for intent in group:
                rows = rows_of(intent, reading, files)
                if open_rows := still_to_opt_out(intent, rows):
                    parts = tuple(events.RowAnswer(record_id=r, status=None, code=_said(answers.get(r))) for r in open_rows)
                    step.note(events.OptOutFailed(cause="not_opted_out", rows=parts), intent)
                else:
                    _aborted(step, intent, living(rows))
            course.remember(step.tx, reading)
        group = course.current(group, State.ABORTING)
    if group:
        ids = ", ".join(i.person_id for i in group[:5])
        course.alarm = said(
            "{count} people could not be opted out again in Salesforce ({ids}); do it by hand there, then resume.",
            count=len(group),
            ids=ids,
        )


def _announced(course: Course, group: Sequence[Intent]) -> list[tuple[str, str]]:
    """(object, id) of every row that a request may have reached, and of every living row that is these people's by now.

    The latter are on the trail before they are written; the former are since their people turned back.
    """
    reading = course.read(group)
    to_opt_out: set[tuple[str, str]] = set()
    with course.step() as step:
        files = Files.of(step.tx, [i.person_id for i in group], batch_id=course.batch.batch_id)
        for intent in group:
            reached = {(b.object, b.record_id) for b in intent.base}
            theirs = {(row.object, row.record_id) for row in living(rows_of(intent, reading, files)).values()}
            if more := sorted(record_id for _, record_id in theirs - reached):
                step.note(events.OptOutIntended(by="batch", rows=tuple(more)), intent)
            to_opt_out |= reached | theirs
    return sorted(to_opt_out)


def _said(answer: RowAnswer | None) -> str:
    return (answer.code or answer.outcome) if answer else "unknown"


def _after_sending(
    course: Course, intent: Intent, rows: Sequence[OrgRow], *, files: Files, reading: Reading
) -> Verified | SendAgain | Abort:
    if objection := _local_objection(intent, files):
        return objection
    refused = any(course.answers[b.record_id].outcome == "refused" for b in intent.base if b.record_id in course.answers)
    return after_sending(intent, rows, _history(intent, rows, reading), us=course.us, refused=refused)


def _last_objection(
    course: Course, intent: Intent, rows: Sequence[OrgRow], *, files: Files, reading: Reading, held: frozenset[str]
) -> Abort | None:
    """What speaks against closing the register: the register itself, a lease that was lost, or what was read last."""
    if objection := _local_objection(intent, files):
        return objection
    if intent.person_id not in held:
        return Abort("lease_lost", "")
    return before_closing(intent, rows, _history(intent, rows, reading), us=course.us)


def _history(intent: Intent, rows: Sequence[OrgRow], reading: Reading) -> tuple[FieldChange, ...]:
    """The history of every row that is decided on."""
    return reading.history_of(sorted({r.record_id for r in rows} | {b.record_id for b in intent.base}))


def _local_objection(intent: Intent, files: Files) -> Abort | None:
    """Whether the person changed in the register since the decision: another version, mostly a new unsubscribe."""
    person = files.people.get(intent.person_id)
    if files.others.get(intent.person_id):
        return Abort("person_changed", "somebody else shares the address or a record by now")
    if person is not None and person.version == intent.base_version:
        return None
    newest = max(files.unsubscribes.get(intent.person_id, ()), key=_recorded, default=None)
    if newest is not None and newest.closed_at is None and newest.recorded_at >= intent.changed_at:
        return Abort("opted_out_in_register", newest.unsubscribe_id)
    return Abort("person_changed", f"version {intent.base_version} was decided on")


def _recorded(episode: Unsubscribe) -> tuple[object, str]:
    return episode.recorded_at, episode.unsubscribe_id


def _carry_out(
    course: Course, step: Step, intent: Intent, decision: Verified | SendAgain | Abort, rows: Sequence[OrgRow]
) -> None:
    _note_answers(course, step, intent)
    if isinstance(decision, Verified):
        step.move(intent, State.VERIFIED, expected=[State.SENT], base=decision.base)
        stamps = tuple(
            events.VerifiedRow(record_id=b.record_id, stamp=leaf_time(b.verified_stamp or b.stamp)) for b in decision.base
        )
        step.note(events.ClearVerified(rows=stamps), intent)
    elif isinstance(decision, SendAgain):
        attempt = intent.attempts + 1
        step.move(intent, State.SENT, expected=[State.SENT], attempts=attempt)
        step.note(intended(decision.rows, attempt=attempt), intent)
    else:
        _begin_abort(course, step, intent, decision, rows)


def _note_answers(course: Course, step: Step, intent: Intent) -> None:
    said = [course.answers.pop(b.record_id) for b in intent.base if b.record_id in course.answers]
    if said:
        parts = tuple(events.RowAnswer(record_id=a.record_id, status=None, code=a.code or a.outcome) for a in said)
        step.note(events.ClearAnswered(rows=parts, attempt=intent.attempts), intent)


def _send_again(course: Course, again: Sequence[tuple[Intent, tuple[BaseRow, ...]]]) -> list[Intent]:
    if again:
        course.pause_before(again[0][0].attempts)
    for packed in groups(again, size=lambda pair: len(clears(pair[1])), most=PATCHES_A_CALL):
        send(course, [write for intent, rows in packed for write in clears(rows, intent.intent_id)])
    return course.current([intent for intent, _ in again], State.SENT)


def _begin_abort(course: Course, step: Step, intent: Intent, abort: Abort, rows: Sequence[OrgRow]) -> None:
    turn_back(course.desk, step, intent, abort, rows)
    if abort.cause == "history_missing":
        course.alarm = CAUSES[abort.cause]


def turn_back(desk: Desk, step: Step, intent: Intent, abort: Abort, rows: Sequence[OrgRow]) -> None:
    """Somebody on the way is to be opted out again everywhere, and the register says at once that no mail goes out."""
    step.move(intent, State.ABORTING, expected=ON_THE_WAY, cause=abort.cause)
    event = events.AbortIntended(cause=abort.cause, detail=abort.detail, rows=tuple(b.record_id for b in intent.base))
    step.note(event, intent)
    if abort.cause == "opted_out_in_salesforce":
        _record_opt_out(desk, step, intent, rows, detail="opted out in Salesforce while a batch ran")
    elif _subscribed(step.tx, intent.person_id):
        _record_opt_out(desk, step, intent, rows, detail="opted out in Salesforce, where a batch could not clear it")


def _subscribed(tx: Transaction, person_id: str) -> bool:
    """Whether the register would mail a person of a batch: one who was opted out in Salesforce only."""
    episodes = people.unsubscribes(tx, [person_id]).get(person_id, ())
    return bool(people.by_ids(tx, [person_id])) and not unsubscribed(episodes)


def _record_opt_out(desk: Desk, step: Step, intent: Intent, rows: Sequence[OrgRow], *, detail: str) -> None:
    """The register learns of the opt-out at once: the consent at hand is older than it and can't be used again.

    It was seen on a record that had been read, on that consent, as the person's last word: so it is no older than the consent, though
    the two were dated by two clocks.
    """
    now = desk.trail.moment(step.tx)
    consent = consents.by_ids(step.tx, [intent.consent_id or ""]).get(intent.consent_id or "")
    given = [consent.counts_from] if consent and consent.counts_from else []
    read = {b.record_id: b.stamp for b in intent.base}
    moved = [r.system_modstamp for r in rows if r.opted_out and r.system_modstamp != read.get(r.record_id)]
    moment = max([*(moved or [now]), *given])
    episode = people.unsubscribe(
        step.tx,
        intent.person_id,
        opted_out_at=moment,
        source="salesforce_sync",
        detail=detail,
        recorded_at=now,
        recorded_by=desk.operator.name,
    )
    event = events.UnsubscribeRecorded(
        unsubscribe_id=episode, opted_out_at=leaf_time(moment), source="salesforce_sync", detail=detail
    )
    step.note(event, intent)


def _aborted(step: Step, intent: Intent, rows: dict[str, OrgRow]) -> None:
    step.move(intent, State.ABORTED, expected=[State.ABORTING])
    org = {record_id: dict(row.opt_outs) for record_id, row in rows.items()}
    step.note(events.PersonAborted(cause=intent.cause, after=events.BothSides(unsubscribed=True, org=org)), intent)


def _done(
    course: Course, step: Step, intent: Intent, *, rows: Sequence[OrgRow], consent: Consent, episodes: tuple[str, ...]
) -> None:
    step.move(intent, State.DONE, expected=[State.VERIFIED], done_at=course.desk.clock(), cause="")
    to_clear, found = {b.record_id: b.to_clear for b in intent.base}, living(rows)
    event = events.PersonResubscribed(
        before=events.BothSides(
            unsubscribed=bool(episodes), org={i: {f: f in to_clear[i] for f in row.opt_outs} for i, row in found.items()}
        ),
        after=events.BothSides(unsubscribed=False, org={i: dict(row.opt_outs) for i, row in found.items()}),
        consent_id=consent.consent_id,
        evidence=tuple(e.sha256 for e in consent.evidence),
        episodes=episodes,
    )
    step.note(event, intent)
