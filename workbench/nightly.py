"""What runs every night: the unsubscribe sync, and the follow-up that tells whether resubscribed people stayed so.

The sync only ever writes opt-outs: either linked side opted out, both are. It does exactly what its forecast says, to nobody whom a
batch holds at the moment, and stops before the first write when there is more to do than its cap allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

from workbench.desk import Desk
from workbench.errors import NotAllowedError, WorkbenchError
from workbench.mismatch import OPT_OUT_RECORD, UNSUBSCRIBE_PERSON, Change
from workbench.org import FieldChange, OrgRow, RowAnswer
from workbench.person import new_id
from workbench.pull import pull
from workbench.resubscription import Intent
from workbench.store import batches, follow_ups, leases, mismatches, operators, people, records
from workbench.store.database import Transaction
from workbench.store.trail_log import Entry
from workbench.trail import events, leaf_time

LEASE = timedelta(minutes=10)
AT_ONCE = 200
WRITTEN = ("done", "gone")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """What a sync did (in a dry run: would do): people unsubscribed, org records opted out, and what it left alone.

    ``skipped_leased`` are the ids of people whom a batch held, ``failed`` those of records that could not be written.
    """

    unsubscribed: int
    opted_out: int
    skipped_leased: tuple[str, ...]
    failed: tuple[str, ...]
    dry_run: bool

    @property
    def sentence(self) -> str:
        """One plain sentence."""
        would = "would be " if self.dry_run else ""
        parts = [f"{self.unsubscribed} people {would}unsubscribed", f"{self.opted_out} Salesforce records {would}opted out"]
        parts += [f"{len(self.skipped_leased)} people left alone because a batch holds them"] if self.skipped_leased else []
        parts += [f"{len(self.failed)} records could not be written"] if self.failed else []
        return "; ".join(parts) + "."


def sync(desk: Desk, *, dry_run: bool = False, cap: int | None = None) -> SyncResult:
    """Bring both sides to the stricter state. Reads what changed in Salesforce first.

    Raises:
        NotAllowedError: the operator is no administrator.
        WorkbenchError: more changes than the cap (the policy's ``sync_cap`` by default); nothing was written.
        OrgError: Salesforce can't be read or written; what was done is durable, and the next sync does the rest.
    """
    with desk.store.read() as tx:
        if not dry_run and "admin" not in operators.roles(tx, desk.operator.name):
            raise NotAllowedError("only an administrator runs the sync")
    pull(desk)
    if dry_run:
        with desk.store.read() as tx:
            return _result(mismatches.forecast(tx), dry_run=True)
    run = _Sync(desk, cap if cap is not None else desk.policy.sync_cap)
    try:
        return run.carry_out()
    finally:
        run.let_go()


def _result(changes: Sequence[Change], *, dry_run: bool) -> SyncResult:
    return SyncResult(
        unsubscribed=sum(c.action == UNSUBSCRIBE_PERSON for c in changes),
        opted_out=sum(c.action == OPT_OUT_RECORD for c in changes),
        skipped_leased=(),
        failed=(),
        dry_run=dry_run,
    )


class _Sync:
    """One sync: its leases, and what it has done so far."""

    def __init__(self, desk: Desk, cap: int) -> None:
        self.desk, self.cap, self.run_id = desk, cap, new_id()
        self.holder = f"sync:{self.run_id}"
        self.held: frozenset[str] = frozenset()
        self.failed: list[str] = []

    def carry_out(self) -> SyncResult:
        """Lease, unsubscribe people, opt records out, look again."""
        changes, skipped = self._begin()
        to_unsubscribe = [c for c in changes if c.action == UNSUBSCRIBE_PERSON]
        to_opt_out = [c for c in changes if c.action == OPT_OUT_RECORD]
        for some in _portions(to_unsubscribe):
            self._unsubscribe(some)
        for some in _portions(to_opt_out):
            self._opt_out(some)
        done = SyncResult(
            unsubscribed=len(to_unsubscribe),
            opted_out=len(to_opt_out) - len(self.failed),
            skipped_leased=skipped,
            failed=tuple(self.failed),
            dry_run=False,
        )
        self._finish(done)
        return done

    def _begin(self) -> tuple[list[Change], tuple[str, ...]]:
        """In one transaction: the forecast, the cap, the leases. Whoever a batch holds is left alone and named."""
        with self.desk.store.write() as tx:
            now, forecast = self.desk.clock(), mismatches.forecast(tx)
            if len(forecast) > self.cap:
                raise WorkbenchError(
                    f"the sync would change {len(forecast)} people and records, more than its cap of {self.cap}; nothing was written",
                    "Look at `workbench forecast`; if that is right, run it once with --cap and a larger number.",
                )
            concerned = sorted({c.person_id for c in forecast if c.person_id})
            tokens = leases.take(tx, concerned, holder=self.holder, now=now, lasting=LEASE)
            self.held = frozenset(tokens)
            mine = [c for c in forecast if not c.person_id or c.person_id in self.held]
            result = _result(mine, dry_run=False)
            started = events.SyncStarted(cap=self.cap, people=result.unsubscribed, records=result.opted_out)
            follow_ups.begin_sync(tx, self.run_id, operator=self.desk.operator.name, at=now)
            self.desk.trail.append(tx, started)
            self.desk.trail.checkpoint(tx)
        return mine, tuple(p for p in concerned if p not in self.held)

    def _unsubscribe(self, some: Sequence[Change]) -> None:
        """The register follows Salesforce: a new episode that says which record, since when and by whom."""
        with self.desk.store.write() as tx:
            rows = records.rows_by_ids(tx, [c.record_id for c in some if c.record_id])
            history = defaultdict(list)
            for change in records.history_of(tx, rows):
                history[change.record_id].append(change)
            for change in some:
                self._record_unsubscribe(tx, change, rows.get(change.record_id), history[change.record_id])
            self.desk.trail.checkpoint(tx)

    def _record_unsubscribe(self, tx: Transaction, change: Change, row: OrgRow | None, history: Sequence[FieldChange]) -> None:
        now = self.desk.clock()
        ticked = max((h for h in history if h.new), key=lambda h: h.at, default=None)
        at = ticked.at if ticked else row.last_modified_date if row else now
        by = ticked.by if ticked else None
        episode = people.unsubscribe(
            tx,
            change.person_id,
            opted_out_at=min(at, now),
            source="salesforce_sync",
            detail=f"{change.record_id} is opted out" + (f", by user {by}" if by else ""),
            recorded_at=now,
            recorded_by=self.desk.operator.name,
        )
        records_named = (change.record_id,) if change.record_id else ()
        event = events.PersonUnsubscribedBySync(
            unsubscribe_id=episode, records=records_named, opted_out_at=leaf_time(at), opted_out_by=by
        )
        self.desk.trail.append(tx, event, person_id=change.person_id)

    def _opt_out(self, some: Sequence[Change]) -> None:
        """Salesforce follows the register: intended and durable, then written, then read back."""
        with self.desk.store.write() as tx:
            kinds = {record_id: row.object for record_id, row in records.rows_by_ids(tx, [c.record_id for c in some]).items()}
            entries = [
                Entry(event=events.OptOutIntended(by="sync", rows=(c.record_id,)), person_id=c.person_id or None) for c in some
            ]
            self.desk.trail.append_all(tx, entries)
            self.desk.trail.checkpoint(tx)
        answers = {a.record_id: a for a in self.desk.org.opt_out(sorted((kinds[c.record_id], c.record_id) for c in some))}
        reading = self.desk.org.read(record_ids=[c.record_id for c in some], addresses=[], history=True)
        with self.desk.store.write() as tx:
            records.store_reading(tx, reading, seen_at=self.desk.clock())
            out = {row.record_id for row in reading.rows if all(row.opt_outs.values())} | reading.missing
            self.failed += [c.record_id for c in some if c.record_id not in out]
            entries = [
                Entry(event=_written(answers[c.record_id], fine=c.record_id in out), person_id=c.person_id or None) for c in some
            ]
            self.desk.trail.append_all(tx, entries)
            self.desk.trail.checkpoint(tx)

    def _finish(self, done: SyncResult) -> None:
        counts = {
            "unsubscribed": done.unsubscribed,
            "opted_out": done.opted_out,
            "skipped": len(done.skipped_leased),
            "failed": len(done.failed),
        }
        with self.desk.store.write() as tx:
            follow_ups.finish_sync(tx, self.run_id, at=self.desk.clock(), counts=counts)
            self.desk.trail.append(tx, events.SyncFinished(counts=counts))
            mismatches.refresh(tx, self.desk.clock(), resolved_by="nightly sync", append_event=self.desk.trail.append)
            self.desk.trail.checkpoint(tx)

    def let_go(self) -> None:
        """Give the leases back."""
        if self.held:
            with self.desk.store.write() as tx:
                leases.release(tx, sorted(self.held), holder=self.holder)


def _written(answer: RowAnswer, *, fine: bool) -> events.OptOutWritten | events.OptOutFailed:
    part = (events.RowAnswer(record_id=answer.record_id, status=None, code=answer.code or answer.outcome),)
    return events.OptOutWritten(rows=part) if fine else events.OptOutFailed(cause="not_written", rows=part)


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """One resubscribed person looked at again: ``held``, or ``relapsed`` with its cause (sync, new_request, "")."""

    intent_id: str
    person_id: str
    outcome: Literal["held", "relapsed"]
    cause: str


def follow_up(desk: Desk) -> tuple[FollowUp, ...]:
    """Look at everybody who was resubscribed and not undone: both sides, read anew.

    Raises:
        OrgError: Salesforce can't be read.
    """
    with desk.store.read() as tx:
        done = batches.resubscribed(tx)
    for some in _portions(done):
        ids = sorted({b.record_id for i in some for b in i.base})
        if ids:
            reading = desk.org.read(record_ids=ids, addresses=[], history=True)
            with desk.store.write() as tx:
                records.store_reading(tx, reading, seen_at=desk.clock())
    with desk.store.write() as tx:
        relapses = mismatches.relapses(tx)
        found = tuple(_looked_at(i, relapses[i.person_id].cause if i.person_id in relapses else None) for i in done)
        for one, intent in zip(found, done, strict=True):
            follow_ups.add(tx, one.intent_id, outcome=one.outcome, cause=one.cause, at=desk.clock())
            event = events.FollowUpChecked(outcome=one.outcome, cause=one.cause or None, detail="")
            desk.trail.append(tx, event, batch_id=intent.batch_id, intent_id=one.intent_id, person_id=one.person_id)
        mismatches.refresh(tx, desk.clock(), append_event=desk.trail.append)
        desk.trail.checkpoint(tx)
    return found


def _looked_at(intent: Intent, cause: str | None) -> FollowUp:
    outcome: Literal["held", "relapsed"] = "held" if cause is None else "relapsed"
    return FollowUp(intent_id=intent.intent_id, person_id=intent.person_id, outcome=outcome, cause=cause or "")


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), AT_ONCE):
        yield items[i : i + AT_ONCE]
