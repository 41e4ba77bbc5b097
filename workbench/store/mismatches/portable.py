"""The same queries for engines elsewhere: as text that they can be given, and the rows that they need, in portions.

Nothing is defined here. The text is compiled from the definitions that `refresh` runs, and which columns are needed is what the
compiler came across. Two things are worked out by the register beforehand, since not every engine can: since when a record is opted
out (from the history of each of its fields), and what a merged or converted record became over several steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.ext.compiler import compiles

from workbench.store import records
from workbench.store import schema as s
from workbench.store.database import Transaction
from workbench.store.mismatches import ledger
from workbench.store.mismatches.sides import opted_out_at, since_opted_out, whole_second

LINK = s.link.name
"""The relation that an engine makes itself, from people, their stored ids and the records."""
HEIR = "heir"
"""The relation (dead_id, heir_id) that the register works out; in the text of queries it is a recursive one of this name."""
OPTED_OUT_AT = "opted_out_at"

ADDRESSES = frozenset({s.person.c.email, s.org_record.c.email, s.address_change.c.old_email})

Kind = Literal["text", "truth", "instant", "address"]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Rows that an engine needs: the relation's name, its columns with what they hold, and how they are read here.

    ``address``: a normalised e-mail address, which is only ever compared with another one.
    """

    name: str
    columns: dict[str, Kind]
    query: sa.Select[Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query about mismatches of a kind; ``text`` is PostgreSQL's SQL and has the columns person_id and record_id."""

    kind: str
    text: str


class _Compiler(PGCompiler):
    """Takes down which columns of the register's tables the text names."""

    def __init__(self, *given: Any, **kw: Any) -> None:
        self.read: set[tuple[str, str]] = set()
        super().__init__(*given, **kw)

    def visit_column(self, column: sa.ColumnClause[Any], *given: Any, **kw: Any) -> str:
        table = getattr(column.table, "element", column.table)
        if isinstance(table, sa.Table):
            self.read.add((table.name, column.name))
        return super().visit_column(column, *given, **kw)


class _Portable(PGDialect):
    name = "portable"
    statement_compiler = _Compiler
    supports_statement_cache = False


@compiles(whole_second, "portable")
def _truncate(element: Any, compiler: Any, **kw: Any) -> str:
    return f"date_trunc('second', {compiler.process(element.clauses, **kw)})"


@compiles(since_opted_out, "portable")
def _read(element: Any, compiler: Any, **kw: Any) -> str:
    record_id, _ = element.clauses
    compiler.read.add((s.org_record.name, OPTED_OUT_AT))
    return f"{str(compiler.process(record_id, **kw)).removesuffix(record_id.name)}{OPTED_OUT_AT}"


def questions(own: Collection[str]) -> tuple[Question, ...]:
    """Every query about mismatches; several may be about one kind. ``own`` are the org users that we log in as."""
    return tuple(Question(kind=_kind(query), text=str(_compiled(_keys(query)))) for query in ledger.queries(own))


def links() -> str:
    """The query that makes the relation `LINK`: person_id, record_id, how."""
    return str(_compiled(records.links()))


def relations() -> tuple[Relation, ...]:
    """What an engine needs for all of it, and not a column more, by name."""
    needed = {pair for query in (*map(_keys, ledger.queries(())), records.links()) for pair in _compiled(query).read}
    by_table: dict[str, list[str]] = {}
    for table, column in sorted(needed):
        by_table.setdefault(table, []).append(column)
    heirs = records.heirs()
    heir = Relation(name=HEIR, columns={"dead_id": "text", "heir_id": "text"}, query=sa.select(heirs.c.dead_id, heirs.c.heir_id))
    return (*(_relation(name, columns) for name, columns in by_table.items() if name != LINK), heir)


def portions(tx: Transaction, relation: Relation, size: int) -> Iterator[Sequence[Sequence[Any]]]:
    """The relation's rows, so many at a time, as the database's driver gives them: moments and truths may still be text and numbers."""
    yield from tx.execute(relation.query.execution_options(yield_per=size)).partitions()


def _kind(query: sa.Select[Any]) -> str:
    label: Any = query.selected_columns["kind"]
    return str(label.element.value)


def _keys(query: sa.Select[Any]) -> sa.Select[Any]:
    """Only who and what: the sentences about it are the register's to say."""
    return query.with_only_columns(query.selected_columns["person_id"], query.selected_columns["record_id"])


def _compiled(query: sa.GenerativeSelect) -> _Compiler:
    dialect = _Portable(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy's
    compiled: Any = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return compiled  # type: ignore[no-any-return]  # what the dialect names as its compiler


def _relation(name: str, columns: list[str]) -> Relation:
    table = s.metadata.tables[name]
    kinds = {column: _holds(table, column) for column in columns}
    return Relation(name=name, columns=kinds, query=sa.select(*(_as_kept(table, column) for column in columns)))


def _holds(table: sa.Table, name: str) -> Kind:
    if (table is s.org_record and name == OPTED_OUT_AT) or isinstance(table.c[name].type, s.Instant):
        return "instant"
    if table.c[name] in ADDRESSES:
        return "address"
    return "truth" if isinstance(table.c[name].type, sa.Boolean) else "text"


def _as_kept(table: sa.Table, name: str) -> sa.ColumnElement[Any]:
    """A column as the driver gives it: making a datetime of each value costs more than reading it."""
    if table is s.org_record and name == OPTED_OUT_AT:
        return sa.type_coerce(opted_out_at(table), sa.String()).label(name)
    column = table.c[name]
    return (sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else sa.type_coerce(column, sa.String())).label(name)
