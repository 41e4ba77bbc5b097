"""What one operator works with: register, org, evidence, policy, trail and clock, handed to every use case together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from workbench.consent import Consent
from workbench.eligibility import Case, EvidenceCheck
from workbench.evidence import EvidenceStore
from workbench.org import FieldChange, Org, OrgRow
from workbench.person import Person, Unsubscribe
from workbench.policy import Policy
from workbench.settings import Operator
from workbench.store import batches, consents, people
from workbench.store.database import Store, Transaction
from workbench.store.trail_log import TrailWriter


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The tools of one operator in one workspace. ``connect`` is called when Salesforce is needed for the first time."""

    folder: Path
    store: Store
    connect: Callable[[], Org]
    evidence: EvidenceStore
    policy: Policy
    trail: TrailWriter
    clock: Callable[[], datetime]
    operator: Operator

    @cached_property
    def org(self) -> Org:
        """Salesforce; logs in at its first operation."""
        return self.connect()


@dataclass(frozen=True)
class Files:
    """What the register knows about some people at one moment, for building their cases."""

    people: dict[str, Person]
    unsubscribes: dict[str, tuple[Unsubscribe, ...]]
    others: dict[str, int]
    held_by: dict[str, str]

    @classmethod
    def of(cls, tx: Transaction, person_ids: Sequence[str], *, batch_id: str = "") -> Files:
        """Read everything that a decision needs, in the transaction that the decision is committed in."""
        found = people.by_ids(tx, person_ids)
        return cls(
            people=found,
            unsubscribes=people.unsubscribes(tx, person_ids),
            others=people.sharers(tx, tuple(found.values())),
            held_by=batches.open_batches_of(tx, person_ids, other_than=batch_id),
        )


def check_evidence(desk: Desk, consent_ids: Sequence[str]) -> dict[str, EvidenceCheck]:
    """Re-hash every evidence file of these consents, each once, outside any transaction; by digest."""
    with desk.store.read() as tx:
        chosen = consents.by_ids(tx, consent_ids)
    digests = {e.sha256 for consent in chosen.values() for e in consent.evidence}
    return {d: EvidenceCheck(sha256=d, state=desk.evidence.check(d)) for d in digests}


def case_for(
    person: Person,
    *,
    files: Files,
    consent: Consent | None,
    rows: Sequence[OrgRow],
    history: Sequence[FieldChange],
    missing: frozenset[str],
    evidence: dict[str, EvidenceCheck],
    unwritable: tuple[str, ...],
    reason: str,
) -> Case:
    """The case of one person, from what the register and a reading of Salesforce say."""
    ids = {r.record_id for r in rows}
    return Case(
        person=person,
        unsubscribes=files.unsubscribes.get(person.person_id, ()),
        rows=tuple(rows),
        missing_records=missing & frozenset(person.salesforce_ids),
        history=tuple(h for h in history if h.record_id in ids),
        unwritable=unwritable,
        consent=consent,
        evidence=tuple(evidence[e.sha256] for e in consent.evidence if e.sha256 in evidence) if consent else (),
        reason=reason,
        other_people_with_address=files.others.get(person.person_id, 0),
        open_batch=files.held_by.get(person.person_id, ""),
    )
