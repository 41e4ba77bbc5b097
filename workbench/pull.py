"""Reading Salesforce into the register: everything at first, then what changed since, page by page.

A page is durable before the next one is asked for; only the last transaction moves the point from which the next reading starts,
so an interrupted one is read again; a full one goes on behind the last page of the job that it was reading.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from workbench.desk import Desk
from workbench.errors import WorkbenchError
from workbench.org import OBJECTS, Bookmark, Changes, FieldChange, OrgRefusedError, OrgRow, Page, Reading, RowColumns
from workbench.said import said
from workbench.store import bookmarks, incoming, mismatches, records
from workbench.store.bookmarks import UnderWay
from workbench.store.database import Transaction
from workbench.store.records import Snapshot
from workbench.trail import events, leaf_time
from workbench.worker.course import Listener, Progress

Kind = Literal["full", "delta"]
OVERLAP = timedelta(minutes=10)
"""How far each reading of changes reaches back behind the last one: long transactions are stamped before they become visible."""
LONGEST_GAP = timedelta(days=14)
"""After this long without a reading everything is read: Salesforce forgets deletions after about 15 days."""
LONGEST_BREAK = timedelta(days=1)
"""How long ago a full reading may have begun to be gone on with; Salesforce keeps a job's pages for seven days."""
IDS_A_READING = 200
LEAST_TIME_TOLD = 60.0  # seconds
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


def pull(desk: Desk, *, full: bool = False, listener: Listener | None = None, within_budget: bool = True) -> PullResult:
    """Read what changed since the last time; everything when asked, when nothing was read before, or when that is too long ago.

    Everything is read from time to time even so: what getUpdated and getDeleted may have missed comes to light then.

    ``within_budget=False`` uses calls above the workspace's share too: the nightly sync must learn of opt-outs whatever it costs.

    Raises:
        WorkbenchError: the org shows none of the records that it had.
        OrgQuotaError: the workspace's share of the org's daily calls is used; what was read before is kept.
        OrgError: Salesforce can't be read; what was known before is kept.
    """
    identity = desk.org.identity()
    with desk.store.write() as tx:
        last = None if full or _full_is_due(desk, tx) else records.last_snapshot(tx)
        records.remember_own_user(tx, identity.user_id)
    changes = _changes(desk, last) if last else None
    if within_budget:
        desk.org.keep_within_budget()
    kind: Kind = "delta" if changes else "full"
    with desk.store.write() as tx:
        found = bookmarks.find(tx) if kind == "full" else None
        under_way = found if found and _goes_on(desk, found, identity.org_id) else None
        if under_way is None:
            snapshot_id = records.begin_snapshot(tx, kind=kind, org_id=identity.org_id, started_at=desk.clock())
            under_way = UnderWay(snapshot_id=snapshot_id, org_id=identity.org_id, fields=list(desk.org.opt_out_fields))
    reading = _Pull(desk, under_way, listener or (lambda _: None), within_budget=within_budget)
    if changes:
        return reading.finish(kind, reading.changes(changes))
    with _garbage_by_the_page():
        covered_until = reading.everything()
    return reading.finish(kind, covered_until)


@contextmanager
def _garbage_by_the_page() -> Iterator[None]:
    """Look for reference cycles once a page, and not among what was there before.

    A page is tens of thousands of tuples, none in a cycle; the interpreter's own pace would search them and all modules over and
    over, a tenth of a full reading's time.
    """
    paused = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if paused:
            gc.enable()


def _full_is_due(desk: Desk, tx: Transaction) -> bool:
    """Whether the last full reading was of other opt-out fields, or so long ago that changes alone are no longer relied on."""
    if records.fields_read(tx) != frozenset(desk.org.opt_out_fields):
        return True
    now = desk.clock()
    last = records.last_snapshot(tx, kind="full", begun_by=now)
    return last is None or now - last.started_at >= timedelta(days=desk.full_reading_days)


def _goes_on(desk: Desk, found: UnderWay, org_id: str) -> bool:
    """Whether a full reading that was broken off is worth going on with: the same org and fields, and not too long ago."""
    same = (found.org_id, found.fields) == (org_id, list(desk.org.opt_out_fields))
    return same and desk.clock() - datetime.fromisoformat(found.began) < LONGEST_BREAK


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

    def __init__(self, desk: Desk, under_way: UnderWay, listener: Listener, *, within_budget: bool) -> None:
        self.desk, self.under_way, self.listener, self.within_budget = desk, under_way, listener, within_budget
        self.snapshot_id = under_way.snapshot_id
        before = under_way.counts
        self.rows = {kind: before.get(kind, 0) for kind in OBJECTS}
        self.history, self.deleted, self.changed = (before.get(name, 0) for name in ("history", "deleted", "changed"))
        self.nothing_known: bool | None = None
        self.taken_over = bool(under_way.began)
        self.total = self._promised()
        self.began_with, self.began_at = sum(self.rows.values()), time.monotonic()
        self.asked_at: datetime | None = None

    def everything(self) -> datetime:
        """Every row and its history, behind what was read before; returns the org's time before the first was read."""
        if not self.taken_over:
            self._begin()
        for kind in OBJECTS:
            self._step(_rows_step(kind), self.desk.org.pull, kind, self._page)
            self._step(_history_step(kind), self.desk.org.pull_history, kind, self._changes)
        return datetime.fromisoformat(self.under_way.began)

    def _begin(self) -> None:
        """Ask the org for everything at once: it looks for the next while we store the last."""
        self.under_way.began = self.desk.org.read(record_ids=[], addresses=[], history=False).server_time.isoformat()
        self.under_way.asked = self.desk.clock().isoformat()
        for kind in OBJECTS:
            self.under_way.jobs[_rows_step(kind)] = self.desk.org.begin_pull(kind)
            self.under_way.jobs[_history_step(kind)] = self.desk.org.begin_pull(kind, history=True)
        self.total = self._promised()
        with self.desk.store.write() as tx:
            if not records.any_stored(tx):
                records.unindex(tx)
            self._keep(tx)

    def _promised(self) -> int:
        """How many rows the org has found for a full reading."""
        jobs = self.under_way.jobs
        return sum(jobs[step].promised for step in map(_rows_step, OBJECTS) if step in jobs)

    def _step(self, name: str, ask: Callable[..., Iterator[Sequence[Any]]], kind: str, store: Callable[..., None]) -> None:
        """Read all pages of one kind, behind the bookmark that another process left; anew when its job is no longer there."""
        if name in self.under_way.steps:
            return
        mark = self.under_way.bookmark if self.under_way.step == name else None
        self.asked_at = None if mark else self.desk.clock()  # all pages of a job are from its beginning
        try:
            self._pages(name, ask(kind, at=mark or self.under_way.jobs.get(name)), store)
        except OrgRefusedError:
            if not self.taken_over:
                raise
            if mark:
                self._uncount(kind, mark, rows=store == self._page)
            self._pages(name, ask(kind), store)
        self.under_way.steps.append(name)
        self.under_way.step, self.under_way.bookmark = "", None
        with self.desk.store.write() as tx:
            self._keep(tx)

    def _uncount(self, kind: str, mark: Bookmark, *, rows: bool) -> None:
        if rows:
            self.rows[kind] -= mark.delivered
        else:
            self.history -= mark.delivered

    def _pages(self, name: str, pages: Iterator[Sequence[Any]], store: Callable[..., None]) -> None:
        for page in pages:
            rows, following = (page.rows, page.following) if isinstance(page, Page) else (page, None)
            self.under_way.step, self.under_way.bookmark = (name, following) if following else ("", None)
            store(rows)
            gc.collect()

    def _keep(self, tx: Transaction) -> None:
        """Note how far a full reading is, in the transaction that stores what was read."""
        self.under_way.counts = {**self.rows, "history": self.history, "deleted": self.deleted, "changed": self.changed}
        bookmarks.keep(tx, self.under_way)

    def changes(self, found: dict[str, Changes]) -> datetime:
        """What changed since the last reading, with its history; returns how far the org vouches for it."""
        ids = {kind: sorted({*one.updated, *one.deleted}) for kind, one in found.items()}
        self.total = sum(len(some) for some in ids.values())
        if self.total <= MOST_BY_ID:
            for some in _portions([record_id for mine in ids.values() for record_id in mine]):
                self.asked_at = self.desk.clock()
                self._reading(self.desk.org.read(record_ids=some, addresses=[], history=True))
        else:
            for kind, some in ids.items():
                self._in_bulk(kind, some)
        return min(one.covered_until for one in found.values())

    def _in_bulk(self, kind: str, record_ids: Sequence[str]) -> None:
        left, self.asked_at = set(record_ids), self.desk.clock()
        for page in self.desk.org.rows(kind, record_ids):
            self._page(page)
            left.difference_update(row.record_id for row in page)
        with self.desk.store.write() as tx:
            self.deleted += records.mark_missing(tx, left, seen_at=self.desk.clock())
        self._history(kind)

    def _page(self, page: Sequence[OrgRow]) -> None:
        asked = self.under_way.asked  # a job's rows are as they were when it was made, however late they are read
        seen_at = datetime.fromisoformat(asked) if asked else self.desk.clock()
        rows = incoming.columns_of(page)
        with self.desk.store.write() as tx:
            self._count(tx, rows)
            asked_at = seen_at if asked else self.asked_at
            now = self.desk.clock()
            records.upsert_rows(tx, rows, snapshot_id=self.snapshot_id, seen_at=seen_at, asked_at=asked_at, now=now)
            if self.under_way.bookmark:
                self._keep(tx)
        self._told()

    def _reading(self, reading: Reading) -> None:
        with self.desk.store.write() as tx:
            self._count(tx, incoming.columns_of(reading.rows))
            self.deleted += records.live_among(tx, reading.missing)
            now = self.desk.clock()
            records.store_reading(tx, reading, seen_at=now, asked_at=self.asked_at, snapshot_id=self.snapshot_id)
        self.history += len(reading.history)
        self._told()

    def _history(self, kind: str) -> None:
        for changes in self.desk.org.pull_history(kind):
            self._changes(changes)

    def _changes(self, changes: Sequence[FieldChange]) -> None:
        self.history += len(changes)
        with self.desk.store.write() as tx:
            records.upsert_history(tx, changes)
            if self.under_way.bookmark:
                self._keep(tx)

    def _count(self, tx: Transaction, rows: RowColumns) -> None:
        if self.nothing_known is None:
            self.nothing_known = not records.any_stored(tx)
        for kind in OBJECTS:
            self.rows[kind] += rows.object.count(kind)
        changed, deleted = (len(rows), sum(rows.is_deleted)) if self.nothing_known else records.news(tx, rows)
        self.changed, self.deleted = self.changed + changed, self.deleted + deleted

    def _told(self) -> None:
        """Say how far the reading is, and go on only if calls are left for it."""
        done = sum(self.rows.values())
        total = max(done, self.total)
        if total > done:
            left = self._time_left(done, total)
            sentence = said("{done} of {total} records read{how}.", done=done, total=total, how=left)
        else:
            sentence = said("{done} records read.", done=done)
        self.listener(Progress(done, total, sentence))
        if self.within_budget:
            self.desk.org.keep_within_budget()

    def _time_left(self, done: int, total: int) -> str:
        read, seconds = done - self.began_with, time.monotonic() - self.began_at
        left = (total - done) * seconds / read if read else 0.0
        return said(", about {minutes} min left", minutes=round(left / 60)) if left >= LEAST_TIME_TOLD else ""

    def finish(self, kind: Kind, covered_until: datetime) -> PullResult:
        """Close the snapshot: links and mismatches follow from it in the same transaction."""
        with self.desk.store.write() as tx:
            now = self.desk.clock()
            records.index(tx)
            if kind == "full":
                self._refuse_a_wiped_org(tx)
            self.deleted += records.finish_snapshot(
                tx, self.snapshot_id, covered_until=covered_until, finished_at=now, counts=self.rows
            )
            if kind == "full":
                records.remember_fields(tx, self.desk.org.opt_out_fields)
                bookmarks.clear(tx)
            self.desk.trail.append(tx, events.SnapshotPulled(mode=kind, rows=self.rows, until=leaf_time(covered_until)))
            mismatches.refresh(tx, now, everything=kind == "full", append_event=self.desk.trail.append)
            self.desk.trail.checkpoint(tx, required=False)
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


def _rows_step(kind: str) -> str:
    return f"{kind} rows"


def _history_step(kind: str) -> str:
    return f"{kind} history"


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for i in range(0, len(ids), IDS_A_READING):
        yield ids[i : i + IDS_A_READING]
