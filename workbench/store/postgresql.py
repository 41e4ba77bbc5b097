"""The register in PostgreSQL (14 or newer): how transactions begin, and what the server's errors mean.

One writer at a time, as in SQLite: a write transaction first takes an advisory lock of the database, so that what it reads is what
it changes. Readers see one moment (REPEATABLE READ) and wait for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from workbench.errors import StoreError

DRIVER = "postgresql+psycopg"
WRITER = 0x776F726B62656E63  # "workbenc": the key of the writer's advisory lock, beside those of other programs in the database
LONGEST_CONNECT = 10  # seconds


def engine(url: URL, *, lock_wait: float, may_create: Callable[[], bool]) -> sa.Engine:  # noqa: ARG001 - a server's databases are made by those who run it
    """An engine whose transactions begin as the register's do. Passwords come from the environment or ~/.pgpass, as libpq takes them.

    Raises:
        StoreError: the driver is not installed.
    """
    try:
        made = sa.create_engine(
            url.set(drivername=DRIVER),
            hide_parameters=True,
            paramstyle="format",  # values by place, as tuples are given to the driver
            pool_pre_ping=True,  # a server that was restarted meanwhile costs nobody an error
            connect_args={"connect_timeout": LONGEST_CONNECT, "application_name": "workbench"},
        )
    except ModuleNotFoundError:
        raise StoreError(
            "the driver for PostgreSQL is not installed", "Install it: pip install 'compliance-workbench[postgres]'."
        ) from None

    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("workbench_write", False):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(lock_wait * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    event.listen(made, "begin", begin)
    return made


@contextmanager
def alone(engine: sa.Engine, name: str) -> Iterator[bool]:
    """Whether a name was free, and held for this session: the server lets go of it with the connection. Raises: DatabaseError."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        try:
            yield bool(session.exec_driver_sql("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).scalar())
        finally:
            session.invalidate()  # so that the lock is let go of, also where the session is no longer there


def owns(connection: sa.Connection) -> bool:
    """Whether the tables are this login's to rebuild, and not only to use. Raises: DatabaseError."""
    return bool(
        connection.exec_driver_sql("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'person'::regclass").scalar()
    )


def compact(connection: sa.Connection) -> bool:
    """Rewrite the tables without what was deleted; True.

    Raises:
        StoreError: that is the owner's work.
        DatabaseError: SQLAlchemy's.
    """
    if not owns(connection):
        raise StoreError(
            "the tables can only be rewritten by their owner",
            "Ask whoever runs the database to run VACUUM FULL in it; what was erased may stand in its files until then.",
        )
    connection.rollback()
    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM FULL")
    return True


def as_owner(connection: sa.Connection) -> None:
    """Go on as the owner of the register's tables until the transaction ends, where that is another role. Raises: DatabaseError."""
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('alembic_version')"
    name = connection.exec_driver_sql(owner).scalar()
    if name not in (None, connection.exec_driver_sql("SELECT current_user").scalar()):
        connection.exec_driver_sql(f"SET LOCAL ROLE {connection.dialect.identifier_preparer.quote_identifier(name)}")


def signs(connection: sa.Connection) -> bool:
    """Whether this login may put checkpoints on the trail. Raises: DatabaseError."""
    return bool(connection.exec_driver_sql("SELECT has_table_privilege('trail_checkpoint', 'INSERT')").scalar())


def links(connection: sa.Connection) -> bool:
    """Whether this login may say which record belongs to whom. Raises: DatabaseError."""
    return bool(connection.exec_driver_sql("SELECT has_table_privilege('link', 'DELETE')").scalar())


MEANINGS = {
    "55P03": ("the register is locked by another process", "Wait until the other command has ended, then run this one again."),
    "53100": ("the disk is full", "Free some space on the server, then run the same command again; nothing was half-written."),
    "42501": ("the database role may not do that", "Ask whoever runs the database for the role that this work needs."),
    "25006": ("the register can't be written", "The server takes no changes just now; ask whoever runs it."),
    "57P01": ("the database server was stopped", "Run the same command again when it is back; nothing was half-written."),
    "57P03": ("the database server is starting or stopping", "Run the same command again in a moment."),
    "53300": ("the database server has no connection free", "Run the same command again in a moment."),
    "28000": ("the database server refused the login", "Check the user in the address, and PGPASSWORD or ~/.pgpass."),
    "28P01": ("the database server refused the login", "Check the user in the address, and PGPASSWORD or ~/.pgpass."),
    "3D000": ("the server has no such database", "Create it (`createdb NAME`), or correct `database` in workbench.toml."),
}
"""What an SQLSTATE means (PostgreSQL documentation, appendix A): a sentence, and what to do."""


def _refused(text: str) -> str | None:
    """The SQLSTATE of a login that failed: libpq gives its text only, in the server's language; None where that tells nothing."""
    if "authentication" in text or "password" in text or ('role "' in text and "does not exist" in text):
        return "28P01"
    return "3D000" if 'database "' in text and "does not exist" in text else None


def meaning(error: sa.exc.DBAPIError) -> StoreError | None:
    """What an error of the driver says to people; None where that is not known. Never what the server quotes: it may be a person's."""
    state: Any = getattr(error.orig, "sqlstate", None) or _refused(str(error.orig))
    if state in MEANINGS:
        return StoreError(*MEANINGS[state])
    if isinstance(error, sa.exc.OperationalError) and (state is None or error.connection_invalidated):
        return StoreError(
            "the register's database server can't be reached",
            "Check that it runs, and `database` in workbench.toml; nothing was half-written.",
        )
    return None
