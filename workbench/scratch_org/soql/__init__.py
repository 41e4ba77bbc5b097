"""SOQL: the words of a query, its grammar, and its translation to parameterised SQLite.

Whatever isn't known is refused with MALFORMED_QUERY, INVALID_FIELD or INVALID_TYPE; no clause is ever dropped.
"""

from .grammar import Query, parsed
from .shapes import within_bounds
from .translation import Selection, translated

__all__ = ["Query", "Selection", "parsed", "translated", "within_bounds"]
