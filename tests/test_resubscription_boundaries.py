"""The batch's rules at their boundaries, word by word: one moment more or less, none, one or two, and what is stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from test_resubscription import (
    CLEARED,
    CLEARED_ONE,
    LATER,
    ONE,
    OURS,
    READ,
    THREE,
    TWO,
    UNTOUCHED_ONE,
    UNTOUCHED_TWO,
    US,
    a_consent,
    base,
    batch,
    blockers,
    change,
    closing,
    intent,
    row,
    sent,
)

from workbench.eligibility import Verdict
from workbench.org import OPT_OUT_FIELD, FieldChange, Reading
from workbench.person import Person
from workbench.policy import Policy
from workbench.resubscription import (
    CAUSES,
    FINAL,
    MOST_ATTEMPTS,
    NOT_SENT,
    ROWS_A_READING,
    Abort,
    BaseRow,
    Intent,
    PlannedPerson,
    SendAgain,
    State,
    Verified,
    after_sending,
    before_closing,
    calls_for,
    clears,
    consent_digest,
    heirs_of,
    known_ids,
    linked_rows,
    living,
    plan_digest,
    still_to_opt_out,
)

ANNA = Person(person_id="p", email="anna@example.com", email_as_given="anna@example.com", version=1, salesforce_ids=(ONE,))


def test_states_are_stored_by_their_names() -> None:
    assert all(state == state.name for state in State)
    assert {State.REFUSED, State.DONE, State.ABORTED, State.UNDONE} == FINAL
    assert {State.PROPOSED, State.POSTPONED, State.PLANNED} == NOT_SENT
    assert (MOST_ATTEMPTS, ROWS_A_READING) == (3, 200)


def test_every_cause_that_the_protocol_knows_has_its_sentence() -> None:
    known = "opted_out_in_salesforce opted_out_in_register records_changed record_changed not_applied salesforce_refused "
    known += "history_missing person_changed no_longer_eligible register_restored lease_lost"
    assert set(CAUSES) == set(known.split())


def test_a_base_row_is_stored_under_these_names() -> None:
    stored = {"record_id": ONE, "object": "Lead", "stamp": "2026-06-01T09:00:00+00:00", "to_clear": [OPT_OUT_FIELD]}
    assert base(ONE).as_json() == stored | {"verified_stamp": None}
    assert base(ONE, verified=CLEARED).as_json() == stored | {"verified_stamp": "2026-06-01T10:00:00+00:00"}
    bare = BaseRow(record_id=ONE, object="Lead", stamp=READ)
    assert (bare.to_clear, bare.verified_stamp) == ((), None)


def test_what_an_intent_starts_with() -> None:
    new = Intent(
        intent_id="i",
        batch_id="b",
        position=0,
        person_id="p",
        consent_id=None,
        state=State.PROPOSED,
        person_version=1,
        changed_at=READ,
    )
    assert new.attempts == 0
    assert (new.findings, new.planned_rows, new.refusals, new.base) == ((), (), (), ())
    assert (new.consent_digest, new.base_version, new.cause, new.done_at, batch().pause_cause) == ("", 0, "", None, "")


def test_a_planned_person_lists_its_records_by_id_and_shows_no_address() -> None:
    verdict = Verdict(person_id="p", outcome="eligible", findings=(), policy_digest="d")
    flags = {OPT_OUT_FIELD: True, "A_Opt_Out__c": False}
    planned = PlannedPerson(
        person=ANNA, consent=None, verdict=verdict, rows=(UNTOUCHED_TWO, row(ONE, out=True, at=READ, opt_outs=flags))
    )
    first, second = planned.as_json()
    assert list(first) == list(second) == ["record_id", "object", "opt_outs", "stamp"]
    assert list(first.values()) == [ONE, "Lead", flags, "2026-06-01T09:00:00+00:00"]
    assert list(first["opt_outs"]) == ["A_Opt_Out__c", OPT_OUT_FIELD]
    assert second["record_id"] == TWO
    assert "rows" not in repr(planned)


def test_the_digests_of_stored_plans_never_change() -> None:
    planned = ({"record_id": ONE, "object": "Lead", "opt_outs": {OPT_OUT_FIELD: True}, "stamp": READ.isoformat()},)
    one = intent(planned_rows=planned, findings=({"severity": "strengthen", "code": "ü"},))
    digest = plan_digest(batch_id="b", reason="r", policy_digest="p", intents=[one])
    assert digest == "8996523a432898f291d277670f20892cd5fe5b5c1b71fafba0d6d3fee29c5832"
    consent = a_consent()
    values = {name: value for name, value in vars(consent).items() if name != "evidence"}
    text = json.dumps([values, [file.sha256 for file in consent.evidence]], sort_keys=True, default=str)
    assert consent_digest(consent) == hashlib.sha256(text.encode()).hexdigest()
    more = replace(consent.evidence[0], sha256="1" * 64)
    two = [consent_digest(replace(consent, evidence=files)) for files in ((more, *consent.evidence), (*consent.evidence, more))]
    assert two[0] == two[1] != consent_digest(consent), "in whatever order the files were added"


def test_two_people_in_one_place_are_no_order() -> None:
    with pytest.raises(RuntimeError, match="in the order of their positions"):
        plan_digest(batch_id="b", reason="r", policy_digest="p", intents=[intent(), intent(person_id="q")])


def test_many_records_of_a_person_fill_a_reading() -> None:
    assert calls_for([200, 200]) == 3 * 2 + 2
    assert calls_for([199, 1, 0]) == 3 * 2 + 2


def test_a_plan_is_as_old_as_the_policy_allows_and_not_a_second_older() -> None:
    assert not batch().stale(Policy(), now=READ + timedelta(hours=24))
    assert batch().stale(Policy(), now=READ + timedelta(hours=24, microseconds=1))
    admin = frozenset({"admin"})
    ready = batch(state="approved", approved_digest="d")
    assert ready.run_blockers(Policy(), digest="d", roles=admin, now=READ + timedelta(hours=24)) == ()
    (said,) = ready.run_blockers(Policy(), digest="d", roles=admin, now=READ + timedelta(hours=25))
    assert said == "The plan is older than 24 hours. Propose it again."
    (said,) = replace(ready, policy_digest="x").run_blockers(Policy(), digest="d", roles=admin, now=READ)
    assert said == "The policy was changed since the batch was approved. Propose it again."


def test_everything_that_stands_against_an_approval_is_said_at_once() -> None:
    policy = Policy(approval_by_second_person=True)
    said = blockers(policy, state="approved", roles=frozenset({"analyst"}), now=READ + timedelta(hours=25))
    assert [sentence.split(";")[0].split(".")[0] for sentence in said] == [
        "Only an administrator approves a batch",
        "The batch is approved",
        "The policy asks for approval by somebody else than who proposed the batch",
        "The policy was changed since the batch was proposed",
        "The plan is older than 24 hours",
    ]
    assert len(batch(state="finished").run_blockers(Policy(), digest="x", roles=frozenset(), now=CLEARED)) == 2


def test_only_rows_that_can_be_mailed_through_live() -> None:
    rows = (
        UNTOUCHED_ONE,
        replace(UNTOUCHED_TWO, is_deleted=True),
        replace(row(THREE, out=False, at=READ), merged_into=ONE),
    )
    assert living(rows) == {ONE: UNTOUCHED_ONE}
    assert living([replace(UNTOUCHED_ONE, is_converted=True)]) == {}


def test_whoever_is_known_stored_planned_or_on_the_way_is_asked_for() -> None:
    one = intent(base(TWO), planned_rows=({"record_id": THREE},))
    assert known_ids(one, ANNA) == {ONE, TWO, THREE}
    assert known_ids(one, None) == {TWO, THREE}
    assert known_ids(intent(), None) == frozenset()


def test_heirs_are_what_a_row_was_merged_or_converted_into() -> None:
    assert heirs_of(UNTOUCHED_ONE) == ()
    assert heirs_of(replace(UNTOUCHED_ONE, merged_into=TWO, converted_contact_id=THREE)) == (TWO, THREE)


def test_heirs_of_heirs_are_the_persons_as_well() -> None:
    chain = (
        replace(row(ONE, out=False, at=READ), email="x@example.com", merged_into=TWO),
        replace(row(TWO, out=False, at=READ), email="y@example.com", merged_into=THREE),
        replace(row(THREE, out=True, at=READ), email="z@example.com", converted_contact_id="003000000000009AAA"),
    )
    reading = Reading(rows=chain, history=(), missing=frozenset(), server_time=READ)
    assert [r.record_id for r in linked_rows(reading, ANNA, [ONE])] == [ONE, TWO, THREE]
    assert linked_rows(reading, ANNA, []) == linked_rows(reading, ANNA, ["00Q000000000099AAA"]) == ()


def test_nothing_to_clear_nothing_to_write() -> None:
    (write,) = clears((base(ONE), base(TWO, opted_out=False)))
    assert (write.record_id, write.object, write.fields, write.unmodified_since) == (ONE, "Lead", (OPT_OUT_FIELD,), READ)
    assert write.mark == ""


def test_who_is_turned_back_is_opted_out_wherever_a_late_clear_could_still_arrive() -> None:
    one = intent(base(ONE), base(TWO, opted_out=False))
    still_out = row(ONE, out=True, at=READ)
    assert still_to_opt_out(one, [still_out]) == (ONE,), "opted out, but a late clear would still find its stamp"
    assert still_to_opt_out(one, [row(ONE, out=True, at=LATER)]) == ()
    assert still_to_opt_out(one, [row(ONE, out=False, at=LATER)]) == (ONE,)
    assert still_to_opt_out(one, [row(TWO, out=True, at=READ)]) == (), "nothing was to be cleared on it"
    half = row(ONE, out=True, at=LATER, opt_outs={OPT_OUT_FIELD: True, "Sales_Opt_Out__c": False})
    assert still_to_opt_out(one, [half]) == (ONE,), "every opt-out field has to be set"
    assert still_to_opt_out(one, [replace(half, is_deleted=True)]) == ()


@pytest.mark.parametrize(
    "cause", ["not_applied", "salesforce_refused", "history_missing", "opted_out_in_salesforce", "record_changed"]
)
def test_what_an_abort_says_of_the_records(cause: str) -> None:
    objection = {
        "not_applied": sent(UNTOUCHED_ONE, UNTOUCHED_TWO, attempts=MOST_ATTEMPTS),
        "salesforce_refused": sent(UNTOUCHED_ONE, UNTOUCHED_TWO, refused=True),
        "history_missing": closing(CLEARED_ONE, UNTOUCHED_TWO, history=()),
        "opted_out_in_salesforce": sent(row(ONE, out=True, at=LATER), UNTOUCHED_TWO),
        "record_changed": sent(CLEARED_ONE, row(TWO, out=False, at=LATER), history=OURS),
    }[cause]
    detail = {
        "not_applied": "not applied after 3 attempts",
        "salesforce_refused": "1 record could not be written",
        "history_missing": f"{ONE} has no history of our change",
        "opted_out_in_salesforce": f"{ONE} was modified at {LATER.isoformat()}",
        "record_changed": f"{TWO} was modified at {LATER.isoformat()}",
    }[cause]
    assert objection == Abort(cause, detail)


def test_which_records_went_and_came_is_said() -> None:
    new = row(THREE, out=False, at=READ)
    assert sent(UNTOUCHED_TWO) == Abort("records_changed", f"1 no longer linked ({ONE})")
    assert sent() == Abort("records_changed", f"2 no longer linked ({ONE}, {TWO})")
    assert sent(UNTOUCHED_ONE, UNTOUCHED_TWO, new) == Abort("records_changed", f"1 new ({THREE})")
    assert sent(UNTOUCHED_TWO, new) == Abort("records_changed", f"1 no longer linked ({ONE}); 1 new ({THREE})")


@pytest.mark.parametrize("other", [change(TWO, True, by="x"), change(THREE, True, by="x"), change(ONE, True, at=READ, by="x")])
def test_changes_of_other_records_or_up_to_the_base_itself_count_for_nothing(other: FieldChange) -> None:
    one = intent(base(ONE))
    expected = replace(base(ONE), verified_stamp=CLEARED)
    assert after_sending(one, [CLEARED_ONE], (*OURS, other), us=US, refused=False) == Verified((expected,))
    verified = intent(base(ONE, verified=CLEARED), state=State.VERIFIED)
    assert before_closing(verified, [CLEARED_ONE], (*OURS, other), us=US) is None
    assert after_sending(one, [UNTOUCHED_ONE], (other,), us=US, refused=False) == SendAgain((base(ONE),))


def test_one_attempt_before_the_last_is_repeated() -> None:
    assert sent(UNTOUCHED_ONE, UNTOUCHED_TWO, attempts=MOST_ATTEMPTS - 1) == SendAgain((base(ONE),))


def test_a_row_cleared_by_us_but_last_modified_by_another_is_not_ours() -> None:
    touched = replace(CLEARED_ONE, last_modified_by="x")
    assert sent(touched, UNTOUCHED_TWO, history=OURS) == Abort("record_changed", f"{ONE} was modified at {CLEARED.isoformat()}")


def test_each_field_that_was_cleared_needs_its_history() -> None:
    both = BaseRow(record_id=ONE, object="Lead", stamp=READ, to_clear=(OPT_OUT_FIELD, "Sales_Opt_Out__c"), verified_stamp=CLEARED)
    one = intent(both, state=State.VERIFIED)
    second = change(ONE, False, field="Sales_Opt_Out__c")
    assert before_closing(one, [CLEARED_ONE], (*OURS, second), us=US) is None
    assert before_closing(one, [CLEARED_ONE], OURS, us=US) == Abort("history_missing", f"{ONE} has no history of our change")
    elsewhere = change(TWO, False, field="Sales_Opt_Out__c")
    assert before_closing(one, [CLEARED_ONE], (*OURS, elsewhere), us=US) is not None


@pytest.mark.parametrize("other", [change(TWO, True, by="x"), change(ONE, True, at=READ, by="x")])
def test_whose_opt_out_it_was_is_told_by_later_changes_of_that_record_only(other: FieldChange) -> None:
    touched = row(ONE, out=False, at=LATER)
    assert sent(touched, UNTOUCHED_TWO, history=(other,)) == Abort("record_changed", f"{ONE} was modified at {LATER.isoformat()}")
    later = change(ONE, True, at=LATER, by="x")
    assert sent(touched, UNTOUCHED_TWO, history=(other, later)).cause == "opted_out_in_salesforce"
