"""The org's SQLite database: one table an object, and the org's own books beside them.

Instants are kept as the text the API sends, which sorts by time; booleans as 0 and 1; history values as JSON.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .describe import OBJECTS, TEXT_TYPES, Field, ObjectType

_BOOKS = """
CREATE TABLE IF NOT EXISTS "org_setting" ("name" TEXT PRIMARY KEY, "value" TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "id_counter" ("prefix" TEXT PRIMARY KEY, "last" INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS "access_token" ("token" TEXT PRIMARY KEY, "user" TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "request_log" ("number" INTEGER PRIMARY KEY, "entry" TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "opt_out_ledger" (
  "number" INTEGER PRIMARY KEY, "object" TEXT, "id" TEXT, "field" TEXT, "old" INTEGER, "new" INTEGER,
  "by" TEXT, "at" TEXT, "request" INTEGER);
CREATE TABLE IF NOT EXISTS "query_cursor" (
  "locator" TEXT PRIMARY KEY, "soql" TEXT NOT NULL, "every" INTEGER, "batch" INTEGER, "total" INTEGER, "at" TEXT);
CREATE TABLE IF NOT EXISTS "cursor_page" (
  "locator" TEXT, "start" INTEGER, "ids" TEXT NOT NULL, PRIMARY KEY ("locator", "start"));
CREATE TABLE IF NOT EXISTS "bulk_job" ("id" TEXT PRIMARY KEY, "info" TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "ingest_job" ("id" TEXT PRIMARY KEY, "info" TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "ingest_data" ("job" TEXT PRIMARY KEY, "body" BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS "ingest_row" (
  "job" TEXT, "number" INTEGER, "outcome" TEXT, "row" TEXT NOT NULL, PRIMARY KEY ("job", "number"));
"""
_INDEXED = frozenset(
    {
        "Email",
        "PersonEmail",
        "SystemModstamp",
        "LeadId",
        "ContactId",
        "AccountId",
        "PersonContactId",
        "MasterRecordId",
        "IndividualId",
        "PartyId",
    }
)


class Tables:
    """The connection, its transactions, ids and settings."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.db = _connected(file)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute(f"PRAGMA synchronous = {'NORMAL' if file else 'OFF'}")
        self.db.executescript(_BOOKS)
        for kind in OBJECTS.values():
            self.db.execute(_table(kind))
        self._depth = 0

    def second_connection(self) -> sqlite3.Connection:
        """A connection for reading in another thread; there is none to a database in memory."""
        return _connected(self.file)

    def create_indexes(self) -> None:
        """Create what queries by address, stamp and parent need; after the first load, which is faster without."""
        for kind in OBJECTS.values():
            for field in kind.fields:
                if field.name in _INDEXED:
                    name = f"{kind.name}_{field.name}"
                    self.db.execute(f'CREATE INDEX IF NOT EXISTS "{name}" ON "{kind.name}" ("{field.name}")')

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All or nothing; nests."""
        name = f"level{self._depth}"
        self.db.execute(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
        except BaseException:
            self.db.execute(f"ROLLBACK TO {name}")
            raise
        finally:
            self._depth -= 1
            self.db.execute(f"RELEASE {name}")

    def next_number(self, prefix: str, count: int = 1) -> int:
        """The first of ``count`` fresh numbers for ids with that prefix."""
        row = self.db.execute(
            'INSERT INTO "id_counter" VALUES (?, ?) ON CONFLICT DO UPDATE SET "last" = "last" + ? RETURNING "last"',
            (prefix, count, count),
        ).fetchone()
        return int(row[0]) - count + 1

    def reach_number(self, prefix: str, number: int) -> None:
        """Let fresh numbers begin above this one."""
        self.db.execute(
            'INSERT INTO "id_counter" VALUES (?, ?) ON CONFLICT DO UPDATE SET "last" = max("last", excluded."last")',
            (prefix, number),
        )

    def setting(self, name: str) -> str | None:
        """A value kept across restarts."""
        row = self.db.execute('SELECT "value" FROM "org_setting" WHERE "name" = ?', (name,)).fetchone()
        return str(row[0]) if row else None

    def keep(self, name: str, value: str) -> None:
        """Keep a value across restarts."""
        self.db.execute('INSERT OR REPLACE INTO "org_setting" VALUES (?, ?)', (name, value))

    def secret(self, name: str) -> str:
        """A random value, made once and kept."""
        value = self.setting(name)
        if value is None:
            value = secrets.token_hex(24)
            self.keep(name, value)
        return value


def column_type(field: Field) -> str:
    """The SQLite column of a field: text compares without case, as in SOQL; ids exactly."""
    if field.type in TEXT_TYPES:
        return "TEXT COLLATE NOCASE"
    return "INTEGER NOT NULL DEFAULT 0" if field.type == "boolean" else "TEXT"


def decoded(field: Field, value: object) -> object:
    """A stored value as JSON has it."""
    if field.type == "boolean":
        return bool(value)
    if field.type == "anyType":
        return None if value is None else json.loads(str(value))
    return value


def encoded(field: Field, value: object) -> object:
    """A JSON value as it is stored."""
    if field.type == "boolean":
        return int(bool(value))
    if field.type == "anyType":
        return None if value is None else json.dumps(value)
    return value


def _connected(file: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.create_function("folded", 1, _folded, deterministic=True)
    return db


def _table(kind: ObjectType) -> str:
    columns = [f'"{f.name}" {column_type(f)}' for f in kind.fields if f.name != "Id"]
    return (
        f'CREATE TABLE IF NOT EXISTS "{kind.name}" ("Id" TEXT PRIMARY KEY, {", ".join(columns)}, "deleted_at" TEXT) WITHOUT ROWID'
    )


def _folded(value: str | int | None) -> str | int | None:
    return value.casefold() if isinstance(value, str) else value
