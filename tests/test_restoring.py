"""A restored register resubscribes nobody on what it knew before opt-outs that it no longer knows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import postgresql_server
import pytest
from conftest import World, lead_id, org_line
from test_worker import REASON, open_episodes

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import BatchError, NotAllowedError, StoreError
from workbench.org import OrgError, Reading
from workbench.resubscription import State
from workbench.store import batches, restores, trail_log

ANN, BEA = "ann@example.com", "bea@example.com"
LEADS = (lead_id(1), lead_id(2))
pytestmark = pytest.mark.skipif(postgresql_server.wanted(), reason="a backup of the workspace is of a register in a file")


@pytest.fixture
def two(world: Callable[..., World]) -> World:
    """Ann and Bea, opted out on both sides, each with a consent."""
    made = world(*(org_line("Lead", lead, who, opted_out=True) for lead, who in zip(LEADS, (ANN, BEA), strict=True)))
    for who in (ANN, BEA):
        made.consent(made.person(who))
    return made


def proposed(wb: Workbench) -> str:
    return wb.propose(list(wb.people(unsubscribed=True).person_id), reason=REASON).id


def approved(wb: Workbench) -> str:
    batch = proposed(wb)
    wb.approve(batch, wb.plan(batch).digest)
    return batch


def postponed(wb: Workbench, made: World) -> str:
    """A batch that was begun and paused before anybody was cleared."""
    batch = approved(wb)
    made.org.control("/faults", {"plan": [{"on": "* .", "kind": "503", "times": 99}]})
    with pytest.raises(OrgError):
        wb.run(batch)
    made.org.control("/faults", {"clear": True})
    return batch


@pytest.fixture
def restored(two: World, tmp_path: Path) -> Iterator[Callable[[], Workbench]]:
    """Back the workspace up, let Ann and Bea opt out again in the register only, and open what a restore makes of it."""
    opened: list[Workbench] = []

    def back() -> Workbench:
        two.wb.backup(tmp_path / "backup.zip")
        Workbench.restore(tmp_path / "backup.zip", tmp_path / "back")
        opened.append(Workbench.open(tmp_path / "back"))
        return opened[-1]

    yield back
    for wb in opened:
        wb.close()


def state(wb: Workbench, batch: str) -> str:
    with wb.store.read() as tx:
        return batches.get(tx, batch).state


def actions(wb: Workbench, after: str) -> list[str]:
    with wb.store.read() as tx:
        said = [json.loads(event.leaf_bytes)["action"] for event in trail_log.events(tx)]
    return said[len(said) - said[::-1].index(after) :]


@pytest.mark.parametrize("stage", ["proposed", "approved", "paused"])
def test_an_open_batch_is_given_up(stage: str, two: World, restored: Callable[[], Workbench]) -> None:
    batch = {"proposed": proposed, "approved": approved, "paused": lambda wb: postponed(wb, two)}[stage](two.wb)
    wb = restored()
    assert state(wb, batch) == "cancelled"
    assert actions(wb, "backup_restored") == ["batch_cancelled"]
    with pytest.raises(BatchError, match="The batch is cancelled"):
        wb.run(batch)
    assert two.flags(*LEADS) == dict.fromkeys(two.flags(*LEADS), True)
    assert proposed(wb) != batch, "its people are free for another batch"
    assert wb.trail.verify().ok


@pytest.mark.parametrize(("reading", "reached"), [(2, State.SENT), (3, State.VERIFIED)])
def test_who_was_on_the_way_is_opted_out_again(
    reading: int, reached: State, two: World, restored: Callable[[], Workbench]
) -> None:
    """The clear of both reached Salesforce, and then the process died: no resume of the restored batch lets that stand."""
    batch, original, readings = approved(two.wb), two.wb.org.read, itertools.count(1)

    def read(**asked: Any) -> Reading:
        if next(readings) == reading:
            raise KeyboardInterrupt
        return original(**asked)

    two.wb.org.read = read  # type: ignore[method-assign]  # a process that dies between two requests; no fault of the org does that
    with pytest.raises(KeyboardInterrupt):
        two.wb.run(batch)
    two.wb.org.read = original  # type: ignore[method-assign]
    with two.wb.store.read() as tx:
        assert batches.by_state(tx, batch) == {reached: 2}
    assert set(two.flags(*LEADS).values()) == {False}
    wb = restored()
    assert state(wb, batch) == "paused"
    ended = wb.run(batch)
    assert (ended.state, ended.done, ended.aborted) == ("finished", 0, 2)
    assert set(two.flags(*LEADS).values()) == {True}
    assert wb.trail.verify().ok


def test_beside_people_on_the_way_nobody_else_is_begun(two: World, restored: Callable[[], Workbench]) -> None:
    batch, original, readings = approved(two.wb), two.wb.org.read, itertools.count(1)
    object.__setattr__(two.wb.policy, "write_cap", 1)  # one person at a time; the policy of this process only

    def read(**asked: Any) -> Reading:
        if next(readings) == 2:
            raise KeyboardInterrupt
        return original(**asked)

    two.wb.org.read = read  # type: ignore[method-assign]  # as above
    with pytest.raises(KeyboardInterrupt):
        two.wb.run(batch)
    two.wb.org.read = original  # type: ignore[method-assign]
    with two.wb.store.read() as tx:
        assert batches.by_state(tx, batch) == {State.SENT: 1, State.PROPOSED: 1}
    ended = restored().run(batch)
    assert (ended.done, ended.aborted, ended.refused) == (0, 1, 1)
    assert set(two.flags(*LEADS).values()) == {True}


def test_nothing_is_approved_before_an_administrator_confirmed_it(two: World, restored: Callable[[], Workbench]) -> None:
    wb = restored()
    batch = proposed(wb)
    digest = wb.plan(batch).digest
    with pytest.raises(BatchError, match="restored from a backup"):
        wb.approve(batch, digest)
    assert any("was restored: what was received after" in line.sentence for line in wb.health() if line.level == "bad")
    with pytest.raises(StoreError, match="not read whole"):
        wb.confirm_restored()
    wb.pull(full=True)
    wb.confirm_restored()
    assert not any("was restored" in line.sentence for line in wb.health())
    wb.approve(batch, digest)
    assert "restore_confirmed" in actions(wb, "backup_restored")
    with pytest.raises(StoreError, match="confirmed already"):
        wb.confirm_restored()


def test_an_analyst_does_not_confirm_it(two: World, restored: Callable[[], Workbench]) -> None:
    wb = restored()
    wb.pull(full=True)
    wb.grant("boss", "admin")
    wb.revoke(wb.operator, "admin")
    with pytest.raises(NotAllowedError, match="only an administrator"):
        wb.confirm_restored()
    with wb.store.read() as tx:
        assert restores.pending(tx)


def test_a_restore_that_dies_leaves_no_workspace(two: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else somebody would open one whose batches were not given up."""
    from workbench import restoring

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    two.wb.backup(tmp_path / "backup.zip")
    monkeypatch.setattr(restoring, "give_up", dies)  # the moment of a kill can't be chosen from outside
    with pytest.raises(KeyboardInterrupt):
        Workbench.restore(tmp_path / "backup.zip", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_restored_once_more_the_older_backup_counts(two: World, restored: Callable[[], Workbench], tmp_path: Path) -> None:
    wb = restored()
    with wb.store.read() as tx:
        first = restores.pending(tx)
    wb.backup(tmp_path / "second.zip")
    Workbench.restore(tmp_path / "second.zip", tmp_path / "again")
    with Workbench.open(tmp_path / "again") as again, again.store.read() as tx:
        second = restores.pending(tx)
    assert first
    assert second
    assert second.made_at == first.made_at


def test_the_command_confirms(
    two: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two.wb.backup(tmp_path / "backup.zip")
    assert run(["restore", str(tmp_path / "backup.zip"), str(tmp_path / "back")]) == 0
    assert "No batch can be approved before." in capsys.readouterr().err
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "back"))
    assert run(["restored"]) == 2
    assert "org pull --full" in capsys.readouterr().err
    with Workbench.open(tmp_path / "back") as wb:
        wb.pull(full=True)
        assert not any(open_episodes(two, person) == [] for person in wb.people(unsubscribed=True).person_id)
    assert run(["restored"]) == 0
    assert "Batches can be approved again." in capsys.readouterr().err
