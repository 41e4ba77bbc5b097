"""Reading Salesforce into the register: everything at first, then what changed since, page by page.

A page is durable before the next one is asked for; only the last transaction moves the point from which the next reading starts,
so an interrupted one is simply read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from workbench.desk import Desk
from workbench.errors import WorkbenchError
from workbench.org import OBJECTS, Changes, OrgRefusedError, OrgRow, Reading
from workbench.store import mismatches, records
from workbench.store.database import Transaction
from workbench.store.records import Snapshot
from workbench.trail import events, leaf_time
from workbench.worker.course import Listener, Progress

Kind = Literal["full", "delta"]
OVERLAP = timedelta(minutes=10)
"""How far each reading of changes reaches back behind the last one: long transactions are stamped before they become visible."""
LONGEST_GAP = timedelta(days=14)
"""After this long without a reading everything is read: Salesforce forgets deletions after about 15 days."""
IDS_A_READING = 200
MOST_BY_ID = 2_000
"""Above so many changed records, rows in bulk and the whole history cost fewer calls."""


@dataclass(frozen=True, kw_only=True)
class PullResult:
    """What was read: ``kind`` full or delta; counts of rows read, rows new or changed, rows newly deleted, history entries."""

    kind: str
    rows: int
    changed: int
    deleted: int
    history: int


def pull(desk: Desk, *, full: bool = False, listener: Listener | None = None) -> PullResult:
    """Read what changed since the last time; everything when asked, when nothing was read before, or when it is too long ago.

    Raises:
        WorkbenchError: the workspace was filled from another org, or the org shows none of the records that it had.
        OrgQuotaError: the workspace's share of the org's daily calls is used; what was read before is kept.
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
    changes = _changes(desk, last) if last else None
    desk.org.keep_within_budget()
    kind: Kind = "delta" if changes else "full"
    with desk.store.write() as tx:
        snapshot_id = records.begin_snapshot(tx, kind=kind, org_id=identity.org_id, started_at=desk.clock())
    reading = _Pull(desk, snapshot_id, listener or (lambda _: None))
    covered_until = reading.changes(changes) if changes else reading.everything()
    return reading.finish(kind, covered_until)


def _changes(desk: Desk, last: Snapshot) -> dict[str, Changes] | None:
    """What changed since the last reading, by object; None when Salesforce no longer knows it all."""
    if desk.clock() - last.covered_until > LONGEST_GAP:
        return None
    try:
        return {kind: desk.org.changes(kind, since=last.covered_until - OVERLAP) for kind in OBJECTS}
    except OrgRefusedError:
        return None


class _Pull:
    """One reading under way: what it has seen so far."""

    def __init__(self, desk: Desk, snapshot_id: str, listener: Listener) -> None:
        self.desk, self.snapshot_id, self.listener = desk, snapshot_id, listener
        self.rows = dict.fromkeys(OBJECTS, 0)
        self.history = self.deleted = self.changed = self.total = 0

    def everything(self) -> datetime:
        """Every row and its history; returns the org's time before the first was read."""
        began = self.desk.org.read(record_ids=[], addresses=[], history=False).server_time
        for kind in OBJECTS:
            for page in self.desk.org.pull(kind):
                self._page(page)
            self._history(kind)
        return began

    def changes(self, found: dict[str, Changes]) -> datetime:
        """What changed since the last reading, with its history; returns how far the org vouches for it."""
        ids = {kind: sorted({*one.updated, *one.deleted}) for kind, one in found.items()}
        self.total = sum(len(some) for some in ids.values())
        if self.total <= MOST_BY_ID:
            for some in _portions([record_id for mine in ids.values() for record_id in mine]):
                self._reading(self.desk.org.read(record_ids=some, addresses=[], history=True))
        else:
            for kind, some in ids.items():
                self._in_bulk(kind, some)
        return min(one.covered_until for one in found.values())

    def _in_bulk(self, kind: str, record_ids: Sequence[str]) -> None:
        left = set(record_ids)
        for page in self.desk.org.rows(kind, record_ids):
            self._page(page)
            left.difference_update(row.record_id for row in page)
        with self.desk.store.write() as tx:
            self.deleted += records.mark_missing(tx, left, seen_at=self.desk.clock())
        self._history(kind)

    def _page(self, page: Sequence[OrgRow]) -> None:
        with self.desk.store.write() as tx:
            self._count(tx, page)
            records.upsert_rows(tx, page, snapshot_id=self.snapshot_id, seen_at=self.desk.clock())
        self._told()

    def _reading(self, reading: Reading) -> None:
        with self.desk.store.write() as tx:
            self._count(tx, reading.rows)
            self.deleted += sum(not deleted for _, deleted in records.stamps(tx, reading.missing).values())
            records.store_reading(tx, reading, seen_at=self.desk.clock(), snapshot_id=self.snapshot_id)
        self.history += len(reading.history)
        self._told()

    def _history(self, kind: str) -> None:
        for changes in self.desk.org.pull_history(kind):
            with self.desk.store.write() as tx:
                records.upsert_history(tx, changes)
            self.history += len(changes)

    def _count(self, tx: Transaction, rows: Sequence[OrgRow]) -> None:
        known = records.stamps(tx, [row.record_id for row in rows])
        for row in rows:
            self.rows[row.object] += 1
            stamp, deleted = known.get(row.record_id, (None, False))
            self.changed += stamp is None or row.system_modstamp > stamp
            self.deleted += row.is_deleted and not deleted

    def _told(self) -> None:
        """Say how far the reading is, and go on only if calls are left for it."""
        done = sum(self.rows.values())
        self.listener(Progress(done, max(done, self.total), f"{done:,} records read."))
        self.desk.org.keep_within_budget()

    def finish(self, kind: Kind, covered_until: datetime) -> PullResult:
        """Close the snapshot: links and mismatches follow from it in the same transaction."""
        with self.desk.store.write() as tx:
            now = self.desk.clock()
            if kind == "full":
                self._refuse_a_wiped_org(tx)
            self.deleted += records.finish_snapshot(
                tx, self.snapshot_id, covered_until=covered_until, finished_at=now, counts=self.rows
            )
            records.relink(tx)
            self.desk.trail.append(tx, events.SnapshotPulled(mode=kind, rows=self.rows, until=leaf_time(covered_until)))
            mismatches.refresh(tx, now, append_event=self.desk.trail.append)
            self.desk.trail.checkpoint(tx)
        rows = sum(self.rows.values())
        return PullResult(kind=kind, rows=rows, changed=self.changed, deleted=self.deleted, history=self.history)

    def _refuse_a_wiped_org(self, tx: Transaction) -> None:
        """Records that are hidden from our user must not pass for deleted ones."""
        for kind, gone in records.unseen(tx, self.snapshot_id).items():
            if not self.rows[kind]:
                raise WorkbenchError(
                    f"Salesforce showed no {kind} at all, and {gone} were known before",
                    f"Check that the integration user may still see every {kind}; nothing was marked as deleted.",
                )


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for i in range(0, len(ids), IDS_A_READING):
        yield ids[i : i + IDS_A_READING]
