"""Org rows, history, snapshots and links in a real SQLite register."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa
from invented_register import T0, hours, lead, new_store, undone

from workbench.org import FieldChange, OrgRow, Reading
from workbench.person import Person, new_id, normalize_address
from workbench.store import people, records
from workbench.store import schema as s

ORG = "00D000000000001AAA"


def row(number: int, email: str = "ann@example.com", *, opted_out: bool = False, at: datetime = T0, **changes) -> OrgRow:
    values = {
        "record_id": lead(number),
        "object": "Lead",
        "email": email,
        "opt_outs": {"HasOptedOutOfEmail": opted_out},
        "system_modstamp": at,
        "last_modified_date": at,
        "last_modified_by": "005000000000001AAA",
    }
    return OrgRow(**(values | changes))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = new_store(tmp_path_factory.mktemp("register"))
    yield opened
    opened.close()


@pytest.fixture
def tx(store):
    with undone(store) as transaction:
        yield transaction


def add_person(tx, email: str = "ann@example.com", ids: tuple[str, ...] = ()) -> str:
    person = Person(person_id=new_id(), email=normalize_address(email), email_as_given=email, version=1, salesforce_ids=ids)
    people.add(tx, person, at=T0)
    return person.person_id


def put(tx, *rows: OrgRow, snapshot_id: str = "s", seen_at: datetime = T0) -> None:
    records.upsert_rows(tx, rows, snapshot_id=snapshot_id, seen_at=seen_at)


def stored(tx, number: int) -> OrgRow:
    return records.rows_by_ids(tx, [lead(number)])[lead(number)]


def test_a_row_comes_back_as_it_was_read(tx):
    there = row(
        1,
        "Ann.O'Hara@Exämple.com",
        opt_outs={"HasOptedOutOfEmail": True, "Sales_Opt_Out__c": False},
        first_name="Ann",
        company="Acme",
        is_converted=True,
        converted_contact_id=lead(9, "003"),
        bounced_at=hours(1),
    )
    put(tx, there)
    assert stored(tx, 1) == there
    kept = tx.execute(sa.select(s.org_record)).mappings().one()
    assert (kept["email"], kept["opted_out"], kept["fields_differ"]) == ("ann.o'hara@xn--exmple-cua.com", True, True)


def test_storing_a_row_twice_changes_nothing(tx):
    put(tx, row(1))
    before = tx.execute(sa.select(s.org_record)).all()
    put(tx, row(1))
    assert tx.execute(sa.select(s.org_record)).all() == before


def test_an_older_row_never_overwrites_a_newer_one_but_was_seen(tx):
    put(tx, row(1, opted_out=True, at=hours(2)), snapshot_id="a", seen_at=hours(2))
    put(tx, row(1, opted_out=False, at=hours(1)), snapshot_id="b", seen_at=hours(3))
    assert stored(tx, 1).opted_out
    kept = tx.execute(sa.select(s.org_record)).mappings().one()
    assert (kept["snapshot_id"], kept["seen_at"], kept["system_modstamp"]) == ("b", hours(3), hours(2))


def test_of_two_rows_of_one_second_the_later_seen_counts(tx):
    put(tx, row(1, opted_out=True), seen_at=hours(2))
    put(tx, row(1, opted_out=False), seen_at=hours(1))
    assert stored(tx, 1).opted_out
    put(tx, row(1, opted_out=False), seen_at=hours(3))
    assert not stored(tx, 1).opted_out


def test_order_of_arrival_does_not_matter(tx):
    draw = random.Random(3)
    versions = [(row(1, opted_out=bool(i % 2), at=hours(i // 3)), hours(10 + i)) for i in range(9)]
    for _ in range(20):
        tx.execute(sa.delete(s.org_record))
        for there, seen in draw.sample(versions, 9):
            put(tx, there, seen_at=seen)
        assert stored(tx, 1) == versions[-1][0]


def change(number: int, new: bool | None, at: datetime = T0) -> FieldChange:
    return FieldChange(
        record_id=lead(number), field="HasOptedOutOfEmail", old=not new, new=new, at=at, by="005000000000002AAA", by_name="Bea"
    )


def test_history_is_kept_once_and_read_oldest_first(tx):
    changes = [change(1, False, hours(2)), change(1, True), change(2, True)]
    records.upsert_history(tx, changes)
    records.upsert_history(tx, changes)
    assert records.history_of(tx, [lead(1)]) == (change(1, True), change(1, False, hours(2)))


def test_a_new_value_that_cannot_be_told_counts_as_opted_out(tx):
    records.upsert_history(tx, [change(1, None)])
    assert [c.new for c in records.history_of(tx, [lead(1)])] == [True]


def pull(tx, kind: str, *numbers: int, at: datetime, org_id: str = ORG) -> int:
    snapshot_id = records.begin_snapshot(tx, kind=kind, org_id=org_id, started_at=at)
    put(tx, *(row(n) for n in numbers), snapshot_id=snapshot_id, seen_at=at)
    return records.finish_snapshot(tx, snapshot_id, covered_until=at, finished_at=at, counts={"Lead": len(numbers)})


def test_what_a_full_snapshot_does_not_see_is_marked_deleted(tx):
    assert pull(tx, "full", 1, 2, at=hours(0)) == 0
    assert pull(tx, "delta", 2, at=hours(1)) == 0
    assert not stored(tx, 1).is_deleted
    assert pull(tx, "full", 2, at=hours(2)) == 1
    assert (stored(tx, 1).is_deleted, stored(tx, 2).is_deleted) == (True, False)
    pull(tx, "full", 1, 2, at=hours(3))
    assert not stored(tx, 1).is_deleted  # it came back


def test_what_was_read_while_a_full_snapshot_ran_has_not_vanished(tx):
    pull(tx, "full", 1, at=hours(0))
    snapshot_id = records.begin_snapshot(tx, kind="full", org_id=ORG, started_at=hours(1))
    put(tx, row(1), snapshot_id="another", seen_at=hours(1.5))
    assert records.unseen(tx, snapshot_id) == {}
    assert records.finish_snapshot(tx, snapshot_id, covered_until=hours(1), finished_at=hours(2), counts={}) == 0


def test_the_last_snapshot_is_the_newest_finished_one(tx):
    assert records.last_snapshot(tx) is None
    assert records.org_of(tx) is None
    pull(tx, "full", 1, at=hours(0))
    pull(tx, "delta", 1, at=hours(1))
    records.begin_snapshot(tx, kind="full", org_id=ORG, started_at=hours(2))
    last = records.last_snapshot(tx)
    assert (last.kind, last.covered_until, last.counts) == ("delta", hours(1), {"Lead": 1})
    assert records.org_of(tx) == ORG


def test_a_reading_is_stored_with_its_history_and_what_is_gone(tx):
    put(tx, row(1), row(2))
    reading = Reading(
        rows=(row(1, opted_out=True, at=hours(1)),),
        history=(change(1, True),),
        missing=frozenset({lead(2)}),
        server_time=hours(1),
    )
    records.store_reading(tx, reading, seen_at=hours(1))
    assert (stored(tx, 1).opted_out, stored(tx, 2).is_deleted) == (True, True)
    assert records.history_of(tx, [lead(1)]) == (change(1, True),)


def test_own_users_are_remembered_once(tx):
    assert records.own_users(tx) == frozenset()
    for user in ("005A", "005B", "005A", ""):
        records.remember_own_user(tx, user)
    assert records.own_users(tx) == {"005A", "005B"}


def links(tx, *person_ids: str) -> dict[str, dict[str, str]]:
    found = records.linked(tx, person_ids)
    return {p: {link.record_id: link.how for link in found.get(p, ())} for p in person_ids}


def test_links_by_id_come_before_links_by_address(tx):
    ann = add_person(tx, ids=(lead(1),))
    bob = add_person(tx, "bob@example.com")
    put(tx, row(1), row(2, "ANN@Example.com"), row(3, "Bob@example.com"), row(4, ""), row(5, "eve@example.com"))
    records.relink(tx)
    assert links(tx, ann, bob) == {ann: {lead(1): "id", lead(2): "address"}, bob: {lead(3): "address"}}
    assert [r.record_id for r in records.rows_of_people(tx, [ann])[ann]] == [lead(1), lead(2)]


def test_everyone_who_shares_an_address_is_linked(tx):
    both = [add_person(tx), add_person(tx)]
    put(tx, row(1))
    records.relink(tx)
    assert links(tx, *both) == {p: {lead(1): "address"} for p in both}


def test_deleted_records_are_linked_by_id_only(tx):
    ann, bob = add_person(tx, ids=(lead(1),)), add_person(tx, "bob@example.com")
    put(tx, row(1, is_deleted=True), row(2, "bob@example.com", is_deleted=True))
    records.relink(tx)
    assert links(tx, ann, bob) == {ann: {lead(1): "id"}, bob: {}}


def test_a_merged_record_leads_to_what_it_became(tx):
    ann = add_person(tx, ids=(lead(1),))
    put(
        tx,
        row(1, is_deleted=True, merged_into=lead(2)),
        row(2, "other@example.com", is_converted=True, converted_contact_id=lead(3)),
        row(3, "third@example.com"),
    )
    records.relink(tx)
    assert links(tx, ann) == {ann: {lead(1): "id", lead(3): "id"}}


def test_records_merged_in_a_circle_end(tx):
    ann = add_person(tx, ids=(lead(1),))
    put(tx, row(1, is_deleted=True, merged_into=lead(2)), row(2, is_deleted=True, merged_into=lead(1)))
    records.relink(tx)
    assert links(tx, ann) == {ann: {lead(1): "id"}}


def test_a_link_goes_when_its_ground_goes(tx):
    ann = add_person(tx, ids=(lead(1),))
    put(tx, row(1, "elsewhere@example.com"), row(2), row(3))
    records.relink(tx)
    put(tx, row(2, "new@example.com", at=hours(1)), seen_at=hours(1))
    tx.execute(sa.delete(s.person_salesforce_id))
    tx.execute(sa.insert(s.person_salesforce_id).values(person_id=ann, record_id=lead(3)))
    records.relink(tx)
    assert links(tx, ann) == {ann: {lead(3): "id"}}


def test_erased_people_have_no_links(tx):
    ann = add_person(tx, ids=(lead(1),))
    put(tx, row(1))
    records.relink(tx)
    tx.execute(sa.update(s.person).values(erased_at=T0))
    records.relink(tx)
    assert links(tx, ann) == {ann: {}}


def test_relinking_some_leaves_the_others(tx):
    ann, bob = add_person(tx), add_person(tx, "bob@example.com")
    put(tx, row(1), row(2, "bob@example.com"))
    records.relink(tx, [bob])
    assert links(tx, ann, bob) == {ann: {}, bob: {lead(2): "address"}}
    records.relink(tx, [])
    assert links(tx, ann) == {ann: {}}


def test_a_link_by_address_becomes_one_by_id_when_an_id_leads_there(tx):
    ann = add_person(tx)
    put(tx, row(1, is_deleted=True, merged_into=lead(2)), row(2))
    records.relink(tx)
    assert links(tx, ann) == {ann: {lead(2): "address"}}
    tx.execute(sa.insert(s.person_salesforce_id).values(person_id=ann, record_id=lead(1)))
    records.relink(tx)
    assert links(tx, ann) == {ann: {lead(1): "id", lead(2): "id"}}


def test_people_of_a_record_by_link_id_or_address(tx):
    linked, by_id, by_address, other = (
        add_person(tx, "a@example.com"),
        add_person(tx, "b@example.com", ids=(lead(1),)),
        add_person(tx, "c@example.com"),
        add_person(tx, "d@example.com"),
    )
    put(tx, row(1, "a@example.com"))
    records.relink(tx, [linked])
    put(tx, row(1, "c@example.com", at=hours(1)), seen_at=hours(1))
    assert records.people_of(tx, [lead(1)]) == {linked, by_id, by_address}
    assert other not in records.people_of(tx, [lead(1)])


def test_links_agree_with_a_plain_count_over_random_registers(tx):
    draw = random.Random(11)
    addresses = [f"p{i}@example.com" for i in range(8)]
    for _ in range(15):
        for table in (s.link, s.person_salesforce_id, s.person, s.org_record):
            tx.execute(sa.delete(table))
        rows = {
            lead(n): row(n, draw.choice([*addresses, ""]), is_deleted=draw.random() < 0.2, is_converted=draw.random() < 0.1)
            for n in range(12)
        }
        for number in draw.sample(range(12), 3):
            target = lead(draw.randrange(12))
            rows[lead(number)] = replace(rows[lead(number)], is_deleted=True, merged_into=target)
        ids = {}
        for _ in range(8):
            stored_ids = tuple(draw.sample(sorted(rows), draw.choice([0, 0, 1, 2])))
            email = draw.choice(addresses)
            ids[add_person(tx, email, stored_ids)] = (email, stored_ids)
        put(tx, *rows.values())
        records.relink(tx)
        assert links(tx, *ids) == {p: expected(rows, *about) for p, about in ids.items()}


def expected(rows: dict[str, OrgRow], email: str, stored_ids: tuple[str, ...]) -> dict[str, str]:
    found = {r: "address" for r, there in rows.items() if there.email == email and not there.is_deleted}
    for record_id in stored_ids:
        follow, seen = record_id, set()
        while follow and follow not in seen:
            seen.add(follow)
            if follow == record_id or not (rows[follow].is_deleted or rows[follow].is_converted):
                found[follow] = "id"
            follow = rows[follow].merged_into
    return found


@pytest.mark.parametrize("odd", ["A\x00da", "A\ud83dda", "\x00", "\udfff\ud800"])
def test_a_name_that_no_database_keeps_does_not_keep_the_opt_outs_out(tx, odd: str) -> None:
    rows = [
        row(1, f"{odd}@example.com", opted_out=True, first_name=odd, last_name=odd, company=odd),
        row(2, "bob@example.com", opted_out=True),
    ]
    records.upsert_rows(tx, rows, snapshot_id="s", seen_at=T0)
    by = "005000000000001AAA"
    records.upsert_history(
        tx, [FieldChange(record_id=lead(1), field="HasOptedOutOfEmail", old=False, new=True, at=T0, by=by, by_name=odd)]
    )
    stored = records.rows_by_ids(tx, [lead(1), lead(2)])
    assert all(one.opt_outs["HasOptedOutOfEmail"] for one in stored.values())
    assert "\ufffd" in stored[lead(1)].first_name
    assert stored[lead(2)].email == "bob@example.com"
    assert "\ufffd" in records.history_of(tx, [lead(1)])[0].by_name
