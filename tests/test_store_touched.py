"""Looking only at what was touched finds what a look at everything finds: after changes of every kind, by us and by anybody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from invented_register import T0, US, Invented, apart, hours, lead, new_store, undone
from test_store_mismatches import NOW, SITUATIONS

from workbench.store import mismatches, people, records
from workbench.store import schema as s
from workbench.store.database import Store, Transaction
from workbench.store.mismatches import near

Found = set[tuple[Any, ...]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = new_store(tmp_path_factory.mktemp("register"))
    yield opened
    opened.close()


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with undone(store) as transaction:
        yield transaction


def open_ones(tx: Transaction) -> Found:
    """Mismatches, and the links."""
    t, link = s.mismatch, s.link
    links = {tuple(row) for row in tx.execute(sa.select(link.c.person_id, link.c.record_id, link.c.how))}
    said = sa.select(t.c.kind, t.c.person_id, t.c.record_id, t.c.detail, t.c.forecast, t.c.since)
    return {tuple(row) for row in tx.execute(said.where(t.c.resolved_at.is_(None)))} | links


def known_in_part(tx: Transaction) -> bool:
    with near.joined_to_what_was_touched(tx, records.own_users(tx)) as few:
        return few


def look_both_ways(tx: Transaction) -> Found:
    """Look at what was touched, and compare with a look at everything, which is taken back."""
    assert known_in_part(tx)
    mismatches.refresh(tx, NOW)
    found = open_ones(tx)
    savepoint = tx.begin_nested()
    mismatches.refresh(tx, NOW, everything=True)
    everything = open_ones(tx)
    savepoint.rollback()
    assert found == everything
    return found


def situations(tx: Transaction) -> Invented:
    made = Invented(tx)
    for number, (build, _) in enumerate(SITUATIONS.values(), start=1):
        with apart(number):
            build(made)
    records.remember_own_user(tx, US)
    snapshot_id = records.begin_snapshot(tx, kind="full", org_id="org", started_at=T0 + timedelta(hours=1))
    tx.execute(sa.update(s.org_record).values(snapshot_id=snapshot_id))
    records.finish_snapshot(tx, snapshot_id, covered_until=T0, finished_at=T0 + timedelta(hours=2), counts={})
    records.relink(tx)
    mismatches.refresh(tx, NOW)
    return made


CHANGEABLE = {
    s.person: "email unsubscribed_at updated_at erased_at",
    s.person_salesforce_id: "record_id",
    s.address_change: "old_email changed_at person_id",
    s.unsubscribe: "",
    s.consent: "given_at",  # a consent is its person's for good, an intent as well
    s.intent: "state done_at base",
    s.link: "how person_id record_id",
    s.org_record: "email opted_out opt_outs fields_differ system_modstamp last_modified_date last_modified_by is_deleted is_converted"
    " converted_contact_id merged_into person_account",
    s.org_history: "new_value old_value by at record_id",
    s.suppressed_record: "since record_id",
}


def meddle(tx: Transaction, chance: random.Random) -> bool:
    """Change one row of one table: a value becomes that of another row, or the row goes, or comes again; whether it was taken."""
    table = chance.choice(list(CHANGEABLE))
    rows = [dict(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
    if not rows:
        return False
    row, other = chance.choice(rows), chance.choice(rows)
    key = sa.and_(*(column == row[column.name] for column in table.primary_key))
    columns = CHANGEABLE[table].split()
    doing = chance.choice(["change", "change", "change", "delete", "add"])
    statement: Any = sa.delete(table).where(key)
    if doing == "change" and columns:
        name = chance.choice(columns)
        also = {"unsubscribe_source": other["unsubscribe_source"]} if name == "unsubscribed_at" else {}
        statement = sa.update(table).where(key).values({name: other[name]} | also)
    elif doing == "add":
        new = row | {column.name: other[column.name] for column in table.primary_key if chance.random() < 0.5}
        new |= {
            column.name: f"new{chance.random()}"[:18]
            for column in table.primary_key
            if chance.random() < 0.3 and column.name not in ("at", "new_value")
        }
        new |= {"external_id": None} if table is s.person else {}
        statement = sa.insert(table).values(new)
    savepoint = tx.begin_nested()
    try:
        changed = tx.execute(statement).rowcount > 0
    except sa.exc.DBAPIError:  # a guard or a key
        savepoint.rollback()
        return False
    savepoint.commit()
    return changed


SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 60))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_look_at_what_was_touched_finds_what_a_look_at_everything_finds(tx: Transaction, seed: int) -> None:
    situations(tx)
    before, chance, taken, seen = open_ones(tx), random.Random(seed), 0, set()
    for _ in range(12):
        taken += sum(meddle(tx, chance) for _ in range(chance.choice([1, 1, 2, 6])))
        after = look_both_ways(tx)
        seen |= before ^ after
        before = after
    assert taken > 10
    assert seen  # it did find and resolve something


def test_every_kind_is_found_and_resolved_by_what_was_touched(tx: Transaction) -> None:
    """All situations come into a register that was looked at, and go again."""
    records.remember_own_user(tx, US)
    mismatches.refresh(tx, NOW)
    made = Invented(tx)
    for number, (build, kinds) in enumerate(SITUATIONS.values(), start=1):
        with apart(number):
            build(made)
        records.relink(tx)
        assert {row[0] for row in look_both_ways(tx)} >= kinds
    tx.execute(sa.update(s.org_record).values(is_deleted=True, opted_out=False, fields_differ=False))
    look_both_ways(tx)


def test_what_is_far_is_not_looked_at(tx: Transaction) -> None:
    situations(tx)
    made = Invented(tx)
    person = made.person("far@example.net", lead(99_001))
    made.record(99_001, "far@example.net")
    records.relink(tx, [person])
    mismatches.refresh(tx, NOW)
    people.unsubscribe(tx, person, opted_out_at=T0, source="manual", detail="", recorded_at=T0, recorded_by="ada")
    with near.joined_to_what_was_touched(tx, records.own_users(tx)) as few:
        assert few
        assert set(map(tuple, tx.execute(sa.select(near.NEAR.c.what, near.NEAR.c.id)))) == {
            ("person", person), ("address", "far@example.net"), ("record", lead(99_001))
        }  # fmt: skip
    later = NOW + timedelta(hours=1)
    mismatches.refresh(tx, later)
    looked_at = tx.execute(sa.select(s.mismatch.c.person_id).where(s.mismatch.c.last_seen == later)).scalars()
    assert set(looked_at) == {person}


def test_an_id_that_the_next_pull_does_not_know_is_found_though_nobody_touched_it_again(tx: Transaction) -> None:
    situations(tx)
    made = Invented(tx)
    person = made.person("new@example.net", lead(99_002))
    tx.execute(sa.update(s.person).where(s.person.c.person_id == person).values(updated_at=hours(3)))
    assert person not in {row[1] for row in look_both_ways(tx)}
    assert person not in {row[1] for row in look_both_ways(tx)}
    snapshot_id = records.begin_snapshot(tx, kind="delta", org_id="org", started_at=hours(4))
    records.finish_snapshot(tx, snapshot_id, covered_until=hours(4), finished_at=hours(5), counts={})
    assert ("link_broken", person) in {row[:2] for row in look_both_ways(tx)}
    assert person not in tx.execute(sa.select(s.touched.c.id)).scalars().all()


def test_everything_is_looked_at_first_and_when_we_log_in_as_somebody_else(tx: Transaction) -> None:
    assert not known_in_part(tx)
    mismatches.refresh(tx, NOW)
    assert known_in_part(tx)
    records.remember_own_user(tx, US)
    assert not known_in_part(tx)
    mismatches.refresh(tx, NOW)
    assert known_in_part(tx)


def test_more_than_is_worth_it_is_a_look_at_everything(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    situations(tx)
    monkeypatch.setattr(near, "MOST", 3)
    tx.execute(sa.update(s.org_record).values(opted_out=sa.not_(s.org_record.c.opted_out)))
    assert not known_in_part(tx)
    mismatches.refresh(tx, NOW)
    found = open_ones(tx)
    mismatches.refresh(tx, NOW, everything=True)
    assert found == open_ones(tx)


def test_nothing_is_left_behind(tx: Transaction) -> None:
    """Neither addresses among the notes, nor tables that hide the register's own."""
    made = situations(tx)
    person = made.person("gone@example.net")
    made.move(person, "come@example.net")
    assert ("address", "gone@example.net") in set(map(tuple, tx.execute(sa.select(s.touched.c.what, s.touched.c.id))))
    mismatches.refresh(tx, NOW)
    assert {what for (what,) in tx.execute(sa.select(s.touched.c.what))} <= {"looked", "person"}
    catalogue = (
        "SELECT name FROM sqlite_temp_master"
        if tx.dialect.name == "sqlite"
        else "SELECT relname FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)"
    )
    assert tx.exec_driver_sql(catalogue).scalars().all() == []
