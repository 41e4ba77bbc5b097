"""Leases on people: a batch and the nightly sync never work on the same person at the same time.

A lease has a holder, a token that grows each time the lease changes hands, and an expiry. Whoever commits a decision checks its
token in the same transaction: an expired lease that someone else took meanwhile has another token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction, portions


def take(tx: Transaction, person_ids: Sequence[str], *, holder: str, now: datetime, lasting: timedelta) -> dict[str, int]:
    """Take the lease of each person that is free, expired, or already the holder's.

    Returns the token by person id; people leased to someone else are left out.
    """
    found = (r for ids in portions(person_ids) for r in tx.execute(sa.select(s.lease).where(s.lease.c.person_id.in_(ids))))
    current = {r.person_id: r for r in found}
    tokens = {}
    for person_id in person_ids:
        row = current.get(person_id)
        if row is not None and row.holder not in ("", holder) and row.expires_at > now:
            continue
        tokens[person_id] = 1 if row is None else row.token + (row.holder != holder)
    if tokens:
        for ids in portions(tokens):
            tx.execute(sa.delete(s.lease).where(s.lease.c.person_id.in_(ids)))
        rows = [{"person_id": p, "holder": holder, "token": t, "expires_at": now + lasting} for p, t in tokens.items()]
        tx.execute(sa.insert(s.lease), rows)
    return tokens


def valid(tx: Transaction, tokens: Mapping[str, int], *, holder: str, now: datetime) -> frozenset[str]:
    """Those of the people, given with the token of their lease, whose lease this holder still holds under that token."""
    mine = s.lease.c.person_id.in_(list(tokens)) & (s.lease.c.holder == holder) & (s.lease.c.expires_at > now)
    found = tx.execute(sa.select(s.lease.c.person_id, s.lease.c.token).where(mine))
    return frozenset(r.person_id for r in found if r.token == tokens[r.person_id])


def release(tx: Transaction, *, holder: str) -> None:
    """Give all leases of a holder back; the rows stay so that tokens keep growing."""
    tx.execute(sa.update(s.lease).where(s.lease.c.holder == holder).values(holder=""))


def held(tx: Transaction, person_ids: Sequence[str], *, now: datetime) -> frozenset[str]:
    """Those of the people who are leased to anyone at this moment."""
    busy = sa.select(s.lease.c.person_id).where(s.lease.c.holder != "", s.lease.c.expires_at > now)
    found = (tx.execute(busy.where(s.lease.c.person_id.in_(ids))).scalars() for ids in portions(person_ids))
    return frozenset(person_id for some in found for person_id in some)
