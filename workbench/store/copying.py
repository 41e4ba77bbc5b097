"""A whole register poured into another, empty database, compared row by row, and the old one closed against further entries.

Both are held by write transactions meanwhile: nothing is entered into the old one that the new one does not get. Whoever still has
the old one open is refused from then on: an opt-out that was entered there would be lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from workbench.errors import StoreError
from workbench.store import schema as s
from workbench.store.database import MOVED, Store, Transaction

ROWS = 5_000  # that are held at once
TABLES = tuple(table for table in s.metadata.sorted_tables if table is not s.touched)
"""What is poured. What was touched is not: where nothing is noted, the next look at mismatches is one at everything."""


def copy(source: Store, target: Store, *, finish: Callable[[Transaction], None]) -> dict[str, int]:
    """Pour ``source`` into ``target``; the rows of each table. ``finish`` adds what the new register is to begin with.

    Raises:
        StoreError: the target holds a register, one of both can't be used, or what arrived differs; the source is as it was then.
    """
    _make_ready(target)
    with source.write() as old:
        with target.write() as new:
            counts = {table.name: _poured(old, new, table) for table in TABLES}
            finish(new)
        old.exec_driver_sql(
            f"CREATE TRIGGER trail_event_moved BEFORE INSERT ON trail_event BEGIN SELECT RAISE(ABORT, '{MOVED}'); END"
        )
    return counts


def _make_ready(target: Store) -> None:
    if target.holds_a_register():
        target.check_version()
        with target.read() as tx:
            if any(tx.execute(sa.select(table).limit(1)).first() for table in s.metadata.sorted_tables):
                raise StoreError("the database to copy into already holds a register", "Name an empty database.")
    else:
        target.upgrade()


def _poured(old: Transaction, new: Transaction, table: sa.Table) -> int:
    """Copy one table and compare what arrived; how many rows it has."""
    count = digest = 0
    for rows in _portions(old, table):
        new.execute(sa.insert(table), rows)
        count, digest = count + len(rows), digest + _digest(rows)
    arrived = [(len(rows), _digest(rows)) for rows in _portions(new, table)]
    if (count, digest) != (sum(n for n, _ in arrived), sum(d for _, d in arrived)):
        raise StoreError(
            f"the table {table.name} did not arrive as it was ({count} rows)",
            "Nothing was changed; report this with both versions.",
        )
    return count


def _portions(tx: Transaction, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """The rows of a table, in the order of its key (the trail is written without gaps), some at a time."""
    query = sa.select(table).order_by(*table.primary_key).execution_options(yield_per=ROWS)
    for rows in tx.execute(query).mappings().partitions():
        yield [dict(row) for row in rows]


def _digest(rows: list[dict[str, Any]]) -> int:
    """A sum over the rows: the same for the same rows in any order, since two databases sort text differently."""
    return sum(int.from_bytes(sha256(_canonical(row)).digest()) for row in rows)


def _canonical(row: dict[str, Any]) -> bytes:
    return json.dumps(row, sort_keys=True, default=_plain).encode()


def _plain(value: Any) -> str:
    return s.instant_text(value) if isinstance(value, datetime) else bytes(value).hex()
