"""Inputs that were good and are no more: how many each test tries (`EXAMPLES`), and how they are spoilt."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("EXAMPLES", "150"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def texts(good: str) -> st.SearchStrategy[str]:
    """The good text with pieces cut out, doubled and put in; or any text."""
    pieces = st.tuples(
        st.integers(0, len(good)),
        st.integers(0, 12),
        st.text(max_size=6) | st.sampled_from(["\n", "\r", "\0", '"', "'", "=", "[", "\ufeff", "—"]),
    )

    def mutated(changes: list[tuple[int, int, str]]) -> str:
        text = good
        for place, length, put in changes:
            at = place % (len(text) + 1)
            text = text[:at] + put + text[at + length :]
        return text

    return st.lists(pieces, max_size=5).map(mutated) | st.text(max_size=80)


def records(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The good record with some values replaced or left out."""
    changes = st.dictionaries(st.sampled_from(sorted(good)), JSON | st.just(...), max_size=3)
    return changes.map(lambda changed: {key: value for key, value in (good | changed).items() if value is not ...})
