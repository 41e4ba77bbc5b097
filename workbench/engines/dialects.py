"""The register's queries, which are PostgreSQL's SQL, in the words of an engine: sqlglot translates."""

from __future__ import annotations

from typing import Literal

from workbench.engines.installed import needs
from workbench.store.mismatches.portable import HEIR

Dialect = Literal["duckdb", "spark"]


def said_in(dialect: Dialect, text: str) -> str:
    """A query of `store.mismatches.portable` in an engine's dialect; what the snapshot holds ready is read from there.

    Raises:
        InputError: sqlglot is not installed.
    """
    needs("sqlglot")
    from sqlglot import exp, parse_one

    query = parse_one(text, read="postgres")
    for clause in list(query.find_all(exp.With)):
        for one in clause.expressions:
            if one.alias == HEIR:
                one.pop()
        clause.set("recursive", False)
        if not clause.expressions:
            clause.pop()
    return query.sql(dialect=dialect)
