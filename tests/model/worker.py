"""The worker, step by step: each step is one transaction or one request of `workbench.worker`, under its name there.

``BROKEN`` names what a variant leaves out or does otherwise; every use of it is a place where a guard stands.
"""

from __future__ import annotations

from collections.abc import Callable

from model.rules import Rules
from model.state import CLOSED, FINAL, NOBODY, NOT_SENT, OPEN, SYNC, UNCONDITIONAL, WORKER, Item, Request, Row, State, Step, Steps
from model.state import Worker as Memory

BROKEN = {
    "local_first": "closes the register first, then clears Salesforce and repeats that until it is answered",
    "salesforce_first": "clears Salesforce and repeats that until it is answered, then closes the register",
    "blind_resend": "after a crash, sends the request once more without looking",
    "unconditional": "clears without a condition",
    "check_then_write": "looks at the stamps just before the request instead of making it conditional",
    "no_final_check": "closes the register without looking at Salesforce again",
    "bumped_stamp": "takes the new stamp when Salesforce says that a record was modified, and sends again",
    "no_register_check": "closes the register without asking whether the person unsubscribed meanwhile",
    "no_quiet_period": "takes the stamp of a record that was changed a second ago for its last",
    "sent_afterwards": "notes that the request was sent when it is answered",
    "no_lease": "neither takes a lease nor is asked for one by the sync",
    "abort_unwritten": "ends an abort when every record reads as opted out, whether or not its own write got there",
    "abort_unread": "ends an abort without reading the records back",
}
"""Variants: their name, and what their worker does."""

STEPS = {
    "down": "workbench.worker.running.run",
    "begin": "workbench.worker.beginning._lease",
    "begin.rows": "workbench.worker.beginning.begin",
    "begin.history": "workbench.worker.beginning.begin",
    "begin.decide": "workbench.worker.beginning._decide",
    "send": "workbench.worker.beginning.send",
    "wait": "workbench.salesforce.org.SalesforceOrg.clear",
    "settle": "workbench.worker.settling.settle",
    "verify.rows": "workbench.worker.settling.verify",
    "verify.history": "workbench.worker.settling.verify",
    "verify.commit": "workbench.worker.settling._carry_out",
    "close.rows": "workbench.worker.settling.close",
    "close.history": "workbench.worker.settling.close",
    "close.commit": "workbench.worker.settling._done",
    "opt_out_again": "workbench.worker.settling.opt_out_again",
    "opt_out_again.read": "workbench.worker.settling.opt_out_again",
    "opt_out_again.commit": "workbench.worker.settling._aborted",
    "end": "workbench.worker.running._end",
}
"""Which function of the engine each step stands for."""

ASKING = frozenset({"begin.rows", "send", "verify.rows", "close.rows", "opt_out_again", "opt_out_again.read"})
"""Steps at which Salesforce may refuse to be asked (no login, no calls left): the run pauses."""


class Worker:
    """One process that runs the batch."""

    def __init__(self, rules: Rules, broken: frozenset[str] = frozenset()) -> None:
        self.rules, self.broken = rules, broken
        self.blind = bool(broken & {"local_first", "salesforce_first"})
        self.does: dict[str, Callable[[State], Step | None]] = {
            "down": self.start,
            "begin": self.begin,
            "begin.rows": self.read_rows,
            "begin.history": self.read_history,
            "begin.decide": self.decide,
            "check": self.check,
            "send": self.send,
            "wait": self.answered,
            "settle": self.settle,
            "verify.rows": self.read_rows,
            "verify.history": self.read_history,
            "verify.commit": self.verify,
            "close.rows": self.read_rows,
            "close.history": self.read_history,
            "close.commit": self.close,
            "opt_out_again": self.opt_out_again,
            "opt_out_again.read": self.read_back,
            "opt_out_again.commit": self.opted_out_again,
            "end": self.end,
        }

    def steps(self, s: State) -> Steps:
        """What the worker does next, if anything."""
        step = self.does[s.worker.at](s)
        if step is not None:
            yield step
        if s.budget.errors and s.worker.at in ASKING:
            spent = s.budget._replace(errors=s.budget.errors - 1)
            yield "worker: Salesforce can't be asked; the run pauses", at(s, "end")._replace(budget=spent)

    def start(self, s: State) -> Step | None:
        """`run`: from the beginning or from where the last process was; somebody postponed waits for what stood in the way."""
        in_the_way = s.fresh or (s.holder == SYNC and not s.expired and "no_lease" not in self.broken)
        if s.item in FINAL or (s.item == Item.POSTPONED and in_the_way):
            return None
        if s.item in NOT_SENT:
            return "worker: run: the batch is started or resumed", at(s, "begin")
        if s.item == Item.SENT and (self.blind or "blind_resend" in self.broken):
            return "worker: run: resumed, and the request repeated", at(s, "send", sending=self.rules.to_send(s.base))
        return "worker: run: resumed with the person under way", at(s, "settle")

    def lease(self, s: State) -> State:
        """`leases.take`: free, expired, or ours already."""
        if s.holder == SYNC and not s.expired:
            return s
        return s._replace(holder=WORKER, expired=False, worker=s.worker._replace(token=s.worker.token or "mine"))

    def begin(self, s: State) -> Step:
        """Step 0."""
        if "no_lease" in self.broken:
            return "worker: begin: without a lease", at(s, "begin.rows")
        taken = self.lease(s)
        if taken.holder != WORKER:
            return "worker: begin: in use, postponed", at(s._replace(item=Item.POSTPONED), "end")
        return "worker: begin: leased", at(taken, "begin.rows")

    def read_rows(self, s: State) -> Step:
        """A reading begins: the rows, and the org's time."""
        phase = s.worker.at.removesuffix(".rows")
        return f"worker: {phase}: reads the rows", at(s, f"{phase}.history", reading=s.rows, fresh=s.fresh)

    def read_history(self, s: State) -> Step:
        """Their history, asked for behind the rows."""
        phase = s.worker.at.removesuffix(".history")
        read = tuple(row._replace(history=now.history) for row, now in zip(s.worker.reading, s.rows, strict=True))
        following = f"{phase}.decide" if phase == "begin" else f"{phase}.commit"
        return f"worker: {phase}: reads the history", at(s, following, reading=read)

    def decide(self, s: State) -> Step:
        """Steps 2 and 3, `_decide`: REFUSED, POSTPONED or SENT, in one transaction."""
        reading = s.worker.reading
        if not self.rules.eligible(reading, s.older, s.newer):
            return "worker: begin: REFUSED", at(s._replace(item=Item.REFUSED, repeated=False), "end", reading=())
        if "no_quiet_period" not in self.broken and self.rules.too_fresh(reading, s.worker.fresh):
            return "worker: begin: POSTPONED", at(s._replace(item=Item.POSTPONED, repeated=False), "end", reading=())
        base = self.rules.base_of(reading)
        fresh = s.fresh if "no_quiet_period" in self.broken else 0
        sent = s._replace(item=Item.SENT, base=base, attempts=1, moved=False, fresh=fresh)
        if "sent_afterwards" in self.broken:
            sent = sent._replace(item=s.item)
        if "local_first" in self.broken:
            sent = closed(sent)
        following = "check" if "check_then_write" in self.broken else "send"
        return "worker: begin: SENT", at(sent, following, reading=(), fresh=0, sending=self.rules.to_send(base))

    def check(self, s: State) -> Step:
        """Only of the variant that looks before it writes: leaves out what was modified."""
        unchanged = tuple(i for i in s.worker.sending if s.rows[i].stamp == s.base[i].stamp)
        return "worker: looks whether the records were modified", at(s, "send", sending=unchanged)

    def send(self, s: State) -> Step:
        """Step 4: the composite leaves, each part on the stamp that was read."""
        if not s.worker.sending:
            return "worker: send: nothing to clear", at(s._replace(item=Item.SENT), "settle")
        bare = self.blind or self.broken & {"unconditional", "check_then_write", "blind_resend"}
        bare = bare and not ("blind_resend" in self.broken and s.worker.token)
        parts = tuple((i, UNCONDITIONAL if bare else s.base[i].stamp) for i in s.worker.sending)
        asked = asks(s, Request(WORKER, "clear", parts), "wait")
        if s.item != Item.SENT:
            asked = asked._replace(wrong=asked.wrong | {"unannounced"})
        return "worker: send: the request leaves", asked

    def answered(self, s: State) -> Step | None:
        """The org has come to all parts of the request."""
        request = next(r for r in s.flight if r.waiting == WORKER)
        return None if request.parts else ("worker: is answered", self.after_waiting(s, request))

    def after_waiting(self, s: State, request: Request, *, lost: bool = False) -> State:
        """Going on with an answer, or (``lost``) without one."""
        s = s._replace(flight=tuple(r for r in s.flight if r is not request))
        if request.kind == "opt_out":
            return at(s, "opt_out_again.read")
        if self.blind:
            done = s if "local_first" in self.broken else closed(s)
            return at(s, "send") if lost else at(done._replace(item=Item.DONE), "end", sending=())
        if "sent_afterwards" in self.broken:
            s = s._replace(item=Item.SENT)
        return at(s, "settle" if s.attempts == 1 else "verify.rows", sending=(), refused=request.refused and not lost)

    def settle(self, s: State) -> Step:
        """Takes the lease and goes on by the person's state."""
        leased = s if "no_lease" in self.broken else self.lease(s)
        following = {Item.SENT: "verify.rows", Item.VERIFIED: "close.rows", Item.ABORTING: "opt_out_again"}[s.item]
        return "worker: settle: prolongs the lease", at(leased, following)

    def verify(self, s: State) -> Step:
        """Step 5, in one transaction."""
        leased = s if "no_lease" in self.broken else self.lease(s)
        if cause := self.objection(s):
            return self.abort(leased, "verify", cause)
        what, found = self.rules.reading_back(s, refused=s.worker.refused)
        reading, leased = s.worker.reading, at(leased, "send", reading=(), refused=False)
        if what == "verified":
            return "worker: verify: VERIFIED", at(leased._replace(item=Item.VERIFIED, base=found), "close.rows")
        if what == "abort" and "bumped_stamp" in self.broken and (bumped := self._bumped(s, reading)):
            found, leased = bumped, leased._replace(base=self._on_new_stamps(s, reading))
        elif what == "abort":
            return self.abort(at(leased, "", reading=reading), "verify", found)
        elif not self.rules.eligible(reading, s.older, s.newer):
            return self.abort(at(leased, "", reading=reading), "verify", "no_longer_eligible")
        return "worker: verify: SENT again", at(leased._replace(attempts=s.attempts + 1), "send", sending=found)

    def _bumped(self, s: State, reading: tuple[Row, ...]) -> tuple[int, ...]:
        return tuple(i for i in self.rules.to_send(s.base) if reading[i].flag) if s.attempts < 3 else ()

    def _on_new_stamps(self, s: State, reading: tuple[Row, ...]) -> tuple:
        return tuple(b._replace(stamp=reading[i].stamp) if reading[i].flag else b for i, b in enumerate(s.base))

    def objection(self, s: State) -> str:
        """`_local_objection`."""
        return "" if "no_register_check" in self.broken else self.rules.objection(s)

    def close(self, s: State) -> Step:
        """Steps 6 and 7, in one transaction."""
        cause = self.objection(s)
        holds = s.holder == WORKER and not s.expired and s.worker.token == "mine"
        if not cause and not holds and "no_lease" not in self.broken:
            cause = "lease_lost"
        if not cause and "no_final_check" not in self.broken:
            cause = self.rules.final_check(s)
        if cause:
            return self.abort(s, "close", cause)
        wrong = {"done_over_an_opt_out"} if s.newer == OPEN or any(row.flag for row in s.worker.reading) else set()
        done = closed(remember(s, s.worker.reading))._replace(item=Item.DONE, wrong=s.wrong | wrong)
        return "worker: close: DONE", at(done, "end", reading=())

    def abort(self, s: State, phase: str, cause: str) -> Step:
        """`_begin_abort`: the register learns of an opt-out in Salesforce."""
        learns = cause == "opted_out_in_salesforce" or not s.unsubscribed
        s = s._replace(item=Item.ABORTING, newer=OPEN if learns else s.newer)
        if phase == "close":
            s = remember(s, s.worker.reading)
        return f"worker: {phase}: ABORTING ({cause})", at(s, "opt_out_again", reading=(), refused=False, tries=0)

    def opt_out_again(self, s: State) -> Step:
        """Step 8: the opt-out is written to every record."""
        parts = tuple((i, UNCONDITIONAL) for i in range(len(s.rows)))
        tried = at(s, "", tries=s.worker.tries + 1)
        return "worker: opt_out_again: the request leaves", asks(tried, Request(WORKER, "opt_out", parts), "wait")

    def read_back(self, s: State) -> Step:
        """Whether it got there."""
        return "worker: opt_out_again: reads the rows", at(s, "opt_out_again.commit", reading=s.rows)

    def opted_out_again(self, s: State) -> Step:
        """ABORTED once every record is opted out, by a write behind the one that was read."""
        reading, s = s.worker.reading, at(remember(s, s.worker.reading), "", reading=())
        written = self.rules.opted_out_again(reading, s.base)
        if "abort_unwritten" in self.broken:
            written = all(row.flag for row in reading)
        if written or "abort_unread" in self.broken:
            return "worker: opt_out_again: ABORTED", at(s._replace(item=Item.ABORTED), "end", tries=0)
        if s.worker.tries < 3:
            return "worker: opt_out_again: not opted out yet, again", at(s, "opt_out_again")
        return "worker: opt_out_again: gives up, the run pauses", at(s, "end", tries=0)

    def end(self, s: State) -> Step:
        """`_end`: the lease goes back, the process ends."""
        s = s._replace(holder=NOBODY if s.holder == WORKER else s.holder, expired=s.expired and s.holder != WORKER)
        if s.item in FINAL:
            s = s._replace(base=(), attempts=0, moved=False)
        return "worker: the run ends", s._replace(worker=Memory())


def at(s: State, step: str, **memory: object) -> State:
    """The worker comes to a step, with something in mind."""
    return s._replace(worker=s.worker._replace(at=step, **memory))


def asks(s: State, request: Request, step: str) -> State:
    """A request leaves."""
    return at(s._replace(flight=(*s.flight, request)), step)


def closed(s: State) -> State:
    """`people.close_unsubscribes`: every open episode."""
    return s._replace(older=CLOSED if s.older == OPEN else s.older, newer=CLOSED if s.newer == OPEN else s.newer)


def remember(s: State, reading: tuple[Row, ...]) -> State:
    """`records.store_reading`: only over what is not newer."""
    stored = tuple(new if new.stamp >= old.stamp else old for new, old in zip(reading, s.stored, strict=True))
    return s if stored == s.stored else s._replace(stored=stored)
