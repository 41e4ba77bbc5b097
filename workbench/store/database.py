"""Opening the register's database, reading and writing in transactions, and saying plainly what went wrong.

SQLite runs in WAL mode with synchronous=FULL: a commit survives a power cut. Write transactions take the write lock when they
begin (BEGIN IMMEDIATE), so that what they read is what they change. Only `Store.upgrade` creates the file: a register that is gone
must not come back empty, for then it would have forgotten every opt-out.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url

from workbench.errors import StoreError

HEAD = "0003"
"""The schema version that this code reads and writes; a test keeps it equal to the newest migration."""

LOCK_WAIT_SECONDS = 15
MIGRATIONS = Path(__file__).parent / "migrations"

SECRET_OPTION = "workbench_secret"  # noqa: S105 - the option's name
"""The execution option of a transaction that hands out the secret to recognise erased people by."""
IDS_A_QUERY = 5_000  # below SQLite's limit on bound values

Transaction = sa.Connection
"""An open transaction, as the functions of this room take it."""


def portions(ids: Iterable[str]) -> Iterator[list[str]]:
    """Different ids, in lists that are short enough to be bound in one statement."""
    distinct = iter(dict.fromkeys(ids))
    while some := list(islice(distinct, IDS_A_QUERY)):
        yield some


def insert_many(tx: Transaction, insert: Any, values: Iterable[tuple[Any, ...]]) -> None:
    """Insert tuples in the order of the table's columns, as the driver takes them: SQLAlchemy's own way costs twice the storing."""
    compiled = insert.compile(dialect=tx.dialect, column_keys=[column.name for column in insert.table.c])
    tx.exec_driver_sql(str(compiled), list(values))


class Store:
    """The register's database. One object may be used from several threads: each takes its own connection."""

    def __init__(self, url: str, *, lock_wait: float = LOCK_WAIT_SECONDS) -> None:
        """Name the database; nothing is opened yet. ``lock_wait`` is how many seconds another process's write is waited for.

        Raises:
            StoreError: not a kind of database that this version knows.
        """
        self.url: URL = make_url(url)
        if self.url.get_backend_name() != "sqlite":
            raise StoreError(
                "this version keeps its register in SQLite only",
                "Remove `database` from workbench.toml, or name a sqlite:/// URL.",
            )
        self._may_create = False
        self.engine = _engine(self.url, lock_wait)
        event.listen(self.engine, "do_connect", self._open_existing)

    def keep_out(self, secret: Callable[[str | None], bytes]) -> None:
        """Say who hands out the secret that erased people are recognised by, given its fingerprint; see `store.suppression`."""
        self.engine.update_execution_options(**{SECRET_OPTION: secret})

    def compact(self) -> bool:
        """Rewrite the database without what was deleted, and empty its write-ahead log: erased data is then in neither.

        Returns whether the log could be emptied: not while another process reads.

        Raises:
            StoreError: the database is locked by another process, or the disk is full.
        """
        with _plainly(), self.engine.connect() as connection:
            if connection.dialect.name != "sqlite":
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM FULL")
                return True
            raw = connection.connection.dbapi_connection
            assert raw is not None  # noqa: S101 - a connection that is open has one
            return _compact_sqlite(raw)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view for reading: everything read in it is from one moment.

        Raises:
            StoreError: the database can't be read.
        """
        with _plainly(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is committed when the block ends, and leaves nothing behind when it raises.

        Raises:
            StoreError: the database is locked by someone else, full, or not writeable.
        """
        with _plainly(), self.engine.connect().execution_options(workbench_write=True) as connection, connection.begin():
            yield connection

    def check_version(self) -> None:
        """Make sure that the schema is the one this code was written for.

        Raises:
            StoreError: there is no file, no schema, an older, or a newer one.
        """
        with self.read() as tx:
            if not sa.inspect(tx).has_table("alembic_version"):
                raise StoreError("this database holds no register", "Create a workspace with `workbench init`.")
            found = tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        if found != HEAD:
            raise StoreError(
                f"the register has schema version {found}, this workbench needs {HEAD}",
                "Make a backup, then upgrade the register with `workbench store upgrade`, or install the matching workbench version.",
            )

    def upgrade(self) -> None:
        """Create the schema, or bring an older one to this version; leaves a current one alone."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        self._may_create = True
        try:
            with _plainly(), self.engine.connect().execution_options(workbench_write=True) as connection, connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            self._may_create = False

    def _open_existing(self, _dialect: object, _record: object, words: list[Any], options: dict[str, Any]) -> None:
        """Before a connection is made: name the file so that SQLite opens it, but does not make it."""
        file = Path(words[0])
        if self._may_create or not self.url.database or self.url.query:
            return  # an upgrade, a database in memory, or one that workbench.toml names with options of its own
        if file.parent.is_dir() and not file.exists():
            raise StoreError(
                f"{file.name} is missing", "Restore it from a backup; without it, nobody's opt-out or consent is known here."
            )
        words[0], options["uri"] = f"{file.absolute().as_uri()}?mode=rw", True

    def close(self) -> None:
        """Give all connections back; on SQLite this also folds the write-ahead log into the database file."""
        self.engine.dispose()


def _engine(url: URL, lock_wait: float) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": lock_wait}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin or commit by itself
    durable = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON", "temp_store=MEMORY")
    # 32 MB of pages, folded into the file after 16 MB: a pull into indexes would else write each page many times over
    for pragma in (*durable, "cache_size=-32000", "wal_autocheckpoint=4000"):
        connection.execute(f"PRAGMA {pragma}")


def _compact_sqlite(raw: Any) -> bool:
    try:
        raw.execute("VACUUM")
        busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise _plain(sa.exc.DatabaseError("VACUUM", None, error)) from None
    return not busy


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("workbench_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _plainly() -> Iterator[None]:
    """Database errors as one sentence without statement or values."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        if _guarded(error):
            raise _plain(error) from None
        raise  # a unique or foreign key: a race that the caller decides on, or a defect
    except sa.exc.DatabaseError as error:
        raise _plain(error) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                "the disk is full", "Free some space, then run the same command again; nothing was half-written."
            ) from None
        raise


def _guarded(error: sa.exc.IntegrityError) -> bool:
    return any(sign in str(error.orig) for sign in ("append-only", "never deleted"))


def _plain(error: sa.exc.DatabaseError) -> StoreError:
    text = str(error.orig).lower()
    for sign, sentence, advice in (
        (
            "locked",
            "the register is locked by another process",
            "Wait until the other command has ended, then run this one again.",
        ),
        ("disk is full", "the disk is full", "Free some space, then run the same command again; nothing was half-written."),
        ("disk i/o", "the disk refused to write", "Check the disk and its free space, then run the same command again."),
        ("readonly", "the register can't be written", "Check the permissions of the workspace folder and of register.db."),
        (
            "unable to open",
            "the register's database can't be opened",
            "Check that the workspace folder exists and that you may write in it.",
        ),
        ("not a database", "the register's file is not a database", "Restore it from a backup."),
        ("malformed", "the register's file is damaged", "Restore it from a backup."),
        ("append-only", "the audit trail can only be added to", "Nothing was changed."),
        ("never deleted", "an unsubscribe can only be closed, never rewritten or deleted", "Nothing was changed."),
    ):
        if sign in text:
            return StoreError(sentence, advice)
    return StoreError(
        f"the database refused the request ({type(error.orig).__name__})", "Run the command again with --debug to see where."
    )
