"""The register's queries, which are PostgreSQL's SQL, in the words of an engine: sqlglot translates."""

from __future__ import annotations

from typing import Any, Literal

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
    return str(_branches(query).sql(dialect=dialect))


def _branches(query: Any) -> Any:
    """A join by one of two columns as the union of both joins: engines join by equality, and else hold every row against every other.

    The register's mismatches have no row twice, so that a union, which has none twice either, is the same.
    """
    from sqlglot import exp

    for number, join in enumerate(query.args.get("joins") or ()):
        by = join.args.get("on")
        if isinstance(by, exp.In) and by.expressions:
            branches = []
            for column in by.expressions:
                branches.append(query.copy())
                branches[-1].args["joins"][number].set("on", exp.EQ(this=by.this.copy(), expression=column.copy()))
            return exp.union(*branches, distinct=True)
    return query
