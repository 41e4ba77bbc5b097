"""What one operator works with: register, org, evidence, policy, trail and clock, handed to every use case together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from workbench.consent import Consent
from workbench.eligibility import Case, EvidenceCheck
from workbench.evidence import EvidenceStore
from workbench.org import Org, OrgNotAllowedError, OrgRow, Reading
from workbench.person import Person, Unsubscribe
from workbench.policy import Policy
from workbench.resubscription import heirs_of
from workbench.said import said
from workbench.settings import Operator
from workbench.store import batches, consents, people, records
from workbench.store.database import Store, Transaction
from workbench.store.trail_log import TrailWriter

LONGEST_DESCENT = 3  # merges of merges that are followed


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The tools of one operator in one workspace. ``connect`` is called when Salesforce is needed for the first time.

    After ``full_reading_days`` Salesforce is read as a whole again, not by its changes.
    """

    folder: Path
    store: Store
    connect: Callable[[], Org]
    evidence: EvidenceStore
    policy: Policy
    trail: TrailWriter
    clock: Callable[[], datetime]
    operator: Operator
    full_reading_days: int = 7
    checkpoint_place: tuple[str, str] = ("", "")
    """Custom object and field of the org that keep checkpoints; empty where none were named."""

    @cached_property
    def org(self) -> Org:
        """Salesforce; logs in, and is the org that this register belongs to: the first one that anything was asked of.

        Raises:
            OrgNotAllowedError: another org answered; nothing was asked of it but who it is.
            OrgError: Salesforce can't be reached, or takes no login.
        """
        org = self.connect()
        if self.refuse_another(org) is None:
            with self.store.write() as tx:
                records.bind_org(tx, org.identity().org_id)
            self.refuse_another(org)  # another process may have bound it to another org in this moment
        return org

    def refuse_another(self, org: Org) -> str | None:
        """The id of the org that this register belongs to, if it belongs to one already.

        Raises:
            OrgNotAllowedError: it belongs to another org than this one.
            OrgError: Salesforce can't be reached, or takes no login.
        """
        answered = org.identity().org_id
        with self.store.read() as tx:
            known = records.org_of(tx)
        if known not in (None, answered):
            raise OrgNotAllowedError(
                said("this workspace belongs to the org {known}, and {answered} answered", known=known, answered=answered),
                said("Check [org] in workbench.toml; another org needs a workspace of its own."),
            )
        return known


@dataclass(frozen=True)
class Files:
    """What the register knows about some people at one moment, for building their cases."""

    people: dict[str, Person]
    unsubscribes: dict[str, tuple[Unsubscribe, ...]]
    others: dict[str, int]
    held_by: dict[str, str]
    withdrawn_at: dict[str, datetime]

    @classmethod
    def of(cls, tx: Transaction, person_ids: Sequence[str], *, batch_id: str = "") -> Files:
        """Read everything that a decision needs, in the transaction that the decision is committed in."""
        found = people.by_ids(tx, person_ids)
        return cls(
            people=found,
            unsubscribes=people.unsubscribes(tx, person_ids),
            others=people.sharers(tx, tuple(found.values())),
            held_by=batches.open_batches_of(tx, person_ids, other_than=batch_id),
            withdrawn_at=_withdrawals(tx, person_ids),
        )


def _withdrawals(tx: Transaction, person_ids: Sequence[str]) -> dict[str, datetime]:
    """When each person last took a consent back or refused one, by any consent on file."""
    found: dict[str, datetime] = {}
    for consent in consents.taken_back(tx, person_ids):
        if (moment := consent.taken_back_at) is not None:
            found[consent.person_id] = max(moment, found.get(consent.person_id, moment))
    return found


def read_people(desk: Desk, some: Sequence[Person], record_ids: Iterable[str]) -> Reading:
    """Every record of some people as it is now, with field history: by id, by every spelling of their addresses, present and
    former, and whatever those records were merged or converted into.

    Raises:
        OrgError: Salesforce can't be read.
    """
    addresses = sorted({spelling for person in some for spelling in person.spellings})
    reading = desk.org.read(record_ids=sorted(set(record_ids)), addresses=addresses, history=True)
    for _ in range(LONGEST_DESCENT):
        known = {row.record_id for row in reading.rows} | reading.missing
        heirs = {heir for row in reading.rows for heir in heirs_of(row)} - known
        if not heirs:
            break
        more = desk.org.read(record_ids=sorted(heirs), addresses=[], history=True)
        reading = Reading(
            rows=(*reading.rows, *more.rows),
            history=(*reading.history, *more.history),
            missing=reading.missing | more.missing,
            server_time=min(reading.server_time, more.server_time),
        )
    return reading


def check_evidence(desk: Desk, consent_ids: Sequence[str]) -> dict[str, EvidenceCheck]:
    """Re-hash every evidence file of these consents, each once, outside any transaction; by digest."""
    with desk.store.read() as tx:
        digests = consents.digests_of(tx, consent_ids)
    return {d: EvidenceCheck(sha256=d, state=desk.evidence.check(d)) for d in digests}


def case_for(
    person: Person,
    *,
    files: Files,
    consent: Consent | None,
    rows: Sequence[OrgRow],
    reading: Reading,
    evidence: dict[str, EvidenceCheck],
    unwritable: tuple[str, ...],
    reason: str,
) -> Case:
    """The case of one person, from what the register and a reading of Salesforce say; ``rows`` are the person's among its rows."""
    return Case(
        person=person,
        unsubscribes=files.unsubscribes.get(person.person_id, ()),
        rows=tuple(rows),
        missing_records=reading.missing & frozenset(person.salesforce_ids),
        history=reading.history_of(sorted({r.record_id for r in rows})),
        unwritable=unwritable,
        consent=consent,
        evidence=tuple(evidence[e.sha256] for e in consent.evidence if e.sha256 in evidence) if consent else (),
        reason=reason,
        other_people_with_address=files.others.get(person.person_id, 0),
        open_batch=files.held_by.get(person.person_id, ""),
        withdrawn_at=files.withdrawn_at.get(person.person_id),
        org_time=reading.server_time,
    )
