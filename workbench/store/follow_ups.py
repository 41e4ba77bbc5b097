"""What the night leaves behind: runs of the sync, and how resubscribed people were found afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction


def add(tx: Transaction, intent_id: str, *, outcome: str, cause: str, at: datetime) -> None:
    """How one resubscribed person was found; a second look at the same moment replaces nothing and adds nothing."""
    f = s.follow_up
    if tx.execute(sa.select(f.c.intent_id).where(f.c.intent_id == intent_id, f.c.checked_at == at)).first() is None:
        tx.execute(sa.insert(f).values(intent_id=intent_id, checked_at=at, outcome=outcome, cause=cause))


def begin_sync(tx: Transaction, run_id: str, *, operator: str, at: datetime) -> None:
    """A sync begins."""
    tx.execute(sa.insert(s.sync_run).values(run_id=run_id, operator=operator, started_at=at, counts={}))


def finish_sync(tx: Transaction, run_id: str, *, at: datetime, counts: Mapping[str, int]) -> None:
    """A sync ended; ``counts`` by outcome."""
    tx.execute(sa.update(s.sync_run).where(s.sync_run.c.run_id == run_id).values(finished_at=at, counts=dict(counts)))


def last_sync(tx: Transaction) -> datetime | None:
    """When the last sync that ended did so."""
    return tx.execute(sa.select(sa.func.max(s.sync_run.c.finished_at))).scalar()
