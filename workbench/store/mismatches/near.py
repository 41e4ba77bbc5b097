"""Looking only where something was changed: what was touched and all that is joined to it, copied beside and looked at alone.

Mismatches never reach beyond what a link, a stored id, an address (a former one, too) or a merge joins. So the same queries that look
at everything tell the same about a part of it, provided that the part is closed under these. They are given that part in temporary
tables of the register's own names, which both databases look up first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction

MOST = 100_000
"""Joined people, records and addresses; beyond that a look at everything costs hardly more."""

TO_BE_READ_THROUGH = 1_000
"""So few rows need no index in PostgreSQL, where making one costs more than it saves."""

WIDEST_LOOKUP = 3  # columns; wider indexes are there to be read, not to look something up in

FORM = 1
"""Grows when a query about mismatches is changed: what was found before must then be looked at anew, all of it."""

JOINS = (
    ("person", ("person", "person_id"), ("address", "email")),
    ("address_change", ("person", "person_id"), ("address", "old_email")),
    ("person_salesforce_id", ("person", "person_id"), ("record", "record_id")),
    ("link", ("person", "person_id"), ("record", "record_id")),
    ("org_record", ("record", "record_id"), ("address", "email")),
    ("org_record", ("record", "record_id"), ("record", "merged_into")),
    ("org_record", ("record", "record_id"), ("record", "converted_contact_id")),
    ("org_record", ("record", "record_id"), ("record", "person_account")),
)
"""(table, what one of its columns names, what another does): every way in which a query joins two rows, in both directions."""

COPIED = {
    s.person: "person",
    s.person_salesforce_id: "person",
    s.address_change: "person",
    s.unsubscribe: "person",
    s.consent: "person",
    s.intent: "person",
    s.link: "person",
    s.org_record: "record",
    s.org_history: "record",
    s.suppressed_record: "record",
}
"""The tables that are read in part, and by whose id."""

NEAR = sa.Table(
    "near",
    sa.MetaData(),
    sa.Column("what", sa.String(8), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("turn", sa.Integer, nullable=False),
    prefixes=["TEMPORARY"],
)
_by_turn = sa.Index("ix_near_turn", NEAR.c.turn, NEAR.c.what)


@contextmanager
def joined_to_what_was_touched(tx: Transaction, own: Collection[str]) -> Iterator[bool]:
    """Fill `NEAR` with what was touched since the last look and all that is joined to it; whether that is known, and little enough."""
    known = tx.execute(sa.select(s.touched.c.id).where(s.touched.c.what == "looked")).scalar_one_or_none() == _look(own)
    NEAR.create(tx, checkfirst=False)
    yield known and _filled(tx)
    NEAR.drop(tx, checkfirst=False)


def _look(own: Collection[str]) -> str:
    """What a look went by beside the rows: our users in the org, and the queries' form."""
    return json.dumps([FORM, sorted(own)])


def _filled(tx: Transaction) -> bool:
    tx.exec_driver_sql("INSERT INTO near SELECT what, id, 0 FROM touched WHERE what <> 'looked'")
    turn, total = 0, 0
    count = sa.select(NEAR.c.what, sa.func.count()).group_by(NEAR.c.what)
    while new := dict(map(tuple, tx.execute(count.where(NEAR.c.turn == turn)))):
        total += sum(new.values())
        if total > MOST:
            return False
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("ANALYZE near")
        for start, edge in _EDGES:
            if start in new:
                tx.execute(edge, {"turn": turn, "next": turn + 1})
        turn += 1
    return True


def _edge(table: str, start: tuple[str, str], end: tuple[str, str]) -> tuple[str, sa.TextClause]:
    """(from what, the statement): one step further along a join. CROSS JOIN: SQLite then goes from the few to the many."""
    (what, by), (reached, column) = start, end
    return what, sa.text(
        f"INSERT INTO near SELECT DISTINCT '{reached}', t.{column}, :next FROM near CROSS JOIN {table} t"  # noqa: S608 - names from this file
        f" WHERE near.turn = :turn AND near.what = '{what}' AND t.{by} = near.id AND t.{column} <> '' ON CONFLICT DO NOTHING"
    )


_EDGES = tuple(_edge(table, *ends) for table, one, other in JOINS for ends in ((one, other), (other, one)))


@contextmanager
def alone(tx: Transaction, *, keep_links: bool) -> Iterator[None]:
    """While the block runs, the register's tables hold only what is in `NEAR`. They are copies; what is kept of changes are links."""
    whole, part = _places(tx)
    many = tx.execute(sa.select(sa.func.count()).select_from(NEAR)).scalar_one() > TO_BE_READ_THROUGH
    for table, what in COPIED.items():
        tx.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {table.name} AS SELECT t.* FROM near CROSS JOIN {whole}.{table.name} t"  # noqa: S608 - names of tables
            f" WHERE near.what = '{what}' AND t.{what}_id = near.id"
        )
        for statement in _lookups(table, part, many=many):
            tx.exec_driver_sql(statement)
    yield
    if keep_links:
        _keep_links(tx, whole, part)
    for table in COPIED:
        tx.exec_driver_sql(f"DROP TABLE {part}.{table.name}")


def _keep_links(tx: Transaction, whole: str, part: str) -> None:
    same = "o.person_id = l.person_id AND o.record_id = l.record_id AND o.how = l.how"
    tx.exec_driver_sql(
        f"DELETE FROM {whole}.link AS l WHERE l.person_id IN (SELECT id FROM near WHERE what = 'person')"  # noqa: S608 - names of tables
        f" AND NOT EXISTS (SELECT 1 FROM {part}.link o WHERE {same})"
    )
    tx.exec_driver_sql(
        f"INSERT INTO {whole}.link (person_id, record_id, how) SELECT l.person_id, l.record_id, l.how FROM {part}.link l"  # noqa: S608 - the same
        f" WHERE NOT EXISTS (SELECT 1 FROM {whole}.link o WHERE {same})"
    )


def _places(tx: Transaction) -> tuple[str, str]:
    """The schemas of the register's tables and of the temporary ones."""
    if tx.dialect.name == "sqlite":
        return "main", "temp"
    schema = "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    return str(tx.exec_driver_sql(f"{schema} WHERE pg_class.oid = 'person'::regclass").scalar_one()), "pg_temp"


def _lookups(table: sa.Table, part: str, *, many: bool) -> Iterator[str]:
    """What lets rows of a copied table be looked up as in the whole one."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    lists = [index.columns for index in indexes if not index.unique and len(index.columns) <= WIDEST_LOOKUP]
    key, *others = (", ".join(f'"{column.name}"' for column in columns) for columns in (table.primary_key.columns, *lists))
    if part == "temp":
        for number, columns in enumerate((key, *others)):
            yield f"CREATE INDEX temp.near_{table.name}_{number} ON {table.name} ({columns})"
        return
    yield f"ALTER TABLE {part}.{table.name} ADD PRIMARY KEY ({key})"  # PostgreSQL groups by a key alone where it knows that it is one
    if many:
        yield from (f"CREATE INDEX ON {part}.{table.name} ({columns})" for columns in others)
        yield f"ANALYZE {part}.{table.name}"


def within(person_id: sa.ColumnElement[str], record_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a mismatch is about somebody or something in `NEAR`."""
    return person_id.in_(sa.select(NEAR.c.id).where(NEAR.c.what == "person")) | record_id.in_(
        sa.select(NEAR.c.id).where(NEAR.c.what == "record")
    )


def looked(tx: Transaction, own: Collection[str], *, at_everything: bool) -> None:
    """Note that a look took place: from now on what is touched is noted anew.

    People with a stored id who were changed after the last pull began stay noted: whether Salesforce knows that id is told by the
    next pull, which need not touch them.
    """
    p, stored, t = s.person, s.person_salesforce_id, s.touched
    pulled = sa.select(sa.func.max(s.snapshot.c.started_at)).where(s.snapshot.c.finished_at.is_not(None)).scalar_subquery()
    open_ended = sa.select(p.c.person_id).where(
        p.c.updated_at > pulled, sa.exists().where(stored.c.person_id == p.c.person_id).correlate(p)
    )
    if at_everything:
        tx.execute(sa.delete(t))
        tx.execute(sa.insert(t).from_select(["what", "id"], open_ended.with_only_columns(sa.literal("person"), p.c.person_id)))
        tx.execute(sa.insert(t).values(what="looked", id=_look(own)))
    else:
        stays = (t.c.what == "person") & sa.exists(open_ended.where(p.c.person_id == t.c.id).correlate(t))
        tx.execute(sa.delete(t).where(t.c.what != "looked", ~stays))
