"""The register in SQLite: how a connection is made, how transactions begin, and what its errors mean.

WAL mode with synchronous=FULL: a commit survives a power cut. Write transactions take the write lock when they begin (BEGIN
IMMEDIATE), so that what they read is what they change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from workbench.errors import StoreError


def engine(url: URL, *, lock_wait: float, may_create: Callable[[], bool]) -> sa.Engine:
    """An engine whose connections are prepared; a file that is not there is made only when ``may_create`` says so."""

    def open_existing(_dialect: object, _record: object, words: list[Any], options: dict[str, Any]) -> None:
        """Before a connection is made: name the file so that SQLite opens it, but does not make it."""
        file = Path(words[0])
        if may_create() or not url.database or url.query:
            return  # an upgrade, a database in memory, or one that workbench.toml names with options of its own
        if file.parent.is_dir() and not file.exists():
            raise StoreError(
                f"{file.name} is missing", "Restore it from a backup; without it, nobody's opt-out or consent is known here."
            )
        words[0], options["uri"] = f"{file.absolute().as_uri()}?mode=rw", True

    made = sa.create_engine(url, connect_args={"timeout": lock_wait}, hide_parameters=True)
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _begin)
    event.listen(made, "do_connect", open_existing)
    return made


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin or commit by itself
    durable = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON", "temp_store=MEMORY")
    # 32 MB of pages, folded into the file after 16 MB: a pull into indexes would else write each page many times over
    for pragma in (*durable, "cache_size=-32000", "wal_autocheckpoint=4000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("workbench_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def alone(_engine: sa.Engine, _name: str) -> Iterator[bool]:
    """Always: a register in a file has one computer, where files can be locked."""
    yield True


def compact(connection: sa.Connection) -> bool:
    """Rewrite the file and empty its write-ahead log; whether the latter could be emptied. Raises: sqlalchemy's DatabaseError."""
    raw = connection.connection.dbapi_connection
    assert raw is not None  # noqa: S101 - a connection that is open has one
    try:
        raw.execute("VACUUM")
        busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise sa.exc.DatabaseError("VACUUM", None, error) from None
    return not busy


def snapshot(connection: sa.Connection, target: Path) -> None:
    """Write the register as it stands, without what was deleted, to a new file while others read and write.

    Raises: sqlalchemy's DatabaseError.
    """
    raw = connection.connection.dbapi_connection
    assert raw is not None  # noqa: S101 - a connection that is open has one
    try:
        raw.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise sa.exc.DatabaseError("VACUUM INTO", None, error) from None


def damage(connection: sa.Connection) -> str:
    """What SQLite finds wrong with the file, in its words; "" where nothing is. Raises: sqlalchemy's DatabaseError."""
    found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if found != "ok":
        return str(found)
    loose = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    return "" if loose is None else f"a row of {loose[0]} refers to one that is not there"


MEANINGS = (
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
)
"""What a part of an error's text (lower case) means: a sentence, and what to do."""


def meaning(error: sa.exc.DBAPIError) -> StoreError | None:
    """What an error of the driver says to people; None where that is not known."""
    text = str(error.orig).lower()
    return next((StoreError(sentence, advice) for sign, sentence, advice in MEANINGS if sign in text), None)
