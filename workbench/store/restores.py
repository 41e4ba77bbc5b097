"""That a register came from a backup, until an administrator confirmed that what was received since the backup is in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction

PENDING = "restore.pending"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """Nothing that was entered between ``made_at`` (the backup) and ``restored_at`` is in the register; both UTC."""

    made_at: datetime
    restored_at: datetime


def note(tx: Transaction, restored: Restored) -> None:
    """Note that the register was restored, in place of an earlier note of the kind, whose gap it takes in."""
    earlier = pending(tx)
    made_at = min(restored.made_at, earlier.made_at) if earlier else restored.made_at
    value = json.dumps([made_at.isoformat(), restored.restored_at.isoformat()])
    confirm(tx)
    tx.execute(sa.insert(s.setting).values(name=PENDING, value=value))


def pending(tx: Transaction) -> Restored | None:
    """The restore that nobody has confirmed yet, if there is one."""
    value = tx.execute(sa.select(s.setting.c.value).where(s.setting.c.name == PENDING)).scalar()
    if value is None:
        return None
    made_at, restored_at = map(datetime.fromisoformat, json.loads(value))
    return Restored(made_at=made_at, restored_at=restored_at)


def confirm(tx: Transaction) -> None:
    """Take the note away."""
    tx.execute(sa.delete(s.setting).where(s.setting.c.name == PENDING))
