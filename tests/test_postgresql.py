"""The register in PostgreSQL: what only a server can do or get wrong. Everything else: the register's own tests, run on one.

`make test` runs many of the other tests a second time with WORKBENCH_TEST_REGISTER=postgresql.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from conftest import CONTROLLER, World, contact_id, lead_id, org_line
from invented_register import fill_what_is_guarded
from postgresql_server import Server, server, wanted
from test_store_database import names, put

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import BatchError, StoreError
from workbench.store import schema as s
from workbench.store.database import MIGRATIONS, Store
from workbench.worker.course import only_here

SECRET = "ann@example.com"


@pytest.fixture(scope="module")
def postgres() -> Server:
    return server()


@pytest.fixture
def store(postgres: Server) -> Iterator[Store]:
    made = Store(postgres.create(like=postgres.migrated()), lock_wait=0.2)
    yield made
    made.close()


def of_both_databases(_thing: object, name: str | None, *_: object) -> bool:
    """Whether PostgreSQL has it, too."""
    return name != "ix_person_unsubscribed_text"


def test_migrations_make_what_the_definitions_say_and_can_be_taken_back(postgres: Server) -> None:
    store = Store(postgres.create())
    assert not store.holds_a_register()
    for _ in range(2):
        store.upgrade()
        store.check_version()
        with store.read() as tx:
            context = MigrationContext.configure(tx, opts={"compare_type": True, "include_object": of_both_databases})
            assert compare_metadata(context, s.metadata) == []
        with store.write() as tx:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = tx
            command.downgrade(config, "base")
        with store.read() as tx:
            assert set(sa.inspect(tx).get_table_names()) <= {"alembic_version"}
    store.close()


EVENT = "(seq, leaf_bytes, leaf_hash, ts, actor, action) VALUES"
FORBIDDEN = {
    "change an event": "UPDATE trail_event SET actor = 'somebody'",
    "delete an event": "DELETE FROM trail_event WHERE seq = 1",
    "empty the events": "TRUNCATE trail_event",
    "replace by upsert": f"INSERT INTO trail_event {EVENT} (1, '', '', now(), '', '') ON CONFLICT (seq) DO UPDATE SET actor = ''",
    "skip a number": f"INSERT INTO trail_event {EVENT} (3, '', '', now(), '', '')",
    "insert before the first": f"INSERT INTO trail_event {EVENT} (-1, '', '', now(), '', '')",
    "change a payload": "UPDATE trail_payload SET payload = '{}'",
    "empty a payload without saying when": "UPDATE trail_payload SET payload = NULL, salt = NULL",
    "move a payload": "UPDATE trail_payload SET seq = 7, payload = NULL, salt = NULL, erased_at = now() WHERE seq = 1",
    "delete a payload": "DELETE FROM trail_payload",
    "empty the payloads": "TRUNCATE trail_payload",
    "change a checkpoint": "UPDATE trail_checkpoint SET note = ''",
    "delete a checkpoint": "DELETE FROM trail_checkpoint",
    "empty the checkpoints": "TRUNCATE trail_checkpoint",
    "delete an unsubscribe": "DELETE FROM unsubscribe",
    "empty the unsubscribes": "TRUNCATE unsubscribe",
    "empty everything": "TRUNCATE person CASCADE",
    "change its source": "UPDATE unsubscribe SET source = 'manual', closed_at = now() WHERE closed_at IS NULL",
    "change its time": "UPDATE unsubscribe SET opted_out_at = '2020-01-01', closed_at = now()",
    "change what it says": "UPDATE unsubscribe SET detail = 'something else'",
    "give it to somebody else": "UPDATE unsubscribe SET person_id = 'x', closed_at = now()",
    "open a closed one": "UPDATE unsubscribe SET closed_at = NULL, closed_by_intent = NULL WHERE closed_at IS NOT NULL",
    "close a closed one again": "UPDATE unsubscribe SET closed_at = '2027-11-02' WHERE closed_at IS NOT NULL",
}


@pytest.fixture
def guarded(store: Store) -> Store:
    """Two events with payloads, a checkpoint, one open and one closed unsubscribe."""
    fill_what_is_guarded(store)
    return store


def contents(store: Store) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    with store.read() as tx:
        tables = [t for t in s.metadata.sorted_tables if t is not s.touched]  # what was touched is noted anew in each register
        return {t.name: tx.execute(sa.select(t).order_by(*t.primary_key)).all() for t in tables}  # type: ignore[misc]


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_the_server_refuses_to(guarded: Store, deed: str) -> None:
    before = contents(guarded)
    with pytest.raises(StoreError, match="can only be"), guarded.write() as tx:
        tx.exec_driver_sql(FORBIDDEN[deed])
    assert contents(guarded) == before


def test_a_person_with_unsubscribes_is_not_deleted(guarded: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError), guarded.write() as tx:
        tx.exec_driver_sql("DELETE FROM person")


def test_what_is_allowed_is_done(guarded: Store) -> None:
    with guarded.write() as tx:
        tx.exec_driver_sql("UPDATE trail_payload SET payload = NULL, salt = NULL, erased_at = now() WHERE seq = 1")
        tx.exec_driver_sql("UPDATE unsubscribe SET closed_at = now() WHERE closed_at IS NULL")
        tx.exec_driver_sql("UPDATE person SET erased_at = now()")
        tx.exec_driver_sql("UPDATE unsubscribe SET detail = ''")
    with guarded.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM unsubscribe WHERE closed_at IS NULL").scalar() == 0


def test_a_refused_row_is_quoted_nowhere(store: Store) -> None:
    put(store, "a", SECRET)
    with pytest.raises(sa.exc.IntegrityError) as caught:
        put(store, "a", SECRET)
    chain = [caught.value, caught.value.__cause__, caught.value.orig]
    assert all("example.com" not in str(error) for error in chain)
    with pytest.raises(StoreError) as refused, store.write() as tx:
        tx.execute(sa.text("INSERT INTO nowhere VALUES (:email)"), {"email": SECRET})
    assert str(refused.value) == "the database refused the request (UndefinedTable)"
    assert refused.value.__cause__ is None


def test_one_writer_at_a_time_and_readers_wait_for_nobody(store: Store) -> None:
    written, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with store.write() as tx:
            tx.execute(sa.insert(s.setting).values(name="first", value=""))
            written.set()
            go_on.wait(60)

    other = threading.Thread(target=write)
    other.start()
    assert written.wait(60)
    try:
        with pytest.raises(StoreError, match=r"^the register is locked by another process$"):
            put(store, "second")
        with store.read() as tx:
            assert tx.execute(sa.select(s.setting.c.name)).all() == []
            go_on.set()
            other.join(60)
            assert tx.execute(sa.select(s.setting.c.name)).all() == [], "a reader sees one moment"
    finally:
        go_on.set()
        other.join(60)
    put(store, "second")
    assert names(store) == {"first", "second"}


def test_who_reads_can_not_write(store: Store) -> None:
    with pytest.raises(StoreError, match=r"^the register can't be written$"), store.read() as tx:
        tx.execute(sa.insert(s.setting).values(name="a", value=""))


@pytest.mark.parametrize("begun", [False, True])
def test_a_server_that_is_restarted_loses_nothing_that_was_committed(store: Store, postgres: Server, begun: bool) -> None:
    put(store, "kept")

    def is_cut_off() -> None:
        with store.write() as tx:
            tx.execute(sa.insert(s.setting).values(name="half", value=""))
            postgres.stop()
            tx.execute(sa.insert(s.setting).values(name="written", value=""))

    if begun:
        with pytest.raises(StoreError, match="server"):
            is_cut_off()
    else:
        postgres.stop()
    try:
        with pytest.raises(StoreError, match=r"^the register's database server can't be reached$"):
            names(store)
    finally:
        postgres.start()
    assert names(store) == {"kept"}
    put(store, "after")
    assert names(store) == {"kept", "after"}


def test_what_is_wrong_with_an_address_is_one_sentence(postgres: Server, tmp_path: Path) -> None:
    wrong = {
        f"postgresql://postgres@/nowhere?host={postgres.folder}": "the server has no such database",
        f"postgresql://postgres@/postgres?host={tmp_path}": "the register's database server can't be reached",
        f"postgresql://nobody-of-that-name@/postgres?host={postgres.folder}": "the database server refused the login",
        "postgresql://postgres@127.0.0.1:1/postgres": "the register's database server can't be reached",
    }
    for address, sentence in wrong.items():
        with pytest.raises(StoreError, match=f"^{sentence}$"):
            names(Store(address))


def test_a_name_is_held_against_other_computers_until_its_session_ends(postgres: Server, store: Store) -> None:
    elsewhere = Store(str(store.url))
    with store.alone("batch 1") as mine, elsewhere.alone("batch 1") as theirs, elsewhere.alone("batch 2") as other:
        assert (mine, theirs, other) == (True, False, True)
    with pytest.raises(RuntimeError), store.alone("batch 1"):
        raise RuntimeError("the process breaks off")
    with elsewhere.alone("batch 1") as theirs:
        assert theirs
    elsewhere.close()


def test_two_computers_do_not_run_one_batch(postgres: Server, tmp_path: Path) -> None:
    with Workbench.init(tmp_path / "here", name="test", controller=CONTROLLER, database=postgres.create()) as here:
        shutil.copytree(tmp_path / "here", tmp_path / "there")
        with Workbench.open(tmp_path / "there") as there, only_here(here._desk, "7"):
            with pytest.raises(BatchError, match=r"^batch 7 is being run on another computer$"), only_here(there._desk, "7"):
                pass
            with only_here(there._desk, "8"):
                pass


def test_a_database_that_holds_a_register_is_not_begun_anew(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = postgres.create()
    words = ["--controller", CONTROLLER, "--database", address]
    assert run(["init", str(tmp_path / "first"), *words]) == 0
    with Workbench.open(tmp_path / "first") as wb:
        assert wb.roles == {"admin", "analyst"}
        assert wb.trail.verify().ok
    assert run(["init", str(tmp_path / "second"), *words]) == 2
    assert "This database already holds a register." in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


ENTRIES = {"person", "unsubscribe", "org_record", "org_history", "link", "consent", "consent_evidence"}


@pytest.fixture
def full(world: Callable[..., World]) -> World:
    """A workspace with a register in a file that holds a bit of everything."""
    if wanted():
        pytest.skip("these move a register out of a file")
    made: World = world(
        org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
        org_line("Contact", contact_id(2), "bob@example.com", opted_out=True),
    )
    people = [made.person(f"{name}@example.com") for name in ("ann", "bob")]
    for one in people:
        made.consent(one)
    made.wb.pull(full=True)
    plan = made.wb.propose(people, reason="signed_form")
    made.wb.approve(plan.id, plan.digest)
    made.wb.run(plan.id)
    return made


def test_a_register_moves_to_a_server_row_by_row(full: World, postgres: Server, capsys: pytest.CaptureFixture[str]) -> None:
    before, address, place = contents(full.wb.store), postgres.create(), ["--workspace", str(full.folder)]
    assert all(before[name] for name in ENTRIES)
    with Workbench.open(full.folder) as still_open:
        assert run(["store", "copy", "--to", address, *place]) == 0
        assert f"unsubscribe\t{len(before['unsubscribe'])}\n" in capsys.readouterr().out
        with pytest.raises(StoreError, match=r"^the register was moved to another database$"):
            still_open.unsubscribe("ann@example.com")
    with Workbench.open(full.folder) as moved:
        after = contents(moved.store)
        assert moved.store.url.get_backend_name() == "postgresql"
        for name in before.keys() - {"trail_event", "trail_payload", "trail_checkpoint", "trail_frontier"}:
            assert sorted(map(repr, after[name])) == sorted(map(repr, before[name])), name
        assert after["trail_event"][: len(before["trail_event"])] == before["trail_event"]
        assert list(moved.trail.events(newest=1).action) == ["settings_changed"]
        assert moved.trail.verify().ok
        moved.unsubscribe("ann@example.com")
        assert list(moved.people(unsubscribed=True).email) == ["ann@example.com"]
    assert run(["store", "copy", "--to", postgres.create(), *place]) == 2
    assert "names a database already" in capsys.readouterr().err


def test_a_register_is_copied_into_an_empty_database_only(full: World, postgres: Server) -> None:
    used = postgres.create()
    with Workbench.init(full.folder.parent / "other", name="other", controller=CONTROLLER, database=used):
        pass
    settings = (full.folder / "workbench.toml").read_text(encoding="utf-8")
    with pytest.raises(StoreError, match=r"^the database to copy into already holds a register$"):
        full.wb.copy_register(used)
    full.wb.unsubscribe("ann@example.com")
    assert (full.folder / "workbench.toml").read_text(encoding="utf-8") == settings


def test_what_does_not_arrive_as_it_was_is_not_used(full: World, postgres: Server) -> None:
    address = postgres.create(like=postgres.migrated())
    target = Store(address)
    with target.write() as tx:  # a server that changes what it is given
        tx.exec_driver_sql(
            "CREATE FUNCTION forgets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.closed_at := NULL; RETURN NEW; END $$"
        )
        tx.exec_driver_sql("CREATE TRIGGER forgets BEFORE INSERT ON unsubscribe FOR EACH ROW EXECUTE FUNCTION forgets()")
    with pytest.raises(StoreError, match=r"^the table unsubscribe did not arrive as it was \(2 rows\)$"):
        full.wb.copy_register(address)
    with target.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM person").scalar() == 0
    target.close()
    full.wb.unsubscribe("ann@example.com")
    assert full.wb.trail.verify().ok
