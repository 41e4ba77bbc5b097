"""Invented people from many countries, the same ones for the same seed, as records to load.

Addresses are below example.com, example.org and example.net only. Dates lie in the two years before ``until``.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from .clock import stamp
from .ids import numbered_id
from .names import CITIES, GROUPS, TITLES, TRADES, USERS, Group

_DOMAINS = ("example.com", "example.org", "example.net")
_WEIGHTS = list(accumulate(g.weight for g in GROUPS))
_SPAN = timedelta(days=725)
_BOUNCES = ("550 5.1.1 The email account that you tried to reach does not exist", "552 5.2.2 Mailbox full")

Record = dict[str, Any]


def generate_people(n: int, seed: int, until: datetime) -> Iterator[Record]:
    """``n`` Leads and Contacts, about 55 to 45, as plain dictionaries that the loader takes.

    A Contact's "Company" names its account. Opted-out people mostly have the history of who opted them out; some are
    opted out without any, some are bounced, converted (followed by their contact), deleted, or share an address.
    """
    yield from _Crowd(random.Random(seed), until).people(n)  # noqa: S311 - invented people, not secrets


class _Crowd:
    def __init__(self, dice: random.Random, until: datetime) -> None:
        self.dice = dice
        self.until = until.replace(microsecond=0)
        self.leads = 0
        self.contacts = 0
        self.earlier: list[Record] = []

    def people(self, n: int) -> Iterator[Record]:
        made = 0
        while made < n:
            person = self.person(made)
            yield person
            made += 1
            if person.get("IsConverted") and made < n:
                yield self.successor(person)
                made += 1
            elif person.get("IsConverted"):
                # The contact would be one too many: the last lead stays a lead.
                for name in ("IsConverted", "ConvertedDate", "ConvertedContactId"):
                    del person[name]

    def person(self, number: int) -> Record:
        dice = self.dice
        record = self.twin() if self.earlier and dice.random() < 0.02 else self.newcomer(number)
        is_lead = dice.random() < 0.55
        record = {"object": "Lead" if is_lead else "Contact", "id": self.next_id(is_lead), **record}
        created = self.until - timedelta(days=3) - dice.random() * _SPAN
        record["CreatedDate"] = stamp(created)
        record["CreatedById"] = dice.choice(USERS)
        self.opt_out(record, created)
        self.fate(record, created, is_lead=is_lead)
        self.remember(record)
        return record

    def next_id(self, is_lead: bool) -> str:
        if is_lead:
            self.leads += 1
            return numbered_id("00Q", self.leads)
        self.contacts += 1
        return numbered_id("003", self.contacts)

    def newcomer(self, number: int) -> Record:
        dice = self.dice
        group = dice.choices(GROUPS, cum_weights=_WEIGHTS)[0]
        first, first_ascii = dice.choice(group.first)
        last, last_ascii = dice.choice(group.last)
        city, trade = dice.choice(CITIES), dice.choice(TRADES)
        return {
            "FirstName": first,
            "LastName": last,
            "Company": f"{city} {trade}",
            "Title": dice.choice(TITLES),
            "Email": _address(group, first_ascii, last_ascii, number, f"{city}-{trade}.{dice.choice(_DOMAINS)}"),
        }

    def twin(self) -> Record:
        """Another record of somebody who is there already: the same address, perhaps in capitals."""
        other = self.dice.choice(self.earlier)
        email = other["Email"].title() if self.dice.random() < 0.3 else other["Email"]
        return {**{k: other[k] for k in ("FirstName", "LastName", "Company", "Title")}, "Email": email}

    def remember(self, record: Record) -> None:
        if len(self.earlier) < 1000:
            self.earlier.append(record)
        else:
            self.earlier[self.dice.randrange(1000)] = record

    def opt_out(self, record: Record, created: datetime) -> None:
        """A fifth are opted out; of those most have a history, a few a longer one, a few only one of the two fields."""
        dice = self.dice
        if dice.random() > 0.2:
            return
        record["HasOptedOutOfEmail"] = True
        record["Sales_Opt_Out__c"] = dice.random() > 0.1
        at = self.between(created, self.until - timedelta(days=1))
        if dice.random() < 0.15:
            record["LastModifiedDate"], record["LastModifiedById"] = stamp(at), dice.choice(USERS)
            return
        by = dice.choice(USERS)
        fields = ["HasOptedOutOfEmail", *(["Sales_Opt_Out__c"] if record["Sales_Opt_Out__c"] else [])]
        history = [_change(f, False, True, at, by) for f in fields]
        if dice.random() < 0.1:
            back = self.between(created, at)
            earlier = self.between(created, back)
            before = [_change(fields[0], False, True, earlier, dice.choice(USERS)), _change(fields[0], True, False, back, by)]
            history = before + history
        record["history"] = history

    def fate(self, record: Record, created: datetime, *, is_lead: bool) -> None:
        """Few bounce, few leads are converted, few are deleted."""
        chance = self.dice.random()
        later = self.between(created, self.until - timedelta(days=1))
        if chance < 0.03:
            record["EmailBouncedDate"] = stamp(later)
            record["EmailBouncedReason"] = self.dice.choice(_BOUNCES)
        elif chance < 0.05 and is_lead:
            record |= {"IsConverted": True, "ConvertedDate": later.date().isoformat()}
            self.contacts += 1
            record["ConvertedContactId"] = numbered_id("003", self.contacts)
        elif chance > 0.99:
            record["IsDeleted"] = True

    def successor(self, lead: Record) -> Record:
        """The contact that a converted lead became."""
        kept = ("FirstName", "LastName", "Company", "Title", "Email", "HasOptedOutOfEmail", "Sales_Opt_Out__c")
        carried = {k: lead[k] for k in kept if k in lead}
        created = f"{lead['ConvertedDate']}T00:00:00.000+0000"
        created = max(created, lead["CreatedDate"])
        return {
            "object": "Contact",
            "id": lead["ConvertedContactId"],
            **carried,
            "CreatedDate": created,
            "CreatedById": lead["CreatedById"],
        }

    def between(self, start: datetime, end: datetime) -> datetime:
        return start + self.dice.random() * (end - start)


def _address(group: Group, first: str, last: str, number: int, place: str) -> str:
    """A unique address; where a group writes its addresses without a dot between the names, so does this."""
    local = f"{last}{first}" if group.last_first else f"{first}.{last}"
    return f"{local}{number}@{place}".lower()


def _change(field: str, old: bool, new: bool, at: datetime, by: str) -> Record:
    return {"field": field, "old": old, "new": new, "at": stamp(at), "by": by}
