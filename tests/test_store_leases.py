"""Leases: one holder at a time, and whoever lost one knows by its token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from invented_register import new_store

from workbench.store import leases
from workbench.store.database import Transaction

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
LASTING = timedelta(minutes=5)
LATER = NOW + timedelta(minutes=6)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    store = new_store(tmp_path)
    with store.write() as transaction:
        yield transaction
    store.close()


def take(tx: Transaction, *people: str, holder: str, now: datetime = NOW) -> dict[str, int]:
    return leases.take(tx, people, holder=holder, now=now, lasting=LASTING)


def test_only_what_is_free_is_taken(tx: Transaction) -> None:
    assert take(tx, "ann", "bob", holder="batch") == {"ann": 1, "bob": 1}
    assert take(tx, "bob", "cem", holder="sync") == {"cem": 1}
    assert leases.held(tx, ["ann", "bob", "cem", "dan"], now=NOW) == {"ann", "bob", "cem"}


def test_taking_again_prolongs_under_the_same_token(tx: Transaction) -> None:
    take(tx, "ann", holder="batch")
    assert take(tx, "ann", holder="batch", now=NOW + timedelta(minutes=4)) == {"ann": 1}
    assert leases.valid(tx, {"ann": 1}, holder="batch", now=LATER)


def test_an_expired_lease_goes_to_another_under_a_new_token(tx: Transaction) -> None:
    take(tx, "ann", holder="batch")
    assert not leases.valid(tx, {"ann": 1}, holder="batch", now=LATER)
    assert leases.held(tx, ["ann"], now=LATER) == frozenset()
    assert take(tx, "ann", holder="sync", now=LATER) == {"ann": 2}
    assert not leases.valid(tx, {"ann": 1}, holder="batch", now=LATER)
    assert leases.valid(tx, {"ann": 2}, holder="sync", now=LATER)


def test_who_comes_back_late_never_holds_the_old_token(tx: Transaction) -> None:
    take(tx, "ann", holder="batch")
    take(tx, "ann", holder="sync", now=LATER)
    leases.release(tx, holder="sync")
    assert take(tx, "ann", holder="batch", now=LATER) == {"ann": 3}
    assert not leases.valid(tx, {"ann": 1}, holder="batch", now=LATER)


def test_a_lease_ends_at_its_moment(tx: Transaction) -> None:
    take(tx, "ann", holder="batch")
    assert leases.valid(tx, {"ann": 1}, holder="batch", now=NOW + LASTING - timedelta(milliseconds=1))
    assert not leases.valid(tx, {"ann": 1}, holder="batch", now=NOW + LASTING)
    assert take(tx, "ann", holder="sync", now=NOW + LASTING) == {"ann": 2}


def test_only_the_holder_gives_back(tx: Transaction) -> None:
    take(tx, "ann", holder="batch")
    leases.release(tx, holder="sync")
    assert leases.held(tx, ["ann"], now=NOW) == {"ann"}
    leases.release(tx, holder="batch")
    assert leases.held(tx, ["ann"], now=NOW) == frozenset()
    assert not leases.valid(tx, {"ann": 1}, holder="batch", now=NOW)
    assert not leases.valid(tx, {"nobody": 1}, holder="batch", now=NOW)


def test_nobody_is_asked_for(tx: Transaction) -> None:
    assert take(tx, holder="batch") == {}
    assert leases.held(tx, [], now=NOW) == frozenset()
    leases.release(tx, holder="batch")


def test_at_the_very_moment_it_ends_a_lease_is_over_for_everybody(tx: Transaction) -> None:
    take(tx, "ann", holder="batch")
    assert leases.held(tx, ["ann"], now=NOW + LASTING - timedelta(microseconds=1)) == {"ann"}
    assert leases.held(tx, ["ann"], now=NOW + LASTING) == frozenset()
    assert not leases.valid(tx, {"ann": 1}, holder="batch", now=NOW + LASTING)
    assert take(tx, "ann", holder="sync", now=NOW + LASTING) == {"ann": 2}
