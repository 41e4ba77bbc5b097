"""The trail's tables: an event is durable exactly with what it tells, and the kept edge of the tree is the tree's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from invented_register import Invented, new_store

from workbench.errors import StoreError
from workbench.store import schema as s
from workbench.store import trail_log
from workbench.store.database import Store
from workbench.store.trail_log import Entry, TrailWriter
from workbench.trail import Signer, TrailRow, open_checkpoint, read_leaf, tree_root, verify_trail
from workbench.trail.events import BatchApproved, CheckpointIdle, OperatorGranted

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SIGNER = Signer("example.org/trail", bytes(range(32)))


class Clock:
    """A clock that a test sets."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(clock: Clock) -> TrailWriter:
    return TrailWriter(actor="ada", actor_auth="os-user", clock=clock, signer=SIGNER)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("register") / "template.db"


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[Store]:
    made = new_store(tmp_path, template)
    yield made
    made.close()


def idle(number: int = 1) -> list[Entry]:
    return [Entry(event=CheckpointIdle()) for _ in range(number)]


def seqs(store: Store) -> list[int]:
    with store.read() as tx:
        return [e.seq for e in trail_log.events(tx)]


def test_events_are_numbered_without_gaps(store: Store, writer: TrailWriter) -> None:
    with store.write() as tx:
        assert writer.append_all(tx, []) == -1
        assert writer.append(tx, OperatorGranted(operator="ada", role="admin")) == 0
        assert writer.append_all(tx, idle(3)) == 3
    with store.write() as tx:
        assert writer.append_all(tx, idle()) == 4
        assert trail_log.size(tx) == 5
    assert seqs(store) == [0, 1, 2, 3, 4]


def test_what_is_rolled_back_leaves_nothing(store: Store, writer: TrailWriter) -> None:
    with store.write() as tx:
        writer.append_all(tx, idle(3))
        kept = writer.checkpoint(tx)

    def fails() -> None:
        with store.write() as tx:
            writer.append_all(tx, idle(5))
            writer.checkpoint(tx)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fails()
    assert seqs(store) == [0, 1, 2]
    with store.write() as tx:
        assert [note for _, note, _ in trail_log.checkpoints(tx)] == [kept]
        assert writer.append_all(tx, idle()) == 3
        writer.checkpoint(tx)
    assert verified(store).ok


def test_an_event_stands_and_falls_with_what_it_tells(store: Store, writer: TrailWriter) -> None:
    def fails() -> None:
        with store.write() as tx:
            writer.append_all(tx, idle())
            tx.execute(sa.insert(s.setting).values(name="a", value=None))  # NOT NULL

    with pytest.raises(sa.exc.IntegrityError):
        fails()
    assert seqs(store) == []


@pytest.mark.parametrize("portions", [[1] * 9, [2, 3, 4, 7], [16], [1, 31, 1]])
def test_the_kept_edge_is_the_edge_of_the_recomputed_tree(store: Store, writer: TrailWriter, portions: list[int]) -> None:
    for number in portions:
        with store.write() as tx:
            writer.append_all(tx, idle(number))
        with store.write() as tx:
            note = writer.checkpoint(tx)
            hashes = [e.leaf_hash for e in trail_log.events(tx)]
        assert note is not None
        signed = open_checkpoint(note, SIGNER.vkey)
        assert (signed.size, signed.root) == (len(hashes), tree_root(hashes))
        assert hashes
    with store.read() as tx:
        assert [size for size, _, _ in trail_log.checkpoints(tx)] == [sum(portions[: n + 1]) for n in range(len(portions))]


def test_a_checkpoint_of_the_same_trail_is_the_same_note(store: Store, writer: TrailWriter, clock: Clock) -> None:
    with store.write() as tx:
        assert writer.checkpoint(tx) is None  # nothing to sign
        writer.append_all(tx, idle(2))
        first = writer.checkpoint(tx)
    clock.now += timedelta(days=1)
    with store.write() as tx:
        assert writer.checkpoint(tx) == first
        assert len(trail_log.checkpoints(tx)) == 1


def test_a_clock_that_was_set_back_does_not_take_the_trail_back(store: Store, writer: TrailWriter, clock: Clock) -> None:
    for hours in (0, -5, -1, 2):
        clock.now = NOW + timedelta(hours=hours)
        with store.write() as tx:
            writer.append_all(tx, idle())
            writer.checkpoint(tx)
    with store.read() as tx:
        times = [read_leaf(e.leaf_bytes).ts for e in trail_log.events(tx)]
    assert [t[11:16] for t in times] == ["09:00", "09:00", "09:00", "11:00"]
    assert verified(store).ok


def verified(store: Store) -> object:
    with store.read() as tx:
        rows = [TrailRow(e.leaf_bytes, e.leaf_hash, e.salt, e.payload) for e in trail_log.events(tx)]
        return verify_trail(rows, checkpoints=[n for _, n, _ in trail_log.checkpoints(tx)], vkey=SIGNER.vkey)


def test_a_person_has_one_random_subject(store: Store, writer: TrailWriter) -> None:
    with store.write() as tx:
        register = Invented(tx)
        ann, bob = register.person("ann@example.com"), register.person("bob@example.com")
        entries = [Entry(event=CheckpointIdle(), person_id=p) for p in (ann, bob, ann)]
        writer.append_all(tx, entries)
        writer.append(tx, CheckpointIdle(), person_id=ann)
    with store.read() as tx:
        subjects = [read_leaf(e.leaf_bytes).subject for e in trail_log.events(tx)]
        assert subjects[0] == subjects[2] == subjects[3] != subjects[1]
        assert not {ann, bob} & set(subjects)
        assert trail_log.person_of(tx, [str(x) for x in subjects]) == {subjects[0]: ann, subjects[1]: bob}
        assert [e.seq for e in trail_log.events(tx, person_id=ann)] == [0, 2, 3]
        assert list(trail_log.events(tx, person_id="nobody")) == []


def test_events_are_found_by_batch_operator_action_and_time(store: Store, writer: TrailWriter, clock: Clock) -> None:
    with store.write() as tx:
        writer.append_all(tx, idle(2))
    clock.now += timedelta(hours=1)
    with store.write() as tx:
        writer.append(tx, BatchApproved(digest="0" * 64, proposed_by="bob"), batch_id="b-1")
        writer.append_all(tx, idle(2))

    def found(**filters: object) -> list[int]:
        with store.read() as tx:
            return [e.seq for e in trail_log.events(tx, **filters)]  # type: ignore[arg-type]  # the filters' own types

    assert found(batch_id="b-1") == found(action="batch_approved") == [2]
    assert found(since=NOW + timedelta(hours=1)) == [2, 3, 4]
    assert found(until=NOW + timedelta(hours=1)) == [0, 1]
    assert found(actor="ada", newest=2) == [3, 4]
    assert found(actor="bob") == []


def test_an_empty_salt_says_erased(store: Store, writer: TrailWriter) -> None:
    with store.write() as tx:
        writer.append_all(tx, idle(2))
        erased = {"salt": None, "payload": None, "erased_at": NOW}
        tx.execute(sa.update(s.trail_payload).where(s.trail_payload.c.seq == 0).values(**erased))
    with store.read() as tx:
        first, second = trail_log.events(tx)
    assert (first.salt, first.payload) == (None, None)
    assert second.salt is not None
    assert len(second.salt) == 16


def test_two_writers_can_not_take_one_number(store: Store, writer: TrailWriter) -> None:
    hurried = Store(str(store.url), lock_wait=0.05)
    with store.write() as tx:
        writer.append_all(tx, idle())
        with pytest.raises(StoreError, match="locked"), hurried.write() as other:
            writer.append_all(other, idle())
    hurried.close()
    assert seqs(store) == [0]
