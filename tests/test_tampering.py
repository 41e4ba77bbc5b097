"""Every forgery is found by whoever holds one earlier checkpoint; and a verifier that leaves a check out is found by these forgeries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from tampering import honest_trails, judged, missed
from trail_samples import FORGERIES

from workbench import verify_trail

TIMES = int(os.environ.get("FORGERIES", "100"))
SOAK = 1000
NEED_A_CHECKPOINT = {
    "cut_the_tail_and_its_checkpoints",
    "sign_anew_with_the_stolen_key",
    "excuse_a_deletion_with_a_stolen_key",
    "drop_the_checkpoint_that_is_known",
}
"""What nobody finds without one, at least not always; README says so."""


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signatures come again and again: the verifier's own function, each answer computed once."""
    monkeypatch.setattr(verify_trail, "is_signed", lru_cache(maxsize=100_000)(verify_trail.is_signed))


def test_there_are_at_least_fourteen_kinds() -> None:
    assert len(FORGERIES) >= 14
    assert set(FORGERIES) > NEED_A_CHECKPOINT


def test_what_nobody_touched_is_verified(tmp_path: Path) -> None:
    for trail in honest_trails():
        assert judged(trail, tmp_path, known=True) == judged(trail, tmp_path, known=False) == "verified"


@pytest.mark.parametrize("kind", FORGERIES)
def test_with_an_earlier_checkpoint_every_forgery_is_found(kind: str, tmp_path: Path) -> None:
    assert missed(kind, TIMES, tmp_path, known=True) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORGERIES)
def test_with_an_earlier_checkpoint_every_forgery_is_found_a_thousand_times(kind: str, tmp_path: Path) -> None:
    assert missed(kind, SOAK, tmp_path, known=True) == 0


def test_without_one_these_are_missed_and_no_others(tmp_path: Path) -> None:
    assert {kind for kind in FORGERIES if missed(kind, 10, tmp_path, known=False)} == NEED_A_CHECKPOINT


# --- the harness itself: a verifier that leaves out one check misses something


def nothing(*_: object) -> Iterator[str]:
    return iter(())


def unseen(check: object) -> object:
    """The check does its work, but what it found is not said."""

    def quiet(*given: object) -> Iterator[str]:
        for _ in check(*given):  # type: ignore[operator]  # one of the verifier's checks
            pass
        return iter(())

    return quiet


@pytest.mark.parametrize(
    ("name", "broken", "kind"),
    [
        ("is_signed", lambda *_: True, "rewrite_an_event_and_all_roots_without_the_key"),
        ("check_files", nothing, "change_evidence"),
        ("check_events", unseen(verify_trail.check_events), "rewrite_a_payload"),
        ("check_checkpoints", unseen(verify_trail.check_checkpoints), "edit_an_entry_and_its_hash"),
        ("check_checkpoints", unseen(verify_trail.check_checkpoints), "go_on_with_the_retired_key"),
    ],
)
def test_a_verifier_without_a_check_is_caught(
    name: str, broken: object, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verify_trail, name, broken)
    assert missed(kind, 5, tmp_path, known=False) > 0


def test_an_auditor_who_forgets_the_checkpoint_is_caught(tmp_path: Path) -> None:
    assert missed("sign_anew_with_the_stolen_key", 5, tmp_path, known=False) == 5
