"""Consents and the evidence they name: adding, reading, withdrawing. Nothing here is deleted or rewritten but the withdrawal.

The ``document`` column holds every field of the record; the other columns are copies to search by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from typing import Any, get_type_hints

import sqlalchemy as sa

from workbench.consent import Consent, Evidence
from workbench.errors import InputError
from workbench.store import consent_states
from workbench.store import schema as s
from workbench.store.consent_states import ConsentState
from workbench.store.database import Transaction, portions

STORED = ("sha256", "size", "media_type", "original_name")

_newest_first = (
    s.consent.c.given_at.is_(None),
    s.consent.c.given_at.desc(),
    s.consent.c.recorded_at.desc(),
    s.consent.c.consent_id.desc(),
)


def add(tx: Transaction, consent: Consent) -> None:
    """Keep a consent; its evidence has been stored and added before.

    The column ``given_at`` says when the consent counts from: a mere date counts from its first moment.

    Raises:
        RuntimeError: a piece of evidence that is not stored yet.
    """
    if any(not e.sha256 for e in consent.evidence):
        raise RuntimeError("evidence is stored and added before the consent that names it")
    tx.execute(
        sa.insert(s.consent).values(
            consent_id=consent.consent_id,
            person_id=consent.person_id,
            given_at=consent.counts_from,
            recorded_at=consent.recorded_at,
            recorded_by=consent.recorded_by,
            state=consent.state,
            valid_until=consent.valid_until,
            document=to_document(consent),
        )
    )
    consent_states.begin(tx, consent)
    names = {e.sha256: e.original_name for e in reversed(consent.evidence)}
    if names:
        rows = [{"consent_id": consent.consent_id, "sha256": k, "original_name": v} for k, v in names.items()]
        tx.execute(sa.insert(s.consent_evidence), rows)


def by_ids(tx: Transaction, consent_ids: Iterable[str]) -> dict[str, Consent]:
    """Consents by id; ids that nobody knows are left out."""
    return {c.consent_id: c for c in _matching(tx, s.consent.c.consent_id, consent_ids)}


def of_people(tx: Transaction, person_ids: Iterable[str]) -> dict[str, tuple[Consent, ...]]:
    """Every consent of these people, newest first (a consent that does not say when it was given comes last)."""
    found: dict[str, list[Consent]] = defaultdict(list)
    for consent in _matching(tx, s.consent.c.person_id, person_ids):
        found[consent.person_id].append(consent)
    return {person_id: tuple(consents) for person_id, consents in found.items()}


def taken_back(tx: Transaction, person_ids: Iterable[str]) -> Iterator[Consent]:
    """Those consents of these people that were withdrawn or refused, by whatever of their fields says so."""
    said = s.consent.c.state.in_(("withdrawn", "refused")) | s.consent.c.document["withdrawn_at"].as_string().is_not(None)
    for some in portions(person_ids):
        for document in tx.execute(sa.select(s.consent.c.document).where(s.consent.c.person_id.in_(some), said)).scalars():
            yield from_document(document)


def latest(tx: Transaction, person_ids: Iterable[str]) -> dict[str, Consent]:
    """The newest consent of each of these people who has one, whatever its state."""
    return {person_id: consents[0] for person_id, consents in of_people(tx, person_ids).items()}


def everyones(tx: Transaction) -> Iterator[Consent]:
    """All consents on file, the last recorded first."""
    chosen = sa.select(s.consent.c.document).order_by(s.consent.c.recorded_at.desc(), s.consent.c.consent_id.desc())
    for document in tx.execute(chosen).scalars():
        yield from_document(document)


def withdraw(tx: Transaction, consent_id: str, *, at: datetime, method: str, recorded_at: datetime, by: str) -> Consent:
    """Note that a consent ended ``at``; of two withdrawals the earlier stays. Returns the consent as it is kept now.

    Each withdrawal is a state of its own in the consent's history.

    Raises:
        InputError: no consent has this id.
    """
    found = by_ids(tx, [consent_id]).get(consent_id)
    if found is None:
        raise InputError(f"no consent has the id {consent_id}", "See the ids with `workbench consent show`.")
    ending = ConsentState(
        consent_id=consent_id,
        state=consent_states.WITHDRAWN,
        since=at,
        recorded_at=recorded_at,
        recorded_by=by,
        detail=method,
    )
    consent_states.add(tx, [ending])
    if found.withdrawn_at is not None and found.withdrawn_at <= at:
        return found
    ended = replace(found, state="withdrawn", withdrawn_at=at, withdrawal_method=method)
    change = sa.update(s.consent).where(s.consent.c.consent_id == consent_id)
    tx.execute(change.values(state=ended.state, document=to_document(ended)))
    return ended


def add_evidence(tx: Transaction, evidence: Evidence, *, at: datetime, by: str) -> bool:
    """Note a stored file; the same digest is noted once. Returns whether it is new to the register.

    A file that was only waiting to be erased is needed again, and counts as new.
    """
    e, out = s.evidence, s.outlasting_evidence
    if tx.execute(sa.select(e.c.sha256).where(e.c.sha256 == evidence.sha256)).first():
        return tx.execute(sa.delete(out).where(out.c.sha256 == evidence.sha256)).rowcount > 0
    values = {"sha256": evidence.sha256, "size": evidence.size, "media_type": evidence.media_type}
    tx.execute(sa.insert(e).values(**values, stored_at=at, stored_by=by))
    return True


def digests_of(tx: Transaction, consent_ids: Iterable[str]) -> frozenset[str]:
    """The SHA-256 of every piece of evidence that these consents name."""
    e = s.consent_evidence.c
    found = (tx.execute(sa.select(e.sha256).where(e.consent_id.in_(some)).distinct()).scalars() for some in portions(consent_ids))
    return frozenset(digest for digests in found for digest in digests)


def all_digests(tx: Transaction, *, now: datetime) -> tuple[str, ...]:
    """The SHA-256 of every piece of evidence that the register knows, in order; without files that are about to be erased."""
    needed = sa.exists().where(s.consent_evidence.c.sha256 == s.evidence.c.sha256)
    waiting = sa.select(s.outlasting_evidence.c.sha256).where(s.outlasting_evidence.c.erase_after <= now)
    chosen = sa.select(s.evidence.c.sha256).where(needed | s.evidence.c.sha256.not_in(waiting))
    return tuple(tx.execute(chosen.order_by(s.evidence.c.sha256)).scalars())


def to_document(consent: Consent) -> dict[str, Any]:
    """Every field of the record as JSON values; moments keep their zone and their microseconds."""
    return {field.name: _written(getattr(consent, field.name)) for field in fields(consent)}


def from_document(document: Mapping[str, Any]) -> Consent:
    """The record that `to_document` wrote; fields that the document lacks have their default."""
    hints = _hints()
    return Consent(**{name: _read(document[name], hint) for name, hint in hints.items() if name in document})


def _matching(tx: Transaction, column: sa.Column[Any], ids: Iterable[str]) -> Iterator[Consent]:
    for some in portions(ids):
        for document in tx.execute(sa.select(s.consent.c.document).where(column.in_(some)).order_by(*_newest_first)).scalars():
            yield from_document(document)


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Evidence):
        return {name: getattr(value, name) for name in STORED}
    return [_written(v) for v in value] if isinstance(value, tuple) else value


def _read(value: Any, hint: str) -> Any:
    if value is not None and "datetime" in hint:
        return datetime.fromisoformat(value)
    if "Evidence" in hint:
        return tuple(Evidence(**{name: e[name] for name in STORED if name in e}) for e in value)
    return tuple(value) if isinstance(value, list) else value


@cache
def _hints() -> dict[str, str]:
    found = get_type_hints(Consent)
    return {field.name: str(found[field.name]) for field in fields(Consent)}
