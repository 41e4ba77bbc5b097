"""Every rule fires and holds its peace where it should, and an opt-out wins whatever else is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.consent import Consent, Evidence
from workbench.eligibility import RULES, Case, EvidenceCheck, Rule, Verdict, assess, opt_outs, readable
from workbench.org import FieldChange, OrgRow
from workbench.person import Person, Unsubscribe
from workbench.policy import Jurisdiction, Policy

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
OPTED_OUT = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
GIVEN = datetime(2026, 10, 1, 9, 30, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
FIELD = "HasOptedOutOfEmail"
SALES_FIELD = "Sales_Opt_Out__c"
SHA = "ab" * 32
LEAD = "00Q000000000001AAA"
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
OLD_LEAD = "00Q000000000009AAA"

POLICY = Policy(controller="Example Company")
PERSON = Person(person_id="p1", email="zoe@example.com", email_as_given="Zoe@example.com", version=3)
EPISODE = Unsubscribe(unsubscribe_id="u1", person_id="p1", opted_out_at=OPTED_OUT, source="clicked_link", recorded_at=OPTED_OUT)
ROW = OrgRow(
    record_id=LEAD,
    object="Lead",
    email="Zoe@Example.com",
    opt_outs={FIELD: True},
    system_modstamp=OPTED_OUT,
    last_modified_date=OPTED_OUT,
    last_modified_by="005000000000001AAA",
)
CLEAR_ROW = replace(ROW, opt_outs={FIELD: False})
CHANGE = FieldChange(record_id=LEAD, field=FIELD, old=False, new=True, at=OPTED_OUT, by="005000000000001AAA")
CONSENT = Consent(
    consent_id="c1",
    person_id="p1",
    email="zoe@example.com",
    controller="Example Company",
    purpose="sales_email",
    given_at=GIVEN,
    recorded_at=GIVEN + DAY,
    recorded_by="op1",
    method="web_form",
    collection_point="https://www.example.com/subscribe",
    notice_version="2026-01",
    jurisdiction="US",
    evidence=(Evidence(sha256=SHA, size=10),),
)
CASE = Case(
    person=PERSON,
    unsubscribes=(EPISODE,),
    rows=(ROW,),
    history=(CHANGE,),
    consent=CONSENT,
    evidence=(EvidenceCheck(sha256=SHA, state="intact"),),
    reason="asked_in_writing",
)


def consent(**changes: Any) -> Case:
    return replace(CASE, consent=replace(CONSENT, **changes))


def row(**changes: Any) -> Case:
    return replace(CASE, rows=(replace(ROW, **changes),))


def clear_row(**changes: Any) -> Case:
    return replace(CASE, rows=(replace(CLEAR_ROW, **changes),))


def episode(**changes: Any) -> Case:
    return replace(CASE, unsubscribes=(replace(EPISODE, **changes),))


def history(*changes: FieldChange, **case: Any) -> Case:
    return replace(CASE, history=changes, **case)


def case(**changes: Any) -> Case:
    return replace(CASE, **changes)


def later(moment: datetime, **changes: Any) -> Unsubscribe:
    return replace(EPISODE, unsubscribe_id="u2", opted_out_at=moment, **changes)


def tick(moment: datetime, **changes: Any) -> FieldChange:
    return replace(CHANGE, at=moment, **changes)


BERLIN_DAY = {
    "given_at": datetime(2026, 10, 1, 17, 0, tzinfo=BERLIN),
    "given_at_precision": "day",
    "double_opt_in_at": GIVEN + DAY,
}
MIDNIGHT_IN_BERLIN = datetime(2026, 9, 30, 22, 0, tzinfo=UTC)
FIRST_0230 = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=0)
SECOND_0210 = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)
DOUBLE = {"double_opt_in_at": GIVEN + SECOND}
WRITTEN_AND_CONFIRMED = DOUBLE | {"method": "email"}
COMPLAINT = {"source": "spam_complaint"}
MARKED = replace(CLEAR_ROW, record_id=OLD_LEAD, bounced_at=OPTED_OUT)


def spam(**changes: Any) -> Case:
    return replace(episode(**COMPLAINT), consent=replace(CONSENT, **changes))


def mistake(**changes: Any) -> Case:
    return replace(consent(**changes), reason="recorded_by_mistake")


# One row each: rule, whether it speaks, case. The case differs from one that is eligible in this point only, where it can.
TABLE: list[tuple[str, bool, Case]] = [
    ("not_unsubscribed", True, case(unsubscribes=(), rows=(), history=())),
    ("not_unsubscribed", True, replace(episode(closed_at=GIVEN), rows=(CLEAR_ROW,))),
    ("not_unsubscribed", False, case(rows=(), history=())),
    ("not_unsubscribed", False, case(unsubscribes=())),
    ("not_unsubscribed", False, row(opt_outs={FIELD: False, SALES_FIELD: True})),
    ("no_consent", True, case(consent=None)),
    ("no_consent", True, consent(person_id="p2")),
    ("no_consent", False, CASE),
    # the register's side
    ("consent_before_opt_out", False, episode(opted_out_at=GIVEN - SECOND)),
    ("consent_before_opt_out", True, episode(opted_out_at=GIVEN)),
    ("consent_before_opt_out", True, episode(opted_out_at=GIVEN + SECOND)),
    ("consent_before_opt_out", True, episode(opted_out_at=GIVEN + timedelta(milliseconds=900))),
    (
        "consent_before_opt_out",
        True,
        replace(consent(given_at=GIVEN + timedelta(milliseconds=900)), unsubscribes=(later(GIVEN),)),
    ),
    ("consent_before_opt_out", True, case(unsubscribes=(EPISODE, later(GIVEN, closed_at=GIVEN + DAY)))),
    ("consent_before_opt_out", True, case(unsubscribes=(later(GIVEN + DAY), EPISODE))),
    ("consent_before_opt_out", False, case(unsubscribes=(EPISODE, later(GIVEN - DAY, closed_at=GIVEN)))),
    # Salesforce's side
    ("consent_before_opt_out", False, history(tick(GIVEN - SECOND))),
    ("consent_before_opt_out", True, history(tick(GIVEN))),
    ("consent_before_opt_out", True, history(tick(OPTED_OUT), tick(GIVEN - SECOND, old=True, new=False), tick(GIVEN))),
    ("consent_before_opt_out", True, history(tick(GIVEN), rows=(CLEAR_ROW,))),
    ("consent_before_opt_out", True, history(CHANGE, tick(GIVEN, record_id=OLD_LEAD))),
    ("consent_before_opt_out", True, history(CHANGE, tick(GIVEN, new=None))),
    ("consent_before_opt_out", False, history(CHANGE, tick(GIVEN + DAY, record_id=OLD_LEAD, old=True, new=False))),
    ("consent_before_opt_out", False, row(last_modified_date=NOW, system_modstamp=NOW)),
    ("consent_before_opt_out", True, history(rows=(replace(ROW, last_modified_date=GIVEN),))),
    ("consent_before_opt_out", False, history(rows=(replace(ROW, last_modified_date=GIVEN - SECOND),))),
    ("consent_before_opt_out", False, history(rows=(replace(ROW, system_modstamp=NOW),))),
    ("consent_before_opt_out", False, history(rows=(replace(CLEAR_ROW, last_modified_date=NOW),))),
    ("consent_before_opt_out", True, row(opt_outs={FIELD: True, SALES_FIELD: True}, last_modified_date=GIVEN)),
    (
        "consent_before_opt_out",
        True,
        history(CHANGE, tick(GIVEN - DAY, old=True, new=False), rows=(replace(ROW, last_modified_date=NOW),)),
    ),
    # zones, days, summer time
    ("consent_before_opt_out", True, consent(given_at=datetime(2026, 9, 1, 9, 59, tzinfo=timezone(timedelta(hours=2))))),
    ("consent_before_opt_out", False, consent(given_at=datetime(2026, 9, 1, 4, 1, tzinfo=timezone(timedelta(hours=-4))))),
    ("consent_before_opt_out", True, replace(consent(**BERLIN_DAY), unsubscribes=(later(MIDNIGHT_IN_BERLIN),))),
    ("consent_before_opt_out", False, replace(consent(**BERLIN_DAY), unsubscribes=(later(MIDNIGHT_IN_BERLIN - SECOND),))),
    ("consent_before_opt_out", True, replace(consent(given_at=FIRST_0230), unsubscribes=(later(SECOND_0210),))),
    ("consent_before_opt_out", False, replace(consent(given_at=SECOND_0210, recorded_at=NOW), unsubscribes=(later(FIRST_0230),))),
    ("consent_in_future", True, consent(given_at=NOW + SECOND, recorded_at=NOW + DAY)),
    ("consent_in_future", False, consent(given_at=NOW, recorded_at=NOW)),
    ("consent_in_future", True, consent(given_at=datetime(2026, 11, 2, 12, 0, 1, tzinfo=timezone(timedelta(hours=-1))))),
    ("consent_in_future", True, consent(double_opt_in_at=NOW + SECOND)),
    ("consent_in_future", True, consent(recorded_at=GIVEN - SECOND)),
    ("consent_in_future", False, consent(recorded_at=GIVEN)),
    ("consent_in_future", False, replace(consent(), org_time=GIVEN - 60 * SECOND)),
    ("consent_in_future", True, replace(consent(), org_time=GIVEN - 61 * SECOND)),
    ("address_differs", True, consent(email="zoe@example.org")),
    ("address_differs", True, consent(email="")),
    ("address_differs", False, consent(email=" ZOE@example.COM")),
    ("address_differs", True, row(email="zoe.b@example.com")),
    ("address_differs", True, case(rows=(ROW, replace(CLEAR_ROW, record_id=OLD_LEAD, email="")))),
    (
        "address_differs",
        False,
        case(rows=(ROW, replace(CLEAR_ROW, record_id=OLD_LEAD, email="old@example.com", is_deleted=True))),
    ),
    ("address_differs", True, replace(consent(email="?"), person=replace(PERSON, email="?"), rows=(), history=())),
    ("purpose_differs", True, consent(purpose="newsletter")),
    ("purpose_differs", True, consent(channel="sms")),
    ("purpose_differs", False, consent(purpose=" Sales_Email")),
    ("controller_differs", True, consent(controller="Example Company Ltd")),
    ("controller_differs", True, consent(controller="")),
    ("controller_differs", False, consent(controller="EXAMPLE  company ")),
    ("consent_withdrawn", True, consent(withdrawn_at=NOW)),
    ("consent_withdrawn", True, consent(state="withdrawn")),
    ("consent_withdrawn", True, consent(state="refused")),
    ("consent_withdrawn", True, consent(state="invalidated")),
    ("consent_withdrawn", True, consent(state="maybe")),
    ("consent_withdrawn", False, consent(state="renewed")),
    ("consent_withdrawn", False, consent(withdrawn_at=NOW + SECOND)),
    ("consent_expired", True, consent(valid_until=NOW)),
    ("consent_expired", True, consent(state="expired")),
    ("consent_expired", False, consent(valid_until=NOW + SECOND)),
    ("not_affirmative", True, consent(pre_ticked=True)),
    ("not_affirmative", True, consent(consent_type="implied")),
    ("not_affirmative", True, consent(consent_type="")),
    ("not_affirmative", False, consent(consent_type="expressed")),
    ("basis_not_consent", True, consent(authorization_type="legitimate_interest")),
    ("basis_not_consent", True, consent(authorization_type="")),
    ("basis_not_consent", False, CASE),
    ("how_when_what_missing", True, consent(method="")),
    ("how_when_what_missing", True, consent(method="carrier pigeon")),
    ("how_when_what_missing", True, consent(collection_point=" ")),
    ("how_when_what_missing", False, consent(method="email", collection_point="")),
    ("how_when_what_missing", True, consent(given_at=None)),
    ("how_when_what_missing", True, consent(given_at=GIVEN.replace(tzinfo=None))),
    ("how_when_what_missing", True, consent(notice_version="")),
    ("how_when_what_missing", False, consent(notice_version="", notice_text="Yes, mail me about offers.")),
    ("no_evidence", True, consent(evidence=())),
    ("no_evidence", False, CASE),
    ("evidence_altered", True, case(evidence=(EvidenceCheck(sha256=SHA, state="altered"),))),
    ("evidence_altered", False, CASE),
    ("evidence_missing", True, case(evidence=(EvidenceCheck(sha256=SHA, state="missing"),))),
    ("evidence_missing", True, case(evidence=())),
    ("evidence_missing", True, case(evidence=(EvidenceCheck(sha256="cd" * 32, state="intact"),))),
    ("evidence_missing", True, consent(evidence=(Evidence(original_name="form.pdf"),))),
    ("evidence_missing", True, replace(consent(evidence=(Evidence(),)), evidence=(EvidenceCheck(sha256="", state="intact"),))),
    ("evidence_missing", False, case(evidence=(EvidenceCheck(sha256=SHA, state="altered"),))),
    ("won_by_mailing_opted_out_people", True, consent(solicited_by_email=True)),
    ("won_by_mailing_opted_out_people", False, CASE),
    ("bounced_address", True, row(bounced_at=OPTED_OUT)),
    ("bounced_address", True, case(rows=(ROW, MARKED))),
    ("bounced_address", True, episode(source="bounce")),
    ("bounced_address", False, case(unsubscribes=(EPISODE, later(OPTED_OUT, source="bounce", closed_at=OPTED_OUT)))),
    ("blocked_domain", True, case(person=replace(PERSON, email="zoe@rival.example"))),
    ("blocked_domain", True, case(person=replace(PERSON, email="zoe@Mail.Rival.example"))),
    ("blocked_domain", False, case(person=replace(PERSON, email="zoe@arrival.example"))),
    ("record_not_writable", True, replace(row(is_deleted=True), person=replace(PERSON, salesforce_ids=(ROW.record_id,)))),
    (
        "record_not_writable",
        False,
        row(is_deleted=True),
    ),  # only its address leads there: nothing to clear, its opt-out still counts
    ("record_not_writable", True, row(is_converted=True)),
    ("record_not_writable", True, row(merged_into="00Q000000000002AAA")),
    ("record_not_writable", False, clear_row(is_converted=True)),
    ("record_not_writable", True, case(missing_records=frozenset({OLD_LEAD}))),
    ("record_not_writable", True, case(unwritable=(f"Lead.{FIELD}",))),
    ("record_not_writable", True, replace(clear_row(), unwritable=(FIELD,))),
    ("record_not_writable", False, case(unwritable=(f"Contact.{FIELD}",))),
    ("record_not_writable", True, case(rows=tuple(replace(ROW, record_id=f"00Q0000000000{n:02}AAA") for n in range(26)))),
    ("record_not_writable", False, case(rows=tuple(replace(ROW, record_id=f"00Q0000000000{n:02}AAA") for n in range(25)))),
    ("ambiguous_person", True, case(other_people_with_address=1)),
    ("ambiguous_person", False, CASE),
    ("in_another_open_batch", True, case(open_batch="b7")),
    ("in_another_open_batch", False, CASE),
    ("reason_missing", True, case(reason="")),
    ("reason_missing", True, case(reason="because")),
    ("reason_missing", False, case(reason="signed_form")),
    ("spam_complaint", True, spam(method="telephone", recording_kept=True)),
    ("spam_complaint", True, spam(consent_type="expressed")),
    ("spam_complaint", True, spam(expressed_by="representative")),
    ("spam_complaint", True, replace(CASE, unsubscribes=(EPISODE, later(GIVEN, **COMPLAINT, closed_at=GIVEN)))),
    ("spam_complaint", False, spam(method="paper")),
    ("spam_complaint", False, consent(method="telephone", recording_kept=True)),
    ("double_opt_in_required", True, consent(jurisdiction="DE")),
    ("double_opt_in_required", True, consent(jurisdiction="at")),
    ("double_opt_in_required", True, consent(jurisdiction="DE-BY")),
    ("double_opt_in_required", True, consent(jurisdiction="")),
    ("double_opt_in_required", True, consent(jurisdiction="EU")),
    ("double_opt_in_required", True, consent(jurisdiction="Germany")),
    ("double_opt_in_required", True, consent(jurisdiction="DE", double_opt_in_at=GIVEN - SECOND)),
    ("double_opt_in_required", True, case(reason="confirmed_double_opt_in")),
    ("double_opt_in_required", False, consent(jurisdiction="DE", **DOUBLE)),
    ("double_opt_in_required", False, consent(jurisdiction="US-CA")),
    ("double_opt_in_required", False, replace(consent(**DOUBLE), reason="confirmed_double_opt_in")),
    ("recording_required", True, consent(method="telephone")),
    ("recording_required", True, consent(method="in_person")),
    ("recording_required", True, case(reason="asked_by_phone_recorded")),
    ("recording_required", False, replace(consent(method="telephone", recording_kept=True), reason="asked_by_phone_recorded")),
    ("transfer_notice_required", True, consent(given_to="Acme Traders")),
    ("transfer_notice_required", True, consent(given_to="Acme Traders", transfer_notice_at=GIVEN - SECOND)),
    ("transfer_notice_required", True, consent(given_to="Acme Traders", transfer_notice_at=NOW + SECOND)),
    ("transfer_notice_required", False, consent(given_to="Acme Traders", transfer_notice_at=GIVEN)),
    ("transfer_notice_required", False, consent(given_to="example company")),
    ("date_without_time", True, consent(given_at_precision="day")),
    ("date_without_time", False, consent(given_at_precision="day", **DOUBLE)),
    ("old_consent", True, consent(given_at=NOW - 730 * DAY - SECOND)),
    (
        "old_consent",
        False,
        replace(consent(given_at=NOW - 730 * DAY), unsubscribes=(later(NOW - 800 * DAY),), rows=(), history=()),
    ),
    ("old_consent", False, consent(given_at=NOW - 731 * DAY, double_opt_in_at=NOW - DAY)),
    ("origin_unknown", True, history()),
    ("origin_unknown", True, history(replace(CHANGE, by=" "))),
    ("origin_unknown", True, history(CHANGE, tick(OPTED_OUT + DAY, old=True, new=False))),
    ("origin_unknown", True, row(opt_outs={FIELD: True, SALES_FIELD: True})),
    ("origin_unknown", True, replace(episode(source="salesforce_sync"), rows=(CLEAR_ROW,), history=())),
    ("origin_unknown", False, replace(episode(source="salesforce_sync"), rows=(CLEAR_ROW,))),
    ("origin_unknown", False, replace(episode(source="manual"), rows=(), history=())),
    ("origin_unknown", False, replace(consent(**WRITTEN_AND_CONFIRMED), history=())),
    ("origin_unknown", True, replace(consent(method="email"), history=())),
    ("proof_of_error_required", True, mistake()),
    ("proof_of_error_required", False, mistake(error_proven=True)),
    ("proof_of_error_required", False, CASE),
]
BLOCKING = replace(POLICY, blocked_domains=("rival.example",))


def judge(asked: Case, policy: Policy = BLOCKING) -> Verdict:
    return assess(asked, policy, now=NOW)


@pytest.mark.parametrize(
    ("code", "speaks", "asked"), TABLE, ids=[f"{n}-{code}-{speaks}" for n, (code, speaks, _) in enumerate(TABLE)]
)
def test_rule(code: str, speaks: bool, asked: Case) -> None:
    verdict = judge(asked)
    assert (code in verdict.codes) == speaks
    assert "rule_failed" not in verdict.codes
    assert verdict.outcome == outcome_of(verdict)


def outcome_of(verdict: Verdict) -> str:
    severities = {finding.severity for finding in verdict.findings}
    return "refused" if "refuse" in severities else "stronger_evidence_needed" if severities else "eligible"


def test_every_rule_has_rows_of_both_kinds() -> None:
    told = {(code, speaks) for code, speaks, _ in TABLE}
    assert told == {(rule.code, speaks) for rule in RULES for speaks in (True, False)}


def test_the_codes_are_those_of_the_exports() -> None:
    assert [rule.code for rule in RULES if rule.severity == "refuse"] == [
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
    ]
    assert [rule.code for rule in RULES if rule.severity == "strengthen"] == [
        "spam_complaint",
        "double_opt_in_required",
        "recording_required",
        "transfer_notice_required",
        "date_without_time",
        "old_consent",
        "origin_unknown",
        "proof_of_error_required",
    ]


def test_the_plain_case_is_eligible_and_names_its_policy() -> None:
    verdict = judge(CASE, POLICY)
    assert verdict == Verdict(person_id="p1", outcome="eligible", findings=(), policy_digest=POLICY.digest)
    assert verdict.eligible


def test_a_refusal_outweighs_a_request_for_stronger_evidence() -> None:
    assert judge(consent(method="telephone")).outcome == "stronger_evidence_needed"
    assert judge(consent(method="telephone", pre_ticked=True)).outcome == "refused"


@pytest.mark.parametrize("asked", [asked for _, speaks, asked in TABLE if speaks])
def test_findings_are_sentences_with_ids_and_no_personal_data(asked: Case) -> None:
    for finding in judge(asked).findings:
        assert finding.sentence.endswith(".")
        assert "; " in finding.sentence
        assert finding.source
        assert "@" not in finding.sentence
        assert not any(word in finding.sentence.lower() for word in ("zoe", "rival", "pigeon", "germany", "acme"))


def sentence(code: str, asked: Case, policy: Policy = BLOCKING) -> str:
    return next(finding.sentence for finding in judge(asked, policy).findings if finding.code == code)


def test_the_sentence_about_an_opt_out_in_the_register() -> None:
    assert sentence("consent_before_opt_out", episode(opted_out_at=GIVEN)) == (
        "The consent was given on 2026-10-01 09:30:05 UTC, and the opt-out in the register (u1) of 2026-10-01 09:30:05 UTC is "
        "not earlier; only a consent given after it counts."
    )


def test_the_sentence_about_an_opt_out_without_history_says_that_the_time_is_unknown() -> None:
    told = sentence("consent_before_opt_out", history(rows=(replace(ROW, last_modified_date=GIVEN + DAY),)))
    assert f"Salesforce record {LEAD} is opted out without a history of when" in told
    assert "the exact time is unknown, at the latest 2026-10-02 09:30:05 UTC" in told


def test_the_sentence_about_a_day_says_that_it_is_one() -> None:
    told = sentence("consent_before_opt_out", replace(consent(**BERLIN_DAY), unsubscribes=(later(MIDNIGHT_IN_BERLIN),)))
    assert told.startswith("The consent was given on 2026-09-30 22:00:00 UTC at the earliest, as it names a day only")


def test_how_when_what_lists_everything_that_is_missing() -> None:
    told = sentence("how_when_what_missing", consent(method="", given_at=None, notice_version=""))
    assert told == (
        "The consent does not say how it was given (method), nor when it was given, nor what the person was shown (notice text "
        "or version); complete the record from its evidence."
    )


def test_a_policy_without_controller_lets_nobody_through() -> None:
    assert "fill in `controller`" in sentence("controller_differs", CASE, Policy())


def test_another_policy_another_verdict() -> None:
    strict = replace(POLICY, jurisdictions=MappingProxyType({"US": Jurisdiction(double_opt_in_required=True)}))
    verdict = judge(CASE, strict)
    assert verdict.codes == ("double_opt_in_required",)
    assert verdict.policy_digest != judge(CASE, POLICY).policy_digest


def broken(_: object) -> str | None:
    raise KeyError("zoe@example.com")


def test_a_rule_that_breaks_refuses_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (*RULES[:5], Rule("half_baked", "strengthen", "nowhere", broken, about_consent=True), *RULES[5:])
    monkeypatch.setattr("workbench.eligibility.RULES", rules)
    verdict = judge(CASE)
    assert verdict.codes == ("rule_failed",)
    assert verdict.outcome == "refused"
    assert "The rule half_baked could not be judged (KeyError)" in verdict.findings[0].sentence
    assert "zoe" not in verdict.findings[0].sentence


@pytest.mark.parametrize(
    "asked",
    [
        episode(opted_out_at=OPTED_OUT.replace(tzinfo=None)),
        history(tick(OPTED_OUT.replace(tzinfo=None))),
        history(rows=(replace(ROW, last_modified_date=OPTED_OUT.replace(tzinfo=None)),)),
        consent(recorded_at=GIVEN.replace(tzinfo=None)),
        consent(withdrawn_at=GIVEN.replace(tzinfo=None)),
    ],
)
def test_a_time_without_zone_is_not_guessed_at(asked: Case) -> None:
    verdict = judge(asked)
    assert "rule_failed" in verdict.codes
    assert verdict.outcome == "refused"


def test_now_without_zone_lets_nobody_through() -> None:
    assert assess(CASE, POLICY, now=NOW.replace(tzinfo=None)).outcome == "refused"


def test_times_read_the_same_from_every_zone() -> None:
    assert readable(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)) == "2026-10-25 01:30:00 UTC"


# Anything at all: mostly plausible values, so that many cases are eligible, and some that no record should hold.
ZONES = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/Sao_Paulo"), timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))]
)
MOMENTS = st.datetimes(datetime(2026, 8, 1), datetime(2026, 11, 1), timezones=ZONES)  # noqa: DTZ001 - hypothesis adds the zone
ODD_MOMENTS = MOMENTS | st.datetimes() | st.datetimes(timezones=ZONES)
EPISODES = st.builds(
    replace,
    st.just(EPISODE),
    opted_out_at=MOMENTS,
    source=st.sampled_from(["clicked_link", "manual", "import", "salesforce_sync", "spam_complaint", "bounce"]),
    closed_at=st.none() | MOMENTS,
)
CHANGES = st.builds(
    replace,
    st.just(CHANGE),
    record_id=st.sampled_from([LEAD, OLD_LEAD]),
    at=MOMENTS,
    new=st.sampled_from([True, False, None]),
    by=st.sampled_from(["005000000000001AAA", ""]),
)
ROWS = st.builds(
    replace,
    st.just(ROW),
    opt_outs=st.fixed_dictionaries({FIELD: st.booleans()}, optional={SALES_FIELD: st.booleans()}),
    last_modified_date=MOMENTS,
    is_converted=st.sampled_from([False, False, True]),
)
CONSENTS = st.builds(
    replace,
    st.just(replace(CONSENT, recorded_at=NOW)),
    given_at=MOMENTS,
    given_at_precision=st.sampled_from(["second", "day"]),
    double_opt_in_at=st.none() | MOMENTS | st.just(NOW),
    jurisdiction=st.sampled_from(["US", "DE", ""]),
    method=st.sampled_from(["web_form", "email", "telephone"]),
    recording_kept=st.booleans(),
)
CASES = st.builds(
    replace,
    st.just(CASE),
    unsubscribes=st.lists(EPISODES, max_size=3).map(tuple),
    rows=st.lists(ROWS, max_size=2).map(tuple),
    history=st.lists(CHANGES, max_size=3).map(tuple),
    consent=CONSENTS,
)
ODD_CASES = st.builds(
    replace,
    CASES,
    unsubscribes=st.lists(st.builds(replace, EPISODES, opted_out_at=ODD_MOMENTS, source=st.text()), max_size=2).map(tuple),
    history=st.lists(st.builds(replace, CHANGES, at=ODD_MOMENTS, by=st.text()), max_size=2).map(tuple),
    consent=st.none()
    | st.builds(
        replace,
        CONSENTS,
        given_at=st.none() | ODD_MOMENTS,
        double_opt_in_at=st.none() | ODD_MOMENTS,
        valid_until=st.none() | ODD_MOMENTS,
        given_at_precision=st.text(),
        **{name: st.text() for name in ("email", "purpose", "controller", "state", "method", "jurisdiction", "given_to")},
    ),
    reason=st.text(),
)


@UNHURRIED
@given(CASES)
def test_without_an_objection_the_consent_is_later_than_every_opt_out(asked: Case) -> None:
    verdict = judge(asked)
    assert "rule_failed" not in verdict.codes
    if "consent_before_opt_out" in verdict.codes:
        assert not verdict.eligible
        return
    assert asked.consent is not None
    counted = asked.consent.counts_from
    assert counted is not None
    moments = [found.opted_out_at for found in asked.unsubscribes] + [
        change.at for change in asked.history if change.new is not False
    ]
    assert all(counted.timestamp() >= int(moment.timestamp()) + 1 for moment in moments)
    assert all(counted > found.at for found in opt_outs(asked))


Adder = Callable[[Case, datetime], Case]
ADDERS: list[Adder] = [
    lambda asked, at: replace(asked, unsubscribes=(*asked.unsubscribes, later(at))),
    lambda asked, at: replace(asked, unsubscribes=(later(at, closed_at=at), *asked.unsubscribes)),
    lambda asked, at: replace(asked, history=(*asked.history, tick(at))),
    lambda asked, at: replace(asked, history=(tick(at, record_id=OLD_LEAD), *asked.history)),
    lambda asked, at: replace(asked, rows=(*asked.rows, replace(ROW, record_id="003000000000001AAA", last_modified_date=at))),
]


def eligible(given_at: datetime, precision: str, method: str, after: timedelta) -> Case:
    asked = consent(given_at=given_at, given_at_precision=precision, recorded_at=NOW, method=method)
    assert asked.consent is not None
    assert asked.consent.counts_from is not None
    opted_out = asked.consent.counts_from - after
    proven = replace(asked.consent, recording_kept=True, double_opt_in_at=NOW)
    return replace(asked, consent=proven, unsubscribes=(later(opted_out),), history=(tick(opted_out),))


ELIGIBLE = st.builds(
    eligible,
    MOMENTS,
    st.sampled_from(["second", "day"]),
    st.sampled_from(["web_form", "paper", "telephone"]),
    st.timedeltas(SECOND, 60 * DAY),
)


@UNHURRIED
@given(ELIGIBLE, st.sampled_from(ADDERS), st.timedeltas(timedelta(0), 90 * DAY), ZONES)
def test_a_later_opt_out_on_either_side_always_wins(asked: Case, add: Adder, delay: timedelta, zone: Any) -> None:
    assert judge(asked).eligible
    assert asked.consent is not None
    assert asked.consent.counts_from is not None
    at = (asked.consent.counts_from + delay).astimezone(zone)
    assert "consent_before_opt_out" in judge(add(asked, at)).codes


@UNHURRIED
@given(ODD_CASES, ODD_MOMENTS)
def test_no_input_raises(asked: Case, now: datetime) -> None:
    verdict = assess(asked, BLOCKING, now=now)
    assert verdict.outcome == outcome_of(verdict)
    assert verdict.eligible == (not verdict.findings)
