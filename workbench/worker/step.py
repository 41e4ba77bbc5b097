"""What one transaction decides about many people, written together at its end: their states, their events, the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from workbench.desk import Desk
from workbench.resubscription import Intent, State
from workbench.store import batches
from workbench.store.database import Transaction
from workbench.store.trail_log import Entry
from workbench.trail import Event


class Step:
    """Decisions about people of one batch in one transaction. Events keep the order in which they are noted."""

    def __init__(self, desk: Desk, tx: Transaction, batch_id: str, *, signed: bool) -> None:
        self.tx, self._signed = tx, signed
        self._desk, self._batch_id = desk, batch_id
        self._moves: list[batches.Move] = []
        self._entries: list[Entry] = []

    def move(self, intent: Intent, to: State, *, expected: Iterable[State], **values: Any) -> None:
        """The person's intent becomes ``to``, if it is in one of the expected states when this is written."""
        self._moves.append(batches.Move(intent_id=intent.intent_id, to=to, expected=tuple(expected), values=values))

    def note(self, event: Event, about: Intent) -> None:
        """An event about one person."""
        person_id, intent_id = about.person_id, about.intent_id
        self._entries.append(Entry(event=event, batch_id=self._batch_id, intent_id=intent_id, person_id=person_id))

    def write(self) -> None:
        """Write everything. Raises: RuntimeError when an intent was in none of the states expected."""
        batches.move(self.tx, self._moves, at=self._desk.clock())
        self._desk.trail.append_all(self.tx, self._entries)
        self._desk.trail.checkpoint(self.tx, required=self._signed)


@contextmanager
def step(desk: Desk, batch_id: str, *, signed: bool = True) -> Iterator[Step]:
    """A write transaction for a step; what it decided is written and committed at the end, or nothing is.

    ``signed`` is whether it must not be done without the key of the trail.
    """
    with desk.store.write() as tx:
        made = Step(desk, tx, batch_id, signed=signed)
        yield made
        made.write()
