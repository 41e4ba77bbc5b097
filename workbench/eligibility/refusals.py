"""The rules that refuse: no stronger proof of the same consent helps, something else has to change first."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import timedelta

from workbench.consent import METHODS
from workbench.eligibility.case import REFUSE, Question, Rule, instant, readable, rule
from workbench.eligibility.opt_outs import OptOut, latest_opt_out
from workbench.org import OrgRow
from workbench.person import domain_of, normalize_address
from workbench.said import Said, joined, said, said_of

IN_FORCE = ("given", "renewed")
AFFIRMATIVE = ("explicitly_expressed", "expressed")
PLACE_MATTERS = ("web_form", "in_person")
CLOCKS_APART = timedelta(seconds=60)  # between two clocks that are both kept right, with a request between them
MOST_ROWS = 25  # one composite request: a person's rows are cleared together or not at all


@rule(REFUSE, "a resubscription closes an open unsubscribe; there is none", about_consent=False)
def not_unsubscribed(on: Question) -> str | None:
    """Somebody who is opted out nowhere needs no resubscription."""
    if on.case.open_episodes or on.case.opted_out_rows:
        return None
    return said("The person is unsubscribed neither here nor in Salesforce; leave the person out of the batch.")


@rule(REFUSE, "GDPR Art. 6(1)(a), Art. 7(1); 15 USC 7704(a)(4)(B)", about_consent=False)
def no_consent(on: Question) -> str | None:
    """There is a consent, and it is this person's."""
    consent = on.case.consent
    if consent is None:
        return said("No consent is on file; record the person's consent with its evidence first.")
    if consent.person_id != on.case.person.person_id:
        return said(
            "The consent {consent} was recorded for another person; choose or record this person's own consent.",
            consent=consent.consent_id,
        )
    return None


@rule(REFUSE, "15 USC 7704(a)(4)(B): affirmative consent subsequent to the request; GDPR Art. 21(3)")
def consent_before_opt_out(on: Question) -> str | None:
    """The consent is strictly later, by the second, than every opt-out on either side: an opt-out wins."""
    given, opt_out = on.consent.counts_from, latest_opt_out(on.case)
    if given is None or opt_out is None or given > opt_out.at:
        return None  # a consent that does not say when is refused by how_when_what_missing
    if on.consent.given_at_precision == "second":
        return said("The consent was given on {given}, and {what}", given=readable(given), what=told(opt_out))
    return said(
        "The consent was given on {given} at the earliest, as it names a day only, and {what}",
        given=readable(given),
        what=told(opt_out),
    )


def told(opt_out: OptOut) -> Said:
    """The second half of the sentence: which opt-out, when, and what to do."""
    if not opt_out.exact:
        return said(
            "Salesforce record {record} is opted out without a history of when: the exact time is unknown, at the "
            "latest {latest}; find out when it was opted out, or ask for a consent given after that.",
            record=opt_out.record_id,
            latest=readable(opt_out.at),
        )
    if opt_out.in_salesforce:
        return said(
            "the opt-out on Salesforce record {record} of {moment} is not earlier; only a consent given after it counts.",
            record=opt_out.record_id,
            moment=readable(opt_out.at),
        )
    return said(
        "the opt-out in the register ({record}) of {moment} is not earlier; only a consent given after it counts.",
        record=opt_out.record_id,
        moment=readable(opt_out.at),
    )


@rule(REFUSE, "a consent can't be from the future; ISO/IEC TS 27560 (given and recorded are distinct times)")
def consent_in_future(on: Question) -> str | None:
    """Neither the consent nor its confirmation is later than now by either clock, and the consent not later than its record."""
    given, confirmed = on.consent.counts_from, on.consent.double_opt_in_at
    if given is not None and given > on.now:
        return said(
            "The consent is dated {given}, which has not come yet; correct the date or its time zone.", given=readable(given)
        )
    if confirmed is not None and instant(confirmed) > on.now:
        return said(
            "The double opt-in is dated {confirmed}, which has not come yet; correct the date or its time zone.",
            confirmed=readable(confirmed),
        )
    if given is not None and on.case.org_time is not None and given > on.case.org_time + CLOCKS_APART:
        return said(
            "The consent is dated {given}, and by Salesforce's clock it is {now}: this computer's "
            "clock is ahead, so nobody can tell whether it was given before an opt-out; set the clock and correct the date.",
            given=readable(given),
            now=readable(on.case.org_time),
        )
    if given is not None and given > instant(on.consent.recorded_at):
        return said(
            "The consent is dated {given}, later than its own record of {recorded}; correct the date or its time zone.",
            given=readable(given),
            recorded=readable(on.consent.recorded_at),
        )
    return None


@rule(REFUSE, "EDPB Guidelines 05/2020, para 108; Kantara Consent Receipt (the exact address consented for)")
def address_differs(on: Question) -> str | None:
    """The consent, the person and every live linked record name the same address."""
    agreed = normalize_address(on.consent.email)
    if not agreed or agreed != normalize_address(on.case.person.email):
        return said("The consent is for another e-mail address than the person's; ask for a consent for the address in use.")
    others = [row.record_id for row in on.case.rows if not gone(row) and normalize_address(row.email) != agreed]
    if others:
        return said(
            "{records} in Salesforce: another e-mail address than the consent's; correct the address or the link.",
            records=records(others),
        )
    return None


def gone(row: OrgRow) -> bool:
    """Whether a row was deleted or merged away: nothing is mailed through it and nothing written to it."""
    return row.is_deleted or row.merged_into is not None


@rule(REFUSE, "GDPR Art. 6(1)(a) and Art. 5(1)(b): consent is for a specific purpose; Sales Connect, compliance card")
def purpose_differs(on: Question) -> str | None:
    """The consent is for e-mail, and for a purpose that the policy names."""
    if on.consent.channel != "email":
        return said("The consent is for another channel than e-mail; ask for a consent to be e-mailed.")
    if folded(on.consent.purpose) not in {folded(purpose) for purpose in on.policy.purposes}:
        return said(
            "The consent is for another purpose than the policy's ({purposes}); ask for one that fits.",
            purposes=", ".join(on.policy.purposes),
        )
    return None


@rule(REFUSE, "GDPR Art. 4(7), Art. 7(1); ISO/IEC TS 27560 (controller)")
def controller_differs(on: Question) -> str | None:
    """The consent was given for the controller that the policy names."""
    if not folded(on.policy.controller):
        return said("The policy names no controller, so no consent can be for it; fill in `controller` in the policy file.")
    if folded(on.consent.controller) != folded(on.policy.controller):
        return said("The consent names another controller than the policy; ask for a consent given to this organisation.")
    return None


def folded(text: str) -> str:
    """A name for comparison: case, width and spacing don't make another controller or purpose."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@rule(REFUSE, "GDPR Art. 7(3); W3C DPV consent states")
def consent_withdrawn(on: Question) -> str | None:
    """The consent stands: not withdrawn, refused, invalidated, or in a state that nobody knows."""
    if on.consent.withdrawn(on.now):
        return said("The consent was withdrawn, refused or invalidated; only a new consent of the person can be used.")
    given, taken_back = on.consent.counts_from, on.case.withdrawn_at
    if taken_back is not None and (given is None or instant(taken_back) >= given):
        return said(
            "The person took a consent back at {moment}, later than this one was given; a newer one is needed.",
            moment=readable(taken_back),
        )
    if on.consent.state not in (*IN_FORCE, "expired"):
        return said("The state of the consent is not one that is known to be in force; correct the record.")
    return None


@rule(REFUSE, "ISO/IEC TS 27560 (validity); EDPB Guidelines 05/2020, para 110")
def consent_expired(on: Question) -> str | None:
    """The consent's own validity has not ended."""
    if not on.consent.expired(on.now):
        return None
    if on.consent.valid_until is None:
        return said("The consent has expired; ask the person to renew it.")
    return said("The consent has expired on {until}; ask the person to renew it.", until=readable(on.consent.valid_until))


@rule(REFUSE, "GDPR Art. 4(11); CJEU C-673/17 Planet49 (pre-ticked box); 15 USC 7702(1); CASL s. 10(1)")
def not_affirmative(on: Question) -> str | None:
    """The person did something to agree."""
    if on.consent.pre_ticked:
        return said("The box was ticked beforehand, which is no consent; ask for one that the person gives actively.")
    if on.consent.consent_type not in AFFIRMATIVE:
        return said("The consent is implied, not expressed by the person; ask for one that the person gives actively.")
    return None


@rule(REFUSE, "GDPR Art. 21(3): an objection to direct marketing is absolute; Sales Connect, compliance card")
def basis_not_consent(on: Question) -> str | None:
    """Only consent reverses an opt-out, no other legal basis does."""
    if on.consent.authorization_type == "consent":
        return None
    return said(
        "The authorisation is of another type than consent, and only consent can reverse an opt-out; ask the person for it."
    )


@rule(REFUSE, "EDPB Guidelines 05/2020, para 108: how, when, and what the person was shown")
def how_when_what_missing(on: Question) -> str | None:
    """The record says how and where, when, and on what notice the person agreed."""
    consent = on.consent
    place_missing = consent.method in PLACE_MATTERS and not consent.collection_point.strip()
    missing = {
        said("how it was given (method)"): consent.method not in METHODS,
        said("where it was given (collection point)"): place_missing,
        said("when it was given"): consent.given_at is None,
        said("the time zone of when it was given"): consent.given_at is not None and consent.counts_from is None,
        said("what the person was shown (notice text or version)"): not (
            consent.notice_text.strip() or consent.notice_version.strip()
        ),
    }
    named = [part for part, absent in missing.items() if absent]
    if not named:
        return None
    return said("The consent does not say {what}; complete the record from its evidence.", what=joined(", nor ", named))


@rule(REFUSE, "GDPR Art. 7(1); CRTC Enforcement Advisory of 27 July 2016 on records of consent")
def no_evidence(on: Question) -> str | None:
    """At least one file proves the consent."""
    if on.consent.evidence:
        return None
    return said("No evidence file belongs to the consent; add the form, e-mail or recording that proves it.")


@rule(REFUSE, "GDPR Art. 5(1)(f) and Art. 7(1): evidence that was changed proves nothing")
def evidence_altered(on: Question) -> str | None:
    """Every evidence file still has its digest."""
    altered = [check.sha256[:12] for check in on.case.evidence if check.state == "altered"]
    if not altered:
        return None
    return said(
        "Evidence {digests} is no longer the file that was recorded; restore it from a backup and find out why.",
        digests=", ".join(altered),
    )


@rule(REFUSE, "GDPR Art. 7(1): the controller must be able to demonstrate consent")
def evidence_missing(on: Question) -> str | None:
    """Every evidence file of the consent was found; one that nobody looked for counts as missing."""
    found = {check.sha256 for check in on.case.evidence if check.state in ("intact", "altered")}
    lost = {check.sha256 for check in on.case.evidence} - found
    lost |= {file.sha256 for file in on.consent.evidence if not file.sha256 or file.sha256 not in found}
    if not lost:
        return None
    missing = joined(", ", [sha256[:12] or said("not stored yet") for sha256 in sorted(lost)])
    return said(
        "Evidence {what} was not found in the evidence folder; restore it from a backup or record it again.", what=missing
    )


@rule(REFUSE, "ICO, Flybe Limited, monetary penalty of 20 March 2017; CASL s. 1(3): a request for consent is itself a message")
def won_by_mailing_opted_out_people(on: Question) -> str | None:
    """The consent was not won by writing to people who had said no."""
    if not on.consent.solicited_by_email:
        return None
    return said("The consent was asked for by e-mail after the person had opted out; only a consent given unasked can be used.")


@rule(REFUSE, "Sales Connect unsubscribes what bounces; a dead address may have passed to somebody else", about_consent=False)
def bounced_address(on: Question) -> str | None:
    """The address does not bounce, on either side."""
    bounced = [row.record_id for row in on.case.rows if row.bounced_at is not None]
    if bounced:
        return said(
            "{records} in Salesforce: marked as bounced; have the address confirmed and the bounce cleared first.",
            records=records(bounced),
        )
    if any(episode.source == "bounce" for episode in on.case.open_episodes):
        return said("The person was unsubscribed because mail bounced; have the address confirmed or replaced first.")
    return None


@rule(REFUSE, "the policy's blocked_domains", about_consent=False)
def blocked_domain(on: Question) -> str | None:
    """The address is not at a domain that is never mailed."""
    if not on.policy.blocks(domain_of(normalize_address(on.case.person.email))):
        return None
    return said("The person's e-mail domain is blocked by the policy; leave the person out of the batch.")


@rule(REFUSE, "Salesforce: deleted, merged and converted records and protected fields can't be updated", about_consent=False)
def record_not_writable(on: Question) -> str | None:
    """Every opted-out record can be cleared, and every record opted out again if the run has to turn back."""
    return missing_record(on) or stuck_record(on) or protected_field(on) or too_many_records(on)


def missing_record(on: Question) -> str | None:
    """A linked record that the org no longer knows."""
    if not on.case.missing_records:
        return None
    return said(
        "{records} in Salesforce: no longer known there; correct the link first.",
        records=records(sorted(on.case.missing_records)),
    )


def stuck_record(on: Question) -> str | None:
    """A record that is opted out and can't be changed."""
    stored = (
        on.case.person.salesforce_ids
    )  # a dead record that only has the address needs no clearing; its opt-out counts all the same
    opted_out = (row for row in on.case.opted_out_rows if not row.is_deleted or set(row.ids) & set(stored))
    stuck = [said("{record} ({why})", record=row.record_id, why=why) for row in opted_out if (why := why_stuck(row))]
    if not stuck:
        return None
    return said(
        "{records} in Salesforce: opted out and can't be changed; have a Salesforce administrator settle it first.",
        records=records(stuck),
    )


def why_stuck(row: OrgRow) -> str:
    """Why a row can't be updated; "" if it can."""
    if row.merged_into is not None:
        return said("merged into {other}", other=row.merged_into)
    if row.is_deleted:
        return said("deleted")
    return said("converted") if row.is_converted or row.converted_contact_id else ""


def protected_field(on: Question) -> str | None:
    """An opt-out field of one of the person's kinds of record that our user may not edit."""
    objects = {row.written_object for row in on.case.rows}
    protected = [name for name in on.case.unwritable if "." not in name or name.partition(".")[0] in objects]
    if not protected or not objects:
        return None
    return said(
        "The Salesforce user may not edit {fields}; have an administrator give access to it first.", fields=", ".join(protected)
    )


def too_many_records(on: Question) -> str | None:
    """More records than can be cleared together."""
    count = len(on.case.opted_out_rows)
    if count <= MOST_ROWS:
        return None
    return said(
        "{count} Salesforce records of this person are opted out, more than {most} at once; merge or unlink some first.",
        count=count,
        most=MOST_ROWS,
    )


@rule(REFUSE, "a consent is one human's; Sales Connect: of duplicates the least permissive wins", about_consent=False)
def ambiguous_person(on: Question) -> str | None:
    """Nobody else in the register has the address."""
    others = on.case.other_people_with_address
    if others < 1:
        return None
    return said_of(
        "{number} other person has the same address; merge them or correct it first.",
        "{number} other people have the same address; merge them or correct it first.",
        others,
    )


@rule(REFUSE, "one plan decides on a person at a time", about_consent=False)
def in_another_open_batch(on: Question) -> str | None:
    """No other open batch holds the person."""
    if not on.case.open_batch:
        return None
    return said("The person is in open batch {batch}; finish or cancel that one first.", batch=on.case.open_batch)


@rule(REFUSE, "the policy's reasons; EDPB Guidelines 05/2020, para 108", about_consent=False)
def reason_missing(on: Question) -> str | None:
    """The batch gives one of the configured reasons."""
    if on.case.reason in on.policy.reasons:
        return None
    return said(
        "The reason is missing or not one of the policy's; choose one of {reasons}.", reasons=", ".join(on.policy.reasons)
    )


def records(ids: Sequence[str]) -> Said:
    """Some record ids as the start of a sentence."""
    shown = joined(", ", ids[:5])
    if len(ids) > 5:
        return said("Records {what} and {more} more", what=shown, more=len(ids) - 5)
    return said("Record {what}", what=shown) if len(ids) == 1 else said("Records {what}", what=shown)


REFUSALS: tuple[Rule, ...] = (
    not_unsubscribed,
    no_consent,
    consent_before_opt_out,
    consent_in_future,
    address_differs,
    purpose_differs,
    controller_differs,
    consent_withdrawn,
    consent_expired,
    not_affirmative,
    basis_not_consent,
    how_when_what_missing,
    no_evidence,
    evidence_altered,
    evidence_missing,
    won_by_mailing_opted_out_people,
    bounced_address,
    blocked_domain,
    record_not_writable,
    ambiguous_person,
    in_another_open_batch,
    reason_missing,
)
