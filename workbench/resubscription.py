"""A batch and its people: plan, approval, states, and what a fresh reading of Salesforce means for somebody on the way.

Decides, never acts: every function takes values and returns values. The protocol and its order (what is durable before which
request leaves) is carried out by `worker`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from workbench.consent import Consent
from workbench.counted import counted
from workbench.eligibility import Verdict
from workbench.org import ConditionalClear, FieldChange, OrgRow, Reading
from workbench.person import Person
from workbench.policy import Policy
from workbench.said import kept, said

PATCHES_A_CALL = 25  # Salesforce: subrequests of one composite
ROWS_A_READING = 200  # ids a reading asks for
MOST_ATTEMPTS = 3


class State(StrEnum):
    """Where one person of a batch stands; each value is durable before anything that follows from it."""

    PROPOSED = "PROPOSED"
    POSTPONED = "POSTPONED"
    PLANNED = "PLANNED"
    REFUSED = "REFUSED"
    SENT = "SENT"
    VERIFIED = "VERIFIED"
    DONE = "DONE"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


FINAL = frozenset({State.REFUSED, State.DONE, State.ABORTED, State.UNDONE})
NOT_SENT = frozenset({State.PROPOSED, State.POSTPONED, State.PLANNED})


@dataclass(frozen=True, kw_only=True)
class BaseRow:
    """One linked org record as it was read before the write: what has to be cleared, and on which stamp.

    ``verified_stamp`` is the record's stamp after our change, once it was read back.
    """

    record_id: str
    object: str
    stamp: datetime
    to_clear: tuple[str, ...] = ()
    verified_stamp: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """For the register's `base` column."""
        verified = self.verified_stamp.isoformat() if self.verified_stamp else None
        plain = {"record_id": self.record_id, "object": self.object, "stamp": self.stamp.isoformat()}
        return plain | {"to_clear": list(self.to_clear), "verified_stamp": verified}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BaseRow:
        """The other way round."""
        verified = value["verified_stamp"]
        return cls(
            record_id=value["record_id"],
            object=value["object"],
            stamp=datetime.fromisoformat(value["stamp"]),
            to_clear=tuple(value["to_clear"]),
            verified_stamp=datetime.fromisoformat(verified) if verified else None,
        )


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The decision to resubscribe one person in one batch, and how far it has come.

    ``findings``, ``planned_rows``, ``person_version`` and ``consent_digest`` are the plan and never change. ``refusals`` are the
    run's own findings, ``base`` the rows as read before the write, ``base_version`` the person's version at that moment.
    """

    intent_id: str
    batch_id: str
    position: int
    person_id: str
    consent_id: str | None
    state: State
    findings: tuple[dict[str, str], ...] = ()
    planned_rows: tuple[dict[str, Any], ...] = ()
    person_version: int
    consent_digest: str = ""
    refusals: tuple[dict[str, str], ...] = ()
    base: tuple[BaseRow, ...] = ()
    base_version: int = 0
    attempts: int = 0
    cause: str = ""
    changed_at: datetime
    done_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """People, consents and a reason: proposed by one operator, approved by an admin, executed once."""

    batch_id: str
    state: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    digest: str
    policy_digest: str
    approved_by: str | None = None
    approved_at: datetime | None = None
    approved_digest: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    pause_cause: str = ""

    def stale(self, policy: Policy, *, now: datetime) -> bool:
        """Whether the plan is too old to be run."""
        return now - self.proposed_at > timedelta(hours=policy.plan_valid_hours)

    def approval_blockers(self, policy: Policy, *, digest: str, by: str, roles: frozenset[str], now: datetime) -> tuple[str, ...]:
        """Why this operator can't approve this plan now; empty means go."""
        reasons: list[str] = []
        if "admin" not in roles:
            reasons.append(said("Only an administrator approves a batch."))
        if self.state != "proposed":
            reasons.append(said("The batch is {state}; only a proposed one can be approved.", state=self.state))
        if digest != self.digest:
            reasons.append(said("The digest does not name this plan: it was changed or mistyped. Look at the plan again."))
        if policy.approval_by_second_person and by == self.proposed_by:
            reasons.append(said("The policy asks for approval by somebody else than who proposed the batch."))
        if policy.digest != self.policy_digest:
            reasons.append(said("The policy was changed since the batch was proposed. Propose it again."))
        if self.stale(policy, now=now):
            reasons.append(said("The plan is older than {hours} hours. Propose it again.", hours=policy.plan_valid_hours))
        return tuple(reasons)

    def run_blockers(self, policy: Policy, *, digest: str, roles: frozenset[str], now: datetime) -> tuple[str, ...]:
        """Why this batch can't run or go on now; empty means go. ``digest`` is that of the plan as stored today.

        A batch under way goes on even when its plan has become stale or the policy changed: people already sent must not be
        left between the systems, and everybody not yet sent is judged anew by the policy of the moment.
        """
        reasons: list[str] = []
        if "admin" not in roles:
            reasons.append(said("Only an administrator runs a batch."))
        if self.state not in ("approved", "running", "paused"):
            reasons.append(said("The batch is {state}; only an approved, running or paused one can run.", state=self.state))
        elif self.approved_digest != digest:
            reasons.append(said("The plan was changed after its approval. Propose it again."))
        elif self.state == "approved" and policy.digest != self.policy_digest:
            reasons.append(said("The policy was changed since the batch was approved. Propose it again."))
        elif self.state == "approved" and self.stale(policy, now=now):
            reasons.append(said("The plan is older than {hours} hours. Propose it again.", hours=policy.plan_valid_hours))
        return tuple(reasons)


@dataclass(frozen=True, kw_only=True)
class PlannedPerson:
    """What the plan says about one person: verdict, consent, the org records it would change."""

    person: Person
    consent: Consent | None
    verdict: Verdict
    rows: tuple[OrgRow, ...] = field(repr=False)

    def as_json(self) -> list[dict[str, Any]]:
        """The org records, for the register and the digest; no addresses."""
        ordered = sorted(self.rows, key=lambda r: r.record_id)
        return [
            {
                "record_id": r.record_id,
                "object": r.object,
                "opt_outs": dict(sorted(r.opt_outs.items())),
                "stamp": r.system_modstamp.isoformat(),
            }
            for r in ordered
        ]


def consent_digest(consent: Consent | None) -> str:
    """SHA-256 over every field of a consent and its evidence; "" without one."""
    if consent is None:
        return ""
    values = {f.name: getattr(consent, f.name) for f in fields(consent) if f.name != "evidence"}
    text = json.dumps([values, sorted(e.sha256 for e in consent.evidence)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_digest(*, batch_id: str, reason: str, policy_digest: str, intents: Iterable[Intent]) -> str:
    """SHA-256 over everything the plan decides on: people, versions, consents, verdicts, org records, reason and policy.

    ``intents`` in the order of their positions, taken one after the other: a batch may have 100,000 people.

    Raises:
        RuntimeError: they come in another order.
    """
    digest = hashlib.sha256(_canonical([batch_id, reason, policy_digest])[:-1] + b",[")
    last: int | None = None
    for number, i in enumerate(intents):
        if last is not None and i.position <= last:
            raise RuntimeError("a plan's digest is taken over its people in the order of their positions")
        last = i.position
        person = [i.person_id, i.person_version, i.consent_id, i.consent_digest, list(i.findings), list(i.planned_rows)]
        digest.update((b"," if number else b"") + _canonical(person))
    digest.update(b"]]")
    return digest.hexdigest()


def _canonical(value: list[Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def calls_for(row_counts: Sequence[int]) -> int:
    """API calls that a run over people with so many org records each will take: read, clear, read back twice."""
    readings = len(groups(list(row_counts), size=lambda n: max(n, 1), most=ROWS_A_READING))
    writes = len(groups([n for n in row_counts if n], size=lambda n: n, most=PATCHES_A_CALL))
    return 3 * readings + writes


def groups(items: Iterable[Any], *, size: Any, most: int) -> list[list[Any]]:
    """Consecutive groups whose sizes add up to at most ``most``; one item larger than that stands alone."""
    packed: list[list[Any]] = []
    room = 0
    for item in items:
        if not packed or size(item) > room:
            packed.append([])
            room = most
        packed[-1].append(item)
        room -= size(item)
    return packed


def living(rows: Iterable[OrgRow]) -> dict[str, OrgRow]:
    """By id, the rows that can be written and mailed through: neither deleted, merged away nor converted."""
    return {r.record_id: r for r in rows if not (r.is_deleted or r.is_converted or r.merged_into)}


def base_of(rows: Iterable[OrgRow]) -> tuple[BaseRow, ...]:
    """The living rows as read, and what there is to clear on each. The rules refuse people whose dead rows are opted out."""
    return tuple(
        BaseRow(
            record_id=r.record_id,
            object=r.object,
            stamp=r.system_modstamp,
            to_clear=tuple(name for name, value in sorted(r.opt_outs.items()) if value),
        )
        for _, r in sorted(living(rows).items())
    )


def unsettled(rows: Iterable[OrgRow], *, server_time: datetime, quiet_seconds: int) -> tuple[OrgRow, ...]:
    """Rows changed within the quiet period: another change of the same second, or a long transaction, might not show yet."""
    return tuple(r for r in rows if server_time - r.system_modstamp < timedelta(seconds=quiet_seconds))


def known_ids(intent: Intent, person: Person | None) -> frozenset[str]:
    """The org records that a person is known to have: stored with the person, planned, or on the way."""
    stored = person.salesforce_ids if person else ()
    planned = (row["record_id"] for row in intent.planned_rows)
    return frozenset((*stored, *planned, *(b.record_id for b in intent.base)))


def linked_rows(reading: Reading, person: Person, known_ids: Iterable[str]) -> tuple[OrgRow, ...]:
    """The rows of a reading that are this person's: by id, by address, and what those were merged or converted into.

    Deleted rows of the address count as well, because their opt-outs do; and so does an opted-out row of a former address.
    """
    everything = reading.by_id
    mine = {everything[known].record_id for known in known_ids if known in everything}
    mine.update(row.record_id for row in reading.by_address.get(person.email, ()))
    for former in person.former_emails:
        mine.update(row.record_id for row in reading.by_address.get(former, ()) if row.opted_out)
    while heirs := {everything[i].record_id for m in mine for i in heirs_of(everything[m]) if i in everything} - mine:
        mine |= heirs
    return tuple(everything[record_id] for record_id in sorted(mine))


def heirs_of(row: OrgRow) -> tuple[str, ...]:
    """The ids of the records that a row was merged or converted into."""
    return tuple(i for i in (row.merged_into, row.converted_contact_id) if i)


@dataclass(frozen=True)
class Verified:
    """Every row reads false, cleared by us, nothing else changed. ``base`` has the stamps that the final check insists on."""

    base: tuple[BaseRow, ...]


@dataclass(frozen=True)
class SendAgain:
    """The request was not applied to these rows and nothing changed: the same conditional request may be repeated."""

    rows: tuple[BaseRow, ...]


@dataclass(frozen=True)
class Abort:
    """Something does not fit: the person is opted out again everywhere."""

    cause: str
    detail: str


CAUSES = {
    "opted_out_in_salesforce": kept("The person was opted out in Salesforce while the batch ran."),
    "opted_out_in_register": kept("The person unsubscribed while the batch ran."),
    "records_changed": kept("The set of Salesforce records of this person changed while the batch ran."),
    "record_changed": kept("A Salesforce record of this person was changed by somebody else while the batch ran."),
    "not_applied": kept("Salesforce did not apply the change."),
    "salesforce_refused": kept("Salesforce refused the change."),
    "history_missing": kept(
        "Salesforce's field history does not show our own change; history tracking of the opt-out field may be off."
    ),
    "person_changed": kept("The person's entry in the register was changed while the batch ran."),
    "no_longer_eligible": kept("The rules no longer allowed it when the request had to be repeated."),
    "register_restored": kept("The register was restored from a backup while the person was on the way."),
    "lease_lost": kept("The run stood still for so long that its claim on this person had ended."),
}
"""Why somebody was aborted: code -> sentence for the analyst."""


def after_sending(
    intent: Intent, rows: Sequence[OrgRow], history: Sequence[FieldChange], *, us: str, refused: bool
) -> Verified | SendAgain | Abort:
    """What a reading after (or instead of) an answer means for a person whose request was sent.

    Args:
        rows: the person's linked rows as read now. Where the org has a marker field, a cleared one must carry this intent's id.
        history: field history of those rows.
        us: our own user id in Salesforce.
        refused: whether Salesforce said no to any of the rows, rather than nothing or yes.
    """
    found = living(rows)
    if found.keys() != {b.record_id for b in intent.base}:
        return _records_changed(intent.base, found)
    for base in intent.base:
        row = found[base.record_id]
        ours = row.mark in (None, intent.intent_id) and _cleared_by_us(base, row, history, us)
        if not (ours or _untouched(base, row, history)):
            return _somebody_else(base, row, history, us)
    again = tuple(b for b in intent.base if b.to_clear and _untouched(b, found[b.record_id], history))
    if not again:
        return Verified(tuple(replace(b, verified_stamp=found[b.record_id].system_modstamp) for b in intent.base))
    if refused:
        return Abort("salesforce_refused", f"{counted(len(again), 'record')} could not be written")
    if intent.attempts >= MOST_ATTEMPTS:
        return Abort("not_applied", f"not applied after {intent.attempts} attempts")
    return SendAgain(again)


def before_closing(intent: Intent, rows: Sequence[OrgRow], history: Sequence[FieldChange], *, us: str) -> Abort | None:
    """The final check before the register is closed: the same rows, all false, stamps as verified, our change in history."""
    found = living(rows)
    if found.keys() != {b.record_id for b in intent.base}:
        return _records_changed(intent.base, found)
    for base in intent.base:
        row = found[base.record_id]
        if row.opted_out or row.system_modstamp != base.verified_stamp or not _only_ours(base, history, us):
            return _somebody_else(base, row, history, us)
        if base.to_clear and not _our_change(base, history, us):
            return Abort("history_missing", f"{base.record_id} has no history of our change")
    return None


def still_to_opt_out(intent: Intent, rows: Sequence[OrgRow]) -> tuple[str, ...]:
    """The records of somebody who is turned back that our opt-out has not reached, by a reading behind it.

    A record that was to be cleared and is still on its base stamp counts as not reached although it reads as opted out: a
    clear that is late would still find its condition met. Any write moves the stamp, one that changes nothing as well.
    """
    to_clear = {b.record_id: b.stamp for b in intent.base if b.to_clear}
    return tuple(
        record_id
        for record_id, row in living(rows).items()
        if not all(row.opt_outs.values()) or row.system_modstamp == to_clear.get(record_id)
    )


def clears(rows: Iterable[BaseRow], mark: str = "") -> tuple[ConditionalClear, ...]:
    """The conditional writes for one person's rows, on the stamps that were read; marked with the intent's id."""
    return tuple(
        ConditionalClear(record_id=r.record_id, object=r.object, fields=r.to_clear, unmodified_since=r.stamp, mark=mark)
        for r in rows
        if r.to_clear
    )


def _untouched(base: BaseRow, row: OrgRow, history: Sequence[FieldChange]) -> bool:
    """Still exactly as it was read before the write; history is read after the row and may know of a newer change."""
    changed = any(h.record_id == base.record_id and h.at > base.stamp for h in history)
    return row.system_modstamp == base.stamp and row.opted_out == bool(base.to_clear) and not changed


def _cleared_by_us(base: BaseRow, row: OrgRow, history: Sequence[FieldChange], us: str) -> bool:
    return bool(base.to_clear) and not row.opted_out and row.last_modified_by == us and _only_ours(base, history, us)


def _records_changed(base: Sequence[BaseRow], found: dict[str, OrgRow]) -> Abort:
    known = {b.record_id for b in base}
    gone, new = sorted(known - found.keys()), sorted(found.keys() - known)
    parts = [
        f"{len(gone)} no longer linked ({', '.join(gone)})" if gone else "",
        f"{len(new)} new ({', '.join(new)})" if new else "",
    ]
    return Abort("records_changed", "; ".join(p for p in parts if p))


def _somebody_else(base: BaseRow, row: OrgRow, history: Sequence[FieldChange], us: str) -> Abort:
    later = [h for h in history if h.record_id == base.record_id and h.at > base.stamp]
    newly_out = any(h.new is not False and h.by != us for h in later)
    if row.opted_out or newly_out:
        return Abort("opted_out_in_salesforce", f"{base.record_id} was modified at {row.system_modstamp.isoformat()}")
    return Abort("record_changed", f"{base.record_id} was modified at {row.system_modstamp.isoformat()}")


def _only_ours(base: BaseRow, history: Sequence[FieldChange], us: str) -> bool:
    """Whether nobody set the flag since the base was read, and nobody but us cleared it; an unreadable value may have set it."""
    later = [h for h in history if h.record_id == base.record_id and h.at > base.stamp]
    return all(h.by == us and h.new is False for h in later)


def _our_change(base: BaseRow, history: Sequence[FieldChange], us: str) -> bool:
    wanted = set(base.to_clear)
    return wanted <= {
        h.field for h in history if h.record_id == base.record_id and h.by == us and h.new is False and h.at > base.stamp
    }
