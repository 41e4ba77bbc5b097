"""Opening, reading and writing the register: transactions hold or leave nothing, and every trouble is one sentence."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from invented_register import Invented, new_store

from workbench.errors import StoreError
from workbench.store import schema as s
from workbench.store.database import Store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("register") / "template.db"


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[Store]:
    made = new_store(tmp_path, template)
    yield made
    made.close()


def put(store: Store, name: str, value: str = "") -> None:
    with store.write() as tx:
        tx.execute(sa.insert(s.setting).values(name=name, value=value))


def names(store: Store) -> set[str]:
    with store.read() as tx:
        return set(tx.execute(sa.select(s.setting.c.name)).scalars())


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    def fails() -> None:
        with store.write() as tx:
            tx.execute(sa.insert(s.setting).values(name="a", value=""))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fails()
    assert names(store) == set()


def test_a_reader_sees_one_moment(store: Store) -> None:
    with store.read() as tx:
        before = tx.execute(sa.select(sa.func.count()).select_from(s.setting)).scalar_one()
        put(store, "a")
        after = tx.execute(sa.select(sa.func.count()).select_from(s.setting)).scalar_one()
    assert (before, after, names(store)) == (0, 0, {"a"})


def test_a_commit_survives_a_power_cut_by_its_settings(store: Store) -> None:
    with store.read() as tx:
        pragmas = {p: tx.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous", "foreign_keys")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_many_threads_write_one_after_the_other(store: Store) -> None:
    threads = [threading.Thread(target=lambda n=n: [put(store, f"{n}-{i}") for i in range(10)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(store)) == 40


def hold(path: str, ready: threading.Event, done: threading.Event) -> None:
    """Another process that has begun to write and does not end."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    ready.set()
    done.wait(60)
    connection.close()


def test_a_lock_of_another_process_is_one_sentence(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(store.url.database), ready, done))
    other.start()
    try:
        assert ready.wait(60)
        hurried = Store(str(store.url), lock_wait=0.05)
        with pytest.raises(StoreError, match=r"^the register is locked by another process$") as caught:
            put(hurried, "a")
        assert caught.value.advice == "Wait until the other command has ended, then run this one again."
        assert names(hurried) == set()  # reading goes on
    finally:
        done.set()
        other.join(60)
    put(hurried, "a")
    assert names(hurried) == {"a"}
    hurried.close()


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(store: Store) -> None:
    with store.write() as tx:
        Invented(tx).person()

    def fills() -> None:
        with store.write() as tx:
            pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
            tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for n in range(1000):
                tx.execute(sa.insert(s.setting).values(name=str(n), value="x" * 4000))

    with pytest.raises(StoreError, match=r"^the disk is full$") as caught:
        fills()
    assert "nothing was half-written" in caught.value.advice
    assert names(store) == set()
    with store.write() as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1073741823")
        assert tx.execute(sa.select(sa.func.count()).select_from(s.person)).scalar_one() == 1
    put(store, "a")


def test_what_is_not_a_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "register.db").write_text("First Name,Last Name\n" * 100)
    store = Store(f"sqlite:///{tmp_path / 'register.db'}")
    with pytest.raises(StoreError, match=r"^the register's file is not a database$") as caught:
        store.check_version()
    assert "backup" in caught.value.advice


def test_a_damaged_file_is_one_sentence(store: Store) -> None:
    with store.write() as tx:
        for n in range(200):
            tx.execute(sa.insert(s.setting).values(name=str(n), value="x" * 500))
    store.close()
    path = Path(str(store.url.database))
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"^the register's file is (damaged|not a database)$"):
        names(store)


def test_a_missing_register_is_one_sentence_and_is_not_begun_anew(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'register.db'}")
    for use in (store.check_version, lambda: put(store, "a"), lambda: names(store)):
        with pytest.raises(StoreError, match=r"^register\.db is missing$") as caught:
            use()
        assert "Restore it from a backup" in caught.value.advice
        assert list(tmp_path.iterdir()) == []
    store.upgrade()
    store.check_version()
    store.close()


def test_a_register_in_an_oddly_named_folder_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "100% sure #1 \u00fc"
    folder.mkdir()
    store = Store(f"sqlite:///{(folder / 'register.db').as_posix()}")
    store.upgrade()
    store.close()
    put(store, "a")
    assert names(store) == {"a"}
    store.close()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'nowhere' / 'register.db'}")
    with pytest.raises(StoreError, match=r"^the register's database can't be opened$"):
        store.check_version()


READ_ONLY = """
import os, sys
from workbench.errors import StoreError
from workbench.store.database import Store
store = Store(sys.argv[1], lock_wait=0.1)
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)  # root may write everything
try:
    with store.write() as tx:
        tx.exec_driver_sql("INSERT INTO setting VALUES ('a', '')")
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_read_only_register_is_one_sentence(store: Store, folder_mode: int) -> None:
    store.close()
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        file = Path(shutil.copy(str(store.url.database), folder))
        file.chmod(0o444)
        folder.chmod(folder_mode)
        words = [sys.executable, "-c", READ_ONLY, f"sqlite:///{file}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        folder.chmod(0o755)
    assert done.stdout.strip() in ("the register can't be written", "the register's database can't be opened"), done.stderr


def test_another_kind_of_database_is_refused_at_once() -> None:
    for address in ("mysql://127.0.0.1/register", "register.db", ""):
        with pytest.raises(StoreError, match=r"^the register is kept in SQLite or PostgreSQL$"):
            Store(address)


def test_a_password_does_not_stand_in_the_address() -> None:
    for address in ("postgresql://ada:secret@127.0.0.1/register", "postgresql://ada@127.0.0.1/register?password=secret"):
        with pytest.raises(StoreError, match=r"^the address of the register's database holds a password$") as caught:
            Store(address)
        assert "secret" not in f"{caught.value} {caught.value.advice}"


def test_a_database_error_shows_no_values(store: Store) -> None:
    with pytest.raises(StoreError) as caught, store.write() as tx:
        tx.execute(sa.text("INSERT INTO nowhere VALUES (:email)"), {"email": "ann@example.com"})
    assert str(caught.value) == "the database refused the request (OperationalError)"
    assert caught.value.__cause__ is None
