"""Everything that neither worker nor sync decides: the org and its wire, people who opt out, crashes, time."""

from __future__ import annotations

from model.state import (
    NOBODY,
    NOT_SENT,
    OPEN,
    OTHERS,
    SYNC,
    UNCONDITIONAL,
    US,
    WORKER,
    Budget,
    Item,
    Request,
    Row,
    Setting,
    State,
    Steps,
)
from model.state import Sync as SyncMemory
from model.state import Worker as WorkerMemory
from model.sync import Sync
from model.worker import Worker

UNDER_WAY = frozenset({Item.SENT, Item.VERIFIED, Item.ABORTING})


class Outside:
    """What may happen to the two processes."""

    def __init__(self, setting: Setting, worker: Worker, sync: Sync) -> None:
        self.setting, self.worker, self.sync = setting, worker, sync

    def steps(self, s: State) -> Steps:
        """Everything that may happen now."""
        for number, request in enumerate(s.flight):
            if request.parts:
                yield from self.org(s, number, request)
        yield from self.people(s)
        yield from self.crashes(s)
        yield from self.time(s)

    def org(self, s: State, number: int, request: Request) -> Steps:
        """The org comes to the next part of a request; or the request, its answer or a part is lost, late, locked or refused."""
        record, condition = request.parts[0]
        rest = request._replace(parts=request.parts[1:])
        whose = request.waiting or "late"
        yield from self._part(s, number, rest, record, condition, whose)
        if not (request.waiting and s.budget.lost):
            return
        s = spend(s, "lost")
        yield f"org: record {record} is locked ({whose})", self._with(s, number, rest)
        if request.kind == "clear":
            yield f"org: record {record} can't be written ({whose})", self._with(s, number, rest._replace(refused=True))
        yield f"wire: the request of the {whose} is lost", self._goes_on(self._with(s, number, None), request)
        late = self._with(s, number, request._replace(waiting=NOBODY))
        yield f"wire: the {whose} waits no longer, the request is late", self._goes_on(late, request)

    def _part(self, s: State, number: int, rest: Request, record: int, condition: int, whose: str) -> Steps:
        row = s.rows[record]
        if rest.kind == "clear" and condition not in (UNCONDITIONAL, row.stamp):
            yield f"org: record {record} was modified since ({whose})", self._with(s, number, rest)
            return
        flag = rest.kind == "opt_out"
        written = modified(row, flag=flag, by=US)
        ended = not flag and row.flag and s.item not in UNDER_WAY and s.item not in NOT_SENT
        wrong = s.wrong | {"cleared_after_the_end"} if ended else s.wrong
        verb = "opts out" if flag else "clears"
        yield f"org: {verb} record {record} ({whose})", self._with(put(s, record, written)._replace(wrong=wrong), number, rest)

    def _with(self, s: State, number: int, request: Request | None) -> State:
        flight = [*s.flight[:number], *([request] if request else []), *s.flight[number + 1 :]]
        return s._replace(flight=tuple(flight))

    def _goes_on(self, s: State, request: Request) -> State:
        if request.waiting == WORKER:
            return self.worker.after_waiting(s, request, lost=True)
        return self.sync.after_waiting(s, request)

    def people(self, s: State) -> Steps:
        """Somebody opts out on either side, or edits a record."""
        if s.budget.opt_outs:
            here = spend(s, "opt_outs")._replace(newer=OPEN, moved=s.item not in NOT_SENT, spoke=True)
            yield "person: unsubscribes in the register", here
        for number, row in enumerate(s.rows):
            if s.budget.opt_outs:
                yield from self._opt_out_there(s, number, row)
            if s.budget.edits:
                edited = put(spend(s, "edits"), number, modified(row, flag=row.flag, by=OTHERS))
                yield f"somebody: edits record {number}", freshened(edited, number)

    def _opt_out_there(self, s: State, number: int, row: Row) -> Steps:
        spent, written = spend(s, "opt_outs"), modified(row, flag=True, by=OTHERS)
        if not row.flag:
            yield f"person: opts out on record {number}", put(spent, number, written)._replace(spoke=True)
            if self.setting.same_second and row.by == US:
                same = Row(flag=True, stamp=row.stamp, by=OTHERS, history=(*row.history, (row.stamp, True, OTHERS)))
                yield f"person: opts out on record {number} within the second", put(spent, number, same)._replace(spoke=True)
            return
        if s.item in (Item.SENT, Item.ABORTING) or (s.worker.reading and s.worker.reading[number].stamp == row.stamp):
            repeated = put(spent, number, written)._replace(repeated=True)
            yield f"person: opts out on record {number} once more", freshened(repeated, number)
            if s.fresh >> number & 1:
                yield f"person: opts out on record {number} once more within the second", spent._replace(repeated=True)

    def crashes(self, s: State) -> Steps:
        """A process dies; what it sent is still on its way, what it leased stays leased."""
        if not s.budget.crashes:
            return
        spent = spend(s, "crashes")
        if s.worker.at != "down":
            forgets = s.item in NOT_SENT
            dead = spent._replace(worker=WorkerMemory(), repeated=s.repeated and not forgets)
            yield "crash of the worker", orphaned(dead, WORKER)
        if s.sync.at != "down":
            yield "crash of the sync", orphaned(spent._replace(sync=SyncMemory()), SYNC)

    def time(self, s: State) -> Steps:
        """The quiet period passes, or so much time that a lease ends."""
        if s.fresh:
            yield "time: the quiet period passes", s._replace(fresh=0)
        if s.holder == NOBODY or s.expired:
            return
        dead = (s.worker if s.holder == WORKER else s.sync).at == "down"
        if dead or s.budget.stalls:
            yield f"time: the lease of the {s.holder} ends", (s if dead else spend(s, "stalls"))._replace(expired=True)


def spend(s: State, what: str) -> State:
    """One less of it may happen."""
    budget: Budget = s.budget._replace(**{what: getattr(s.budget, what) - 1})
    return s._replace(budget=budget)


def modified(row: Row, *, flag: bool, by: str) -> Row:
    """A write: it moves the stamp even when it changes nothing, and leaves history only when it changes the flag."""
    history = (*row.history, (row.stamp + 1, flag, by)) if flag != row.flag else row.history
    return Row(flag, row.stamp + 1, by, history)


def put(s: State, number: int, row: Row) -> State:
    """A record as written."""
    return s._replace(rows=(*s.rows[:number], row, *s.rows[number + 1 :]))


def freshened(s: State, number: int) -> State:
    """A record was changed a moment ago, which matters until its stamp is relied on."""
    return s._replace(fresh=s.fresh | 1 << number) if s.item in NOT_SENT else s


def orphaned(s: State, whose: str) -> State:
    """Nobody waits for the requests of a dead process."""
    return s._replace(flight=tuple(r._replace(waiting=NOBODY) if r.waiting == whose else r for r in s.flight))


def tidy(s: State) -> State:
    """The same state with late requests in one order, and without parts of them whose condition can't be met any more."""
    if not s.flight:
        return s
    late = []
    for request in s.flight:
        if not request.waiting:
            parts = tuple(p for p in request.parts if request.kind == "opt_out" or p[1] in (UNCONDITIONAL, s.rows[p[0]].stamp))
            late += [Request(NOBODY, request.kind, parts)] if parts else []
    flight = (*sorted(late), *(r for r in s.flight if r.waiting))
    return s if flight == s.flight else s._replace(flight=flight)
