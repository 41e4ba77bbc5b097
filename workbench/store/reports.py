"""Issued reports: what was issued, with which parameters, and the digest of every file. Rows are added, never changed;
one goes when its files are deleted because they named somebody who was erased."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction
from workbench.store.trail_log import Entry, TrailWriter
from workbench.trail.events import ReportErased, ReportIssued


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One issued report. ``files`` maps ``folder/file`` to its SHA-256, ``checkpoint_size`` is that of the note it printed."""

    report_id: str
    name: str
    parameters: dict[str, Any]
    files: dict[str, str]
    issued_at: datetime
    issued_by: str
    checkpoint_size: int

    @property
    def folder(self) -> str:
        """The name of the folder that the files lie in."""
        return next(iter(self.files), "").partition("/")[0]


def seal(tx: Transaction, row: ReportRow, *, trail: TrailWriter) -> None:
    """Keep one issued report and put every file's digest on the trail, all in this transaction, under a new checkpoint."""
    tx.execute(sa.insert(s.report).values(**vars(row)))
    text = json.dumps(row.parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    events = [ReportIssued(name=row.name, parameters=digest, file_name=f, file_sha256=h) for f, h in sorted(row.files.items())]
    trail.append_all(tx, [Entry(event=event) for event in events])
    trail.checkpoint(tx)


def issued(tx: Transaction) -> tuple[ReportRow, ...]:
    """All issued reports, newest first."""
    newest = sa.select(s.report).order_by(s.report.c.issued_at.desc(), s.report.c.report_id.desc())
    return tuple(ReportRow(**row) for row in tx.execute(newest).mappings())


def erase(tx: Transaction, row: ReportRow, *, cause: str, trail: TrailWriter) -> None:
    """Take a report off the list because its files are deleted, and say so on the trail."""
    tx.execute(sa.delete(s.report).where(s.report.c.report_id == row.report_id))
    trail.append(tx, ReportErased(name=row.name, files=tuple(sorted(row.files)), cause=cause))
