"""Opening the register's database, reading and writing in transactions, and saying plainly what went wrong.

What differs between the databases is behind two doors, `sqlite` and `postgresql`. In both a write transaction is the only one while
it lasts. Only `Store.upgrade` creates a file: a register that is gone must not come back empty, for then it would have forgotten
every opt-out.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from workbench.errors import StoreError
from workbench.store import postgresql, sqlite

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

HEAD = "0007"
"""The schema version that this code reads and writes; a test keeps it equal to the newest migration."""

LOCK_WAIT_SECONDS = 15
MIGRATIONS = Path(__file__).parent / "migrations"

SECRET_OPTION = "workbench_secret"  # noqa: S105 - the option's name
"""The execution option of a transaction that hands out the secret to recognise erased people by."""
IDS_A_QUERY = 5_000  # below SQLite's limit on bound values

MOVED = "the register was moved to another database"
"""What a register says that was copied into another database, to whoever still has it open."""

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
    rows = list(values) if tx.dialect.name == "sqlite" else list(_with_truths(insert.table, values))
    if rows:
        tx.exec_driver_sql(str(compiled), rows)


def _with_truths(table: sa.Table, values: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Tuples with true and false where the table has them: SQLite's driver is given 1 and 0, PostgreSQL takes none of these."""
    truths = [isinstance(column.type, sa.Boolean) for column in table.c]
    for row in values:
        yield tuple(bool(value) if truth and value is not None else value for value, truth in zip(row, truths, strict=True))


class Store:
    """The register's database. One object may be used from several threads: each takes its own connection."""

    def __init__(self, url: str, *, lock_wait: float = LOCK_WAIT_SECONDS) -> None:
        """Name the database; nothing is opened yet. ``lock_wait`` is how many seconds another process's write is waited for.

        Raises:
            StoreError: not a kind of database that this version knows.
        """
        self.url: URL = _address(url)
        self._may_create = False
        self._door: ModuleType = postgresql if self.url.get_backend_name() == "postgresql" else sqlite
        self.engine: sa.Engine = self._door.engine(self.url, lock_wait=lock_wait, may_create=lambda: self._may_create)

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
            done: bool = self._door.compact(connection)
            return done

    @property
    def file(self) -> Path | None:
        """The file that the register is kept in; None where a server keeps it."""
        return Path(self.url.database) if self._door is sqlite and self.url.database else None

    def snapshot(self, target: Path) -> None:
        """Copy a register that is kept in a file, as it stands at one moment, to a new file; others read and write meanwhile.

        Raises:
            StoreError: it can't be read, or the disk is full.
        """
        with _plainly(), self.engine.connect() as connection:
            sqlite.snapshot(connection, target)

    def damage(self) -> str:
        """What is wrong with the file that the register is kept in; "" where nothing is.

        Raises:
            StoreError: it can't be read at all.
        """
        with _plainly(), self.engine.connect() as connection:
            return sqlite.damage(connection)

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

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Hold a name against every other process on this database while the block runs; whether it was free.

        Raises:
            StoreError: the database can't be asked.
        """
        with ExitStack() as stack:
            with _plainly():
                held: bool = stack.enter_context(self._door.alone(self.engine, name))
            yield held

    def holds_a_register(self) -> bool:
        """Whether somebody's register is in this database already.

        Raises:
            StoreError: the database can't be reached.
        """
        with self.read() as tx:
            return _has_register(tx)

    def check_version(self) -> None:
        """Make sure that the schema is the one this code was written for.

        Raises:
            StoreError: there is no file, no schema, an older, or a newer one.
        """
        with self.read() as tx:
            if not _has_register(tx):
                raise StoreError("this database holds no register", "Create a workspace with `workbench init`.")
            found = _version(tx)
        if found != HEAD:
            raise StoreError(
                f"the register has schema version {found}, this workbench needs {HEAD}",
                "Make a backup, then upgrade the register with `workbench store upgrade`, or install the matching workbench version.",
            )

    def upgrade(self) -> None:
        """Create the schema, or bring an older one to this version; leaves a current one alone. All of it is one transaction.

        Raises:
            StoreError: the schema is of a version that this code does not know, or the database refused a step; it is as before.
        """
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        self._may_create = True
        try:
            with _plainly(), self.engine.connect().execution_options(workbench_write=True) as connection, connection.begin():
                _refuse_unknown(connection, ScriptDirectory(str(MIGRATIONS)))
                if self._door is postgresql:
                    postgresql.as_owner(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            self._may_create = False

    def close(self) -> None:
        """Give all connections back; on SQLite this also folds the write-ahead log into the database file."""
        self.engine.dispose()


def _address(text: str) -> URL:
    """The database's address. Raises: StoreError for a kind that is not known, or one with a password in it."""
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        kind, url = "", URL.create("none")
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(
            "the register is kept in SQLite or PostgreSQL",
            "Remove `database` from workbench.toml, or name a sqlite:/// or postgresql:// address.",
        )
    if url.password or "password" in url.query:
        raise StoreError(
            "the address of the register's database holds a password",
            "Take it out of workbench.toml and give it by PGPASSWORD or ~/.pgpass.",
        )
    return url


def _has_register(tx: Transaction) -> bool:
    return sa.inspect(tx).has_table("alembic_version")


def _version(tx: Transaction) -> str | None:
    """The schema's version, as a register says it."""
    found: str | None = tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found


def _refuse_unknown(tx: Transaction, known: ScriptDirectory) -> None:
    """A schema that no migration leads away from is another program's, mostly this one's of a later version."""
    found = _version(tx) if _has_register(tx) else None
    if found is not None and found not in {script.revision for script in known.walk_revisions()}:
        raise StoreError(
            f"the register has schema version {found}, this workbench knows none after {HEAD}",
            "Install the version of the workbench that this register was last used with, or a later one.",
        )


@contextmanager
def _plainly() -> Iterator[None]:
    """Database errors as one sentence without statement or values."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        if guarded := _guarded(error):
            raise guarded from None
        raise _silent(error) from None  # a unique or foreign key: a race that the caller decides on, or a defect
    except sa.exc.DatabaseError as error:
        raise _plain(error) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                "the disk is full", "Free some space, then run the same command again; nothing was half-written."
            ) from None
        raise


def _guarded(error: sa.exc.DBAPIError) -> StoreError | None:
    """What a guard of the schema refused."""
    if MOVED in str(error.orig):
        return StoreError(MOVED, "Open the workspace again; `database` in its workbench.toml has to name the new one.")
    if "append-only" in str(error.orig):
        return StoreError("the audit trail can only be added to", "Nothing was changed.")
    if "never deleted" in str(error.orig):
        return StoreError("an unsubscribe can only be closed, never rewritten or deleted", "Nothing was changed.")
    return next((StoreError(*told) for said, told in OF_ROLES.items() if said in str(error.orig)), None)


OF_ROLES = {
    "the operator is not the login of this session": (
        "the login to the database is not the operator's",
        "Log in to the database under the operator's own name; whoever runs the database makes that login.",
    ),
    "what hides an opt-out of Salesforce": (
        "Salesforce no longer shows an opt-out, and this database role may not take that in",
        "Let the sync, or an administrator, run `workbench org pull` first.",
    ),
}
"""What a guard of the roles refuses, in the words of `store.roles`: a sentence, and what to do."""


def _silent(error: sa.exc.IntegrityError) -> sa.exc.IntegrityError:
    """The same without the row that PostgreSQL quotes in its details."""
    said = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return error if said is None else sa.exc.IntegrityError(None, None, RuntimeError(said))


def _plain(error: sa.exc.DatabaseError) -> StoreError:
    door = sqlite if isinstance(error.orig, sqlite3.Error) else postgresql
    if known := _guarded(error) or door.meaning(error):
        return known
    return StoreError(
        f"the database refused the request ({type(error.orig).__name__})", "Run the command again with --debug to see where."
    )
