"""Leases on people: a batch and the nightly sync never work on the same person at the same time.

A lease has a holder, a token that grows each time the lease changes hands, and an expiry. Whoever commits a decision checks its
token in the same transaction: an expired lease that someone else took meanwhile has another token.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction


def take(tx: Transaction, person_ids: Sequence[str], *, holder: str, now: datetime, lasting: timedelta) -> dict[str, int]:
    """Take the lease of each person that is free, expired, or already the holder's.

    Returns the token by person id; people leased to someone else are left out.
    """
    current = {r.person_id: r for r in tx.execute(sa.select(s.lease).where(s.lease.c.person_id.in_(list(person_ids))))}
    tokens = {}
    for person_id in person_ids:
        row = current.get(person_id)
        if row is not None and row.holder not in ("", holder) and row.expires_at > now:
            continue
        tokens[person_id] = 1 if row is None else row.token + (row.holder != holder)
    if tokens:
        tx.execute(sa.delete(s.lease).where(s.lease.c.person_id.in_(list(tokens))))
        rows = [{"person_id": p, "holder": holder, "token": t, "expires_at": now + lasting} for p, t in tokens.items()]
        tx.execute(sa.insert(s.lease), rows)
    return tokens


def valid(tx: Transaction, person_id: str, *, holder: str, token: int, now: datetime) -> bool:
    """Whether this holder still holds this lease under this token."""
    row = tx.execute(sa.select(s.lease).where(s.lease.c.person_id == person_id)).one_or_none()
    return row is not None and (row.holder, row.token) == (holder, token) and row.expires_at > now


def release(tx: Transaction, person_ids: Sequence[str], *, holder: str) -> None:
    """Give leases back; the rows stay so that tokens keep growing."""
    mine = s.lease.c.person_id.in_(list(person_ids)) & (s.lease.c.holder == holder)
    tx.execute(sa.update(s.lease).where(mine).values(holder=""))


def held(tx: Transaction, person_ids: Sequence[str], *, now: datetime) -> frozenset[str]:
    """Those of the people who are leased to anyone at this moment."""
    busy = s.lease.c.person_id.in_(list(person_ids)) & (s.lease.c.holder != "") & (s.lease.c.expires_at > now)
    return frozenset(tx.execute(sa.select(s.lease.c.person_id).where(busy)).scalars())
