"""The address in `workbench.toml` leads to another org than the one that the register knows: nothing is read or written there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from conftest import World, lead_id, org_line
from test_worker import REASON, approved, ran

from workbench.bench import Workbench
from workbench.org import OrgNotAllowedError
from workbench.store import records
from workbench.store import schema as s

ANOTHER = "00D000000000009AAA"

USES: dict[str, Callable[[Workbench, str, str, str], object]] = {
    "pull": lambda wb, person, batch, done: wb.pull(),
    "propose": lambda wb, person, batch, done: wb.propose([person], reason=REASON),
    "run": lambda wb, person, batch, done: wb.run(batch),
    "undo": lambda wb, person, batch, done: wb.undo(done),
    "push": lambda wb, person, batch, done: wb.push(person),
    "follow_up": lambda wb, person, batch, done: wb.follow_up(),
    "sync": lambda wb, person, batch, done: wb.sync(),
    "dry run": lambda wb, person, batch, done: wb.sync(dry_run=True),
}


@pytest.fixture
def elsewhere(world: Callable[..., World]) -> tuple[World, str, str, str]:
    """A workspace with an approved batch and a finished one, opened again when another org has taken the address."""
    w = world(*(org_line("Lead", lead_id(n), f"p{n}@example.com", opted_out=True) for n in (1, 2)))
    waiting, resubscribed = (w.person(f"p{n}@example.com") for n in (1, 2))
    for person in (waiting, resubscribed):
        w.consent(person)
    done = approved(w, resubscribed)
    assert w.wb.run(done).done == 1
    batch = approved(w, waiting)
    with w.wb.store.write() as tx:
        assert records.org_of(tx) == w.wb.org.identity().org_id
        tx.execute(sa.update(s.setting).where(s.setting.c.name == records.OWN_ORG).values(value=ANOTHER))
    w.wb.close()
    w.wb = Workbench.open(w.folder)
    return w, waiting, batch, done


@pytest.mark.parametrize("use", USES)
def test_nothing_is_asked_of_another_org_but_who_it_is(elsewhere: tuple[World, str, str, str], use: str) -> None:
    w, person, batch, done = elsewhere
    before = len(w.requests())
    with pytest.raises(OrgNotAllowedError, match=f"this workspace belongs to the org {ANOTHER}, and 00D") as refused:
        USES[use](w.wb, person, batch, done)
    assert "a workspace of its own" in refused.value.advice
    asked = w.requests()[before:]
    assert asked
    assert {r["path"].rstrip("/").rpartition("/")[2] for r in asked} == {"token", "query"}  # the login, and the Organization


def test_the_check_says_so(elsewhere: tuple[World, str, str, str]) -> None:
    w = elsewhere[0]
    (line,) = w.wb.org_check()
    assert line.level == "bad"
    assert ANOTHER in line.sentence


def test_a_batch_binds_a_workspace_that_never_pulled(world: Callable[..., World]) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    person = w.person("anna@example.com")
    w.consent(person)
    assert ran(w, person).done == 1
    with w.wb.store.read() as tx:
        assert records.last_snapshot(tx) is None
        assert records.org_of(tx) == w.wb.org.identity().org_id


def test_a_register_from_before_knows_its_org_by_its_first_pull(world: Callable[..., World]) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    w.wb.pull()
    with w.wb.store.write() as tx:
        tx.execute(sa.delete(s.setting).where(s.setting.c.name == records.OWN_ORG))
        tx.execute(sa.update(s.snapshot).values(org_id=ANOTHER))
    w.wb.close()
    w.wb = Workbench.open(w.folder)
    with pytest.raises(OrgNotAllowedError, match=ANOTHER):
        w.wb.pull()
