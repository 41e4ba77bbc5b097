"""Batches and the intents in them. A change of state names the states it may come from; any other is a defect, not a race."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.errors import BatchError
from workbench.resubscription import FINAL, BaseRow, Batch, Intent, State, plan_digest
from workbench.said import said
from workbench.store import schema as s
from workbench.store.database import Transaction, portions

_BATCH_COLUMNS = [s.batch.c[f.name] for f in fields(Batch)]


def add(tx: Transaction, batch: Batch, intents: Sequence[Intent]) -> tuple[str, ...]:
    """A new batch. People that another open batch holds are left out; returns their ids, and adds nothing if there are any."""
    busy = open_batches_of(tx, [i.person_id for i in intents if i.state not in FINAL])
    if busy:
        return tuple(sorted(busy))
    tx.execute(sa.insert(s.batch).values({f.name: getattr(batch, f.name) for f in fields(Batch)}))
    if intents:
        tx.execute(sa.insert(s.intent), [_as_row(i) for i in intents])
    return ()


def get(tx: Transaction, batch_id: str) -> Batch:
    """One batch by its id, or by the beginning of its id when only one has it.

    Raises:
        BatchError: no such batch, or several.
    """
    like = batch_id.replace("\\", "").replace("%", "").replace("_", "")
    found = tx.execute(sa.select(*_BATCH_COLUMNS).where(s.batch.c.batch_id.startswith(like))).mappings().all() if like else []
    if len(found) != 1:
        what = said("{count} batches have this id", count=len(found)) if found else said("no batch has this id")
        raise BatchError(what, said("`workbench batch list` shows them all."))
    return Batch(**found[0])


def everything(tx: Transaction) -> list[Batch]:
    """All batches, newest first."""
    return [Batch(**r) for r in tx.execute(sa.select(*_BATCH_COLUMNS).order_by(s.batch.c.proposed_at.desc())).mappings()]


def change(tx: Transaction, batch_id: str, *, expected: Iterable[str], **values: Any) -> None:
    """Change a batch that is in one of the expected states.

    Raises:
        BatchError: it is in another state by now; somebody else changed it.
    """
    mine = (s.batch.c.batch_id == batch_id) & s.batch.c.state.in_(list(expected))
    if tx.execute(sa.update(s.batch).where(mine).values(**values)).rowcount != 1:
        raise BatchError(
            said("batch {batch} was changed by somebody else meanwhile", batch=batch_id),
            said("Look at it again with `workbench batch show`."),
        )


def intents(
    tx: Transaction, batch_id: str, *, states: Iterable[State] | None = None, after: int = -1, limit: int | None = None
) -> tuple[Intent, ...]:
    """The intents of a batch in order: those in some states only, behind a position, at most so many."""
    query = _in_order(batch_id).where(s.intent.c.position > after)
    if states is not None:
        query = query.where(s.intent.c.state.in_([str(state) for state in states]))
    return tuple(_from_row(r) for r in tx.execute(query.limit(limit)).mappings())


def one_by_one(tx: Transaction, batch_id: str) -> Iterator[Intent]:
    """All intents of a batch in order, read as they are asked for."""
    for row in tx.execute(_in_order(batch_id).execution_options(yield_per=1000)).mappings():
        yield _from_row(row)


def _in_order(batch_id: str) -> sa.Select[Any]:
    return sa.select(s.intent).where(s.intent.c.batch_id == batch_id).order_by(s.intent.c.position)


def resubscribed(tx: Transaction) -> tuple[Intent, ...]:
    """For everybody resubscribed and not undone, the newest intent that did it, in order of person; erased people are left out."""
    query = sa.select(s.intent).join(s.person, s.person.c.person_id == s.intent.c.person_id)
    query = query.where(s.intent.c.state == str(State.DONE), s.person.c.erased_at.is_(None))
    query = query.order_by(s.intent.c.person_id, s.intent.c.done_at)
    newest = {row["person_id"]: row for row in tx.execute(query).mappings()}
    return tuple(_from_row(row) for row in newest.values())


def count_resubscribed(tx: Transaction) -> int:
    """How many people were resubscribed and not undone; erased people are left out."""
    query = sa.select(sa.func.count(s.intent.c.person_id.distinct())).join(s.person, s.person.c.person_id == s.intent.c.person_id)
    return tx.execute(query.where(s.intent.c.state == str(State.DONE), s.person.c.erased_at.is_(None))).scalar_one()


def by_state(tx: Transaction, batch_id: str) -> Counter[State]:
    """How many people of a batch are in each state."""
    query = (
        sa.select(s.intent.c.state, sa.func.count().label("n")).where(s.intent.c.batch_id == batch_id).group_by(s.intent.c.state)
    )
    return Counter({State(r.state): r.n for r in tx.execute(query)})


def open_batches_of(tx: Transaction, person_ids: Iterable[str], *, other_than: str = "") -> dict[str, str]:
    """For each person that an open batch holds, the id of that batch."""
    held = sa.select(s.intent.c.person_id, s.intent.c.batch_id).where(s.intent.c.holds_person, s.intent.c.batch_id != other_than)
    return {
        r.person_id: r.batch_id for ids in portions(person_ids) for r in tx.execute(held.where(s.intent.c.person_id.in_(ids)))
    }


@dataclass(frozen=True, kw_only=True)
class Move:
    """A person's intent goes from one of the ``expected`` states to another, with further columns to set."""

    intent_id: str
    to: State
    expected: tuple[State, ...]
    values: dict[str, Any]

    @property
    def alike(self) -> tuple[State, tuple[State, ...], tuple[str, ...]]:
        """Moves that are alike in this are written by one statement."""
        return self.to, self.expected, tuple(sorted(self.values))


def move(tx: Transaction, moves: Iterable[Move], *, at: datetime) -> None:
    """Move people's intents to other states; a final state lets the person go. An intent moves once in a transaction.

    Raises:
        RuntimeError: one of them is in none of the states that lead there.
    """
    kinds: dict[Any, list[Move]] = defaultdict(list)
    for one in moves:
        kinds[one.alike].append(one)
    for (to, expected, _), some in kinds.items():
        from_there = sa.or_(*(s.intent.c.state == str(state) for state in expected))  # a list could not be bound many times
        mine = (s.intent.c.intent_id == sa.bindparam("moved")) & from_there
        holds = {"holds_person": False} if to in FINAL else {}
        change = sa.update(s.intent).where(mine).values(state=str(to), changed_at=at, **holds)
        if tx.execute(change, [{"moved": one.intent_id, **_columns(one.values)} for one in some]).rowcount != len(some):
            raise RuntimeError(f"an intent can't become {to}: it is in none of the states that lead there")


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    return values | ({"base": [row.as_json() for row in values["base"]]} if "base" in values else {})


def let_go(tx: Transaction, batch_id: str) -> None:
    """Free all people of a batch that will not run."""
    tx.execute(sa.update(s.intent).where(s.intent.c.batch_id == batch_id).values(holds_person=False))


def digest_now(tx: Transaction, batch: Batch) -> str:
    """The digest of the plan as the register holds it at this moment; differs from the approved one if anything was changed."""
    planned = one_by_one(tx, batch.batch_id)
    return plan_digest(batch_id=batch.batch_id, reason=batch.reason, policy_digest=batch.policy_digest, intents=planned)


def _as_row(intent: Intent) -> dict[str, Any]:
    row = {f.name: getattr(intent, f.name) for f in fields(Intent)}
    return row | {
        "state": str(intent.state),
        "findings": list(intent.findings),
        "refusals": list(intent.refusals),
        "planned_rows": list(intent.planned_rows),
        "base": [b.as_json() for b in intent.base],
        "holds_person": intent.state not in FINAL,
    }


def _from_row(row: Any) -> Intent:
    values = {f.name: row[f.name] for f in fields(Intent)}
    values["state"] = State(row["state"])
    values["findings"] = tuple(row["findings"])
    values["refusals"] = tuple(row["refusals"])
    values["planned_rows"] = tuple(row["planned_rows"])
    values["base"] = tuple(BaseRow.from_json(b) for b in row["base"])
    return Intent(**values)
