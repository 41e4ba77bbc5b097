"""What became of each consent: given, renewed, withdrawn, expired; rows are added, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from workbench.consent import Consent
from workbench.person import new_id
from workbench.store import schema as s
from workbench.store.database import Transaction

RENEWED, EXPIRED, WITHDRAWN = "renewed", "expired", "withdrawn"
LASTING = ("given", "renewed")


@dataclass(frozen=True, kw_only=True)
class ConsentState:
    """One state of a consent: since when, who noted it and when; ``detail`` is the way of a withdrawal, or what renewed it."""

    consent_id: str
    state: str
    since: datetime
    recorded_at: datetime
    recorded_by: str
    detail: str = ""


def add(tx: Transaction, states: Sequence[ConsentState]) -> None:
    """Note states."""
    if states:
        tx.execute(sa.insert(s.consent_state), [{"state_id": new_id()} | vars(state) for state in states])


def begin(tx: Transaction, consent: Consent) -> None:
    """Note the state that a consent was recorded in."""
    since = consent.taken_back_at or consent.counts_from or consent.recorded_at
    first = ConsentState(
        consent_id=consent.consent_id,
        state=consent.state,
        since=since,
        recorded_at=consent.recorded_at,
        recorded_by=consent.recorded_by,
        detail=consent.withdrawal_method,
    )
    add(tx, [first])


def of_consent(tx: Transaction, consent_id: str) -> tuple[ConsentState, ...]:
    """Every state of a consent in the order in which they were noted."""
    c = s.consent_state.c
    columns = [c.consent_id, c.state, c.since, c.recorded_at, c.recorded_by, c.detail]
    query = sa.select(*columns).where(c.consent_id == consent_id).order_by(c.recorded_at, c.state_id)
    return tuple(ConsentState(**row) for row in tx.execute(query).mappings())


def ended_unnoted(tx: Transaction, *, now: datetime) -> tuple[str, ...]:
    """Consents whose validity is over although nobody noted it, by id."""
    c, noted = s.consent.c, s.consent_state.c
    said = sa.exists().where(noted.consent_id == c.consent_id, noted.state == EXPIRED)
    query = sa.select(c.consent_id).where(c.valid_until <= now, c.state.in_(LASTING), ~said)
    return tuple(tx.execute(query.order_by(c.consent_id)).scalars())


def has(tx: Transaction, consent_id: str, state: str) -> bool:
    """Whether a consent was ever noted to be in this state."""
    c = s.consent_state.c
    return tx.execute(sa.select(c.state_id).where(c.consent_id == consent_id, c.state == state).limit(1)).first() is not None
