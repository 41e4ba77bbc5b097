"""One run of one batch in one process: what all steps share."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from workbench.consent import Consent
from workbench.desk import Desk, Files, case_for, read_people
from workbench.eligibility import EvidenceCheck, Verdict, assess
from workbench.errors import BatchError
from workbench.org import OrgRow, Reading, RowAnswer
from workbench.resubscription import FINAL, Batch, Intent, State, known_ids, linked_rows
from workbench.said import Said, joined, said
from workbench.store import batches, leases, people, records
from workbench.store.database import Transaction
from workbench.worker.step import Step, step

LEASE = timedelta(minutes=10)
LONGEST_WAIT_SECONDS = 8.0


@dataclass(frozen=True)
class Progress:
    """How far a run is: people with an end, people in all, and a sentence for the status line."""

    done: int
    total: int
    sentence: str


Listener = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended; ``state`` is the batch's. ``remaining`` people still wait for a resume, ``postponed`` are among them."""

    batch_id: str
    state: str
    done: int
    refused: int
    aborted: int
    undone: int
    postponed: int
    remaining: int
    cause: str = ""

    @property
    def sentence(self) -> Said:
        """One plain sentence for the status line."""
        total = self.done + self.refused + self.aborted + self.undone + self.remaining
        parts = [
            said("{done} of {total} people resubscribed", done=self.done, total=total),
            said("{count} refused", count=self.refused),
        ]
        parts += [said("{count} opted out again meanwhile and kept opted out", count=self.aborted)] if self.aborted else []
        parts += [said("{count} undone", count=self.undone)] if self.undone else []
        parts += [said("{count} waiting", count=self.remaining)] if self.remaining else []
        if self.state == "paused":
            return said("{sentence}. Paused: {cause}", sentence=joined("; ", parts), cause=self.cause)
        return said("{sentence}.", sentence=joined("; ", parts))


@contextmanager
def only_here(desk: Desk, batch_id: str) -> Iterator[None]:
    """Hold the batch for this process; the operating system gives it back when the process ends, however it ends.

    Raises:
        BatchError: another process is running this batch.
    """
    from filelock import FileLock, Timeout

    folder = desk.folder / "locks"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"batch-{batch_id}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise BatchError(
            said("batch {batch} is being run by another process", batch=batch_id), said("Wait until it has ended.")
        ) from None
    try:
        with desk.store.alone(f"batch {batch_id}") as held:
            if not held:
                raise BatchError(
                    said("batch {batch} is being run on another computer", batch=batch_id), said("Wait until it has ended.")
                )
            yield
    finally:
        lock.release()


class Course:
    """The desk, the batch and what this run knows so far: lease tokens, answers, how many people it has begun."""

    def __init__(
        self, desk: Desk, batch: Batch, *, listener: Listener | None = None, stop: threading.Event | None = None
    ) -> None:
        self.desk, self.batch = desk, batch
        self.listener = listener or (lambda _: None)
        self.stop = stop or threading.Event()
        self.holder = f"batch:{batch.batch_id}"
        self.us = desk.org.identity().user_id
        self.unwritable = tuple(f"{a.object}.{a.field}" for a in desk.org.access() if not a.updateable)
        self.tokens: dict[str, int] = {}
        self.answers: dict[str, RowAnswer] = {}
        self.begun = 0
        self.alarm = ""
        """Why the run must not go on with further people, if anything said so."""

    def lease(self, tx: Transaction, group: Sequence[Intent]) -> frozenset[str]:
        """Take or prolong the leases; returns the people that are held by this run now."""
        ids = [i.person_id for i in group]
        taken = leases.take(tx, ids, holder=self.holder, now=self.desk.clock(), lasting=LEASE)
        for person_id, token in taken.items():
            self.tokens.setdefault(person_id, token)
        return frozenset(taken)

    def held(self, tx: Transaction, group: Sequence[Intent]) -> frozenset[str]:
        """Those people for whom the lease that this run took first is still the one in force."""
        tokens = {i.person_id: self.tokens.get(i.person_id, -1) for i in group}
        return leases.valid(tx, tokens, holder=self.holder, now=self.desk.clock())

    def step(self) -> AbstractContextManager[Step]:
        """A transaction in which people of the batch are decided about."""
        return step(self.desk, self.batch.batch_id)

    def read(self, group: Sequence[Intent]) -> Reading:
        """Every org record of these people as it is now, by id and by address, with field history."""
        with self.desk.store.read() as tx:
            known = people.by_ids(tx, [i.person_id for i in group])
        ids = {r for i in group for r in known_ids(i, known.get(i.person_id))}
        return read_people(self.desk, tuple(known.values()), ids)

    def verdict(
        self,
        intent: Intent,
        *,
        files: Files,
        chosen: dict[str, Consent],
        reading: Reading,
        evidence: dict[str, EvidenceCheck],
    ) -> Verdict:
        """Every rule on the fresh state of a person that the register has."""
        person = files.people[intent.person_id]
        rows = linked_rows(reading, person, known_ids(intent, person))
        case = case_for(
            person,
            files=files,
            consent=chosen.get(intent.consent_id or ""),
            rows=rows,
            reading=reading,
            evidence=evidence,
            unwritable=self.unwritable,
            reason=self.batch.reason,
        )
        return assess(case, self.desk.policy, now=self.desk.clock())

    def remember(self, tx: Transaction, reading: Reading) -> None:
        """Keep what was read as the register's newest knowledge of the org."""
        records.store_reading(tx, reading, seen_at=self.desk.clock())

    def current(self, group: Iterable[Intent], *states: State) -> list[Intent]:
        """The same people as the register has them now, those in some states only."""
        wanted = {i.intent_id for i in group}
        with self.desk.store.read() as tx:
            found = batches.intents(tx, self.batch.batch_id, states=states)
        return [i for i in found if i.intent_id in wanted]

    def report(self) -> None:
        """Tell the listener how far the run is."""
        with self.desk.store.read() as tx:
            counts = batches.by_state(tx, self.batch.batch_id)
        done = sum(n for state, n in counts.items() if state in FINAL)
        total = sum(counts.values())
        self.listener(Progress(done, total, said("{done} of {total} people have an end.", done=done, total=total)))

    def pause_before(self, attempt: int) -> None:
        """Wait before a repeated request, with full jitter; ends early when the operator stops the run."""
        self.stop.wait(random.uniform(0, min(LONGEST_WAIT_SECONDS, 0.5 * 2**attempt)))  # noqa: S311 - jitter, not a secret


def rows_of(intent: Intent, reading: Reading, files: Files) -> tuple[OrgRow, ...]:
    """The person's rows in a reading; without the person only those known by id."""
    person = files.people.get(intent.person_id)
    ids = known_ids(intent, person)
    if person:
        return linked_rows(reading, person, ids)
    return tuple({row.record_id: row for known in sorted(ids) if (row := reading.by_id.get(known))}.values())
