"""Roles: granted once, revoked, granted again; every grant stays on record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from invented_register import new_store

from workbench.store import operators
from workbench.store.database import Transaction

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    store = new_store(tmp_path)
    with store.write() as transaction:
        yield transaction
    store.close()


def test_roles_are_what_is_granted_and_not_revoked(tx: Transaction) -> None:
    assert operators.roles(tx, "ada") == frozenset()
    assert operators.grant(tx, "ada", "admin", by="ada", at=NOW)
    assert operators.grant(tx, "ada", "analyst", by="ada", at=NOW)
    assert not operators.grant(tx, "ada", "admin", by="bob", at=NOW)
    assert operators.roles(tx, "ada") == {"admin", "analyst"}
    assert operators.revoke(tx, "ada", "admin", by="bob", at=NOW)
    assert not operators.revoke(tx, "ada", "admin", by="bob", at=NOW)
    assert operators.roles(tx, "ada") == {"analyst"}
    assert operators.roles(tx, "Ada") == frozenset()  # names are exact


def test_administrators_are_those_of_now(tx: Transaction) -> None:
    for name in ("ada", "bob"):
        operators.grant(tx, name, "admin", by="ada", at=NOW)
    operators.grant(tx, "cem", "auditor", by="ada", at=NOW)
    operators.revoke(tx, "ada", "admin", by="bob", at=NOW)
    assert operators.admins(tx) == {"bob"}


def test_grants_are_never_forgotten(tx: Transaction) -> None:
    operators.grant(tx, "ada", "admin", by="ada", at=NOW)
    operators.revoke(tx, "ada", "admin", by="bob", at=NOW + timedelta(hours=1))
    operators.grant(tx, "ada", "admin", by="cem", at=NOW + timedelta(hours=2))
    told = [(g["granted_by"], g["revoked_by"]) for g in operators.everyone(tx)]
    assert told == [("ada", "bob"), ("cem", None)]


def test_a_role_that_does_not_exist_is_refused_by_the_register(tx: Transaction) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        operators.grant(tx, "ada", "king", by="ada", at=NOW)
