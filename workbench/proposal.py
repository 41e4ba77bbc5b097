"""Propose, look at, approve, cancel: a batch before it runs. A dry run in full: rules on a fresh reading, cost, forecast.

Nothing is written to Salesforce here. What is approved is a digest over everything that the plan decides on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.consent import Consent
from workbench.desk import Desk, Files, case_for, check_evidence, read_people
from workbench.eligibility import EvidenceCheck, assess
from workbench.errors import BatchError, InputError, NotAllowedError
from workbench.org import Reading
from workbench.person import Person, new_id
from workbench.resubscription import Batch, Intent, PlannedPerson, State, calls_for, consent_digest, linked_rows, plan_digest
from workbench.said import joined, said
from workbench.store import batches, consents, mismatches, operators, people, records, restores
from workbench.store.database import Transaction
from workbench.trail import events

if TYPE_CHECKING:
    import pandas as pd

PEOPLE_A_READING = 100
STRONGER = "stronger_evidence_needed"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A batch as proposed: who would be resubscribed and who not and why, what it costs, what it changes tonight.

    ``blockers`` are sentences; empty means that this operator may approve now. ``cost`` and ``calls_left`` are API calls;
    ``calls_left`` is None for a plan that was read back from the register. The forecasts count people of this batch whom
    tonight's sync would touch, without and with the batch.
    """

    batch: Batch
    blockers: tuple[str, ...]
    cost: int
    calls_left: int | None
    forecast_before: int
    forecast_after: int
    rows: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def id(self) -> str:
        """The batch's id."""
        return self.batch.batch_id

    @property
    def digest(self) -> str:
        """What an approval names."""
        return self.batch.digest

    @property
    def eligible(self) -> int:
        """People who would be resubscribed."""
        return sum(row["outcome"] == "eligible" for row in self.rows)

    @property
    def refused(self) -> int:
        """People who would not: refused, or in need of stronger evidence."""
        return len(self.rows) - self.eligible

    @property
    def table(self) -> pd.DataFrame:
        """One row a person: person_id, email, outcome, codes, sentences, records (int), consent_id; all text but records."""
        import pandas as pd

        return pd.DataFrame(
            list(self.rows), columns=["person_id", "email", "outcome", "codes", "sentences", "records", "consent_id"]
        )


def propose(
    desk: Desk, person_ids: Sequence[str], *, given: Sequence[Consent] | None = None, reason: str, keep: bool = True
) -> Plan:
    """Plan a batch and store it as proposed.

    Args:
        person_ids: whom; doubles are dropped.
        given: the consents to use; without them, each person's latest consent on file.
        reason: one of the policy's codes.
        keep: False only looks: nothing is proposed, nobody is held, and the plan's id names nothing.

    Raises:
        NotAllowedError: the operator has no role that proposes.
        InputError: nobody named, an unknown person or reason.
        BatchError: nobody is eligible and none could be held for the batch.
        OrgError: Salesforce could not be read; nothing was stored.
    """
    wanted = _checked(desk, person_ids, reason)
    with desk.store.read() as tx:
        chosen = {c.person_id: c for c in given} if given is not None else consents.latest(tx, wanted)
        known = people.by_ids(tx, wanted)
    if missing := [p for p in wanted if p not in known]:
        raise InputError(
            said("{count} of the people named are not in the register ({ids})", count=len(missing), ids=", ".join(missing[:3]))
        )
    evidence = check_evidence(desk, [c.consent_id for c in chosen.values()])
    unwritable = tuple(f"{a.object}.{a.field}" for a in desk.org.access() if not a.updateable)
    readings = [
        _read(desk, [known[p] for p in wanted[i : i + PEOPLE_A_READING]]) for i in range(0, len(wanted), PEOPLE_A_READING)
    ]
    usage = desk.org.usage()
    with desk.store.write() as tx:
        records.remember_own_user(tx, desk.org.identity().user_id)
        for reading in readings:
            records.store_reading(tx, reading, seen_at=desk.clock())
        records.relink(tx, wanted)
        planned = _judge(
            desk, tx, wanted, readings=readings, chosen=chosen, evidence=evidence, unwritable=unwritable, reason=reason
        )
        batch, intents = _batch(desk, planned, reason=reason)
        if keep:
            if busy := batches.add(tx, batch, intents):  # the rules saw no other batch, so this is a defect rather than a race
                raise BatchError(
                    said("{count} people are held by another batch", count=len(busy)), said("Propose again without them.")
                )
            _note(desk, tx, batch, planned, intents)
        return _plan(desk, tx, batch, intents, calls_left=usage.allowed - usage.used)


def plan_of(desk: Desk, batch_id: str) -> Plan:
    """The plan of a batch as the register holds it.

    Raises:
        BatchError: no such batch.
    """
    with desk.store.read() as tx:
        batch = batches.get(tx, batch_id)
        return _plan(desk, tx, batch, batches.intents(tx, batch.batch_id), calls_left=None)


def approve(desk: Desk, batch_id: str, digest: str) -> Batch:
    """Approve the plan with this digest, and no other.

    Raises:
        BatchError: not possible now; the sentences say why.
    """
    with desk.store.write() as tx:
        batch = batches.get(tx, batch_id)
        roles = operators.roles(tx, desk.operator.name)
        blockers = batch.approval_blockers(desk.policy, digest=digest, by=desk.operator.name, roles=roles, now=desk.clock())
        if all(i.state is State.REFUSED for i in batches.intents(tx, batch.batch_id)):
            blockers += (said("Nobody in this batch may be resubscribed."),)
        if batches.digest_now(tx, batch) != batch.digest:
            blockers += (said("The stored plan no longer fits its digest: it was changed. Propose it again."),)
        if restores.pending(tx):
            blockers += (
                said("The register was restored from a backup, and nobody has confirmed yet that it is complete again."),
            )
        if blockers:
            raise BatchError(joined(" ", blockers), said("`workbench batch show` tells how the batch stands."))
        approved = {"approved_by": desk.operator.name, "approved_at": desk.clock(), "approved_digest": digest}
        batches.change(tx, batch.batch_id, expected=["proposed"], state="approved", **approved)
        desk.trail.append(tx, events.BatchApproved(digest=digest, proposed_by=batch.proposed_by), batch_id=batch.batch_id)
        desk.trail.checkpoint(tx)
        return batches.get(tx, batch.batch_id)


def cancel(desk: Desk, batch_id: str) -> None:
    """Give up a batch that nobody is on the way in; its people may be proposed elsewhere.

    Raises:
        BatchError: it runs, has people on the way, or is over.
    """
    with desk.store.write() as tx:
        batch = batches.get(tx, batch_id)
        counts = batches.by_state(tx, batch.batch_id)
        if any(counts[state] for state in (State.SENT, State.VERIFIED, State.ABORTING)):
            raise BatchError(
                said("some people of this batch are on the way"),
                said("Bring them to their end first with `workbench batch resume`."),
            )
        if batch.state not in ("proposed", "approved", "paused"):
            raise BatchError(said("the batch is {state} and can't be cancelled", state=batch.state))
        _require_role(desk, tx)
        batches.change(tx, batch.batch_id, expected=[batch.state], state="cancelled", finished_at=desk.clock())
        batches.let_go(tx, batch.batch_id)
        desk.trail.append(tx, events.BatchCancelled(cause="cancelled by an operator"), batch_id=batch.batch_id)
        desk.trail.checkpoint(tx)


def _checked(desk: Desk, person_ids: Sequence[str], reason: str) -> list[str]:
    if reason not in desk.policy.reasons:
        raise InputError(
            said("the policy knows no such reason"), said("Use one of: {codes}.", codes=", ".join(sorted(desk.policy.reasons)))
        )
    wanted = list(dict.fromkeys(person_ids))
    if not wanted:
        raise InputError(said("nobody was named for the batch"), said("Select people first, or check the filter."))
    with desk.store.read() as tx:
        _require_role(desk, tx)
    return wanted


def _require_role(desk: Desk, tx: Transaction) -> None:
    if not operators.roles(tx, desk.operator.name) & {"analyst", "admin"}:
        raise NotAllowedError(said("only analysts and administrators work on batches"))


def _read(desk: Desk, group: Sequence[Person]) -> Reading:
    with desk.store.read() as tx:
        stored = records.linked(tx, [p.person_id for p in group])
    ids = {i for p in group for i in p.salesforce_ids} | {link.record_id for links in stored.values() for link in links}
    return read_people(desk, group, ids)


def _judge(
    desk: Desk,
    tx: Transaction,
    wanted: Sequence[str],
    *,
    readings: Sequence[Reading],
    chosen: dict[str, Consent],
    evidence: dict[str, EvidenceCheck],
    unwritable: tuple[str, ...],
    reason: str,
) -> list[PlannedPerson]:
    """Every rule for every person, in one transaction, on what was read just before."""
    planned = []
    for i, reading in enumerate(readings):
        some = wanted[i * PEOPLE_A_READING : (i + 1) * PEOPLE_A_READING]
        files = Files.of(tx, some)
        links = records.linked(tx, some)
        for person_id in some:
            person, consent = files.people[person_id], chosen.get(person_id)
            ids = (*person.salesforce_ids, *(link.record_id for link in links.get(person_id, ()) if link.how == "id"))
            rows = linked_rows(reading, person, ids)
            case = case_for(
                person,
                files=files,
                consent=consent,
                rows=rows,
                reading=reading,
                evidence=evidence,
                unwritable=unwritable,
                reason=reason,
            )
            verdict = assess(case, desk.policy, now=desk.clock())
            planned.append(PlannedPerson(person=person, consent=consent, verdict=verdict, rows=rows))
    return planned


def _batch(desk: Desk, planned: Sequence[PlannedPerson], *, reason: str) -> tuple[Batch, tuple[Intent, ...]]:
    now, batch_id = desk.clock(), new_id()
    intents = tuple(
        Intent(
            intent_id=new_id(),
            batch_id=batch_id,
            position=position,
            person_id=p.person.person_id,
            consent_id=p.consent.consent_id if p.consent else None,
            state=State.PROPOSED if p.verdict.eligible else State.REFUSED,
            findings=tuple(asdict(f) for f in p.verdict.findings),
            planned_rows=tuple(p.as_json()),
            person_version=p.person.version,
            consent_digest=consent_digest(p.consent),
            changed_at=now,
        )
        for position, p in enumerate(planned)
    )
    digest = plan_digest(batch_id=batch_id, reason=reason, policy_digest=desk.policy.digest, intents=intents)
    batch = Batch(
        batch_id=batch_id,
        state="proposed",
        reason=reason,
        proposed_by=desk.operator.name,
        proposed_at=now,
        digest=digest,
        policy_digest=desk.policy.digest,
    )
    return batch, intents


def _note(desk: Desk, tx: Transaction, batch: Batch, planned: Sequence[PlannedPerson], intents: Sequence[Intent]) -> None:
    refused = [(p, i) for p, i in zip(planned, intents, strict=True) if not p.verdict.eligible]
    event = events.BatchProposed(
        digest=batch.digest,
        policy=batch.policy_digest,
        reason=batch.reason,
        eligible=len(intents) - len(refused),
        refused=len(refused),
        calls=_cost(intents),
    )
    desk.trail.append(tx, event, batch_id=batch.batch_id)
    for p, intent in refused:
        findings = tuple(events.Finding(code=f.code, severity=f.severity, sentence=f.sentence) for f in p.verdict.findings)
        said = events.PersonRefused(consent_id=intent.consent_id, findings=findings, policy=batch.policy_digest)
        desk.trail.append(tx, said, batch_id=batch.batch_id, intent_id=intent.intent_id, person_id=intent.person_id)
    desk.trail.checkpoint(tx)


def _cost(intents: Sequence[Intent]) -> int:
    return calls_for([sum(any(r["opt_outs"].values()) for r in i.planned_rows) for i in intents if i.state is not State.REFUSED])


def _plan(desk: Desk, tx: Transaction, batch: Batch, intents: Sequence[Intent], *, calls_left: int | None) -> Plan:
    known = people.by_ids(tx, [i.person_id for i in intents])
    eligible = {i.person_id for i in intents if not i.findings}
    touched = {change.person_id for change in mismatches.forecast(tx)} & known.keys()
    still = {change.person_id for change in mismatches.forecast(tx, resubscribed=eligible)} & known.keys()
    rows = tuple(_row(i, known.get(i.person_id)) for i in sorted(intents, key=lambda i: i.position))
    roles = operators.roles(tx, desk.operator.name)
    blockers = batch.approval_blockers(desk.policy, digest=batch.digest, by=desk.operator.name, roles=roles, now=desk.clock())
    if not eligible:
        blockers += (said("Nobody in this batch may be resubscribed."),)
    cost = _cost(intents)
    if calls_left is not None and cost > calls_left:
        blockers += (said("The batch takes {cost} API calls and Salesforce has {left} left today.", cost=cost, left=calls_left),)
    return Plan(
        batch=batch,
        blockers=blockers,
        cost=cost,
        calls_left=calls_left,
        forecast_before=len(touched),
        forecast_after=len(still),
        rows=rows,
    )


def _row(intent: Intent, person: Person | None) -> dict[str, Any]:
    severities = {f["severity"] for f in intent.findings}
    outcome = "refused" if "refuse" in severities else STRONGER if severities else "eligible"
    return {
        "person_id": intent.person_id,
        "email": person.email_as_given if person else "",
        "outcome": outcome,
        "codes": ", ".join(f["code"] for f in intent.findings),
        "sentences": " ".join(f["sentence"] for f in intent.findings),
        "records": len(intent.planned_rows),
        "consent_id": intent.consent_id or "",
    }
