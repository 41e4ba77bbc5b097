"""Reading Salesforce into the register: everything at first, then what changed since, page by page.

A page is durable before the next one is asked for; only the last transaction moves the point from which the next reading starts,
so an interrupted one is simply read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from workbench.desk import Desk
from workbench.errors import WorkbenchError
from workbench.org import OBJECTS
from workbench.store import mismatches, records
from workbench.store.records import Snapshot
from workbench.trail import events, leaf_time
from workbench.worker.course import Listener, Progress

OVERLAP = timedelta(minutes=10)
"""How far each reading of changes reaches back behind the last one: long transactions are stamped before they become visible."""
IDS_A_READING = 200


@dataclass(frozen=True, kw_only=True)
class PullResult:
    """What was read: ``kind`` full or delta; counts of rows read, rows new or changed, rows deleted, history entries."""

    kind: str
    rows: int
    changed: int
    deleted: int
    history: int


def pull(desk: Desk, *, full: bool = False, listener: Listener | None = None) -> PullResult:
    """Read what changed since the last time; everything when asked, or when nothing was read before.

    Raises:
        WorkbenchError: the workspace was filled from another org.
        OrgError: Salesforce can't be read; what was known before is kept.
    """
    identity = desk.org.identity()
    with desk.store.write() as tx:
        if (known := records.org_of(tx)) not in (None, identity.org_id):
            raise WorkbenchError(
                f"this workspace belongs to the org {known}, and {identity.org_id} answered",
                "Check [org] in workbench.toml; another org needs a workspace of its own.",
            )
        last = None if full else records.last_snapshot(tx)
        records.remember_own_user(tx, identity.user_id)
        kind = "delta" if last else "full"
        snapshot_id = records.begin_snapshot(tx, kind=kind, org_id=identity.org_id, started_at=desk.clock())
    reading = _Pull(desk, snapshot_id, listener or (lambda _: None))
    covered_until = reading.changes(last) if last else reading.everything()
    return reading.finish(kind, covered_until)


class _Pull:
    """One reading under way: what it has seen so far."""

    def __init__(self, desk: Desk, snapshot_id: str, listener: Listener) -> None:
        self.desk, self.snapshot_id, self.listener = desk, snapshot_id, listener
        self.rows = self.history = self.deleted = self.changed = 0

    def everything(self) -> datetime:
        """Every row and its history; returns the org's time before the first was read."""
        began = self.desk.org.read(record_ids=[], addresses=[], history=False).server_time
        for kind in OBJECTS:
            for page in self.desk.org.pull(kind):
                with self.desk.store.write() as tx:
                    self.changed += records.changed(tx, page)
                    records.upsert_rows(tx, page, snapshot_id=self.snapshot_id, seen_at=self.desk.clock())
                self.rows += len(page)
                self.listener(Progress(self.rows, 0, f"{self.rows:,} records read."))
            for changes in self.desk.org.pull_history(kind):
                with self.desk.store.write() as tx:
                    records.upsert_history(tx, changes)
                self.history += len(changes)
        return began

    def changes(self, last: Snapshot) -> datetime:
        """What changed since the last reading, with its history; returns how far the org vouches for it."""
        found = [self.desk.org.changes(kind, since=last.covered_until - OVERLAP) for kind in OBJECTS]
        ids = list(dict.fromkeys(record_id for one in found for record_id in (*one.updated, *one.deleted)))
        for some in _portions(ids):
            reading = self.desk.org.read(record_ids=some, addresses=[], history=True)
            with self.desk.store.write() as tx:
                self.changed += records.changed(tx, reading.rows)
                records.store_reading(tx, reading, seen_at=self.desk.clock())
            self.rows += len(reading.rows)
            self.history += len(reading.history)
            self.deleted += len(reading.missing) + sum(row.is_deleted for row in reading.rows)
            self.listener(Progress(self.rows, len(ids), f"{self.rows:,} of {len(ids):,} changed records read."))
        return min(one.covered_until for one in found)

    def finish(self, kind: str, covered_until: datetime) -> PullResult:
        """Close the snapshot: links and mismatches follow from it in the same transaction."""
        counts = {"rows": self.rows, "changed": self.changed, "history": self.history}
        with self.desk.store.write() as tx:
            now = self.desk.clock()
            self.deleted += records.finish_snapshot(
                tx, self.snapshot_id, covered_until=covered_until, finished_at=now, counts=counts
            )
            records.relink(tx)
            event = events.SnapshotPulled(mode="full" if kind == "full" else "delta", rows=counts, until=leaf_time(covered_until))
            self.desk.trail.append(tx, event)
            mismatches.refresh(tx, now, append_event=self.desk.trail.append)
            self.desk.trail.checkpoint(tx)
        return PullResult(kind=kind, rows=self.rows, changed=self.changed, deleted=self.deleted, history=self.history)


def _portions(ids: list[str]) -> Iterator[list[str]]:
    for i in range(0, len(ids), IDS_A_READING):
        yield ids[i : i + IDS_A_READING]
