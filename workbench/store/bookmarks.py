"""How far a full reading of Salesforce has come, so that a new process goes on behind the last page that was stored."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from workbench.org import Bookmark
from workbench.store import schema as s
from workbench.store.database import Transaction

NAME = "pull.under_way"


@dataclass(kw_only=True)
class UnderWay:
    """A full reading that has not ended. ``began`` is the org's time (ISO 8601) before its first row was read, ``asked`` ours.

    ``jobs`` are those that the org was asked for at the beginning, by step. ``steps`` are those read as a whole; ``step`` the one
    being read, from ``bookmark`` on.
    """

    snapshot_id: str
    org_id: str
    fields: list[str]
    began: str = ""
    asked: str = ""
    jobs: dict[str, Bookmark] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    step: str = ""
    bookmark: Bookmark | None = None
    counts: dict[str, int] = field(default_factory=dict)


def find(tx: Transaction) -> UnderWay | None:
    """The full reading that was broken off; None when there is none, or when what is kept can't be read."""
    text = tx.execute(sa.select(s.setting.c.value).where(s.setting.c.name == NAME)).scalar()
    try:
        kept: dict[str, Any] = json.loads(text) if text else {}
        mark, jobs = kept.pop("bookmark", None), kept.pop("jobs", {})
        begun = {step: Bookmark(**job) for step, job in jobs.items()}
        return UnderWay(**kept, jobs=begun, bookmark=Bookmark(**mark) if mark else None) if kept else None
    except (ValueError, TypeError, AttributeError):
        return None


def keep(tx: Transaction, under_way: UnderWay) -> None:
    """Note how far a reading is, in the transaction that stores what was read."""
    clear(tx)
    tx.execute(sa.insert(s.setting).values(name=NAME, value=json.dumps(asdict(under_way))))


def clear(tx: Transaction) -> None:
    """Forget it: the reading has ended, or is begun anew."""
    tx.execute(sa.delete(s.setting).where(s.setting.c.name == NAME))
