"""A number and its noun."""

from __future__ import annotations

import ast
import re

import pytest
from test_layers import HOUSE

from workbench.counted import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 people"), (1, "1 person"), (2, "2 people"), (2_000, "2,000 people"), (1_000_000, "1,000,000 people")],
)
def test_one_is_one_person_and_all_else_people(number: int, said: str) -> None:
    assert counted(number, "person", "people") == said


def test_an_s_makes_the_plural_of_most_nouns() -> None:
    assert [counted(n, "record") for n in (1, 2)] == ["1 record", "2 records"]


def test_no_message_leaves_the_reader_to_choose_between_one_and_many() -> None:
    left = [
        f"{path.relative_to(HOUSE)}:{node.lineno}"
        for path in HOUSE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"[a-z]\(e?s\)", node.value)
    ]
    assert left == []
