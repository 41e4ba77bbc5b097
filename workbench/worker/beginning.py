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
from workbench.said import said
from workbench.store import consents
from workbench.trail import events, leaf_time
from workbench.worker.course import Course, rows_of
from workbench.worker.step import Step

NO_PERSON = Finding(
    code="no_person",
    severity="refuse",
    sentence=said("The register no longer has this person."),
    source="the right to erasure, GDPR Art. 17",
)
OTHER_RECORDS = Finding(
    code="records_changed_since_plan",
    severity="refuse",
    sentence=said("This person's set of Salesforce records is not the one that was approved; propose the person again."),
    source="an approval holds for the plan it names",
)
OTHER_FIELDS = Finding(
    code="fields_changed_since_plan",
    severity="refuse",
    sentence=said("`opt_out_fields` in workbench.toml are not those of the plan that was approved; propose the person again."),
    source="an approval holds for the plan it names",
)
OTHER_CONSENT = Finding(
    code="consent_changed_since_plan",
    severity="refuse",
    sentence=said("This person's consent was changed after the batch was approved; propose the person again."),
    source="an approval holds for the plan it names",
)
TOO_MANY_RECORDS = Finding(
    code="too_many_records",
    severity="refuse",
    sentence=said(
        "This person has more than {most} opted-out Salesforce records; have them merged, or clear them by hand.",
        most=PATCHES_A_CALL,
    ),
    source="one request clears a whole person, and Salesforce takes 25 changes a request",
)


def begin(course: Course, group: Sequence[Intent]) -> list[Intent]:
    """Judge people on their fresh state and send the requests of those who may be resubscribed; returns these."""
    leased = _lease(course, group)
    if not leased:
        return []
    reading = course.read(leased)
    evidence = check_evidence(course.desk, [i.consent_id for i in leased if i.consent_id])
    with course.step() as step:
        files = Files.of(step.tx, [i.person_id for i in leased], batch_id=course.batch.batch_id)
        chosen = consents.by_ids(step.tx, [i.consent_id for i in leased if i.consent_id])
        for intent in leased:
            rows = rows_of(intent, reading, files)
            known = intent.person_id in files.people
            findings = _plan_findings(intent, rows, chosen.get(intent.consent_id or "")) if known else (NO_PERSON,)
            if not findings:
                findings = course.verdict(intent, files=files, chosen=chosen, reading=reading, evidence=evidence).findings
            _decide(course, step, intent, files=files, rows=rows, findings=findings, reading=reading)
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
    with course.step() as step:
        held = course.lease(step.tx, group)
        for intent in group:
            if intent.person_id not in held:
                _postpone(step, intent, "in_use")
    return [i for i in group if i.person_id in held]


def _plan_findings(intent: Intent, rows: Sequence[OrgRow], consent: Consent | None) -> tuple[Finding, ...]:
    """What the approval objects to: it holds for the consent and records it names, and one request must hold a whole person."""
    if consent_digest(consent) != intent.consent_digest:
        return (OTHER_CONSENT,)
    if {r.record_id for r in rows} != {row["record_id"] for row in intent.planned_rows}:
        return (OTHER_RECORDS,)
    planned = {name for row in intent.planned_rows for name in row["opt_outs"]}
    if any(row.opt_outs.keys() != planned for row in rows):
        return (OTHER_FIELDS,)
    return (TOO_MANY_RECORDS,) if sum(r.opted_out for r in rows) > PATCHES_A_CALL else ()


def _decide(
    course: Course,
    step: Step,
    intent: Intent,
    *,
    files: Files,
    rows: Sequence[OrgRow],
    findings: Sequence[Finding],
    reading: Reading,
) -> None:
    quiet = course.desk.policy.quiet_period_seconds
    if findings:
        _refuse(course, step, intent, findings)
    elif unsettled(rows, server_time=reading.server_time, quiet_seconds=quiet):
        _postpone(step, intent, "changed_a_moment_ago")
    else:
        base, version = base_of(rows), files.people[intent.person_id].version
        step.move(intent, State.SENT, expected=NOT_SENT, base=base, base_version=version, attempts=1, cause="")
        step.note(intended(base, attempt=1), intent)


def _refuse(course: Course, step: Step, intent: Intent, findings: Sequence[Finding]) -> None:
    step.move(intent, State.REFUSED, expected=NOT_SENT, refusals=[asdict(f) for f in findings], cause="")
    event = events.PersonRefused(
        consent_id=intent.consent_id,
        findings=tuple(events.Finding(code=f.code, severity=f.severity, sentence=f.sentence) for f in findings),
        policy=course.desk.policy.digest,
    )
    step.note(event, intent)


def _postpone(step: Step, intent: Intent, cause: str) -> None:
    step.move(intent, State.POSTPONED, expected=NOT_SENT, cause=cause)
    step.note(events.PersonPostponed(cause=cause, until=None), intent)
