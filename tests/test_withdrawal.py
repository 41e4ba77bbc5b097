"""A consent taken back, however it is learned of: nothing decided before holds, and who is subscribed is unsubscribed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import CONSENTED, World, lead_id, org_line
from test_attacks_intake import consents_file
from test_worker import approved, open_episodes, ran

from workbench import exchange
from workbench.store import people

Worlds = Callable[..., World]


def resubscribed(world: Worlds) -> tuple[World, str, str]:
    """Anna, resubscribed on a consent; the ids of both."""
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    person = w.person("anna@example.com")
    consent = w.consent(person)
    assert ran(w, person).done == 1
    return w, person, consent


def by_csv(w: World, person: str, consent: str, folder: Path, at: datetime) -> None:
    (folder / "g.pdf").write_bytes(b"%PDF-1.7 g")
    row = f"email,g.pdf,2026-06-01 10:30:00Z,withdrawn,{at:%Y-%m-%d %H:%M:%S}Z"
    assert w.wb.import_consents(consents_file(folder, "w.csv", row), folder).unsubscribed == 1


def by_export_known(w: World, person: str, consent: str, folder: Path, at: datetime) -> None:
    (told,) = exchange.read(w.wb.export_consents(person).encode())
    gone = replace(told, state="withdrawn", withdrawn_at=at, withdrawal_method="email")
    (folder / "x.json").write_text(exchange.written(iter([gone]), "json"), encoding="utf-8")
    assert [v.outcome for v in w.wb.import_consent_records(folder / "x.json")] == ["withdrawn"]


def by_export_new(w: World, person: str, consent: str, folder: Path, at: datetime) -> None:
    (told,) = exchange.read(w.wb.export_consents(person).encode())
    another = replace(
        told, consent_id=f"{consent[:-4]}0000", state="withdrawn", withdrawn_at=at, withdrawal_method="email", evidence=()
    )
    (folder / "x.json").write_text(exchange.written(iter([another]), "json"), encoding="utf-8")
    assert [v.outcome for v in w.wb.import_consent_records(folder / "x.json")] == ["recorded"]


def by_command(w: World, person: str, consent: str, folder: Path, at: datetime) -> None:
    w.wb.withdraw_consent(consent, method="email", at=at)


def by_form(w: World, person: str, consent: str, folder: Path, at: datetime) -> None:
    w.consent(person, given_at=CONSENTED, state="withdrawn", withdrawn_at=at)


def by_refusal(w: World, person: str, consent: str, folder: Path, at: datetime) -> None:
    w.consent(person, given_at=at, state="refused")


WAYS = (by_csv, by_export_known, by_export_new, by_command, by_form, by_refusal)


@pytest.mark.parametrize("way", WAYS)
def test_who_was_resubscribed_is_unsubscribed_again_on_both_sides(world: Worlds, tmp_path: Path, way: Any) -> None:
    w, person, consent = resubscribed(world)
    at = datetime.now(UTC).replace(microsecond=0)
    way(w, person, consent, tmp_path, at)
    assert open_episodes(w, person) == 1
    with w.wb.store.read() as tx:
        newest = max(people.unsubscribes(tx, [person])[person], key=lambda e: e.recorded_at)
    assert (newest.opted_out_at, newest.source) == (at, "manual")
    assert w.wb.sync().opted_out == 1
    assert all(w.flags(lead_id(1)).values())
    assert w.wb.trail.verify().ok


@pytest.mark.parametrize("way", WAYS)
def test_a_run_under_way_turns_back(world: Worlds, tmp_path: Path, way: Any) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    person = w.person("anna@example.com")
    consent = w.consent(person)
    batch = approved(w, person)
    original, told = w.wb.org.clear, []

    def clear(writes: Any) -> Any:
        answers = original(writes)
        if not told:
            told.append(1)
            if way is by_csv:  # unsubscribed already, so nobody becomes so
                (tmp_path / "g.pdf").write_bytes(b"%PDF-1.7 g")
                row = f"email,g.pdf,2026-06-01 10:30:00Z,withdrawn,{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z"
                assert w.wb.import_consents(consents_file(tmp_path, "w.csv", row), tmp_path).unsubscribed == 0
            else:
                way(w, person, consent, tmp_path, datetime.now(UTC).replace(microsecond=0))
        return answers

    w.wb.org.clear = clear  # type: ignore[method-assign]  # the real call, with a withdrawal right behind it
    outcome = w.wb.run(batch)
    assert told
    assert (outcome.done, outcome.aborted) == (0, 1)
    assert all(w.flags(lead_id(1)).values())
    assert open_episodes(w, person) >= 1


@pytest.mark.parametrize("state", ["withdrawn", "refused"])
def test_what_was_taken_back_before_a_newer_consent_unsubscribes_nobody(world: Worlds, state: str) -> None:
    w, person, _ = resubscribed(world)
    before = CONSENTED - timedelta(days=30)
    w.consent(person, given_at=before, state=state, **({"withdrawn_at": before} if state == "withdrawn" else {}))
    assert open_episodes(w, person) == 0
    w.consent(person, given_at=CONSENTED, state=state, **({"withdrawn_at": CONSENTED} if state == "withdrawn" else {}))
    assert open_episodes(w, person) == 1, "in the same second the withdrawal counts"
