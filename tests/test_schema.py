"""The register's schema: migrations and definitions are equal, and its guards hold against accidents of every kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from invented_register import Invented, fill_what_is_guarded, new_store

from workbench.errors import StoreError
from workbench.store import schema as s
from workbench.store.database import HEAD, MIGRATIONS, Store

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("register") / "template.db"


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[Store]:
    made = new_store(tmp_path, template)
    yield made
    made.close()


def definitions(store: Store) -> dict[str, str]:
    """Every table and index as the database wrote it down, without the order of its parts and Alembic's own table."""
    with store.read() as tx:
        rows = tx.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger' AND name <> 'alembic_version'"
        ).all()
    return {
        name: "\n".join(
            sorted(filter(None, (part.strip(" \t,") for line in sql.strip().splitlines() for part in line.split(", "))))
        )
        for name, sql in rows
    }


def test_migrations_make_what_the_definitions_say(store: Store, tmp_path: Path) -> None:
    with store.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), s.metadata) == []
    (tmp_path / "defined.db").touch()
    defined = Store(f"sqlite:///{tmp_path / 'defined.db'}")
    with defined.write() as tx:
        s.metadata.create_all(tx)
    # What Alembic does not compare: defaults, check constraints, partial indexes, primary keys.
    assert definitions(store) == definitions(defined)
    defined.close()


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_upgrading_again_changes_nothing(store: Store) -> None:
    with store.write() as tx:
        Invented(tx).out(Invented(tx).person())
    before = dump(store)
    store.upgrade()
    store.check_version()
    assert dump(store) == before


def dump(store: Store) -> list[str]:
    with sqlite3.connect(str(store.url.database)) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


@pytest.mark.parametrize(("found", "sentence"), [("0000", "version 0000"), ("9999", "version 9999")])
def test_another_version_is_one_sentence(store: Store, found: str, sentence: str) -> None:
    with store.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    with pytest.raises(StoreError, match=f"^the register has schema {sentence}, this workbench needs {HEAD}$") as caught:
        store.check_version()
    assert "workbench store upgrade" in caught.value.advice


def test_a_database_without_a_register_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(StoreError, match=r"^this database holds no register$") as caught:
        empty.check_version()
    assert "workbench init" in caught.value.advice
    empty.close()


# --- guards: against ourselves (through the store) and against anybody with the sqlite3 shell, whose connection has no settings

EVENT = "(seq, leaf_bytes, leaf_hash, ts, actor, action) VALUES"
FORBIDDEN = {
    "change an event": "UPDATE trail_event SET actor = 'somebody'",
    "delete an event": "DELETE FROM trail_event",
    "delete the last event": "DELETE FROM trail_event WHERE seq = 1",
    "replace an event": f"INSERT OR REPLACE INTO trail_event {EVENT} (1, x'00', x'00', '', '', '')",
    "replace by upsert": f"INSERT INTO trail_event {EVENT} (1, x'00', x'00', '', '', '') ON CONFLICT (seq) DO UPDATE SET actor = ''",
    "skip a number": f"INSERT INTO trail_event {EVENT} (3, x'00', x'00', '', '', '')",
    "insert before the first": f"INSERT INTO trail_event {EVENT} (-1, x'00', x'00', '', '', '')",
    "change a payload": "UPDATE trail_payload SET payload = x'7b7d'",
    "empty a payload without saying when": "UPDATE trail_payload SET payload = NULL, salt = NULL",
    "move a payload": "UPDATE trail_payload SET seq = 7, payload = NULL, salt = NULL, erased_at = '2026-11-02T09:00:00.000Z' WHERE seq = 1",
    "delete a payload": "DELETE FROM trail_payload",
    "replace a payload": "INSERT OR REPLACE INTO trail_payload (seq, salt, payload) VALUES (1, x'00', x'00')",
    "change a checkpoint": "UPDATE trail_checkpoint SET note = ''",
    "delete a checkpoint": "DELETE FROM trail_checkpoint",
    "replace a checkpoint": "INSERT OR REPLACE INTO trail_checkpoint (size, note, made_at) VALUES (2, '', '')",
    "delete an unsubscribe": "DELETE FROM unsubscribe",
    "replace an unsubscribe": """INSERT OR REPLACE INTO unsubscribe (unsubscribe_id, person_id, opted_out_at, source, recorded_at, recorded_by)
        SELECT unsubscribe_id, person_id, opted_out_at, 'manual', recorded_at, recorded_by FROM unsubscribe""",
    "change its source": "UPDATE unsubscribe SET source = 'manual', closed_at = '2026-11-02T09:00:00.000Z' WHERE closed_at IS NULL",
    "change its time": "UPDATE unsubscribe SET opted_out_at = '2020-01-01T00:00:00.000Z', closed_at = '2026-11-02T09:00:00.000Z'",
    "give it to somebody else": "UPDATE unsubscribe SET person_id = 'x', closed_at = '2026-11-02T09:00:00.000Z'",
    "open a closed one": "UPDATE unsubscribe SET closed_at = NULL, closed_by_intent = NULL WHERE closed_at IS NOT NULL",
    "close a closed one again": "UPDATE unsubscribe SET closed_at = '2027-11-02T09:00:00.000Z' WHERE closed_at IS NOT NULL",
    "delete a person with unsubscribes": "DELETE FROM person",
}


@pytest.fixture
def guarded(store: Store) -> Store:
    """Two events with payloads, a checkpoint, one open and one closed unsubscribe."""
    fill_what_is_guarded(store)
    return store


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_the_store_refuses_to(guarded: Store, deed: str) -> None:
    before = dump(guarded)
    with pytest.raises((StoreError, sa.exc.IntegrityError)) as caught, guarded.write() as tx:
        tx.exec_driver_sql(FORBIDDEN[deed])
    if isinstance(caught.value, StoreError):
        assert str(caught.value) in (
            "the audit trail can only be added to",
            "an unsubscribe can only be closed, never rewritten or deleted",
        )
    assert dump(guarded) == before


@pytest.mark.parametrize("deed", [deed for deed in FORBIDDEN if deed != "delete a person with unsubscribes"])
def test_a_bare_connection_can_not_by_accident(guarded: Store, deed: str) -> None:
    guarded.close()
    before = dump(guarded)
    bare = sqlite3.connect(str(guarded.url.database))
    with pytest.raises(sqlite3.IntegrityError):
        bare.execute(FORBIDDEN[deed])
    bare.close()
    assert dump(guarded) == before


def test_what_is_allowed_goes_through(guarded: Store) -> None:
    with guarded.write() as tx:
        tx.exec_driver_sql(f"INSERT INTO trail_event {EVENT} (2, x'00', x'00', '2026-11-02T09:00:00.000Z', 'ada', 'x')")
        tx.exec_driver_sql(
            "UPDATE trail_payload SET salt = NULL, payload = NULL, erased_at = '2026-11-02T09:00:00.000Z' WHERE seq = 0"
        )
        tx.exec_driver_sql("UPDATE unsubscribe SET closed_at = '2026-11-02T09:00:00.000Z' WHERE closed_at IS NULL")


# --- instants


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 2, 9, 30, 15, 123456, tzinfo=UTC), "2026-11-02T09:30:15.123Z"),
        (datetime(2026, 11, 2, 9, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-11-02T04:00:00.000Z"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2025-12-31T23:30:00.000Z"),
        (datetime(999, 1, 1, tzinfo=UTC), "0999-01-01T00:00:00.000Z"),
    ],
)
def test_an_instant_is_utc_text_of_fixed_width_and_comes_back(store: Store, moment: datetime, text: str) -> None:
    with store.write() as tx:
        tx.execute(sa.insert(s.suppression).values(digest="d", since=moment))
        kept = tx.exec_driver_sql("SELECT since FROM suppression").scalar_one()
        back = tx.execute(sa.select(s.suppression.c.since)).scalar_one()
    assert kept == text
    assert back == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert back.tzinfo is UTC


def test_instants_sort_as_written(store: Store) -> None:
    moments = [NOW + timedelta(milliseconds=n) for n in (0, 1, 10, 999, 1000, 60_000, -1)]
    moments += [NOW.astimezone(timezone(timedelta(hours=-9))) + timedelta(milliseconds=2)]
    with store.write() as tx:
        tx.execute(sa.insert(s.suppression), [{"digest": str(n), "since": m} for n, m in enumerate(moments)])
        back = list(tx.execute(sa.select(s.suppression.c.since).order_by(s.suppression.c.since)).scalars())
        later = tx.execute(sa.select(sa.func.count()).where(s.suppression.c.since > NOW)).scalar_one()
    assert back == sorted(moments)
    assert later == 6


def test_an_instant_without_a_time_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="time zone"), store.write() as tx:
        tx.execute(sa.insert(s.suppression).values(digest="d", since=datetime(2026, 11, 2)))  # noqa: DTZ001 - it is the point
