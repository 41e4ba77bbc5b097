"""The nightly sync, step by step, under the names of `workbench.nightly`. It only ever writes opt-outs."""

from __future__ import annotations

from collections.abc import Callable

from model.rules import Rules
from model.state import NOBODY, OPEN, SYNC, UNCONDITIONAL, WORKER, Request, State, Step, Steps
from model.state import Sync as Memory
from model.worker import remember

STEPS = {
    "down": "workbench.nightly.sync",
    "pulled": "workbench.pull.pull",
    "begin": "workbench.nightly._Sync._begin",
    "opt_out": "workbench.nightly._Sync._opt_out",
    "wait": "workbench.salesforce.org.SalesforceOrg.opt_out",
    "read_back": "workbench.nightly._Sync._opt_out",
    "conclude": "workbench.nightly._Sync._conclude",
    "finish": "workbench.nightly._Sync._finish",
}
"""Which function of the engine each step stands for."""

ASKING = frozenset({"opt_out", "read_back"})


class Sync:
    """One process that runs the sync."""

    def __init__(self, rules: Rules, broken: frozenset[str] = frozenset()) -> None:
        self.rules, self.broken = rules, broken
        self.does: dict[str, Callable[[State], Step | None]] = {
            "down": self.pull,
            "pulled": self.store,
            "begin": self.begin,
            "opt_out": self.opt_out,
            "wait": self.answered,
            "read_back": self.read_back,
            "conclude": self.conclude,
            "finish": self.finish,
        }

    def steps(self, s: State) -> Steps:
        """What the sync does next, if anything."""
        step = self.does[s.sync.at](s)
        if step is not None:
            yield step
        if s.budget.errors and s.sync.at in ASKING:
            spent = s.budget._replace(errors=s.budget.errors - 1)
            yield "sync: Salesforce can't be asked; it stops", at(s, "finish")._replace(budget=spent)

    def pull(self, s: State) -> Step | None:
        """Reads Salesforce; what it read may be stale when it is stored."""
        if not s.budget.syncs:
            return None
        spent = s.budget._replace(syncs=s.budget.syncs - 1)
        return "sync: reads Salesforce", at(s._replace(budget=spent), "pulled", reading=s.rows)

    def store(self, s: State) -> Step:
        """The register's knowledge of the org."""
        return "sync: stores what it read", at(remember(s, s.sync.reading), "begin", reading=())

    def begin(self, s: State) -> Step:
        """`_begin`, in one transaction: the forecast, the lease, the register's side."""
        speaking = not s.unsubscribed and any(row.flag for row in s.stored)
        out = s.unsubscribed or speaking
        targets = tuple(n for n, row in enumerate(s.stored) if out and not row.flag)
        if not (speaking or targets):
            return "sync: nothing to do", s._replace(sync=Memory())
        if s.holder == WORKER and not s.expired and "no_lease" not in self.broken:
            return "sync: leaves the person alone, a batch holds it", s._replace(sync=Memory())
        s = self.unsubscribe(self.lease(s)) if speaking else self.lease(s)
        what = "unsubscribes the person" if speaking else "begins"
        return f"sync: {what}", at(s, "opt_out" if targets else "finish", targets=targets, holds=True)

    def lease(self, s: State) -> State:
        """`leases.take`: a lease that changes hands has another token."""
        if "no_lease" in self.broken or (s.holder == WORKER and not s.expired):
            return s
        worker = s.worker._replace(token="lost") if s.worker.token and s.holder != SYNC else s.worker
        return s._replace(holder=SYNC, expired=False, worker=worker)

    def unsubscribe(self, s: State) -> State:
        """`_unsubscribe`: a new episode, dated as the record's history says."""
        newer = self.rules.sync_dates_as_newer(s.stored)
        return s._replace(moved=True, newer=OPEN) if newer else s._replace(moved=True, older=OPEN)

    def opt_out(self, s: State) -> Step:
        """The request leaves, unconditional."""
        request = Request(SYNC, "opt_out", tuple((n, UNCONDITIONAL) for n in s.sync.targets))
        return "sync: the opt-outs leave", at(self.lease(s)._replace(flight=(*s.flight, request)), "wait")

    def answered(self, s: State) -> Step | None:
        """The org has come to all of it."""
        request = next(r for r in s.flight if r.waiting == SYNC)
        return None if request.parts else ("sync: is answered", self.after_waiting(s, request))

    def after_waiting(self, s: State, request: Request) -> State:
        """Going on, with an answer or without."""
        return at(s._replace(flight=tuple(r for r in s.flight if r is not request)), "read_back")

    def read_back(self, s: State) -> Step:
        """Reads what became of it."""
        return "sync: reads back", at(s, "conclude", reading=s.rows)

    def conclude(self, s: State) -> Step:
        """Stores it; of records that it did not write it read nothing."""
        read = tuple(row if n in s.sync.targets else s.stored[n] for n, row in enumerate(s.sync.reading))
        return "sync: concludes", at(remember(s, read), "finish", reading=(), targets=())

    def finish(self, s: State) -> Step:
        """`_finish` and `let_go`: the lease goes back."""
        mine = s.holder == SYNC
        freed = s._replace(holder=NOBODY if mine else s.holder, expired=s.expired and not mine)
        return "sync: finishes", freed._replace(sync=Memory())


def at(s: State, step: str, **memory: object) -> State:
    """The sync comes to a step, with something in mind."""
    return s._replace(sync=s.sync._replace(at=step, **memory))
