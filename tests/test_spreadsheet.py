"""Text that a spreadsheet would run is shown instead, and comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.spreadsheet import FORMULA_SIGNS, harmless, restored


@pytest.mark.parametrize("sign", sorted(FORMULA_SIGNS))
def test_every_sign_is_shown_not_run(sign: str) -> None:
    assert harmless(f"{sign}SUM(A1)") == f"'{sign}SUM(A1)"


@pytest.mark.parametrize("sign", sorted(sign for sign in FORMULA_SIGNS if not sign.isspace()))
def test_a_sign_behind_blanks_is_shown_too(sign: str) -> None:
    assert harmless(f"  {sign}SUM(A1)") == f"'  {sign}SUM(A1)"


@pytest.mark.parametrize("text", ["", "Anna", "O'Neill", "a=b", "3 + 4", "'quoted'"])
def test_ordinary_text_stays(text: str) -> None:
    assert harmless(text) == text


@given(st.text())
def test_nothing_that_is_written_runs(text: str) -> None:
    shown = harmless(text)
    assert shown[:1] not in FORMULA_SIGNS
    assert shown.lstrip()[:1] not in FORMULA_SIGNS


@given(st.text())
def test_it_comes_back(text: str) -> None:
    if not (text.startswith("'") and harmless(text[1:]) != text[1:]):
        assert restored(harmless(text)) == text
