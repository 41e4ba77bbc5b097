"""The life of a consent after it was recorded: renewed, ended, taken in from another system. What was recorded stays as it was.

A renewal is a consent of its own, with its own evidence; the one that it renews keeps its record and gets a new state in its history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench import exchange, withdrawal
from workbench.consent import Consent, Evidence
from workbench.desk import Desk
from workbench.errors import InputError
from workbench.evidence import plain_name
from workbench.intake.result import RowVerdict
from workbench.person import normalize_address
from workbench.recording import record_consent
from workbench.store import consent_states, consents, people, suppression
from workbench.store.consent_states import EXPIRED, RENEWED, ConsentState
from workbench.store.database import Transaction
from workbench.trail import events, leaf_time

OF_THE_ACT = (
    "given_at",
    "given_at_precision",
    "double_opt_in_at",
    "valid_until",
    "recording_kept",
    "error_proven",
    "transfer_notice_at",
)
"""What belongs to one act of the person and is not carried over to the next."""
CARRIED = ("email", "controller", "recipients", "purpose", "channel", "method", "collection_point", "expressed_by", "notice_text",
           "notice_version", "language", "jurisdiction", "retain_until", "given_to", "consent_type", "authorization_type")  # fmt: skip
"""What a renewal takes over from the consent that it renews, unless it says otherwise."""


def renew(desk: Desk, consent_id: str, *, evidence: Sequence[Evidence], fields: dict[str, Any]) -> Consent:
    """Record that a person gave a consent again, for the same purpose; ``fields`` say when and what is different.

    Raises:
        InputError: no such consent; it was withdrawn or refused (a new one is needed then); or a field's value can't be.
        EvidenceError: a file can't be stored; nothing was recorded.
    """
    with desk.store.read() as tx:
        old = _found(tx, consent_id)
        person = people.find(tx, old.person_id)
    now = desk.clock()
    if old.withdrawn(now):
        raise InputError(f"the consent {consent_id} was withdrawn or refused and can't be renewed", "Record a new one.")
    if unknown := set(fields) - {*CARRIED, *OF_THE_ACT}:
        raise InputError(f"a renewal can't change {', '.join(sorted(unknown))}", "Record a new consent instead.")
    given_at = fields.get("given_at")
    if isinstance(given_at, datetime) and given_at.tzinfo and old.counts_from and given_at <= old.counts_from:
        raise InputError("a renewal can't be older than the consent that it renews", "Say when the person consented again.")
    carried = {name: getattr(old, name) for name in CARRIED if getattr(old, name) != ""}
    renewed = record_consent(
        desk.store,
        desk.evidence,
        person=person,
        evidence=evidence,
        policy=desk.policy,
        fields=carried | fields | {"state": RENEWED},
        operator=desk.operator.name,
        now=now,
        append_event=desk.trail.append,
    )
    with desk.store.write() as tx:
        state = ConsentState(
            consent_id=consent_id,
            state=RENEWED,
            since=renewed.counts_from or now,
            recorded_at=now,
            recorded_by=desk.operator.name,
            detail=f"by the consent {renewed.consent_id}",
        )
        consent_states.add(tx, [state])
        event = events.ConsentRenewed(consent_id=consent_id, renewed_by=renewed.consent_id)
        desk.trail.append(tx, event, person_id=person.person_id)
        desk.trail.checkpoint(tx, required=False)
    return renewed


def note_expired(desk: Desk) -> tuple[str, ...]:
    """Note each consent whose validity is over, once; returns their ids. Eligibility does not wait for this: it looks at the time."""
    with desk.store.write() as tx:
        now = desk.trail.moment(tx)
        ended = consents.by_ids(tx, consent_states.ended_unnoted(tx, now=now))
        for consent in ended.values():
            until = consent.valid_until or now
            state = ConsentState(
                consent_id=consent.consent_id, state=EXPIRED, since=until, recorded_at=now, recorded_by=desk.operator.name
            )
            consent_states.add(tx, [state])
            event = events.ConsentExpired(consent_id=consent.consent_id, valid_until=leaf_time(until))
            desk.trail.append(tx, event, person_id=consent.person_id)
        desk.trail.checkpoint(tx, required=False)
    return tuple(sorted(ended))


def take_in(desk: Desk, content: bytes, evidence_dir: Path | None) -> tuple[RowVerdict, ...]:
    """Take in consents from a file that another workbench, or this one, exported: a verdict a record, in its order.

    A record keeps its id, and who recorded it when. One that is on file already is ``unchanged``, unless the file knows of a
    withdrawal: that is taken over (``withdrawn``), never the other way round.

    Raises:
        InputError: the file is no such export; nothing was taken in.
    """
    found = exchange.read(content)
    verdicts = []
    with desk.store.write() as tx:
        for number, consent in enumerate(found, start=1):
            outcome, person_id, reason = _taken_in(desk, tx, consent, evidence_dir)
            verdicts.append(
                RowVerdict(line=number, outcome=outcome, person_id=person_id, reason=reason, consent_id=consent.consent_id)
            )
        desk.trail.checkpoint(tx, required=False)
    return tuple(verdicts)


def _taken_in(desk: Desk, tx: Transaction, consent: Consent, evidence_dir: Path | None) -> tuple[str, str, str]:
    """What became of one record: outcome, person id, reason."""
    person_id, refusal = _whose(tx, consent)
    if refusal:
        return "rejected", person_id, refusal
    consent = replace(consent, person_id=person_id, email=normalize_address(consent.email))
    known = consents.by_ids(tx, [consent.consent_id]).get(consent.consent_id)
    if known is not None:
        return _on_file(desk, tx, known, consent)
    now = desk.trail.moment(tx)
    if any(moment > now for moment in exchange.moments(consent)):
        return "rejected", person_id, "it was given, recorded or withdrawn later than now"
    for item in consent.evidence:
        if refusal := _stored(desk, item, evidence_dir):
            return "rejected", person_id, refusal
    for item in consent.evidence:
        if consents.add_evidence(tx, item, at=now, by=desk.operator.name):
            told = {name: value for name, value in asdict(item).items() if name != "source"}
            desk.trail.append(tx, events.EvidenceStored(**told))
    consents.add(tx, consent)
    digests = tuple(item.sha256 for item in consent.evidence)
    recorded = events.ConsentRecorded(consent_id=consent.consent_id, record=consents.to_document(consent), evidence=digests)
    desk.trail.append(tx, recorded, person_id=person_id)
    withdrawal.follow(tx, [consent], by=desk.operator.name, now=now, append_event=desk.trail.append)
    if consent.state == "invalidated":
        people.restate(tx, [person_id])  # a decision taken before this one no longer holds
    return "recorded", person_id, ""


def _whose(tx: Transaction, consent: Consent) -> tuple[str, str]:
    """The person of the register whom a record is about, and why it is nobody."""
    if suppression.among(tx, [consent.email, consent.person_id]):
        return "", suppression.STAYS_OUT
    if not normalize_address(consent.email):
        return "", "its address is none"
    if consent.person_id in people.by_ids(tx, [consent.person_id]):
        return consent.person_id, ""
    found = people.by_address(tx, consent.email)
    if len(found) > 1:
        return "", "several people in the register have its address"
    return (found[0].person_id, "") if found else ("", "nobody in the register has its person id or address")


def _on_file(desk: Desk, tx: Transaction, known: Consent, told: Consent) -> tuple[str, str, str]:
    if known == told:
        return "unchanged", known.person_id, ""
    if known.person_id != told.person_id:
        return "rejected", told.person_id, "another person's consent has this id"
    now = desk.trail.moment(tx)
    at = told.taken_back_at
    if at is None or known.withdrawn(now):
        return "unchanged", known.person_id, "a consent with this id is on file with other values, and stays as it is"
    at, method = min(at, now), told.withdrawal_method
    kept = consents.withdraw(tx, known.consent_id, at=at, method=method, recorded_at=now, by=desk.operator.name)
    event = events.ConsentWithdrawn(consent_id=known.consent_id, withdrawn_at=leaf_time(at), withdrawal_method=method)
    desk.trail.append(tx, event, person_id=known.person_id)
    withdrawal.follow(tx, [kept], by=desk.operator.name, now=now, append_event=desk.trail.append)
    return "withdrawn", known.person_id, ""


def _stored(desk: Desk, item: Evidence, folder: Path | None) -> str:
    """See to it that a file is in the evidence store; "" or why it can't be."""
    if desk.evidence.check(item.sha256) == "intact":
        return ""
    if folder is None:
        return f"its evidence {item.sha256[:12]} is not stored here, and no folder with evidence was named"
    for name in (item.sha256, plain_name(item.original_name)):
        path = folder / name
        if path.is_file() and not path.is_symlink() and desk.evidence.describe(path, item.original_name).sha256 == item.sha256:
            desk.evidence.put(path, item.original_name)
            return ""
    return f"its evidence {item.sha256[:12]} is not in the folder, or is not what it was"


def _found(tx: Transaction, consent_id: str) -> Consent:
    found = consents.by_ids(tx, [consent_id]).get(consent_id)
    if found is None:
        raise InputError(f"no consent has the id {consent_id[:36]}", "See the ids with `workbench consent show`.")
    return found
