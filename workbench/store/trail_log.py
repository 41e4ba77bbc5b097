"""The trail's tables: appending sealed events in the transaction of what they tell, checkpoints, and reading it all back.

An event is durable exactly when the change it tells is. The tree's right edge (its frontier) is kept beside the events, so that
signing a checkpoint costs the same after ten events and after ten million.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.errors import TrailError
from workbench.person import new_id
from workbench.store import postgresql
from workbench.store import schema as s
from workbench.store.database import Transaction, insert_many, portions
from workbench.trail import SALT_BYTES, Event, Frontier, SealedEvent, Signer, VerifierKey, seal

HASH_BYTES = 32
VKEY = "trail.vkey"
SIGNING_VKEY = "trail.signing_vkey"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One event to append, and what it is about."""

    event: Event
    batch_id: str | None = None
    intent_id: str | None = None
    person_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrailWriter:
    """Writes events on behalf of one operator; ``actor_auth`` says how the operator was identified.

    ``unsigned`` holds why the key could not be had when something was done that does not wait for it.
    """

    actor: str
    actor_auth: str
    clock: Callable[[], datetime]
    signer: Signer
    unsigned: list[TrailError] = field(default_factory=list)

    def append(
        self,
        tx: Transaction,
        event: Event,
        *,
        batch_id: str | None = None,
        intent_id: str | None = None,
        person_id: str | None = None,
    ) -> int:
        """Append one event; returns its seq."""
        return self.append_all(tx, [Entry(event=event, batch_id=batch_id, intent_id=intent_id, person_id=person_id)])

    def append_all(self, tx: Transaction, entries: Sequence[Entry]) -> int:
        """Append events in order, in the caller's transaction; returns the seq of the last one (-1 on an empty trail).

        A clock that was set back does not take the trail back: an event is never older than the one before it.
        """
        frontier, moment = _frontier(tx), self.moment(tx)
        subjects = _subjects(tx, [e.person_id for e in entries if e.person_id])
        events, payloads, instant = [], [], s.instant_binder(tx.dialect)(moment)
        for entry in entries:
            sealed = self._sealed(entry, seq=frontier.size, moment=moment, subject=subjects.get(entry.person_id or ""))
            events.append(self._event_row(sealed, entry, instant, subjects))
            payloads.append((sealed.seq, sealed.salt, sealed.payload, None))
            frontier = frontier.append(sealed.leaf_hash)
        if events:
            insert_many(tx, sa.insert(s.trail_event), events)
            insert_many(tx, sa.insert(s.trail_payload), payloads)
            tx.execute(sa.delete(s.trail_frontier))
            tx.execute(sa.insert(s.trail_frontier).values(size=frontier.size, hashes=b"".join(frontier.peaks)))
        return frontier.size - 1

    def checkpoint(self, tx: Transaction, *, required: bool = True) -> str | None:
        """Sign the trail as it stands in this transaction, unless that was done already; returns the newest note.

        A database role that does not sign leaves it to the next one that does: the newest note is an older one then.

        Not ``required`` where an opt-out is taken or carried over: no trouble with a key may lose one. The events are there, and the
        next checkpoint covers them.

        Raises:
            TrailError: the key can't be fetched, and the checkpoint is required.
        """
        try:
            return self._checkpoint(tx)
        except TrailError as error:
            if required:
                raise
            self.unsigned.append(error)
            return None

    def _checkpoint(self, tx: Transaction) -> str | None:
        frontier = _frontier(tx)
        known = tx.execute(sa.select(s.trail_checkpoint.c.note).where(s.trail_checkpoint.c.size == frontier.size)).scalar()
        if known is not None or frontier.size == 0:
            return known
        if not may_sign(tx):
            return tx.execute(sa.select(s.trail_checkpoint.c.note).order_by(s.trail_checkpoint.c.size.desc()).limit(1)).scalar()
        if (signs := signing_vkey(tx)) is not None:
            self.signer.follow(VerifierKey.parse(signs))
        note = self.signer.sign(frontier.size, frontier.root())
        tx.execute(sa.insert(s.trail_checkpoint).values(size=frontier.size, note=note, made_at=self.clock()))
        return note

    def moment(self, tx: Transaction, now: datetime | None = None) -> datetime:
        """Now (by this writer's clock, or as given), or the time of the newest event where the clock was set back behind it."""
        newest = sa.select(s.trail_event.c.ts).order_by(s.trail_event.c.seq.desc()).limit(1)
        last: datetime | None = tx.execute(newest).scalar()
        now = now or self.clock()
        return now if last is None else max(now, last)

    def _sealed(self, entry: Entry, *, seq: int, moment: datetime, subject: str | None) -> SealedEvent:
        return seal(
            entry.event,
            log=self.signer.name,
            seq=seq,
            ts=moment,
            actor=self.actor,
            actor_auth=self.actor_auth,
            salt=secrets.token_bytes(SALT_BYTES),
            batch_id=entry.batch_id,
            intent_id=entry.intent_id,
            subject=subject,
        )

    def _event_row(self, sealed: SealedEvent, entry: Entry, instant: Any, subjects: dict[str, str]) -> tuple[Any, ...]:
        """The event in the order of the columns of `trail_event`."""
        subject, action = subjects.get(entry.person_id or ""), entry.event.action
        return sealed.seq, sealed.leaf_bytes, sealed.leaf_hash, instant, self.actor, action, entry.batch_id, subject


@dataclass(frozen=True)
class StoredEvent:
    """One event as it lies in the database; salt and payload are None once erased."""

    seq: int
    leaf_bytes: bytes
    leaf_hash: bytes
    salt: bytes | None
    payload: bytes | None


def events(
    tx: Transaction,
    *,
    batch_id: str | None = None,
    person_id: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    newest: int | None = None,
) -> Iterator[StoredEvent]:
    """Events in order of seq, streamed; filters are combined, ``newest`` keeps only the last so many."""
    e, p = s.trail_event, s.trail_payload
    query = sa.select(e.c.seq, e.c.leaf_bytes, e.c.leaf_hash, p.c.salt, p.c.payload).join_from(
        e, p, e.c.seq == p.c.seq, isouter=True
    )
    if person_id is not None:
        query = query.where(
            e.c.subject == sa.select(s.trail_subject.c.subject).where(s.trail_subject.c.person_id == person_id).scalar_subquery()
        )
    for column, value in ((e.c.batch_id, batch_id), (e.c.actor, actor), (e.c.action, action)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(e.c.ts >= since)
    if until is not None:
        query = query.where(e.c.ts < until)
    if newest is not None:
        kept = query.order_by(e.c.seq.desc()).limit(newest).subquery()
        query = sa.select(kept).order_by(kept.c.seq)
    else:
        query = query.order_by(e.c.seq)
    for row in tx.execute(query.execution_options(yield_per=1000)):
        yield StoredEvent(row.seq, *(_as_bytes(value) for value in row[1:]))


def _as_bytes(value: Any) -> Any:
    """A stored value as the bytes it claims to be: who tampers with SQLite may leave a text or number where bytes belong."""
    return value if value is None or isinstance(value, bytes) else str(value).encode()


def may_sign(tx: Transaction) -> bool:
    """Whether the login to the database may add checkpoints; with a register in a file everybody may."""
    return tx.dialect.name == "sqlite" or postgresql.signs(tx)


def checkpoints(tx: Transaction) -> tuple[tuple[int, str, datetime], ...]:
    """All checkpoints as (size, note, made at), oldest first."""
    c = s.trail_checkpoint.c
    return tuple((r.size, r.note, r.made_at) for r in tx.execute(sa.select(c.size, c.note, c.made_at).order_by(c.size)))


def size(tx: Transaction) -> int:
    """How many events the trail has."""
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(s.trail_event.c.seq) + 1, 0))).scalar_one())


def vkey(tx: Transaction) -> str | None:
    """The verifier key that this trail began with, and is verified by; None before it begins."""
    return tx.execute(sa.select(s.setting.c.value).where(s.setting.c.name == VKEY)).scalar()


def signing_vkey(tx: Transaction) -> str | None:
    """The key that signs now: the first one, or what it was replaced by; None before the trail begins."""
    return tx.execute(sa.select(s.setting.c.value).where(s.setting.c.name == SIGNING_VKEY)).scalar() or vkey(tx)


def remember_signing_vkey(tx: Transaction, text: str) -> None:
    """Note the key that signs from now on."""
    tx.execute(sa.delete(s.setting).where(s.setting.c.name == SIGNING_VKEY))
    tx.execute(sa.insert(s.setting).values(name=SIGNING_VKEY, value=text))


def remember_vkey(tx: Transaction, text: str) -> None:
    """Note the verifier key of a trail that begins."""
    tx.execute(sa.insert(s.setting).values(name=VKEY, value=text))


def person_of(tx: Transaction, subjects: Sequence[str]) -> dict[str, str]:
    """Person ids by trail subject; erased people are left out."""
    t = s.trail_subject
    found = (r for some in portions(subjects) for r in tx.execute(sa.select(t).where(t.c.subject.in_(some))))
    return {r.subject: r.person_id for r in found}


def _frontier(tx: Transaction) -> Frontier:
    row = tx.execute(sa.select(s.trail_frontier)).one_or_none()
    if row is None:
        return Frontier()
    return Frontier(row.size, tuple(row.hashes[i : i + HASH_BYTES] for i in range(0, len(row.hashes), HASH_BYTES)))


def _subjects(tx: Transaction, person_ids: Sequence[str]) -> dict[str, str]:
    """The random id under which the trail speaks of each person; made at the first event about them."""
    t = s.trail_subject
    known = (r for ids in portions(person_ids) for r in tx.execute(sa.select(t).where(t.c.person_id.in_(ids))))
    found = {r.person_id: r.subject for r in known}
    missing = [p for p in dict.fromkeys(person_ids) if p not in found]
    if missing:
        fresh = [{"person_id": p, "subject": new_id()} for p in missing]
        tx.execute(sa.insert(t), fresh)
        found |= {row["person_id"]: row["subject"] for row in fresh}
    return found
