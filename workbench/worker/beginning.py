"""Steps 0 to 4: take the lease, read, judge on the fresh state, make the intention durable, send the conditional request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from workbench.consent import Consent
from workbench.desk import Files, check_evidence
from workbench.eligibility import Finding
from workbench.org import ConditionalClear, OrgRow, Reading
from workbench.resubscription import (
    NOT_SENT,
    PATCHES_A_CALL,
    BaseRow,
    Intent,
    State,
    base_of,
    clears,
    consent_digest,
    groups,
    unsettled,
)
from workbench.store import batches, consents
from workbench.store.database import Transaction
from workbench.trail import events, leaf_time
from workbench.worker.course import Course, rows_of

NO_PERSON = Finding(
    code="no_person",
    severity="refuse",
    sentence="The register no longer has this person.",
    source="the right to erasure, GDPR Art. 17",
)
OTHER_RECORDS = Finding(
    code="records_changed_since_plan",
    severity="refuse",
    sentence="This person's set of Salesforce records is not the one that was approved; propose the person again.",
    source="an approval holds for the plan it names",
)
OTHER_CONSENT = Finding(
    code="consent_changed_since_plan",
    severity="refuse",
    sentence="This person's consent was changed after the batch was approved; propose the person again.",
    source="an approval holds for the plan it names",
)
TOO_MANY_RECORDS = Finding(
    code="too_many_records",
    severity="refuse",
    sentence=f"This person has more than {PATCHES_A_CALL} opted-out Salesforce records; have them merged, or clear them by hand.",
    source="one request clears a whole person, and Salesforce takes 25 changes a request",
)


def begin(course: Course, group: Sequence[Intent]) -> list[Intent]:
    """Judge people on their fresh state and send the requests of those who may be resubscribed; returns these."""
    leased = _lease(course, group)
    if not leased:
        return []
    reading = course.read(leased)
    evidence = check_evidence(course.desk, [i.consent_id for i in leased if i.consent_id])
    with course.desk.store.write() as tx:
        files = Files.of(tx, [i.person_id for i in leased], batch_id=course.batch.batch_id)
        chosen = consents.by_ids(tx, [i.consent_id for i in leased if i.consent_id])
        for intent in leased:
            rows = rows_of(intent, reading, files)
            known = intent.person_id in files.people
            findings = _plan_findings(intent, rows, chosen.get(intent.consent_id or "")) if known else (NO_PERSON,)
            if not findings:
                findings = course.verdict(intent, files=files, chosen=chosen, reading=reading, evidence=evidence).findings
            _decide(course, tx, intent, files=files, rows=rows, findings=findings, reading=reading)
        course.desk.trail.checkpoint(tx)
    sent = course.current(leased, State.SENT)
    course.begun += len(sent)
    for packed in groups(sent, size=lambda i: len(clears(i.base)), most=PATCHES_A_CALL):
        send(course, [write for intent in packed for write in clears(intent.base, intent.intent_id)])
    return sent


def send(course: Course, writes: Sequence[ConditionalClear]) -> None:
    """One composite of conditional changes; what came of it is believed only after a reading."""
    if writes:
        course.answers |= {answer.record_id: answer for answer in course.desk.org.clear(writes)}


def intended(rows: Sequence[BaseRow], *, attempt: int) -> events.ClearIntended:
    """The event that is durable before a request leaves."""
    parts = tuple(
        events.IntendedRow(record_id=r.record_id, base=leaf_time(r.stamp), fields=r.to_clear) for r in rows if r.to_clear
    )
    return events.ClearIntended(rows=parts, attempt=attempt)


def _lease(course: Course, group: Sequence[Intent]) -> list[Intent]:
    with course.desk.store.write() as tx:
        held = course.lease(tx, group)
        for intent in group:
            if intent.person_id not in held:
                _postpone(course, tx, intent, "in_use")
    return [i for i in group if i.person_id in held]


def _plan_findings(intent: Intent, rows: Sequence[OrgRow], consent: Consent | None) -> tuple[Finding, ...]:
    """What the approval objects to: it holds for the consent and records it names, and one request must hold a whole person."""
    if consent_digest(consent) != intent.consent_digest:
        return (OTHER_CONSENT,)
    if {r.record_id for r in rows} != {row["record_id"] for row in intent.planned_rows}:
        return (OTHER_RECORDS,)
    return (TOO_MANY_RECORDS,) if sum(r.opted_out for r in rows) > PATCHES_A_CALL else ()


def _decide(
    course: Course,
    tx: Transaction,
    intent: Intent,
    *,
    files: Files,
    rows: Sequence[OrgRow],
    findings: Sequence[Finding],
    reading: Reading,
) -> None:
    quiet = course.desk.policy.quiet_period_seconds
    if findings:
        _refuse(course, tx, intent, findings)
    elif unsettled(rows, server_time=reading.server_time, quiet_seconds=quiet):
        _postpone(course, tx, intent, "changed_a_moment_ago")
    else:
        base, version = base_of(rows), files.people[intent.person_id].version
        batches.move(
            tx,
            intent,
            State.SENT,
            expected=NOT_SENT,
            at=course.desk.clock(),
            base=base,
            base_version=version,
            attempts=1,
            cause="",
        )
        course.desk.trail.append(tx, intended(base, attempt=1), **course.about(intent))


def _refuse(course: Course, tx: Transaction, intent: Intent, findings: Sequence[Finding]) -> None:
    refusals = [asdict(f) for f in findings]
    batches.move(tx, intent, State.REFUSED, expected=NOT_SENT, at=course.desk.clock(), refusals=refusals, cause="")
    event = events.PersonRefused(
        consent_id=intent.consent_id,
        findings=tuple(events.Finding(code=f.code, severity=f.severity, sentence=f.sentence) for f in findings),
        policy=course.desk.policy.digest,
    )
    course.desk.trail.append(tx, event, **course.about(intent))


def _postpone(course: Course, tx: Transaction, intent: Intent, cause: str) -> None:
    batches.move(tx, intent, State.POSTPONED, expected=NOT_SENT, at=course.desk.clock(), cause=cause)
    course.desk.trail.append(tx, events.PersonPostponed(cause=cause, until=None), **course.about(intent))
