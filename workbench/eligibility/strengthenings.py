"""The rules that ask for stronger evidence: each docstring says what satisfies it; until then the person stays out."""

from __future__ import annotations

from datetime import datetime, timedelta

from workbench.eligibility.case import STRENGTHEN, Question, Rule, instant, readable, rule
from workbench.eligibility.opt_outs import standing
from workbench.eligibility.refusals import folded
from workbench.said import joined, said

WRITTEN = ("web_form", "email", "paper")
SPOKEN = ("telephone", "in_person")


def confirmed_at(on: Question) -> datetime | None:
    """When the consent was confirmed by double opt-in: a second act, not before the first and not in the future."""
    given, confirmed = on.consent.counts_from, on.consent.double_opt_in_at
    return confirmed if given and confirmed and given <= instant(confirmed) <= on.now else None


def explicit_in_writing(on: Question) -> bool:
    """Whether the person stated the consent themself, in words, in writing."""
    consent = on.consent
    explicit = consent.consent_type == "explicitly_expressed" and consent.expressed_by == "person"
    return explicit and consent.method in WRITTEN


@rule(STRENGTHEN, "GDPR Art. 21(2)-(3); a complaint to the mail provider is the strongest objection there is")
def spam_complaint(on: Question) -> str | None:
    """After a spam complaint; satisfied by a later, explicit request of the person in writing."""
    complaints = [instant(episode.opted_out_at) for episode in on.case.unsubscribes if episode.source == "spam_complaint"]
    given = on.consent.counts_from
    if not complaints or (given and given > max(complaints) and explicit_in_writing(on)):
        return None
    return said(
        "The person reported our mail as spam on {moment}; only a later, explicit request by the person in "
        "writing (web form, e-mail or paper) can be used.",
        moment=readable(max(complaints)),
    )


@rule(STRENGTHEN, "BGH I ZR 164/09 (DE); DSB-D130.073/0008-DSB/2019 (AT); the policy's jurisdictions")
def double_opt_in_required(on: Question) -> str | None:
    """Where the law or the batch's reason says so; satisfied by a double opt-in not before the consent."""
    country = on.policy.country(on.consent.jurisdiction)
    required = on.policy.jurisdiction(on.consent.jurisdiction).double_opt_in_required
    if confirmed_at(on) or not (required or on.case.reason == "confirmed_double_opt_in"):
        return None
    why = (
        said("The rules for {country} apply", country=country)
        if required
        else said("The batch's reason is a confirmed double opt-in")
    )
    return said(
        "{why}, and no double opt-in after the consent is recorded; record when it was confirmed, or have it confirmed.", why=why
    )


@rule(STRENGTHEN, "CRTC Compliance and Enforcement Information Bulletin 2012-548 (oral consent); EDPB 05/2020, para 108")
def recording_required(on: Question) -> str | None:
    """For a consent by telephone or in person; satisfied by a recording that was kept."""
    spoken = on.consent.method in SPOKEN or on.case.reason == "asked_by_phone_recorded"
    if not spoken or on.consent.recording_kept:
        return None
    return said("The consent was spoken and no recording is on file; add the recording, or ask for the consent in writing.")


@rule(STRENGTHEN, "GDPR Art. 14(3); ICO, direct marketing guidance (indirect consent); CASL s. 10(2)")
def transfer_notice_required(on: Question) -> str | None:
    """For a consent given to another party; satisfied by a notice to the person, not before the consent, that we rely on it."""
    given, notice = on.consent.counts_from, on.consent.transfer_notice_at
    elsewhere = folded(on.consent.given_to) not in ("", folded(on.policy.controller))
    if not elsewhere or (given and notice and given <= instant(notice) <= on.now):
        return None
    return said(
        "The consent was given to another party, and no notice to the person of its transfer is recorded; record when the "
        "person was told, or ask for a consent of your own."
    )


@rule(STRENGTHEN, "AG Duesseldorf 23 C 3876/13: a date without a time is weak evidence")
def date_without_time(on: Question) -> str | None:
    """For a consent that names a day only; satisfied by a double opt-in, which has its time."""
    if on.consent.given_at_precision == "second" or confirmed_at(on):
        return None
    return said("The consent names a day but no time of day; find the time in the evidence, or have the consent confirmed.")


@rule(STRENGTHEN, "EDPB Guidelines 05/2020, paras 110-111; the policy's refresh_interval_days")
def old_consent(on: Question) -> str | None:
    """For a consent older than the refresh interval; satisfied by a more recent double opt-in."""
    last_act = confirmed_at(on) or on.consent.counts_from
    if last_act is None or on.now - instant(last_act) <= timedelta(days=on.policy.refresh_interval_days):
        return None
    return said(
        "The consent is of {given}, older than the policy's {days} days; ask the person to renew it.",
        given=readable(last_act),
        days=on.policy.refresh_interval_days,
    )


@rule(STRENGTHEN, "GDPR Art. 21(3), Art. 5(2): whose objection it was must be known before it is set aside")
def origin_unknown(on: Question) -> str | None:
    """For an opt-out that came by Salesforce while nobody knows who ticked it.

    Satisfied by field history that names who did, or by the person's own explicit written consent with double opt-in: two acts
    after the opt-out, whoever it was.
    """
    nameless = sorted({found.record_id for found in standing(on.case) if not found.by})
    synced = any(episode.source == "salesforce_sync" for episode in on.case.open_episodes)
    ticked_by_someone = any(change.new is not False and change.by.strip() for change in on.case.history)
    if not nameless and (ticked_by_someone or not synced):
        return None
    if explicit_in_writing(on) and confirmed_at(on):
        return None
    where = said("on Salesforce record {what}", what=joined(", ", nameless[:5])) if nameless else said("by the Salesforce sync")
    return said(
        "The opt-out came {place} and no field history names who ticked it; find out and document it, or ask the person for "
        "an explicit consent in writing with double opt-in.",
        place=where,
    )


@rule(STRENGTHEN, "GDPR Art. 5(1)(d) and Art. 5(2): a correction needs proof of the error")
def proof_of_error_required(on: Question) -> str | None:
    """For the reason `recorded_by_mistake`; satisfied by a consent record whose evidence proves the error."""
    if on.case.reason != "recorded_by_mistake" or on.consent.error_proven:
        return None
    return said(
        "The reason is an opt-out recorded by mistake, and nothing proves the mistake; add the proof, or choose another reason."
    )


STRENGTHENINGS: tuple[Rule, ...] = (
    spam_complaint,
    double_opt_in_required,
    recording_required,
    transfer_notice_required,
    date_without_time,
    old_consent,
    origin_unknown,
    proof_of_error_required,
)
