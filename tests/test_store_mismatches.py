"""Mismatches and forecast: situations made by hand with what is expected of each, and a plain oracle over random registers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_register import FIELD, T0, THEM, US, Invented, apart, hours, lead, new_store, undone, wipe

from workbench import mismatch as m
from workbench.mismatch import KINDS, Change, age_classes
from workbench.store import mismatches, people, records, suppression
from workbench.store import schema as s

NOW = hours(24 * 21)


def merged() -> dict:
    return {"merged_into": lead(9), "is_deleted": True}


def converted() -> dict:
    return {"is_converted": True, "converted_contact_id": lead(9, "003")}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = new_store(tmp_path_factory.mktemp("register"))
    yield opened
    opened.close()


@pytest.fixture
def tx(store):
    with undone(store) as transaction:
        yield transaction


@pytest.fixture
def made(tx):
    return Invented(tx)


def look(tx, now: datetime = NOW) -> dict[str, list[m.Mismatch]]:
    records.relink(tx)
    records.remember_own_user(tx, US)
    mismatches.refresh(tx, now)
    found: dict[str, list[m.Mismatch]] = {}
    for one in mismatches.list_(tx):
        found.setdefault(one.kind, []).append(one)
    return found


def tonight(tx) -> set[tuple[str, str]]:
    return {(c.action, c.person_id if c.action == "unsubscribe_person" else c.record_id) for c in mismatches.forecast(tx)}


SITUATIONS: dict[str, tuple[Callable[[Invented], None], set[str]]] = {}


def situation(*kinds: str) -> Callable[[Callable[[Invented], None]], Callable[[Invented], None]]:
    def keep(build: Callable[[Invented], None]) -> Callable[[Invented], None]:
        SITUATIONS[build.__name__] = (build, set(kinds))
        return build

    return keep


@situation()
def all_well_subscribed(made):
    made.person("ann@example.com", lead(1))
    made.record(1)


@situation()
def all_well_unsubscribed(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1, out=True)
    made.told(1)


@situation("opted_out_only_in_salesforce")
def opted_out_in_salesforce(made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True)
    made.told(1)


@situation("opted_out_only_in_salesforce")
def opted_out_in_salesforce_linked_by_address(made):
    made.person("Ann@example.com")
    made.record(1, "ANN@EXAMPLE.COM", out=True)
    made.told(1)


@situation("opted_out_only_in_salesforce", "origin_unknown")
def opted_out_in_salesforce_without_history(made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True)


@situation("unsubscribed_only_locally")
def unsubscribed_in_the_register(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1)


@situation("records_disagree", "opted_out_only_in_salesforce")
def two_records_of_one_person(made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True)
    made.told(1)
    made.record(2)


@situation("records_disagree", "unsubscribed_only_locally")
def two_records_of_one_unsubscribed_person(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1, out=True)
    made.told(1)
    made.record(2)


@situation("records_disagree", "orphan_opt_out")
def two_records_of_nobody(made):
    made.record(1, "eve@example.com", out=True)
    made.told(1)
    made.record(2, "eve@example.com")


@situation("fields_disagree", "opted_out_only_in_salesforce")
def one_of_two_fields(made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=False, second=True)
    made.told(1, field="Sales_Opt_Out__c")


@situation("fields_disagree", "orphan_opt_out")
def one_of_two_fields_of_nobody(made):
    made.record(1, "eve@example.com", out=True, second=False)
    made.told(1)


@situation("relapse")
def clicked_again_after_we_resubscribed(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.out(ann, at=hours(20))
    made.record(1, out=True, at=hours(21))
    made.told(1, at=hours(21), by=US)


@situation("relapse", "opted_out_only_in_salesforce")
def ticked_again_in_salesforce(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.record(1, out=True, at=hours(20))
    made.told(1, at=hours(20))


@situation()
def held(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.told(1, at=hours(0))
    made.told(1, False, at=hours(10), by=US)
    made.record(1, at=hours(10))


@situation("resubscribed_without_consent")
def closed_by_no_intent(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.close(ann, at=hours(3), intent_id=None)
    made.record(1)


@situation("resubscribed_without_consent")
def closed_by_an_intent_without_consent(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(3), given_at=None)
    made.record(1)


@situation("resubscribed_without_consent")
def cleared_in_salesforce_by_somebody(made):
    made.person("ann@example.com", lead(1))
    made.told(1, True)
    made.told(1, False, at=hours(3))
    made.record(1, at=hours(3))


@situation("resubscribed_without_consent", "unsubscribed_only_locally")
def cleared_in_salesforce_while_unsubscribed(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.told(1, False, at=hours(3))
    made.record(1, at=hours(3))


@situation("resubscribed_without_consent")
def cleared_as_our_user_but_by_no_batch(made):
    made.person("ann@example.com", lead(1))
    made.told(1, False, at=hours(3), by=US)
    made.record(1, at=hours(3))


@situation()
def closed_without_consent_but_unsubscribed_again(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.close(ann, at=hours(3), intent_id=None)
    made.out(ann, at=hours(4))
    made.record(1, out=True, at=hours(4))
    made.told(1, at=hours(4))


@situation("never_syncs")
def unsubscribed_and_nobody_to_tell(made):
    made.out(made.person("ann@example.com"))


@situation("never_syncs")
def unsubscribed_without_id_but_same_address(made):
    made.out(made.person("ann@example.com"))
    made.record(1, out=True)
    made.told(1)


@situation("link_broken")
def record_deleted(made):
    made.person("ann@example.com", lead(1))
    made.record(1, is_deleted=True)


@situation("link_broken", "opted_out_only_in_salesforce")
def record_opted_out_and_deleted(made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True, is_deleted=True)


@situation("opted_out_only_in_salesforce")
def record_linked_by_address_opted_out_and_deleted(made):
    made.person("ann@example.com")
    made.record(1, out=True, is_deleted=True)


@situation("opted_out_only_in_salesforce")
def record_opted_out_and_merged_into_one_with_another_address(made):
    made.person("ann@example.com")
    made.record(1, out=True, **merged())
    made.record(9, "ann.work@example.com")


@situation()
def record_deleted_before_a_later_consent(made):
    ann = made.person("ann@example.com")
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.record(1, out=True, at=hours(1), is_deleted=True)


@situation("opted_out_only_in_salesforce", "link_broken")
def record_opted_out_without_history_after_we_cleared_it_and_deleted(made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.told(1, at=hours(0))
    made.told(1, False, at=hours(10), by=US)
    made.record(1, out=True, at=hours(20), is_deleted=True)


@situation("link_broken")
def record_merged(made):
    made.person("ann@example.com", lead(1))
    made.record(1, **merged())
    made.record(9)


@situation("link_broken", "opted_out_only_in_salesforce")
def opted_out_record_merged_into_one_that_is_not(made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True, **merged())
    made.record(9)


@situation("opted_out_only_in_salesforce")
def opted_out_record_merged_into_the_linked_one(made):
    made.person("ann@example.com", lead(9))
    made.record(1, out=True, **merged())
    made.record(9)


@situation()
def opted_out_record_merged_before_a_later_consent(made):
    ann = made.person("ann@example.com", lead(9))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.record(1, out=True, at=hours(1), **merged())
    made.record(9)


@situation("opted_out_only_in_salesforce")
def opted_out_record_merged_after_an_earlier_consent(made):
    ann = made.person("ann@example.com", lead(9))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    made.record(1, out=True, at=hours(7), **merged())
    made.record(9)


@situation("link_broken")
def record_converted(made):
    made.person("ann@example.com", lead(1))
    made.record(1, **converted())
    made.record(9, record_id=lead(9, "003"), object="Contact")


@situation("address_changed")
def address_differs(made):
    made.person("ann@example.com", lead(1))
    made.record(1, "ann.new@example.com")


@situation("address_changed", "unsubscribed_only_locally")
def address_differs_and_unsubscribed(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1, "ann.new@example.com")


@situation("address_changed")
def opted_out_under_a_former_address(made):
    ann = made.person("old@example.com")
    made.record(1, "old@example.com", out=True)
    made.told(1)
    made.move(ann, "new@example.com", at=hours(2))


@situation("duplicate_address", "never_syncs")
def two_people_one_address(made):
    made.out(made.person("ann@example.com"))
    made.person("ann@example.com")


@situation("duplicate_address", "unsubscribed_only_locally")
def two_people_one_address_one_record(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.person("ann@example.com")
    made.record(1)


@situation("orphan_opt_out")
def opted_out_and_not_in_the_register(made):
    made.record(1, "eve@example.com", out=True)
    made.told(1)


@situation("orphan_opt_out", "origin_unknown")
def opted_out_and_not_in_the_register_without_history(made):
    made.record(1, "eve@example.com", out=True)


@situation("origin_unknown")
def both_opted_out_without_history(made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1, out=True)


@situation("erased_in_register")
def erased_here_and_opted_out_there(made):
    made.record(1, "", out=True)
    suppression.add_records(made.tx, [lead(1)], since=T0)


@situation("erased_in_register")
def erased_here_and_not_opted_out_there(made):
    made.record(1, "")
    suppression.add_records(made.tx, [lead(1)], since=T0)


@situation()
def opted_out_without_an_address(made):
    made.record(1, "", out=True)
    made.told(1)


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_shows_exactly_its_kinds(name, tx, made):
    build, kinds = SITUATIONS[name]
    build(made)
    assert set(look(tx)) == kinds


def test_situations_do_not_touch_one_another(tx, made):
    """All of them in one register show what each shows alone: no query looks at somebody else's rows."""
    people_of: dict[int, set[str]] = {}
    for shift, (build, _) in enumerate(SITUATIONS.values(), start=1):
        before = set(tx.execute(sa.select(s.person.c.person_id)).scalars())
        with apart(shift):
            build(made)
        people_of[shift] = set(tx.execute(sa.select(s.person.c.person_id)).scalars()) - before
    found = [one for some in look(tx).values() for one in some]
    for shift, (name, (_, kinds)) in enumerate(SITUATIONS.items(), start=1):
        with apart(shift):
            mine = {lead(n, prefix) for n in (1, 2, 9) for prefix in ("00Q", "003")}
        assert {f.kind for f in found if f.person_id in people_of[shift] or f.record_id in mine} == kinds, name


def test_every_kind_has_a_situation():
    assert set().union(*(kinds for _, kinds in SITUATIONS.values())) == set(KINDS)


@pytest.mark.parametrize("name", SITUATIONS)
def test_no_sentence_carries_an_address(name, tx, made):
    SITUATIONS[name][0](made)
    for found in look(tx).values():
        for one in found:
            assert "@" not in one.detail + one.forecast
            assert one.detail.endswith(".")
            assert one.forecast.endswith(".") or one.kind == "origin_unknown"


NOTHING_TONIGHT = {
    "unsubscribed_and_nobody_to_tell",
    "two_people_one_address",
    "opted_out_and_not_in_the_register",
    "one_of_two_fields_of_nobody",
    "two_records_of_nobody",
    "opted_out_under_a_former_address",
    "record_deleted",
    "record_merged",
    "held",
    "opted_out_record_merged_before_a_later_consent",
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_forecast_fits_the_sentences(name, tx, made):
    """Whoever reads "tonight" in a mismatch finds the change in the forecast, and nothing happens where nothing is said to."""
    SITUATIONS[name][0](made)
    found = [one for some in look(tx).values() for one in some]
    changes = tonight(tx)
    assert name not in NOTHING_TONIGHT or not changes
    said = {(m.UNSUBSCRIBE_PERSON, f.person_id) for f in found if f.forecast in (m.TONIGHT_PERSON, m.TONIGHT_DUPLICATE)}
    records_said = (m.TONIGHT_RECORD, m.TONIGHT_ALL_RECORDS, m.TONIGHT_ALL_FIELDS, m.TONIGHT_ERASED)
    said |= {(m.OPT_OUT_RECORD, f.record_id) for f in found if f.forecast in records_said}
    assert said <= changes
    assert changes <= said or name.startswith("opted_out_record_merged")  # what it became is opted out, too


def one(tx, kind: str, now: datetime = NOW) -> m.Mismatch:
    (found,) = look(tx, now)[kind]
    return found


def test_it_knows_since_when_both_directions_disagree(tx, made):
    ann, bob = made.person("ann@example.com", lead(1)), made.person("bob@example.com", lead(2))
    made.record(1, out=True, at=hours(50))
    made.told(1, at=hours(30))
    made.out(bob, at=hours(7))
    made.out(bob, at=hours(9))
    made.record(2, "bob@example.com")
    assert (one(tx, "opted_out_only_in_salesforce").since, one(tx, "opted_out_only_in_salesforce").person_id) == (hours(30), ann)
    assert (one(tx, "unsubscribed_only_locally").since, one(tx, "unsubscribed_only_locally").person_id) == (hours(7), bob)


def test_without_history_it_began_at_the_last_change_at_the_latest(tx, made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True, at=hours(50))
    assert one(tx, "opted_out_only_in_salesforce").since == hours(50)


def test_a_field_that_is_set_although_its_history_ends_cleared_was_set_at_an_unknown_time(tx, made):
    made.person("ann@example.com", lead(1))
    made.told(1, at=hours(10))
    made.told(1, False, at=hours(20))
    made.record(1, out=True, at=hours(50))
    assert one(tx, "opted_out_only_in_salesforce").since == hours(50)


def test_the_time_of_an_opt_out_is_known_only_if_each_set_field_has_one(tx, made):
    made.person("ann@example.com", lead(1))
    made.told(1, at=hours(10))
    made.record(1, out=True, second=True, at=hours(50))
    assert one(tx, "opted_out_only_in_salesforce").since == hours(50)
    made.told(1, at=hours(12), field="Sales_Opt_Out__c")
    made.record(1, "ann@example.com", out=True, second=False, at=hours(51))
    made.told(1, False, at=hours(51), field="Sales_Opt_Out__c")
    tx.execute(sa.delete(s.mismatch))
    assert one(tx, "opted_out_only_in_salesforce").since == hours(10)


def test_what_a_mismatch_says(tx, made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1)
    found = one(tx, "unsubscribed_only_locally")
    assert found.detail == f"The person is unsubscribed (clicked_link); Lead {lead(1)} is not opted out."
    assert found.forecast == "Tonight the record is opted out; until then Salesforce mails this address."
    assert found.email == "ann@example.com"


def test_a_broken_link_says_what_became_of_the_record(tx, made):
    made.person("ann@example.com", lead(1))
    made.record(1, **merged())
    assert one(tx, "link_broken").detail == f"Lead {lead(1)} was merged into {lead(9)}."
    assert one(tx, "link_broken").forecast == m.FOLLOWS_NOTHING
    made.record(9)
    assert one(tx, "link_broken").forecast == m.FOLLOWS


def test_an_id_that_salesforce_never_had_is_a_broken_link_once_pulled(tx, made):
    made.person("ann@example.com", lead(7))
    assert look(tx) == {}
    snapshot = records.begin_snapshot(tx, kind="full", org_id="00D", started_at=hours(1))
    records.finish_snapshot(tx, snapshot, covered_until=hours(1), finished_at=hours(1), counts={})
    assert one(tx, "link_broken").detail == f"Salesforce does not know the record {lead(7)}."


@pytest.mark.parametrize(
    ("source", "by", "cause"),
    [
        ("clicked_link", None, "new_request"),
        ("bounce", None, "new_request"),
        ("salesforce_sync", None, "sync"),
        (None, US, "sync"),
        (None, THEM, "new_request"),
        ("salesforce_sync", US, "sync"),
        ("salesforce_sync", THEM, "new_request"),  # somebody ticked the box, the sync only followed
        ("clicked_link", US, "new_request"),
    ],
)
def test_a_relapse_names_its_cause(tx, made, source, by, cause):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    if source:
        made.out(ann, at=hours(20), source=source)
    made.record(1, out=by is not None, at=hours(21))
    if by:
        made.told(1, at=hours(20.5), by=by)
    found = one(tx, "relapse")
    assert found.forecast == (m.RELAPSE_SYNC if cause == "sync" else m.RELAPSE_REQUEST)
    assert mismatches.relapses(tx)[ann].cause == cause
    assert found.since == (hours(20) if source else hours(20.5))


def test_a_relapse_in_the_second_of_the_resubscription_is_seen(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.resubscribed(ann, at=hours(10) + timedelta(milliseconds=900), given_at=hours(5))
    made.record(1, out=True, at=hours(10))
    assert one(tx, "relapse").person_id == ann


def test_what_lies_before_the_resubscription_is_no_relapse(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.record(1, out=True, at=hours(4))
    made.resubscribed(ann, at=hours(10), given_at=hours(5))
    assert "relapse" not in look(tx)
    made.resubscribed(ann, at=hours(30), given_at=hours(25), state="UNDONE")
    made.out(ann, at=hours(31))
    assert "relapse" in look(tx)


def test_an_undone_resubscription_cannot_relapse(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.resubscribed(ann, at=hours(10), given_at=hours(5), state="UNDONE")
    made.out(ann, at=hours(20))
    assert "relapse" not in look(tx)


def test_first_seen_stays_last_seen_grows_and_what_is_gone_is_resolved(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.record(1, out=True)
    made.told(1)
    first = one(tx, "opted_out_only_in_salesforce", hours(100))
    mismatches.refresh(tx, hours(124), everything=True)
    (again,) = mismatches.list_(tx, kind="opted_out_only_in_salesforce")
    assert (again.mismatch_id, again.first_seen, again.last_seen) == (first.mismatch_id, hours(100), hours(124))
    made.out(ann)
    assert look(tx, hours(130)) == {}
    (gone,) = mismatches.list_(tx, resolved=True)
    assert (gone.mismatch_id, gone.resolved_at, gone.resolved_by) == (first.mismatch_id, hours(130), "no longer found")


def test_what_comes_back_is_a_new_mismatch(tx, made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True)
    made.told(1)
    first = one(tx, "opted_out_only_in_salesforce", hours(100))
    made.record(1, at=hours(101))
    assert "opted_out_only_in_salesforce" not in look(tx, hours(101))
    made.record(1, out=True, at=hours(102))
    again = one(tx, "opted_out_only_in_salesforce", hours(102))
    assert (again.mismatch_id != first.mismatch_id, again.first_seen) == (True, hours(102))


def test_since_only_moves_back(tx, made):
    made.person("ann@example.com", lead(1))
    made.record(1, out=True, at=hours(10))
    look(tx)
    made.record(1, out=True, at=hours(20))
    assert one(tx, "opted_out_only_in_salesforce").since == hours(10)
    made.told(1, at=hours(5))
    assert one(tx, "opted_out_only_in_salesforce").since == hours(5)


def test_a_refresh_tells_the_trail_which_findings_came_and_went(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.close(ann, at=hours(3), intent_id=None)
    made.record(1, out=True)
    records.relink(tx)
    told = []

    def append(_tx, event, *, batch_id=None, intent_id=None, person_id=None):
        told.append((event, person_id))

    came = mismatches.refresh(tx, NOW, append_event=append)
    assert (came.counts["opted_out_only_in_salesforce"], came.counts["relapse"]) == (1, 0)
    (finding,) = came.found
    assert [(e.action, e.kind, e.mismatch_id, p) for e, p in told] == [
        ("mismatch_found", "resubscribed_without_consent", finding.mismatch_id, ann)
    ]
    assert mismatches.refresh(tx, NOW, append_event=append).found == ()
    made.out(ann, at=hours(9))
    mismatches.refresh(tx, NOW, resolved_by="sync 7", append_event=append)
    assert [(e.action, p) for e, p in told[1:]] == [("mismatch_resolved", ann)]
    assert told[1][0].resolved_by == "sync 7"


def test_counts_show_every_kind_and_who_is_late(tx, made):
    for number, days in ((1, 0), (2, 7), (3, 14), (4, 15)):
        made.out(made.person(f"p{number}@example.com", lead(number)), at=NOW - timedelta(days=days))
        made.record(number, f"p{number}@example.com")
    look(tx)
    counts = {c.kind: c for c in mismatches.counts(tx, NOW)}
    assert list(counts) == list(KINDS)
    late = counts["unsubscribed_only_locally"]
    assert (late.open, late.oldest_business_days, late.over_limit) == (4, 11, 1)
    assert {c.kind: c.over_limit for c in mismatches.counts(tx, NOW, limit=4)}["unsubscribed_only_locally"] == 3
    assert (counts["relapse"].open, counts["relapse"].oldest_business_days) == (0, 0)


@pytest.mark.parametrize("limit", [1, 4, 10])
def test_ages_are_those_of_the_list_class_by_class(tx, made, limit):
    for number in range(90):
        made.out(made.person(f"p{number}@example.com", lead(number)), at=NOW - timedelta(days=number, minutes=number * 7))
        made.record(number, f"p{number}@example.com", out=number % 3 == 0)
    made.person("late@example.com", lead(99))
    made.record(99, "late@example.com", out=True)
    look(tx)
    begins = (*age_classes(limit), 10**6)
    expected = {}
    for one in mismatches.list_(tx):
        numbers = expected.setdefault(one.kind, [0] * (len(begins) - 1))
        numbers[bisect_right(begins, one.age_business_days(NOW)) - 1] += 1
    assert {k.kind: list(k.numbers) for k in mismatches.ages(tx, NOW, limit=limit)} == expected
    assert len(expected) > 1
    over = {c.kind: c.over_limit for c in mismatches.counts(tx, NOW, limit=limit) if c.open}
    allowed = begins.index(limit + 1)
    assert {kind: sum(numbers[allowed:]) for kind, numbers in expected.items()} == over


def test_the_list_can_be_narrowed(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.record(1, out=True)
    made.record(2, "eve@example.com", out=True)
    look(tx)
    assert {f.kind for f in mismatches.list_(tx, person_id=ann)} == {"opted_out_only_in_salesforce", "origin_unknown"}
    assert [f.record_id for f in mismatches.list_(tx, kind="orphan_opt_out")] == [lead(2)]
    assert mismatches.list_(tx, kind="orphan_opt_out")[0].email == "eve@example.com"
    assert len(mismatches.list_(tx, limit=1)) == 1


def test_erased_people_have_no_mismatches(tx, made):
    made.out(made.person("ann@example.com", lead(1)))
    made.record(1)
    tx.execute(sa.update(s.person).values(erased_at=T0))
    assert look(tx) == {}
    assert tonight(tx) == set()


# --- the forecast


def test_the_forecast_says_why(tx, made):
    ann, bob = made.person("ann@example.com", lead(1)), made.person("bob@example.com", lead(2))
    made.record(1, out=True)
    made.out(bob)
    made.record(2, "bob@example.com")
    records.relink(tx)
    assert mismatches.forecast(tx) == (
        Change(action="unsubscribe_person", person_id=ann, record_id=lead(1), why=f"The linked record {lead(1)} is opted out."),
        Change(action="opt_out_record", person_id=bob, record_id=lead(2), why="Its person is unsubscribed."),
    )


def test_opt_outs_travel_along_links(tx, made):
    ann, bob = made.person("ann@example.com", lead(1)), made.person("ann@example.com", lead(2))
    made.out(ann)
    made.record(1)
    made.record(2, "other@example.com")
    records.relink(tx)
    assert tonight(tx) == {("unsubscribe_person", bob), ("opt_out_record", lead(1)), ("opt_out_record", lead(2))}
    (change,) = (c for c in mismatches.forecast(tx) if c.action == "unsubscribe_person")
    assert (change.record_id, change.direct) == (lead(1), False)
    assert change.why == f"The linked record {lead(1)} is opted out tonight: least permissive wins."


def test_a_record_with_one_field_set_gets_all_of_them(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.record(1, out=True, second=False)
    records.relink(tx)
    assert tonight(tx) == {("opt_out_record", lead(1))}
    assert mismatches.forecast(tx)[0].why == "Only some of its opt-out fields are set."


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"is_deleted": True}, "The record is deleted."),
        (merged(), f"The record was merged into {lead(9)}."),
        (converted(), f"The record was converted to {lead(9, '003')}."),
    ],
)
def test_records_that_cannot_be_written_are_left_out_and_it_says_why(tx, made, changes, why):
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.record(1, **changes)
    records.relink(tx)
    assert tonight(tx) == set()
    assert [(e.person_id, e.record_id, e.why) for e in mismatches.excluded(tx)] == [(ann, lead(1), why)]


def test_the_opt_out_of_a_merged_record_reaches_what_it_became(tx, made):
    ann = made.person("ann@example.com", lead(1))
    made.record(1, out=True, **merged())
    made.record(9, "ann.new@example.com")
    records.relink(tx)
    assert tonight(tx) == {("unsubscribe_person", ann), ("opt_out_record", lead(9))}


def test_the_forecast_with_a_batch_of_very_many(tx, made):
    """More people than one statement may have bound values."""
    ann = made.person("ann@example.com", lead(1))
    made.out(ann)
    made.record(1, "ann@example.com", out=False)
    records.relink(tx)
    assert tonight(tx) == {("opt_out_record", lead(1))}
    assert mismatches.forecast(tx, resubscribed=[ann, *(f"nobody{n}" for n in range(70_000))]) == ()


def test_the_forecast_with_a_batch(tx, made):
    ann, bob = made.person("ann@example.com", lead(1)), made.person("bob@example.com", lead(2))
    for number, person_id in ((1, ann), (2, bob)):
        made.out(person_id)
        made.record(number, f"{'ann' if number == 1 else 'bob'}@example.com", out=True)
    records.relink(tx)
    assert mismatches.forecast(tx) == ()
    assert mismatches.forecast(tx, resubscribed=[ann]) == ()  # both sides of Ann are cleared by the batch
    other = made.person("ann@example.com")
    made.out(other)
    records.relink(tx)
    again = {(c.action, c.person_id) for c in mismatches.forecast(tx, resubscribed=[ann])}
    assert again == {("unsubscribe_person", ann), ("opt_out_record", other)}


# --- random registers against an oracle

EMAILS = ["a@example.com", "b@example.com", "c@example.com", ""]
RECORDS = st.fixed_dictionaries(
    {
        "email": st.sampled_from(EMAILS),
        "out": st.booleans(),
        "second": st.sampled_from([None, None, True, False]),
        "fate": st.sampled_from(["live", "live", "live", "live", "deleted", "merged", "converted"]),
        "heir": st.integers(0, 5),
        "told": st.booleans(),
    }
)
PEOPLE = st.fixed_dictionaries(
    {"email": st.sampled_from(EMAILS[:3]), "ids": st.sets(st.integers(0, 7), max_size=2), "out": st.booleans()}
)


class World:
    """The oracle: the same definitions said in plain loops over plain values."""

    def __init__(self, folk: list[dict], things: list[dict]) -> None:
        self.folk = {f"person-{n}": one for n, one in enumerate(folk)}
        self.things = {lead(n): thing for n, thing in enumerate(things)}
        self.links = {(p, r) for p in self.folk for r in self.things if self.is_linked(p, r)}

    def live(self, r: str) -> bool:
        return self.things[r]["fate"] == "live"

    def out(self, r: str) -> bool:
        return self.things[r]["out"] or bool(self.things[r]["second"])

    def half(self, r: str) -> bool:
        return self.things[r]["second"] not in (None, self.things[r]["out"])

    def became(self, r: str) -> list[str]:
        found: list[str] = []
        while self.things.get(r, {}).get("fate") in ("merged", "converted"):
            r = lead(self.things[r]["heir"])
            if r in found:
                break
            found.append(r)
        return found

    def is_linked(self, p: str, r: str) -> bool:
        ids = {lead(n) for n in self.folk[p]["ids"]}
        if r in ids or (self.live(r) and any(r in self.became(i) for i in ids)):
            return True
        same = self.things[r]["email"] == self.folk[p]["email"]
        return same and self.things[r]["fate"] in ("live", "converted")

    def voices(self) -> set[tuple[str, str]]:
        direct = {(p, r) for p, r in self.links if self.out(r)}
        dead = [r for r in self.things if self.out(r) and not self.live(r)]
        same = {(p, r) for r in dead for p, one in self.folk.items() if one["email"] == self.things[r]["email"]}
        return direct | same | {(p, r) for r in dead for p, heir in self.links if heir in self.became(r)}

    def tonight(self) -> tuple[set[str], set[str]]:
        out_people = {p for p, one in self.folk.items() if one["out"]} | {p for p, _ in self.voices()}
        out_records = {r for r in self.things if self.out(r) and self.live(r)}
        while True:
            records_too = {r for p, r in self.links if p in out_people and self.live(r)} | out_records
            people_too = {p for p, r in self.links if r in records_too} | out_people
            if (records_too, people_too) == (out_records, out_people):
                break
            out_records, out_people = records_too, people_too
        unsubscribe = {p for p in out_people if not self.folk[p]["out"]}
        linked = {r for _, r in self.links}
        return unsubscribe, {r for r in out_records & linked if not self.out(r) or self.half(r)}

    def kinds(self) -> set[tuple[str, str, str]]:
        found = set()
        linked = {r for _, r in self.links}
        for p, one in self.folk.items():
            mine = [r for q, r in self.links if q == p]
            found |= {("opted_out_only_in_salesforce", p, r) for q, r in self.voices() if q == p and not one["out"]}
            found |= {("unsubscribed_only_locally", p, r) for r in mine if one["out"] and self.live(r) and not self.out(r)}
            if any(self.live(r) and self.out(r) for r in mine):
                found |= {("records_disagree", p, r) for r in mine if self.live(r) and not self.out(r)}
            if one["out"] and not one["ids"]:
                found.add(("never_syncs", p, ""))
            known = {lead(n) for n in one["ids"]} & self.things.keys()
            found |= {("link_broken", p, r) for r in known if not self.live(r)}
            same = [other["out"] for other in self.folk.values() if other["email"] == one["email"]]
            if any(same) and not all(same):
                found.add(("duplicate_address", p, ""))
        for r, thing in self.things.items():
            owners = {p for p, q in self.links if q == r} or {""}
            if self.live(r) and self.half(r):
                found |= {("fields_disagree", p, r) for p in owners}
            if self.live(r) and self.out(r) and not thing["told"]:
                found |= {("origin_unknown", p, r) for p in owners}
            if self.live(r) and self.out(r) and r not in linked and thing["email"]:
                found.add(("orphan_opt_out", "", r))
        return found


COMPARED = {
    "opted_out_only_in_salesforce",
    "unsubscribed_only_locally",
    "records_disagree",
    "never_syncs",
    "link_broken",
    "duplicate_address",
    "fields_disagree",
    "origin_unknown",
    "orphan_opt_out",
}


def build(tx, folk: list[dict], things: list[dict]) -> World:
    wipe(tx, (s.mismatch, s.link, s.unsubscribe, s.person_salesforce_id, s.person, s.org_history, s.org_record))
    made = Invented(tx)
    for number, thing in enumerate(things):
        fate = {"deleted": {"is_deleted": True}, "live": {}}.get(thing["fate"])
        if fate is None:
            heir = lead(thing["heir"])
            merged = {"is_deleted": True, "merged_into": heir}
            fate = merged if thing["fate"] == "merged" else {"is_converted": True, "converted_contact_id": heir}
        made.record(number, thing["email"], out=thing["out"], second=thing["second"], **fate)
        if thing["told"]:
            made.told(number)
    for number, one in enumerate(folk):
        made.person(one["email"], *(lead(n) for n in one["ids"]), person_id=f"person-{number}")
        if one["out"]:
            made.out(f"person-{number}")
    records.relink(tx)
    return World(folk, things)


# The register is emptied by the test itself for each example; examples are independent of one another.
RANDOM = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RANDOM
@given(st.lists(PEOPLE, max_size=5), st.lists(RECORDS, max_size=6))
def test_forecast_and_kinds_agree_with_the_oracle(tx, folk, things):
    world = build(tx, folk, things)
    unsubscribe, opt_out = world.tonight()
    changes = mismatches.forecast(tx)
    assert {c.person_id for c in changes if c.action == "unsubscribe_person"} == unsubscribe
    assert {c.record_id for c in changes if c.action == "opt_out_record"} == opt_out
    assert len(changes) == len(unsubscribe) + len(opt_out)  # each target once
    mismatches.refresh(tx, NOW)
    found = [(f.kind, f.person_id, f.record_id) for f in mismatches.list_(tx)]
    assert len(found) == len(set(found))
    linked = {r for _, r in world.links}
    expected = world.kinds()
    core = {f for f in found if f[0] in COMPARED and not (f[0] == "records_disagree" and f[2] not in linked)}
    assert core - {f for f in core if f[0] == "link_broken" and f[2] not in world.things} == expected


@RANDOM
@given(st.lists(PEOPLE, max_size=5), st.lists(RECORDS, max_size=6))
def test_after_the_forecast_nothing_is_left_to_do_and_nothing_was_cleared(tx, folk, things):
    world = build(tx, folk, things)
    out_before = {r for r in world.things if world.out(r)}
    for change in mismatches.forecast(tx):
        if change.action == "unsubscribe_person":
            people.unsubscribe(
                tx, change.person_id, opted_out_at=NOW, source="salesforce_sync", detail="", recorded_at=NOW, recorded_by="x"
            )
        else:
            row = records.rows_by_ids(tx, [change.record_id])[change.record_id]
            opted = dict.fromkeys(row.opt_outs, True)
            number = next(n for n in range(len(things)) if lead(n) == change.record_id)
            Invented(tx).record(number, row.email, out=True, second=opted.get("Sales_Opt_Out__c"), at=hours(1))
    assert mismatches.forecast(tx) == ()
    after = records.rows_by_ids(tx, world.things)
    assert out_before <= {r for r, row in after.items() if row.opted_out}
    assert FIELD in (next(iter(after.values())).opt_outs if after else {FIELD: True})
    mismatches.refresh(tx, NOW)
    left = {f.kind for f in mismatches.list_(tx)}
    assert not left & {"opted_out_only_in_salesforce", "unsubscribed_only_locally", "fields_disagree"} - (
        {"fields_disagree"} if any(f.person_id == "" for f in mismatches.list_(tx, kind="fields_disagree")) else set()
    )
