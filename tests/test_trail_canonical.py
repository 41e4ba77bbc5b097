"""The trail's own way of writing canonical JSON writes the bytes that rfc8785 writes, for everything that an event may hold."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.errors import TrailError
from workbench.trail.event import EVENT_TYPES, LARGEST_INTEGER, canonical, canonical_checked

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = st.text(st.characters(max_codepoint=0x7F), max_size=6)
PLAIN = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | TEXT
VALUES = st.recursive(PLAIN, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=4), max_leaves=20)


@given(VALUES)
@example("".join(map(chr, range(0x250))))
@example({chr(code): code for code in range(0x80)})
@example(["\u2028\u2029\ufeff\uffff\U0001f600", LARGEST_INTEGER, -LARGEST_INTEGER, [], {}, True, False, None])
def test_it_writes_the_same_bytes(value: Any) -> None:
    assert canonical_checked(value, "a test") == rfc8785.dumps(value)


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udfff"]}, float("nan")])
def test_what_has_no_canonical_form_is_refused_alike(value: Any) -> None:
    for write in (canonical, canonical_checked):
        with pytest.raises(TrailError, match="can't be written as canonical JSON"):
            write(value, "a test")


def test_no_event_allows_a_word_that_is_a_number() -> None:
    """A choice of numbers would let 1.0 through for 1, which the two would write differently."""
    words = [hint for kind in EVENT_TYPES.values() for hint in hints(kind) if get_origin(hint) is Literal]
    assert words
    assert all(isinstance(word, str) for hint in words for word in get_args(hint))


def hints(kind: type[Any]) -> list[Any]:
    found = get_type_hints(kind, include_extras=True)
    return [found[field.name] for field in fields(kind)]
