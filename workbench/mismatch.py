"""How register and Salesforce can disagree, how long they have, and what tonight's sync will do about it.

Names the kinds, counts their age and says each forecast as a sentence. Finding them is set-based SQL and lives in
`store.mismatches`; acting on them is `nightly`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal

from workbench.said import Said, kept, said

KINDS: dict[str, str] = {
    "opted_out_only_in_salesforce": kept("The record is opted out, the person is not unsubscribed."),
    "unsubscribed_only_locally": kept("The person is unsubscribed, the record is not opted out."),
    "records_disagree": kept("Of several records of one person or address only some are opted out."),
    "fields_disagree": kept("The opt-out fields of one record differ."),
    "relapse": kept("Resubscribed by us, and opted out again."),
    "resubscribed_without_consent": kept("An opt-out was ended without a consent on file."),
    "never_syncs": kept("Unsubscribed, without a Salesforce id."),
    "link_broken": kept("The linked record was deleted, merged or converted."),
    "address_changed": kept("Person and linked record have different addresses."),
    "duplicate_address": kept("Several people share one address and are in different states."),
    "orphan_opt_out": kept("An opted-out record whose address is not in the register."),
    "origin_unknown": kept("Opted out, and no history says since when or by whom."),
    "erased_in_register": kept("Somebody was erased on request, and their record is still in Salesforce."),
}
"""Every kind of mismatch by its stable code, with what it means."""

NAMES = {
    "opted_out_only_in_salesforce": said("opted out only in Salesforce"),
    "unsubscribed_only_locally": said("unsubscribed only in the register"),
    "records_disagree": said("only some records opted out"),
    "fields_disagree": said("only some opt-out fields set"),
    "relapse": said("resubscribed, opted out again"),
    "resubscribed_without_consent": said("resubscribed without consent"),
    "never_syncs": said("unsubscribed, no Salesforce id"),
    "link_broken": said("linked record is gone"),
    "address_changed": said("addresses differ"),
    "duplicate_address": said("several people, one address"),
    "orphan_opt_out": said("opted out, not in the register"),
    "origin_unknown": said("opted out, origin unknown"),
    "erased_in_register": said("erased, still in Salesforce"),
}
"""What a screen or chart calls each kind, in a few plain words."""

ON_TRAIL = ("relapse", "resubscribed_without_consent")
"""Kinds whose coming and going are events of the trail: findings about what somebody did.

The others are a state of the two systems that the sync ends, and what the sync writes is on the trail; their table keeps when
each was seen and resolved.
"""

NO_LONGER_FOUND = "no longer found"

TONIGHT_PERSON = kept("Tonight the person is unsubscribed.")
TONIGHT_RECORD = kept("Tonight the record is opted out; until then Salesforce mails this address.")
TONIGHT_ALL_RECORDS = kept("Tonight this record is opted out like the others: least permissive wins.")
TONIGHT_ALL_FIELDS = kept("Tonight every configured opt-out field of the record is set.")
TONIGHT_DUPLICATE = kept("Tonight this person is unsubscribed as well: least permissive wins.")
STAYS_UNSUBSCRIBED = kept("This person stays unsubscribed; the others follow where a Salesforce record joins them.")
NOT_JOINED = kept("Nothing happens: no Salesforce record joins these people; unsubscribe the others by hand.")
NOBODY_TO_TELL = kept("Nothing happens: nobody in the register has this record's address.")
NOBODY_TELLS = kept("Nothing happens: nobody will tell Salesforce.")
FOUND_BY_ADDRESS = kept("Sales Connect will not tell Salesforce; tonight's sync finds the record by its address.")
FOLLOWS = kept("The sync follows the record that this one became.")
FOLLOWS_NOTHING = kept("Nothing happens: the record can't be written and no other took its place.")
FOLLOWS_BOTH = kept("The sync follows the link, not the address: if either side opts out, both are.")
FORMER_ADDRESS = kept("Nothing happens: the record has a former address of the person; opt it out or link it by hand.")
TONIGHT_FORMER_ADDRESS = kept("Tonight the record is opted out: it has a former address of a person who is unsubscribed.")
IMPORT_IT = kept("Nothing happens: the address is not in the register; import it to keep its opt-out.")
NO_FORECAST = ""
TONIGHT_ERASED = kept("Tonight the record is opted out, nobody may be mailed through it; erase it in Salesforce.")
ERASE_THERE = kept("Nothing happens: it is opted out; erase it in Salesforce.")
RELAPSE_SYNC = kept("Caused by a sync, without a new request: see who wrote it before proposing the person again.")
RELAPSE_REQUEST = kept("A new opt-out: it is respected, and only a consent later than it counts.")
FINDING = kept("Compliance finding: record the consent that justified it, or unsubscribe the person.")

DETAILS = (
    kept("{record} is opted out; the person is not unsubscribed in the register."),
    kept("{record} was opted out when it was merged into {other}; the person is not unsubscribed in the register."),
    kept("{record} was opted out when it was deleted; the person is not unsubscribed in the register."),
    kept("{record} was opted out when it was converted; the person is not unsubscribed in the register."),
    kept("The person is unsubscribed ({source}); {record} is not opted out."),
    kept("{record} is not opted out, another record of the person is: {other}."),
    kept("{record} is not opted out, another record with its address is: {other}."),
    kept("Only some of the opt-out fields of {record} are set."),
    kept("{number} people share this address, {out} of them unsubscribed."),
    kept("{record} is opted out; nobody in the register has its address."),
    kept("Resubscribed by us, then opted out again, in the register ({source}): a new opt-out."),
    kept("Resubscribed by us, then opted out again, in the register ({source}): by a sync, without a new request."),
    kept("Resubscribed by us, then opted out again, in Salesforce ({record} by {user}): a new opt-out."),
    kept("Resubscribed by us, then opted out again, in Salesforce ({record} by {user}): by a sync, without a new request."),
    kept(
        "Resubscribed by us, then opted out again, in the register ({source}), in Salesforce ({record} by {user}): a new opt-out."
    ),
    kept(
        "Resubscribed by us, then opted out again, in the register ({source}), in Salesforce ({record} by {user}): by a sync, "
        "without a new request."
    ),
    kept("Closed in the register without a consent on file; unsubscribes: {number}, the first was {unsubscribe}."),
    kept("The opt-out of {record} was cleared by {user}, not by a resubscription of ours."),
    kept("The person is unsubscribed and has no Salesforce id; {record} has the same address."),
    kept("The person is unsubscribed and has no Salesforce id; no record has the address."),
    kept("{record} was merged into {other}."),
    kept("{record} is deleted."),
    kept("{record} was converted to contact {other}."),
    kept("{record} was converted."),
    kept("Salesforce does not know the record {record}."),
    kept("The person and {record} have different addresses: the person is {state}, the record is {how}."),
    kept("{record} has a former address of the person: the person is {state}, the record is {how}."),
    kept("{record} is opted out, and its history does not say since when or by whom."),
    kept("{record} is that of somebody who was erased here on request, and is still in Salesforce."),
)
"""What `store.mismatches` writes of each, as it puts the words together."""

Action = Literal["unsubscribe_person", "opt_out_record"]
UNSUBSCRIBE_PERSON: Action = "unsubscribe_person"
OPT_OUT_RECORD: Action = "opt_out_record"

SYNC = "sync"
NEW_REQUEST = "new_request"


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One way in which the two systems disagree about one person, one record, or both.

    ``person_id`` is "" where the register has nobody, ``record_id`` "" where no single record is meant. ``since`` is when it
    began as far as the systems tell. ``detail`` and ``forecast`` are sentences with ids, never addresses.
    """

    mismatch_id: str
    kind: str
    person_id: str
    record_id: str
    detail: str
    forecast: str
    since: datetime | None
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    resolved_by: str = ""
    email: str = field(default="", repr=False, compare=False)

    def age_business_days(self, now: datetime) -> int:
        """Business days it stood open: from when it began, or was first seen, to when it was resolved, or now."""
        return business_days(self.since or self.first_seen, self.resolved_at or now)


@dataclass(frozen=True, kw_only=True)
class KindCount:
    """The open mismatches of one kind: how many, the oldest one's age in business days, how many are older than allowed."""

    kind: str
    open: int
    oldest_business_days: int
    over_limit: int


@dataclass(frozen=True, kw_only=True)
class KindAges:
    """The open mismatches of one kind by how old they are: a number for each class of `age_classes`."""

    kind: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One opt-out that tonight's sync will write, and why.

    For ``unsubscribe_person`` the person is the one to be unsubscribed and the record the one that says so; for
    ``opt_out_record`` the record is the one to be opted out and the person the one it follows ("" where they were erased).
    ``direct`` is false when the cause is itself only written tonight.
    """

    action: Action
    person_id: str
    record_id: str
    why: str
    direct: bool = True


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A record that the sync would have to opt out and can't, and why."""

    person_id: str
    record_id: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Relapse:
    """A person whom we resubscribed and who is opted out again; ``cause`` is ``sync`` or ``new_request``."""

    person_id: str
    cause: str
    detail: str


def business_days(start: datetime, end: datetime) -> int:
    """Days from Monday to Friday after the day of ``start`` up to the day of ``end`` (UTC); public holidays count.

    The day an opt-out arrives is not counted. Holidays are: the result is never smaller than any country's own count.
    Source: 16 CFR 316.4, CASL s. 11(3): ten business days after receipt.
    """
    return max(0, _weekdays_until(_day(end)) - _weekdays_until(_day(start)))


def late_before(now: datetime, limit: int) -> datetime:
    """The moment that divides: what began before it has stood open for more than ``limit`` business days at ``now``."""
    day = _day(now)
    passed = _weekdays_until(day)
    while passed - _weekdays_until(day - timedelta(days=1)) <= limit:
        day -= timedelta(days=1)
    return datetime.combine(day, time(), UTC)


def age_classes(limit: int) -> tuple[int, ...]:
    """Where classes of age begin, in business days, for a limit of so many: the last two days of it are one of them, and none lies across it."""
    return tuple(sorted({0, limit // 2 + 1, max(limit - 1, 0), limit + 1, 2 * limit + 1, 6 * limit + 1}))


def age_names(limit: int) -> tuple[Said, ...]:
    """What each of the `age_classes` is called, in business days, such as 0–5 and over 60."""
    begins = age_classes(limit)
    return (*(_from_to(a, b - 1) for a, b in pairwise(begins)), said("over {days}", days=begins[-1] - 1))


def _from_to(first: int, last: int) -> Said:
    return Said.of(
        "{first}" if first == last else "{first}–{last}", {"first": first, "last": last}
    )  # no words: nothing to translate


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _weekdays_until(day: date) -> int:
    weeks, days = divmod(day.toordinal(), 7)  # day 1 of the calendar is a Monday
    return weeks * 5 + min(days, 5)
