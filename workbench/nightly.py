"""What runs every night: the unsubscribe sync, and the follow-up that tells whether resubscribed people stayed so.

The sync only ever writes opt-outs: either linked side opted out, both are. It does exactly what its forecast says, to nobody whom a
batch holds at the moment, and stops before the first write when there is more to do than its cap allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from workbench.desk import Desk
from workbench.eligibility.opt_outs import last_change
from workbench.errors import NotAllowedError, WorkbenchError
from workbench.mismatch import OPT_OUT_RECORD, UNSUBSCRIBE_PERSON, Change, Relapse
from workbench.org import FieldChange, OrgError, OrgRow, Reading, RowAnswer
from workbench.person import new_id
from workbench.pull import pull
from workbench.resubscription import Intent
from workbench.said import Said, said, said_of
from workbench.store import batches, follow_ups, leases, mismatches, operators, people, records
from workbench.store.database import Transaction
from workbench.store.trail_log import Entry
from workbench.trail import events, leaf_time

LEASE = timedelta(minutes=10)
AT_ONCE = 200
MANY, MANY_AT_ONCE = 2_000, 10_000
"""Above so many opt-outs the org is handed more at a time, which it writes by Bulk jobs."""
NAMED = 5  # ids in a sentence; the result has all of them
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """What a sync did (in a dry run: would do): people unsubscribed, org records opted out, and what it left alone.

    ``skipped_leased`` are the ids of people whom a batch held, ``failed`` those of records that could not be written; both are
    left to the next sync.
    """

    unsubscribed: int
    opted_out: int
    skipped_leased: tuple[str, ...]
    failed: tuple[str, ...]
    dry_run: bool

    @property
    def sentence(self) -> Said:
        """One plain sentence."""
        people, records = said_of("{number} person", "{number} people", self.unsubscribed), self._records()
        left = said("; {sentence}", sentence=self._left_alone()) if self.skipped_leased else ""
        failed = said("; {sentence}", sentence=self._not_written()) if self.failed else ""
        if self.dry_run:
            return said(
                "{what} would be unsubscribed; {records} would be opted out{how}{why}.",
                what=people,
                records=records,
                how=left,
                why=failed,
            )
        return said("{what} unsubscribed; {records} opted out{how}{why}.", what=people, records=records, how=left, why=failed)

    def _records(self) -> Said:
        return said_of("{number} Salesforce record", "{number} Salesforce records", self.opted_out)

    def _left_alone(self) -> Said:
        return said_of(
            "{number} person left alone because a batch holds them: {what}",
            "{number} people left alone because a batch holds them: {what}",
            len(self.skipped_leased),
            what=_some(self.skipped_leased),
        )

    def _not_written(self) -> Said:
        return said("{number} records could not be written: {what}", number=len(self.failed), what=_some(self.failed))


def _some(ids: Sequence[str]) -> str:
    listed = ", ".join(ids[:NAMED])
    return said("{ids} and {number} more", ids=listed, number=len(ids) - NAMED) if len(ids) > NAMED else listed


def sync(desk: Desk, *, dry_run: bool = False, cap: int | None = None) -> SyncResult:
    """Bring both sides to the stricter state. Reads what changed in Salesforce first.

    Raises:
        NotAllowedError: the operator is no administrator.
        WorkbenchError: more changes than the cap (the policy's ``sync_cap`` by default); nothing was written.
        OrgError: Salesforce can't be read or written; what was done is durable, and the next sync does the rest.
    """
    with desk.store.read() as tx:
        if not dry_run and "admin" not in operators.roles(tx, desk.operator.name):
            raise NotAllowedError(said("only an administrator runs the sync"))
    pull(desk, within_budget=False)
    if dry_run:
        with desk.store.read() as tx:
            return _rehearsal(desk, tx)
    run = _Sync(desk, cap if cap is not None else desk.policy.sync_cap)
    try:
        return run.carry_out()
    finally:
        run.let_go()


def _rehearsal(desk: Desk, tx: Transaction) -> SyncResult:
    forecast = mismatches.forecast(tx)
    busy = leases.held(tx, sorted(_concerned(tx, forecast)), now=desk.clock())
    free = _apart(tx, forecast, busy=busy)
    return SyncResult(
        unsubscribed=len(_of(free, UNSUBSCRIBE_PERSON)),
        opted_out=len(_of(free, OPT_OUT_RECORD)),
        skipped_leased=tuple(sorted(busy)),
        failed=(),
        dry_run=True,
    )


def _of(changes: Sequence[Change], action: str) -> list[Change]:
    return [c for c in changes if c.action == action]


def _concerned(tx: Transaction, changes: Sequence[Change]) -> set[str]:
    """Everyone to be unsubscribed, and everyone linked to a record to be opted out: a batch may be clearing it for any of them."""
    owners = records.owners(tx, [c.record_id for c in _of(changes, OPT_OUT_RECORD)])
    return {c.person_id for c in changes if c.person_id}.union(*owners.values())


def _apart(tx: Transaction, changes: Sequence[Change], *, busy: frozenset[str]) -> list[Change]:
    """Without what touches people in use, and without what would only follow from that."""
    owners = records.owners(tx, [c.record_id for c in _of(changes, OPT_OUT_RECORD)])
    touched = {c: {c.person_id, *(owners.get(c.record_id, ()) if c.action == OPT_OUT_RECORD else ())} for c in changes}
    left = [c for c in changes if not busy.intersection(touched[c])]
    while True:
        followed = {c.record_id for c in _of(left, OPT_OUT_RECORD)} | {c.person_id for c in _of(left, UNSUBSCRIBE_PERSON)}
        still = [c for c in left if c.direct or (c.record_id if c.action == UNSUBSCRIBE_PERSON else c.person_id) in followed]
        if len(still) == len(left):
            return left
        left = still


class _Sync:
    """One sync: its leases, and what it has done so far."""

    def __init__(self, desk: Desk, cap: int) -> None:
        self.desk, self.cap, self.run_id = desk, cap, new_id()
        self.holder = f"sync:{self.run_id}"
        self.held: frozenset[str] = frozenset()
        self.written: list[str] = []
        self.failed: list[str] = []

    def carry_out(self) -> SyncResult:
        """Lease, unsubscribe people, opt records out, look again."""
        changes, skipped = self._begin()
        to_opt_out = _of(changes, OPT_OUT_RECORD)
        stopped: OrgError | None = None
        for some in _portions(to_opt_out, AT_ONCE if len(to_opt_out) <= MANY else MANY_AT_ONCE):
            if stopped is None:
                stopped = self._opt_out(some)
            else:
                self._conclude(some, {}, None)
        done = SyncResult(
            unsubscribed=len(changes) - len(to_opt_out),
            opted_out=len(self.written),
            skipped_leased=skipped,
            failed=tuple(self.failed),
            dry_run=False,
        )
        self._finish(done)
        if stopped is not None:
            raise stopped
        return done

    def _begin(self) -> tuple[list[Change], tuple[str, ...]]:
        """In one transaction: the forecast, the cap, the leases, the register's side, and what Salesforce is to be told.

        Whoever a batch holds is left alone and named.
        """
        with self.desk.store.write() as tx:
            now, forecast = self.desk.clock(), mismatches.forecast(tx)
            if len(forecast) > self.cap:
                raise WorkbenchError(
                    said(
                        "the sync would change {forecast} people and records, more than its cap of {cap}; nothing was written",
                        forecast=len(forecast),
                        cap=self.cap,
                    ),
                    said(
                        "Look at `workbench forecast`; if that is right, run it once with `workbench sync --cap {forecast}`.",
                        forecast=str(len(forecast)),
                    ),
                )
            concerned = sorted(_concerned(tx, forecast))
            self.held = frozenset(leases.take(tx, concerned, holder=self.holder, now=now, lasting=LEASE))
            skipped = frozenset(concerned) - self.held
            mine = _apart(tx, forecast, busy=skipped)
            to_unsubscribe, to_opt_out = _of(mine, UNSUBSCRIBE_PERSON), _of(mine, OPT_OUT_RECORD)
            follow_ups.begin_sync(tx, self.run_id, operator=self.desk.operator.name, at=now)
            started = events.SyncStarted(cap=self.cap, people=len(to_unsubscribe), records=len(to_opt_out))
            intended = [
                Entry(event=events.OptOutIntended(by="sync", rows=(c.record_id,)), person_id=c.person_id or None)
                for c in to_opt_out
            ]
            self.desk.trail.append_all(tx, [Entry(event=started), *self._unsubscribe(tx, to_unsubscribe), *intended])
            self.desk.trail.checkpoint(tx, required=False)
        return mine, tuple(sorted(skipped))

    def _unsubscribe(self, tx: Transaction, changes: Sequence[Change]) -> list[Entry]:
        """The register follows Salesforce: a new episode that says which record, since when and by whom."""
        rows = records.rows_by_ids(tx, [c.record_id for c in changes])
        history: dict[str, list[FieldChange]] = defaultdict(list)
        for change in records.history_of(tx, rows):
            history[change.record_id].append(change)
        return [self._episode(tx, c, rows[c.record_id], _ticked(rows[c.record_id], history[c.record_id])) for c in changes]

    def _episode(self, tx: Transaction, change: Change, row: OrgRow, ticked: FieldChange | None) -> Entry:
        now = self.desk.trail.moment(tx)
        at, by, detail = _origin(change, row, ticked, now=now)
        episode = people.unsubscribe(
            tx,
            change.person_id,
            opted_out_at=at,
            source="salesforce_sync",
            detail=detail,
            recorded_at=now,
            recorded_by=self.desk.operator.name,
        )
        event = events.PersonUnsubscribedBySync(
            unsubscribe_id=episode, records=(change.record_id,), opted_out_at=leaf_time(at), opted_out_by=by
        )
        return Entry(event=event, person_id=change.person_id)

    def _opt_out(self, some: Sequence[Change]) -> OrgError | None:
        """Salesforce follows the register: written, then read back. Returns what stopped it; the rows then count as failed."""
        with self.desk.store.write() as tx:
            kinds = {record_id: row.object for record_id, row in records.rows_by_ids(tx, [c.record_id for c in some]).items()}
            leases.take(tx, sorted(self.held), holder=self.holder, now=self.desk.clock(), lasting=LEASE)
        answers: dict[str, RowAnswer] = {}
        reading, stopped = None, None
        try:
            answers = {a.record_id: a for a in self.desk.org.opt_out(sorted((kinds[c.record_id], c.record_id) for c in some))}
            reading = self.desk.org.read(record_ids=[c.record_id for c in some], addresses=[], history=True)
        except OrgError as error:
            stopped = error
        self._conclude(some, answers, reading)
        return stopped

    def _conclude(self, some: Sequence[Change], answers: dict[str, RowAnswer], reading: Reading | None) -> None:
        """In one transaction: the rows as read back, and what became of each on the trail."""
        with self.desk.store.write() as tx:
            if reading is not None:
                records.store_reading(tx, reading, seen_at=self.desk.clock())
            ends = {c.record_id: _end_of(c.record_id, answers.get(c.record_id), reading) for c in some}
            entries = [
                Entry(event=_event(c.record_id, ends[c.record_id], answers.get(c.record_id)), person_id=c.person_id or None)
                for c in some
            ]
            self.desk.trail.append_all(tx, entries)
            self.desk.trail.checkpoint(tx, required=False)
        self.written += [record_id for record_id, end in ends.items() if end == "written"]
        self.failed += [record_id for record_id, end in ends.items() if end == "not_written"]

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
            mismatches.refresh(
                tx, self.desk.clock(), everything=True, resolved_by="nightly sync", append_event=self.desk.trail.append
            )
            self.desk.trail.checkpoint(tx, required=False)

    def let_go(self) -> None:
        """Give the leases back."""
        if self.held:
            with self.desk.store.write() as tx:
                leases.release(tx, holder=self.holder)


def _ticked(row: OrgRow, history: Sequence[FieldChange]) -> FieldChange | None:
    """The latest change that opted the record out; None if a field is set although history has no word, or another, on it."""
    words = [last_change(history, row, name) for name, value in row.opt_outs.items() if value]
    return None if None in words else max((word for word in words if word), key=lambda word: word.at, default=None)


def _origin(change: Change, row: OrgRow, ticked: FieldChange | None, *, now: datetime) -> tuple[datetime, str | None, str]:
    """When the opt-out took place and by which user, as far as Salesforce tells, and a sentence about it."""
    record = f"{row.object} {row.record_id}"
    if not change.direct:
        return now, None, f"{record} is opted out because of another person or record it is joined with"
    if ticked is not None:
        return ticked.at, ticked.by, f"{record} was opted out in Salesforce by user {ticked.by}"
    return row.last_modified_date, None, f"{record} is opted out in Salesforce; its history does not say by whom"


def _end_of(record_id: str, answer: RowAnswer | None, reading: Reading | None) -> Literal["written", "gone", "not_written"]:
    """What became of one record: what it says itself counts, and only where it can't be read, what the answer said."""
    if reading is None:
        return "written" if answer is not None and answer.outcome == "done" else "not_written"
    row = next((r for r in reading.rows if r.record_id == record_id), None)
    if row is None or row.is_deleted:
        return "gone"
    return "written" if all(row.opt_outs.values()) else "not_written"


def _event(record_id: str, end: str, answer: RowAnswer | None) -> events.OptOutWritten | events.OptOutFailed:
    code = (answer.code or answer.outcome) if answer else "unknown"
    part = (events.RowAnswer(record_id=record_id, status=None, code=code),)
    return events.OptOutWritten(rows=part) if end == "written" else events.OptOutFailed(cause=end, rows=part)


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
        _read_again(desk, some)
    with desk.store.write() as tx:
        mismatches.refresh(tx, desk.clock(), append_event=desk.trail.append)
        relapses = mismatches.relapses(tx)
        found = tuple(_looked_at(i, relapses.get(i.person_id)) for i in done)
        for one, intent in zip(found, done, strict=True):
            follow_ups.add(tx, one.intent_id, outcome=one.outcome, cause=one.cause, at=desk.clock())
            relapse = relapses.get(one.person_id)
            event = events.FollowUpChecked(outcome=one.outcome, cause=one.cause or None, detail=relapse.detail if relapse else "")
            desk.trail.append(tx, event, batch_id=intent.batch_id, intent_id=one.intent_id, person_id=one.person_id)
        desk.trail.checkpoint(tx, required=False)
    return found


def _read_again(desk: Desk, intents: Sequence[Intent]) -> None:
    """Read and store what Salesforce has of some people by now: by what was written, by link and by address."""
    person_ids = [i.person_id for i in intents]
    with desk.store.read() as tx:
        addresses = sorted({p.email for p in people.by_ids(tx, person_ids).values()})
        ids = {link.record_id for mine in records.linked(tx, person_ids).values() for link in mine}
    ids.update(b.record_id for i in intents for b in i.base)
    asked_at = desk.clock()
    reading = desk.org.read(record_ids=sorted(ids), addresses=addresses, history=True)
    with desk.store.write() as tx:
        records.store_reading(tx, reading, seen_at=desk.clock(), asked_at=asked_at)
        records.relink(tx, person_ids)


def _looked_at(intent: Intent, relapse: Relapse | None) -> FollowUp:
    outcome: Literal["held", "relapsed"] = "held" if relapse is None else "relapsed"
    return FollowUp(
        intent_id=intent.intent_id, person_id=intent.person_id, outcome=outcome, cause="" if relapse is None else relapse.cause
    )


def _portions(items: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]
