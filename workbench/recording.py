"""Recording one consent by hand: the fields checked, the evidence stored, both on the trail in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Any

from workbench import withdrawal
from workbench.consent import AUTHORIZATION_TYPES, CONSENT_TYPES, EXPRESSED_BY, METHODS, Consent, Evidence
from workbench.errors import EvidenceError, InputError
from workbench.evidence import EvidenceStore
from workbench.person import Person, new_id, normalize_address
from workbench.policy import Policy
from workbench.said import said
from workbench.store import consents
from workbench.store.database import Store
from workbench.trail import events

ALLOWED = {
    "authorization_type": AUTHORIZATION_TYPES,
    "consent_type": CONSENT_TYPES,
    "method": METHODS,
    "expressed_by": EXPRESSED_BY,
    "given_at_precision": ("second", "day"),
}
OURS = frozenset({"consent_id", "person_id", "recorded_at", "recorded_by", "schema_version", "evidence"})
FIELDS = frozenset(f.name for f in fields_of(Consent)) - OURS
MOMENTS = ("given_at", "double_opt_in_at", "valid_until", "retain_until", "withdrawn_at", "transfer_notice_at")


def record_consent(
    store: Store,
    files: EvidenceStore,
    *,
    person: Person,
    evidence: Sequence[Evidence],
    policy: Policy,
    fields: Mapping[str, Any],
    operator: str,
    now: datetime,
    append_event: Callable[..., int],
) -> Consent:
    """Record a consent. ``email`` is the person's address and ``controller`` the policy's unless the fields say otherwise.

    A consent with gaps is recorded all the same; the eligibility rules say what it lacks.

    Raises:
        InputError: a field that a consent does not have, or a value that the field can't have; nothing was recorded.
        EvidenceError: a file can't be stored; nothing was recorded.
    """
    _check(fields)
    stored = tuple(_stored(files, item) for item in evidence)
    given = {"controller": policy.controller} | dict(fields) | {"email": normalize_address(fields.get("email", person.email))}
    consent = Consent(
        consent_id=new_id(), person_id=person.person_id, recorded_at=now, recorded_by=operator, evidence=stored, **given
    )
    if consent.to_come(now) and consent.taken_back_at is None:
        raise InputError(said("the consent is dated later than now"), said("Correct the date or its time zone."))
    with store.write() as tx:
        for item in stored:
            if consents.add_evidence(tx, item, at=now, by=operator):
                kept = events.EvidenceStored(
                    sha256=item.sha256, size=item.size, media_type=item.media_type, original_name=item.original_name
                )
                append_event(tx, kept)
        consents.add(tx, consent)
        digests = tuple(item.sha256 for item in stored)
        recorded = events.ConsentRecorded(consent_id=consent.consent_id, record=consents.to_document(consent), evidence=digests)
        append_event(tx, recorded, person_id=person.person_id)
        withdrawal.follow(tx, [consent], by=operator, now=now, append_event=append_event)
    return consent


def _check(fields: Mapping[str, Any]) -> None:
    if unknown := fields.keys() - FIELDS:
        raise InputError(
            said("a consent has no field {unknown}", unknown=", ".join(sorted(unknown))),
            said("Fields are {fields}.", fields=", ".join(sorted(FIELDS))),
        )
    for name, allowed in ALLOWED.items():
        if name in fields and fields[name] not in allowed:
            raise InputError(
                said("the consent's {name} can't be that", name=name), said("Use one of: {allowed}.", allowed=", ".join(allowed))
            )
    for name in MOMENTS:
        value = fields.get(name)
        if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
            raise InputError(
                said("the consent's {name} needs a moment with its time zone", name=name),
                said("Write it as 2026-11-02T09:30:00+01:00."),
            )
    if "email" in fields and not normalize_address(str(fields["email"])):
        raise InputError(said("the consent's email is not an address"))
    for name in ("purpose", "given_at"):
        if name not in fields:
            raise InputError(said("a consent needs {name}", name=name))


def _stored(files: EvidenceStore, item: Evidence) -> Evidence:
    if item.source is None:
        if files.check(item.sha256) != "intact":
            raise EvidenceError(said("the evidence {sha256} is not stored, or no longer what it was", sha256=item.sha256[:12]))
        return item
    return files.put(item.source, item.original_name)
