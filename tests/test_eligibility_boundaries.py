"""The rules word by word: who and what a sentence names, one, several or too many, and opt-outs of the very same second."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from test_eligibility import (
    CASE,
    CLEAR_ROW,
    CONSENT,
    EPISODE,
    FIELD,
    GIVEN,
    LEAD,
    NOW,
    OLD_LEAD,
    OPTED_OUT,
    POLICY,
    ROW,
    SECOND,
    SHA,
    case,
    consent,
    episode,
    history,
    row,
    spam,
    tick,
)

from workbench.consent import Evidence
from workbench.eligibility import RULES, Case, EvidenceCheck, OptOut, assess, instant, opt_outs, readable
from workbench.eligibility.case import Question
from workbench.eligibility.opt_outs import latest_opt_out
from workbench.eligibility.refusals import records
from workbench.eligibility.strengthenings import confirmed_at

WHO = "005000000000001AAA"


def said(asked: Case, code: str, policy: object = POLICY) -> str:
    """The sentence of one rule."""
    (sentence,) = (f.sentence for f in assess(asked, policy, now=NOW).findings if f.code == code)  # type: ignore[arg-type]
    return sentence


def test_the_codes_and_their_order_never_change() -> None:
    assert [rule.code for rule in RULES] == [
        "not_unsubscribed",
        "no_consent",
        "consent_before_opt_out",
        "consent_in_future",
        "address_differs",
        "purpose_differs",
        "controller_differs",
        "consent_withdrawn",
        "consent_expired",
        "not_affirmative",
        "basis_not_consent",
        "how_when_what_missing",
        "no_evidence",
        "evidence_altered",
        "evidence_missing",
        "won_by_mailing_opted_out_people",
        "bounced_address",
        "blocked_domain",
        "record_not_writable",
        "ambiguous_person",
        "in_another_open_batch",
        "reason_missing",
        "spam_complaint",
        "double_opt_in_required",
        "recording_required",
        "transfer_notice_required",
        "date_without_time",
        "old_consent",
        "origin_unknown",
        "proof_of_error_required",
    ]


def test_an_opt_out_says_where_when_by_whom_and_how_exactly() -> None:
    register = OptOut(at=OPTED_OUT, record_id="u1", in_salesforce=False, exact=True, by="")
    changed = OptOut(at=OPTED_OUT, record_id=LEAD, in_salesforce=True, exact=True, by=WHO)
    silent = OptOut(at=OPTED_OUT, record_id=LEAD, in_salesforce=True, exact=False, by="")
    assert opt_outs(history(tick(OPTED_OUT, by=f" {WHO} "))) == (register, changed)
    assert opt_outs(history()) == (register, silent)
    assert opt_outs(case(unsubscribes=(), rows=(), history=())) == ()


def test_of_two_opt_outs_in_one_second_the_inexact_one_is_named_and_of_two_moments_the_later() -> None:
    assert latest_opt_out(case(unsubscribes=(), rows=(), history=())) is None
    both = latest_opt_out(history())
    assert both is not None
    assert (both.record_id, both.exact) == (LEAD, False)
    later = latest_opt_out(history(unsubscribes=(replace(EPISODE, opted_out_at=OPTED_OUT + SECOND),)))
    assert later is not None
    assert later.record_id == "u1"


def test_the_sentence_names_the_opt_out_that_is_not_earlier() -> None:
    here = episode(opted_out_at=GIVEN)
    assert said(here, "consent_before_opt_out") == (
        "The consent was given on 2026-10-01 09:30:05 UTC, and the opt-out in the register (u1) of 2026-10-01 09:30:05 UTC is not "
        "earlier; only a consent given after it counts."
    )
    there = history(tick(GIVEN))
    assert f"and the opt-out on Salesforce record {LEAD} of 2026-10-01 09:30:05 UTC" in said(there, "consent_before_opt_out")
    unknown = replace(row(last_modified_date=GIVEN), history=())
    assert f"and Salesforce record {LEAD} is opted out without a history" in said(unknown, "consent_before_opt_out")
    assert "as it names a day only" not in said(here, "consent_before_opt_out")
    day = replace(here, consent=replace(CONSENT, given_at_precision="day"))
    assert "UTC at the earliest, as it names a day only, and" in said(day, "consent_before_opt_out")


@pytest.mark.parametrize(
    ("ids", "start"),
    [
        (["a"], "Record a"),
        (["a", "b"], "Records a, b"),
        (list("abcde"), "Records a, b, c, d, e"),
        (list("abcdef"), "Records a, b, c, d, e and 1 more"),
        (list("abcdefgh"), "Records a, b, c, d, e and 3 more"),
    ],
)
def test_at_most_five_records_are_named(ids: list[str], start: str) -> None:
    assert records(ids) == start


def test_one_other_person_or_several() -> None:
    assert said(case(other_people_with_address=1), "ambiguous_person").startswith("1 other person has the same")
    assert said(case(other_people_with_address=2), "ambiguous_person").startswith("2 other people have the same")


def test_which_evidence_is_meant_is_said_by_the_start_of_its_digest() -> None:
    altered = case(evidence=(EvidenceCheck(sha256=SHA, state="altered"),))
    assert said(altered, "evidence_altered").startswith(f"Evidence {SHA[:12]} is no longer")
    assert "evidence_missing" not in assess(altered, POLICY, now=NOW).codes, "altered is not missing as well"
    files = (Evidence(sha256="", size=1), Evidence(sha256="cd" * 32, size=1), *CONSENT.evidence)
    assert said(consent(evidence=files), "evidence_missing").startswith(f"Evidence not stored yet, {'cd' * 6} was not found")


def test_all_that_a_consent_does_not_say_is_named() -> None:
    nothing = consent(method="", given_at=None, notice_version="", collection_point=" ")
    assert said(nothing, "how_when_what_missing") == (
        "The consent does not say how it was given (method), nor when it was given, nor what the person was shown (notice text or "
        "version); complete the record from its evidence."
    )
    assert "where it was given" in said(consent(collection_point=" "), "how_when_what_missing")
    no_zone = consent(given_at=GIVEN.replace(tzinfo=None))
    assert "does not say the time zone of when it was given;" in said(no_zone, "how_when_what_missing")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"merged_into": OLD_LEAD, "is_deleted": True}, f"merged into {OLD_LEAD}"),
        ({"is_converted": True}, "converted"),
        ({"converted_contact_id": "003000000000001AAA"}, "converted"),
    ],
)
def test_why_a_record_is_stuck(changes: dict[str, object], why: str) -> None:
    stuck = replace(row(**changes), person=replace(CASE.person, salesforce_ids=(LEAD,)))
    assert said(stuck, "record_not_writable").startswith(f"Record {LEAD} ({why}) in Salesforce")


def test_a_deleted_record_is_stuck_where_it_is_linked_by_its_id() -> None:
    dead = row(is_deleted=True)
    assert "record_not_writable" not in assess(dead, POLICY, now=NOW).codes
    linked = replace(dead, person=replace(CASE.person, salesforce_ids=(LEAD,)))
    assert f"Record {LEAD} (deleted)" in said(linked, "record_not_writable")


def test_fields_that_may_not_be_edited_count_for_kinds_of_record_that_the_person_has() -> None:
    for unwritable, speaks in ((f"Lead.{FIELD}", True), (FIELD, True), (f"Contact.{FIELD}", False)):
        assert ("record_not_writable" in assess(case(unwritable=(unwritable,)), POLICY, now=NOW).codes) == speaks
    without = case(unwritable=(FIELD,), rows=(), history=())
    assert "record_not_writable" not in assess(without, POLICY, now=NOW).codes


def test_the_latest_complaint_is_the_one_named() -> None:
    two = replace(
        spam(consent_type="expressed"),
        unsubscribes=tuple(replace(EPISODE, source="spam_complaint", opted_out_at=OPTED_OUT + n * SECOND) for n in (1, 0)),
    )
    assert "reported our mail as spam on 2026-09-01 08:00:01 UTC" in said(two, "spam_complaint")
    assert "spam_complaint" not in assess(spam(consent_type="explicitly_expressed", expressed_by="person"), POLICY, now=NOW).codes
    at_once = replace(
        spam(consent_type="explicitly_expressed", expressed_by="person"),
        unsubscribes=(replace(EPISODE, source="spam_complaint", opted_out_at=GIVEN),),
    )
    assert "spam_complaint" in assess(at_once, POLICY, now=NOW).codes


def test_at_most_five_records_of_unknown_origin_are_named() -> None:
    rows = tuple(replace(ROW, record_id=f"00Q00000000000{n}AAA") for n in range(1, 8))
    many = history(rows=rows)
    assert said(many, "origin_unknown").startswith(
        f"The opt-out came on Salesforce record {', '.join(r.record_id for r in rows[:5])} and no field history"
    )
    synced = replace(episode(source="salesforce_sync"), rows=(CLEAR_ROW,), history=())
    assert said(synced, "origin_unknown").startswith("The opt-out came by the Salesforce sync and no")


def test_a_moment_is_compared_in_utc_and_whole_seconds() -> None:
    moment = datetime(2026, 3, 14, 9, 30, 5, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert instant(moment) == datetime(2026, 3, 14, 7, 30, 5, tzinfo=UTC)
    assert instant(moment).tzinfo is UTC
    with pytest.raises(ValueError, match="without a time zone"):
        instant(moment.replace(tzinfo=None))


def test_a_rule_about_a_consent_is_not_asked_without_one() -> None:
    with pytest.raises(RuntimeError, match="asked without one"):
        Question(case(consent=None), POLICY, NOW).consent  # noqa: B018 - reading it is the test


def test_rules_about_the_person_speak_without_a_consent_too() -> None:
    blocked = replace(POLICY, blocked_domains=("example.com",))
    nobody = case(
        consent=None,
        evidence=(),
        unsubscribes=(),
        rows=(replace(CLEAR_ROW, bounced_at=OPTED_OUT),),
        missing_records=frozenset({OLD_LEAD}),
        other_people_with_address=1,
        open_batch="b2",
        reason="",
    )
    assert assess(nobody, blocked, now=NOW).codes == (
        "not_unsubscribed",
        "no_consent",
        "bounced_address",
        "blocked_domain",
        "record_not_writable",
        "ambiguous_person",
        "in_another_open_batch",
        "reason_missing",
    )


def test_one_bounce_among_several_unsubscribes_is_enough() -> None:
    bounce = replace(EPISODE, unsubscribe_id="u2", source="bounce")
    assert said(case(unsubscribes=(EPISODE, bounce)), "bounced_address").startswith("The person was unsubscribed because mail")


def test_since_when_a_consent_has_expired_is_said_where_it_is_known() -> None:
    dated = case(consent=replace(CONSENT, valid_until=GIVEN + SECOND))
    assert said(dated, "consent_expired") == "The consent has expired on 2026-10-01 09:30:06 UTC; ask the person to renew it."
    undated = case(consent=replace(CONSENT, state="expired", valid_until=None))
    assert said(undated, "consent_expired") == "The consent has expired; ask the person to renew it."
    assert "consent_withdrawn" not in assess(undated, POLICY, now=NOW).codes, "it is known what became of it"


@pytest.mark.parametrize(
    ("taken_back", "given_at", "speaks"),
    [
        (GIVEN - SECOND, GIVEN, False),
        (GIVEN, GIVEN, True),
        (GIVEN + SECOND, GIVEN, True),
        (GIVEN - SECOND, None, True),
        (None, GIVEN, False),
        (None, None, False),
    ],
)
def test_a_consent_that_the_person_took_back_later_does_not_come_back_by_an_older_one(
    taken_back: datetime | None, given_at: datetime | None, speaks: bool
) -> None:
    asked = case(withdrawn_at=taken_back, consent=replace(CONSENT, given_at=given_at))
    found = {f.code: f.sentence for f in assess(asked, POLICY, now=NOW).findings}
    assert ("consent_withdrawn" in found) is speaks
    if speaks:
        assert taken_back is not None
        assert found["consent_withdrawn"].startswith(f"The person took a consent back at {readable(taken_back)}, later")


def test_a_consent_in_person_says_where() -> None:
    assert "where it was given" in said(consent(method="in_person", collection_point=" "), "how_when_what_missing")


def test_an_act_of_the_very_second_of_the_consent_or_of_now_counts() -> None:
    assert confirmed_at(Question(consent(double_opt_in_at=GIVEN), POLICY, NOW)) == GIVEN
    assert confirmed_at(Question(consent(double_opt_in_at=NOW), POLICY, NOW)) == NOW
    assert confirmed_at(Question(consent(double_opt_in_at=GIVEN - SECOND), POLICY, NOW)) is None
    assert confirmed_at(Question(consent(double_opt_in_at=NOW + SECOND), POLICY, NOW)) is None
    for notice, speaks in ((GIVEN - SECOND, True), (GIVEN, False), (NOW, False), (NOW + SECOND, True)):
        asked = consent(given_to="Another Company", transfer_notice_at=notice)
        assert ("transfer_notice_required" in assess(asked, POLICY, now=NOW).codes) is speaks


def test_why_a_double_opt_in_is_needed_is_said() -> None:
    assert said(consent(jurisdiction="DE"), "double_opt_in_required").startswith("The rules for DE apply, and no double")
    by_reason = replace(CASE, reason="confirmed_double_opt_in")
    assert said(by_reason, "double_opt_in_required").startswith("The batch's reason is a confirmed double opt-in, and no double")


def test_one_named_change_to_opted_out_tells_whose_a_synced_opt_out_was() -> None:
    synced = replace(EPISODE, source="salesforce_sync")
    named, nameless = tick(OPTED_OUT, by=WHO), tick(OPTED_OUT - SECOND, by=" ")
    both = history(named, nameless, unsubscribes=(synced,))
    assert "origin_unknown" not in assess(both, POLICY, now=NOW).codes
    cleared = replace(named, new=False)
    nobody = history(cleared, unsubscribes=(EPISODE, replace(synced, unsubscribe_id="u2")), rows=(CLEAR_ROW,))
    assert "by the Salesforce sync" in said(nobody, "origin_unknown"), "whoever cleared a flag is not who set it"


def test_a_consent_is_later_than_every_complaint() -> None:
    before, after = (replace(EPISODE, source="spam_complaint", opted_out_at=at) for at in (GIVEN - SECOND, GIVEN + SECOND))
    asked = case(unsubscribes=(before, after), consent=replace(CONSENT, consent_type="explicitly_expressed"))
    assert "spam_complaint" in assess(asked, POLICY, now=NOW).codes
