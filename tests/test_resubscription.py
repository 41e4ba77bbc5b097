"""What a reading of Salesforce means for somebody on the way; what a plan's digest covers; who may approve and run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import lead_id
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.consent import Consent, Evidence
from workbench.org import OPT_OUT_FIELD, FieldChange, OrgRow, Reading
from workbench.person import Person, salesforce_id_18
from workbench.policy import Policy
from workbench.resubscription import (
    CAUSES,
    MOST_ATTEMPTS,
    PATCHES_A_CALL,
    Abort,
    BaseRow,
    Batch,
    Intent,
    SendAgain,
    State,
    Verified,
    after_sending,
    base_of,
    before_closing,
    calls_for,
    clears,
    consent_digest,
    groups,
    linked_rows,
    plan_digest,
    unsettled,
)

US, OTHER = "005000000000001AAA", "005000000000002AAA"
READ = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
CLEARED = READ + timedelta(hours=1)
LATER = CLEARED + timedelta(seconds=1)
ONE, TWO, THREE = (salesforce_id_18(lead_id(n)) for n in (1, 2, 3))


def row(record_id: str, *, out: bool, at: datetime, by: str = OTHER, **values: Any) -> OrgRow:
    flags = values.pop("opt_outs", {OPT_OUT_FIELD: out})
    stamps = {"system_modstamp": at, "last_modified_date": at, "last_modified_by": by}
    return OrgRow(record_id=record_id, object="Lead", email="anna@example.com", opt_outs=flags, **stamps, **values)


def change(record_id: str, new: bool | None, *, at: datetime = CLEARED, by: str = US, field: str = OPT_OUT_FIELD) -> FieldChange:
    return FieldChange(record_id=record_id, field=field, old=None if new is None else not new, new=new, at=at, by=by)


def base(record_id: str, *, opted_out: bool = True, verified: datetime | None = None) -> BaseRow:
    fields = (OPT_OUT_FIELD,) if opted_out else ()
    return BaseRow(record_id=record_id, object="Lead", stamp=READ, to_clear=fields, verified_stamp=verified)


def intent(*rows: BaseRow, **values: Any) -> Intent:
    known: dict[str, Any] = {"intent_id": "i", "batch_id": "b", "position": 0, "person_id": "p", "consent_id": "c"}
    known |= {"state": State.SENT, "person_version": 1, "attempts": 1, "changed_at": READ, "base": rows}
    return Intent(**(known | values))


def sent(*rows: OrgRow, history: Sequence[FieldChange] = (), refused: bool = False, **values: Any) -> Any:
    """The decision for somebody with a record to clear (ONE) and one that was not opted out (TWO)."""
    one = intent(base(ONE), base(TWO, opted_out=False), **values)
    return after_sending(one, rows, history, us=US, refused=refused)


UNTOUCHED_ONE, UNTOUCHED_TWO = row(ONE, out=True, at=READ), row(TWO, out=False, at=READ)
CLEARED_ONE = row(ONE, out=False, at=CLEARED, by=US)
OURS = (change(ONE, False),)


def test_cleared_by_us_and_nothing_else_is_verified_with_the_new_stamps() -> None:
    decision = sent(CLEARED_ONE, UNTOUCHED_TWO, history=OURS)
    assert isinstance(decision, Verified)
    assert {b.record_id: b.verified_stamp for b in decision.base} == {ONE: CLEARED, TWO: READ}
    assert [b.stamp for b in decision.base] == [READ, READ], "the base is what the condition was, for ever"


def test_a_cleared_row_must_carry_the_mark_of_this_intent_where_the_org_has_one() -> None:
    ours, foreign, unmarked = (replace(CLEARED_ONE, mark=mark) for mark in ("i", "another", ""))
    assert isinstance(sent(ours, UNTOUCHED_TWO, history=OURS), Verified)
    for row_of_others in (foreign, unmarked):  # cleared by somebody who logs in as our user
        decision = sent(row_of_others, UNTOUCHED_TWO, history=OURS)
        assert isinstance(decision, Abort)
        assert decision.cause == "record_changed"
    earlier = replace(UNTOUCHED_ONE, mark="of an earlier batch")
    assert sent(earlier, UNTOUCHED_TWO) == SendAgain((base(ONE),))
    assert [write.mark for write in clears((base(ONE),), "i")] == ["i"]


def test_untouched_rows_are_sent_again_and_only_those() -> None:
    assert sent(UNTOUCHED_ONE, UNTOUCHED_TWO) == SendAgain((base(ONE),))
    half = intent(base(ONE), base(THREE))
    rows = (CLEARED_ONE, row(THREE, out=True, at=READ))
    assert after_sending(half, rows, OURS, us=US, refused=False) == SendAgain((base(THREE),))


def test_dead_rows_count_for_nothing() -> None:
    dead = replace(row(THREE, out=False, at=LATER), is_converted=True)
    assert isinstance(sent(CLEARED_ONE, UNTOUCHED_TWO, dead, history=OURS), Verified)
    assert closing(CLEARED_ONE, UNTOUCHED_TWO, dead) is None
    assert base_of([dead]) == ()


def test_nothing_to_clear_is_verified_at_once() -> None:
    assert isinstance(after_sending(intent(), (), (), us=US, refused=False), Verified)
    only_two = intent(base(TWO, opted_out=False))
    assert isinstance(after_sending(only_two, (UNTOUCHED_TWO,), (), us=US, refused=False), Verified)


@pytest.mark.parametrize(
    ("rows", "history", "cause"),
    [
        ((row(ONE, out=True, at=LATER), UNTOUCHED_TWO), (), "opted_out_in_salesforce"),
        ((row(ONE, out=True, at=LATER, by=US), UNTOUCHED_TWO), (change(ONE, True, by=US),), "opted_out_in_salesforce"),
        ((CLEARED_ONE, row(TWO, out=True, at=LATER)), OURS, "opted_out_in_salesforce"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(ONE, True, by=OTHER)), "opted_out_in_salesforce"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(ONE, False, by=OTHER)), "record_changed"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(ONE, None, by=US)), "record_changed"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(TWO, True, by=OTHER)), "opted_out_in_salesforce"),
        ((UNTOUCHED_ONE, UNTOUCHED_TWO), (change(ONE, True, by=OTHER),), "opted_out_in_salesforce"),
        ((row(ONE, out=False, at=LATER, by=OTHER), UNTOUCHED_TWO), OURS, "record_changed"),
        ((CLEARED_ONE, row(TWO, out=False, at=LATER)), OURS, "record_changed"),
        ((replace(CLEARED_ONE, is_deleted=True), UNTOUCHED_TWO), OURS, "records_changed"),
        ((replace(CLEARED_ONE, is_converted=True), UNTOUCHED_TWO), OURS, "records_changed"),
        ((replace(CLEARED_ONE, merged_into=THREE), UNTOUCHED_TWO), OURS, "records_changed"),
        ((replace(UNTOUCHED_ONE, is_deleted=True), UNTOUCHED_TWO), (), "records_changed"),
        ((CLEARED_ONE,), OURS, "records_changed"),
        ((CLEARED_ONE, UNTOUCHED_TWO, row(THREE, out=False, at=READ)), OURS, "records_changed"),
        ((), (), "records_changed"),
    ],
)
def test_whatever_does_not_fit_is_aborted_after_sending(
    rows: tuple[OrgRow, ...], history: tuple[FieldChange, ...], cause: str
) -> None:
    decision = sent(*rows, history=history)
    assert isinstance(decision, Abort)
    assert decision.cause == cause
    assert decision.cause in CAUSES


def test_a_refusal_and_too_many_attempts_end_it() -> None:
    refused = sent(UNTOUCHED_ONE, UNTOUCHED_TWO, refused=True)
    tired = sent(UNTOUCHED_ONE, UNTOUCHED_TWO, attempts=MOST_ATTEMPTS)
    assert (refused.cause, tired.cause) == ("salesforce_refused", "not_applied")
    assert isinstance(sent(CLEARED_ONE, UNTOUCHED_TWO, history=OURS, attempts=MOST_ATTEMPTS), Verified)


def test_a_second_opt_out_field_counts_as_much_as_the_first() -> None:
    both = {OPT_OUT_FIELD: False, "Sales_Opt_Out__c": True}
    decision = sent(replace(CLEARED_ONE, opt_outs=both), UNTOUCHED_TWO, history=OURS)
    assert decision.cause == "opted_out_in_salesforce"


VERIFIED = (base(ONE, verified=CLEARED), base(TWO, opted_out=False, verified=READ))


def closing(*rows: OrgRow, history: Sequence[FieldChange] = OURS) -> Abort | None:
    return before_closing(intent(*VERIFIED, state=State.VERIFIED), rows, history, us=US)


def test_the_final_check_passes_what_stayed_as_verified() -> None:
    assert closing(CLEARED_ONE, UNTOUCHED_TWO) is None


@pytest.mark.parametrize(
    ("rows", "history", "cause"),
    [
        ((row(ONE, out=True, at=CLEARED), UNTOUCHED_TWO), OURS, "opted_out_in_salesforce"),
        ((CLEARED_ONE, row(TWO, out=True, at=READ)), OURS, "opted_out_in_salesforce"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(ONE, True, by=OTHER)), "opted_out_in_salesforce"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(TWO, True, by=OTHER)), "opted_out_in_salesforce"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(ONE, True, by=US)), "record_changed"),
        ((replace(CLEARED_ONE, system_modstamp=LATER), UNTOUCHED_TWO), OURS, "record_changed"),
        ((replace(CLEARED_ONE, is_deleted=True), UNTOUCHED_TWO), OURS, "records_changed"),
        ((CLEARED_ONE, replace(UNTOUCHED_TWO, is_converted=True)), OURS, "records_changed"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (*OURS, change(TWO, None, by=US)), "record_changed"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (), "history_missing"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (change(ONE, False, at=READ),), "history_missing"),
        ((CLEARED_ONE, UNTOUCHED_TWO), (change(ONE, False, field="Sales_Opt_Out__c"),), "history_missing"),
        ((UNTOUCHED_TWO,), OURS, "records_changed"),
        ((CLEARED_ONE, UNTOUCHED_TWO, row(THREE, out=True, at=READ)), OURS, "records_changed"),
    ],
)
def test_the_final_check_stops_whatever_does_not_fit(
    rows: tuple[OrgRow, ...], history: tuple[FieldChange, ...], cause: str
) -> None:
    objection = closing(*rows, history=history)
    assert objection is not None
    assert objection.cause == cause


# Properties: whatever rows and history look like

FLAGS = st.fixed_dictionaries({OPT_OUT_FIELD: st.booleans(), "Sales_Opt_Out__c": st.booleans()})
MOMENTS = st.sampled_from([READ, CLEARED, LATER])
USERS = st.sampled_from([US, OTHER])
ROWS = st.builds(
    lambda record_id, flags, at, by, gone: row(record_id, out=False, opt_outs=flags, at=at, by=by, is_deleted=gone),
    st.sampled_from([ONE, TWO, THREE]),
    FLAGS,
    MOMENTS,
    USERS,
    st.booleans(),
)
CHANGES = st.builds(
    lambda record_id, new, at, by, field: change(record_id, new, at=at, by=by, field=field),
    st.sampled_from([ONE, TWO, THREE]),
    st.sampled_from([True, False, None]),
    MOMENTS,
    USERS,
    st.sampled_from([OPT_OUT_FIELD, "Sales_Opt_Out__c"]),
)
BASES = st.builds(
    lambda record_id, fields, verified: BaseRow(
        record_id=record_id, object="Lead", stamp=READ, to_clear=tuple(fields), verified_stamp=verified
    ),
    st.sampled_from([ONE, TWO]),
    st.sets(st.sampled_from([OPT_OUT_FIELD, "Sales_Opt_Out__c"])).map(sorted),
    st.sampled_from([READ, CLEARED]),
)
READINGS = (
    st.lists(BASES, max_size=2, unique_by=lambda b: b.record_id),
    st.lists(ROWS, max_size=3, unique_by=lambda r: r.record_id),
    st.lists(CHANGES, max_size=3),
)


def opted_out_by_somebody_else(rows: Sequence[OrgRow], history: Sequence[FieldChange], ids: set[str]) -> bool:
    """Now, or by a change after the base that another user made, or that can't be read."""
    return any(r.opted_out for r in rows if not r.is_deleted) or any(
        h.record_id in ids and h.at > READ and h.by != US and h.new is not False for h in history
    )


@settings(max_examples=400, deadline=None)
@given(*READINGS, st.booleans(), st.integers(1, 4))
def test_an_opt_out_since_the_base_is_never_verified_nor_sent_over(
    bases: list[BaseRow], rows: list[OrgRow], history: list[FieldChange], refused: bool, attempts: int
) -> None:
    one = intent(*bases, attempts=attempts)
    decision = after_sending(one, rows, history, us=US, refused=refused)
    ids, found = {b.record_id for b in bases}, {r.record_id: r for r in rows}
    if isinstance(decision, Verified):
        assert not opted_out_by_somebody_else(rows, history, ids)
        assert {r.record_id for r in rows if not r.is_deleted} == ids
    if isinstance(decision, SendAgain):
        assert decision.rows
        for again in decision.rows:
            assert found[again.record_id].system_modstamp == again.stamp == READ, "a stamp that moved is never sent over"
            assert again in bases, "neither fields nor stamp are made up"
            assert not any(h.record_id == again.record_id and h.at > READ for h in history)
        assert not any(found[again.record_id].is_deleted for again in decision.rows)
        cleared = ids - {b.record_id for b in decision.rows}
        for b in bases:
            if b.record_id in cleared and b.to_clear:
                assert not opted_out_by_somebody_else([found[b.record_id]], history, {b.record_id})
        assert attempts < MOST_ATTEMPTS
        assert not refused


@settings(max_examples=400, deadline=None)
@given(*READINGS)
def test_the_register_is_never_closed_over_an_opt_out(
    bases: list[BaseRow], rows: list[OrgRow], history: list[FieldChange]
) -> None:
    if before_closing(intent(*bases), rows, history, us=US) is None:
        ids = {b.record_id for b in bases}
        assert {r.record_id for r in rows if not r.is_deleted} == ids
        assert not opted_out_by_somebody_else(rows, history, ids)
        assert not any(h.record_id in ids and h.at > READ and h.new is not False for h in history)
        for b in bases:
            ours = {h.field for h in history if h.record_id == b.record_id and h.by == US and h.new is False and h.at > READ}
            assert set(b.to_clear) <= ours


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 30))
def test_packing_keeps_order_splits_nobody_and_fits(sizes: list[int], most: int) -> None:
    people = list(enumerate(sizes))
    packed = groups(people, size=lambda p: p[1], most=most)
    assert [p for group in packed for p in group] == people
    for group in packed:
        assert group
        assert sum(size for _, size in group) <= most or len(group) == 1
    for group, following in itertools.pairwise(packed):
        assert sum(size for _, size in group) + following[0][1] > most, "no call is wasted"


@pytest.mark.parametrize(
    ("row_counts", "calls"),
    [
        ([], 0),
        ([0], 3),
        ([1], 4),
        ([25], 4),
        ([24, 2], 5),
        ([1] * 25, 4),
        ([1] * 26, 5),
        ([1] * 200, 3 + 8),
        ([1] * 201, 6 + 9),
    ],
)
def test_calls_of_a_run(row_counts: list[int], calls: int) -> None:
    assert calls_for(row_counts) == calls


def test_only_opted_out_fields_are_cleared_on_the_stamp_as_read() -> None:
    rows = (
        row(TWO, out=False, at=READ),
        row(ONE, out=True, at=CLEARED, opt_outs={OPT_OUT_FIELD: False, "Sales_Opt_Out__c": True}),
    )
    found = base_of(rows)
    assert [(b.record_id, b.to_clear) for b in found] == [(ONE, ("Sales_Opt_Out__c",)), (TWO, ())]
    (write,) = clears(found)
    assert (write.record_id, write.fields, write.unmodified_since) == (ONE, ("Sales_Opt_Out__c",), CLEARED)
    assert tuple(BaseRow.from_json(b.as_json()) for b in (*found, *VERIFIED)) == (*found, *VERIFIED)


def test_rows_of_the_quiet_period_wait() -> None:
    rows = (row(ONE, out=True, at=CLEARED), row(TWO, out=True, at=READ))
    for seconds, waiting in ((0, (ONE,)), (59, (ONE,)), (60, ()), (-5, (ONE,))):
        found = unsettled(rows, server_time=CLEARED + timedelta(seconds=seconds), quiet_seconds=60)
        assert tuple(r.record_id for r in found) == waiting


def test_a_person_has_the_rows_known_by_id_and_those_with_the_address_dead_or_alive() -> None:
    anna = Person(person_id="p", email="anna@example.com", email_as_given="Anna@Example.com", version=1)
    rows = (
        replace(row(ONE, out=True, at=READ), email="old.address@example.com"),
        replace(row(TWO, out=True, at=READ), email="ANNA@example.com"),
        replace(row(THREE, out=True, at=READ), is_deleted=True),
    )
    reading = Reading(rows=rows, history=(), missing=frozenset(), server_time=READ)
    assert [r.record_id for r in linked_rows(reading, anna, [ONE])] == [ONE, TWO, THREE]
    assert [r.record_id for r in linked_rows(reading, anna, [])] == [TWO, THREE]


def test_a_person_has_what_their_records_became_and_who_opted_out_under_a_former_address() -> None:
    anna = Person(
        person_id="p", email="a@example.com", email_as_given="a@example.com", version=1, former_emails=("old@example.com",)
    )
    merged = replace(row(ONE, out=False, at=READ), is_deleted=True, merged_into=TWO)
    master = replace(row(TWO, out=True, at=READ), email="work@example.com")
    former = replace(row(THREE, out=True, at=READ), email="old@example.com")
    reading = Reading(rows=(merged, master, former), history=(), missing=frozenset(), server_time=READ)
    assert [r.record_id for r in linked_rows(reading, anna, [ONE])] == [ONE, TWO, THREE]
    opted_in = replace(reading, rows=(replace(former, opt_outs={"HasOptedOutOfEmail": False}),))
    assert linked_rows(opted_in, anna, []) == ()


# Plan, approval, run

FILE = Evidence(sha256="0" * 64, size=10, media_type="application/pdf", original_name="form.pdf")


def batch(**values: Any) -> Batch:
    known: dict[str, Any] = {"batch_id": "b", "state": "proposed", "reason": "signed_form", "proposed_by": "ann"}
    known |= {"proposed_at": READ, "digest": "d", "policy_digest": Policy().digest}
    return Batch(**(known | values))


def blockers(policy: Policy = Policy(), **values: Any) -> tuple[str, ...]:  # noqa: B008 - frozen
    asked: dict[str, Any] = {"digest": "d", "by": "ann", "roles": frozenset({"admin"}), "now": CLEARED}
    asked |= {name: values.pop(name) for name in tuple(values) if name in asked}
    return batch(**values).approval_blockers(policy, **asked)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"roles": frozenset({"analyst"})}, "Only an administrator approves"),
        ({"state": "approved"}, "The batch is approved"),
        ({"digest": "other"}, "does not name this plan"),
        ({"policy_digest": "other"}, "policy was changed"),
        ({"now": READ + timedelta(hours=24, seconds=1)}, "older than 24 hours"),
    ],
)
def test_what_stands_against_an_approval(given: dict[str, Any], said: str) -> None:
    assert blockers() == ()
    if given.keys() == {"digest"}:
        assert said in batch().approval_blockers(Policy(), by="ann", roles=frozenset({"admin"}), now=CLEARED, **given)[0]
    else:
        (sentence,) = blockers(**given)
        assert said in sentence


def test_approval_by_a_second_person_where_the_policy_asks_for_it() -> None:
    policy = Policy(approval_by_second_person=True)
    (sentence,) = blockers(policy, policy_digest=policy.digest)
    assert "somebody else" in sentence
    assert blockers(policy, policy_digest=policy.digest, by="bob") == ()


@pytest.mark.parametrize("state", ["approved", "running", "paused"])
def test_what_stands_against_a_run(state: str) -> None:
    ready = batch(state=state, approved_digest="d")
    admin = frozenset({"admin"})
    assert ready.run_blockers(Policy(), digest="d", roles=admin, now=CLEARED) == ()
    assert "Only an administrator" in ready.run_blockers(Policy(), digest="d", roles=frozenset(), now=CLEARED)[0]
    assert "changed after its approval" in ready.run_blockers(Policy(), digest="x", roles=admin, now=CLEARED)[0]
    for late, policy in ((timedelta(hours=25), Policy()), (timedelta(0), Policy(write_cap=1))):
        said = ready.run_blockers(policy, digest="d", roles=admin, now=READ + late)
        assert bool(said) == (state == "approved"), "a batch under way is brought to its end"


@pytest.mark.parametrize("state", ["proposed", "finished", "cancelled", "undone"])
def test_other_states_do_not_run(state: str) -> None:
    said = batch(state=state, approved_digest="d").run_blockers(Policy(), digest="d", roles=frozenset({"admin"}), now=CLEARED)
    assert said == (f"The batch is {state}; only an approved, running or paused one can run.",)


def test_the_digest_covers_everything_that_the_plan_decides_on() -> None:
    planned = ({"record_id": ONE, "object": "Lead", "opt_outs": {OPT_OUT_FIELD: True}, "stamp": READ.isoformat()},)
    one = intent(planned_rows=planned)
    two = replace(one, intent_id="j", position=1, person_id="q")
    known: dict[str, Any] = {"batch_id": "b", "reason": "r", "policy_digest": "p", "intents": [one, two]}
    digest = plan_digest(**known)
    other_rows = ({**planned[0], "opt_outs": {OPT_OUT_FIELD: False}},)
    changed: dict[str, Any] = {"person_id": "x", "person_version": 2, "consent_id": "y", "consent_digest": "z"}
    changed |= {"findings": ({"code": "no_consent"},), "planned_rows": other_rows}
    others = [plan_digest(**(known | {"intents": [replace(one, **{name: value}), two]})) for name, value in changed.items()]
    others += [plan_digest(**(known | {name: "other"})) for name in ("batch_id", "reason", "policy_digest")]
    others += [
        plan_digest(**(known | {"intents": [one]})),
        plan_digest(**(known | {"intents": [replace(two, position=-1), one]})),
    ]
    assert len({digest, *others}) == len(others) + 1
    with pytest.raises(RuntimeError, match="in the order of their positions"):
        plan_digest(**(known | {"intents": [two, one]}))
    ran = replace(one, state=State.DONE, attempts=3, base=VERIFIED, base_version=7, cause="x", refusals=({"code": "c"},))
    assert plan_digest(**(known | {"intents": [ran, two]})) == digest, "what the run notes is no change of the plan"


def test_a_consents_digest_covers_its_fields_and_files() -> None:
    consent = a_consent()
    assert consent_digest(None) == ""
    others = [
        consent_digest(replace(consent, **{name: value}))
        for name, value in {"given_at": CLEARED, "purpose": "other", "evidence": (), "withdrawn_at": CLEARED}.items()
    ]
    assert len({consent_digest(consent), *others}) == len(others) + 1
    assert consent_digest(replace(consent)) == consent_digest(consent)


def a_consent() -> Consent:
    given: dict[str, Any] = {"consent_id": "c", "person_id": "p", "email": "anna@example.com", "controller": "Example GmbH"}
    given |= {"given_at": READ, "recorded_at": READ, "recorded_by": "ann", "purpose": "sales_email", "method": "paper"}
    return Consent(**given, evidence=(FILE,))


def test_a_call_holds_as_many_changes_as_salesforce_takes() -> None:
    assert PATCHES_A_CALL == 25
