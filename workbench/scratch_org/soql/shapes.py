"""Conditions in a shape that SQLite can take: few levels, however the query was written.

SQLite's parser and its expressions have room for some levels only, SOQL allows thousands of conditions. Since SOQL is
two-valued, negations can move inwards to the single tests; equal operators inside one another then become one list.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..messages import OrgError
from .grammar import Condition, Junction, Membership, Negation

_TOO_DEEP = ("parser stack overflow", "Expression tree is too large", "too many SQL variables", "too many terms")
_OTHER = {"AND": "OR", "OR": "AND"}


def flattened(condition: Condition, *, negated: bool = False) -> Condition:
    """The same condition with negations at the single tests only, and no junction directly inside one of its kind."""
    if isinstance(condition, Negation):
        return flattened(condition.condition, negated=not negated)
    if isinstance(condition, Junction):
        operator = _OTHER[condition.operator] if negated else condition.operator
        parts: list[Condition] = []
        for inner in condition.conditions:
            part = flattened(inner, negated=negated)
            parts += part.conditions if isinstance(part, Junction) and part.operator == operator else (part,)
        return Junction(operator, tuple(sorted(parts, key=_depth, reverse=True)))
    if isinstance(condition, Membership) and negated:
        return replace(condition, negated=not condition.negated)
    return Negation(condition) if negated else condition


def _depth(condition: Condition) -> int:
    """Levels of junctions; the deepest comes first, because parentheses at the start cost SQLite's parser least."""
    return 1 + max(map(_depth, condition.conditions)) if isinstance(condition, Junction) else 0


def joined(operator: str, tests: list[str]) -> str:
    """Tests joined by AND or OR in halves: the depth grows with the logarithm of their number."""
    if len(tests) == 1:
        return tests[0]
    middle = (len(tests) + 1) // 2
    return f"({joined(operator, tests[:middle])} {operator} {joined(operator, tests[middle:])})"


@contextmanager
def within_bounds() -> Iterator[None]:
    """Around the execution of a translated query: what is still too deep for SQLite is too complicated for the org.

    Raises:
        OrgError: QUERY_TOO_COMPLICATED.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if not any(text in str(error) for text in _TOO_DEEP):
            raise
        raise OrgError(400, "QUERY_TOO_COMPLICATED", "The conditions of this query are nested too deeply") from error
