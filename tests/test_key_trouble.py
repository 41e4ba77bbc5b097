"""The key that signs the trail can't be had: opt-outs are taken and carried over all the same, and nobody is resubscribed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import World, lead_id, org_line
from test_attacks_intake import csv
from test_worker import REASON, approved, open_episodes

from workbench.bench import Workbench
from workbench.errors import TrailError

Worlds = Callable[..., World]


def others_may_read(key: Path) -> None:
    key.chmod(0o644)


def gone(key: Path) -> None:
    key.rename(key.with_name("elsewhere"))


def damaged(key: Path) -> None:
    key.write_text("PRIVATE+KEY+test+00000000+AAAA\n", encoding="ascii")


@pytest.fixture(params=[others_may_read, gone, damaged])
def troubled(request: pytest.FixtureRequest, world: Worlds) -> tuple[World, str, str, str]:
    """Anna with an approved batch, Bea who was resubscribed and is not opted out; the workspace is opened anew without its key."""
    w = world(
        org_line("Lead", lead_id(1), "anna@example.com", opted_out=True),
        org_line("Lead", lead_id(2), "bea@example.com", opted_out=True),
    )
    anna, bea = w.person("anna@example.com"), w.person("bea@example.com")
    w.consent(anna)
    consent = w.consent(bea)
    assert w.wb.run(approved(w, bea)).done == 1
    batch = approved(w, anna)
    w.wb.close()
    request.param(w.folder / "trail.key")
    w.wb = Workbench.open(w.folder)
    return w, bea, consent, batch


OPT_OUTS: dict[str, Callable[[Workbench, str, str, Path], Any]] = {
    "unsubscribe": lambda wb, bea, consent, folder: wb.unsubscribe(bea),
    "withdraw": lambda wb, bea, consent, folder: wb.withdraw_consent(consent, method="email"),
    "people file": lambda wb, bea, consent, folder: wb.import_people(
        csv(folder, "p.csv", "Email,Unsubscribed\nbea@example.com,yes\n")
    ),
    "unsubscribes file": lambda wb, bea, consent, folder: wb.import_unsubscribes(
        csv(folder, "u.csv", "Email\nbea@example.com\n")
    ),
}


@pytest.mark.parametrize("way", OPT_OUTS)
def test_an_opt_out_is_taken_and_carried_over_without_the_key(troubled: Any, tmp_path: Path, way: str) -> None:
    w, bea, consent, _ = troubled
    assert not w.wb.trail_warning
    OPT_OUTS[way](w.wb, bea, consent, tmp_path)
    assert open_episodes(w, bea) == 1
    assert w.wb.sync().opted_out == 1
    assert all(w.flags(lead_id(2)).values())
    assert "The trail could not be signed" in w.wb.trail_warning
    assert w.wb.trail.verify().unsigned


def test_an_undo_is_carried_out_without_the_key(troubled: Any) -> None:
    w, bea, _, _ = troubled
    (done,) = [b for b in w.wb.batches().batch_id if w.wb.plan(b).batch.state == "finished"]
    assert w.wb.undo(done).undone == 1
    assert open_episodes(w, bea) == 1
    assert all(w.flags(lead_id(2)).values())


def test_nobody_is_resubscribed_without_the_key(troubled: Any) -> None:
    w, _, _, batch = troubled
    with pytest.raises(TrailError):
        w.wb.run(batch)
    with pytest.raises(TrailError):
        w.wb.propose(["anna@example.com"], reason=REASON)
    assert all(w.flags(lead_id(1)).values())


def test_the_next_checkpoint_covers_what_was_done_meanwhile(world: Worlds) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=False))
    anna = w.person("anna@example.com", unsubscribed=False)
    w.consent(anna)
    others_may_read(w.folder / "trail.key")
    w.wb.close()
    w.wb = Workbench.open(w.folder)
    w.wb.unsubscribe(anna)
    verdict = w.wb.trail.verify()
    assert not verdict.ok
    assert verdict.unsigned, "an auditor can't tell it from an event slipped in, so it is said"
    (w.folder / "trail.key").chmod(0o600)
    w.wb.unsubscribe(anna)
    verdict = w.wb.trail.verify()
    assert verdict.ok
    assert not verdict.unsigned
