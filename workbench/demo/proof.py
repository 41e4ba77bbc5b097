"""Looking at the result from outside: every person of the batch, on both systems, read anew over HTTP and from the register."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.bench import Workbench
from workbench.person import unsubscribed
from workbench.resubscription import Intent, State, known_ids, linked_rows
from workbench.store import batches, people

PEOPLE_A_READING = 100


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """How many people ended how, and the ids of those whose two sides don't say so."""

    done: int
    refused: int
    aborted: int
    done_but_out: tuple[str, ...]
    refused_but_touched: tuple[str, ...]
    aborted_but_in: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether both sides are as the batch says, for everybody."""
        return not (self.done_but_out or self.refused_but_touched or self.aborted_but_in)


def read_back(wb: Workbench, batch_id: str) -> ReadBack:
    """Compare what a batch says of each person with what both systems say now."""
    with wb.store.read() as tx:
        intents = batches.intents(tx, batch_id)
    sides: dict[str, tuple[bool, bool, bool]] = {}
    for i in range(0, len(intents), PEOPLE_A_READING):
        sides |= _sides(wb, intents[i : i + PEOPLE_A_READING])
    ended = {state: [i.person_id for i in intents if i.state is state] for state in State}
    return ReadBack(
        done=len(ended[State.DONE]),
        refused=len(ended[State.REFUSED]),
        aborted=len(ended[State.ABORTED]),
        done_but_out=tuple(p for p in ended[State.DONE] if sides[p] != (False, False, False)),
        refused_but_touched=tuple(p for p in ended[State.REFUSED] if sides[p] != (True, True, True)),
        aborted_but_in=tuple(p for p in ended[State.ABORTED] if sides[p] != (True, True, True)),
    )


def _sides(wb: Workbench, intents: tuple[Intent, ...]) -> dict[str, tuple[bool, bool, bool]]:
    """Per person: unsubscribed in the register; any record opted out; every record opted out."""
    with wb.store.read() as tx:
        known = people.by_ids(tx, [i.person_id for i in intents])
        episodes = people.unsubscribes(tx, known)
    ids = sorted({r for i in intents for r in known_ids(i, known[i.person_id])})
    reading = wb.org.read(record_ids=ids, addresses=sorted({p.email for p in known.values()}), history=False)
    sides = {}
    for intent in intents:
        person = known[intent.person_id]
        rows = linked_rows(reading, person, known_ids(intent, person))
        out = unsubscribed(episodes.get(person.person_id, ()))
        flags = [row.opted_out for row in rows if not row.is_deleted]
        sides[person.person_id] = (out, any(flags), all(flags) if out else any(flags))
    return sides
