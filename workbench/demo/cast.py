"""Invented people for both systems: who is in the register, who in Salesforce, and where the two disagree.

Everything follows from a seed and a moment. The register's side is written in Sales Connect's export columns, with what real
exports have: people twice, missing ids, addresses that are odd but valid, and rows that can't be used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from workbench.scratch_org import generate_people

PEOPLE_ROWS = 2_000
ORG_RECORDS = 2_600
FIELDS = ("HasOptedOutOfEmail", "Sales_Opt_Out__c")
LEADS_OF_NINE = 5
USERS = ("Marketing Automation", "Olga Admin", "Ingrid Dahl", "Preference Centre")
PEOPLE_COLUMNS = (
    "Person ID", "Salesforce ID", "First Name", "Last Name", "Company", "Title", "Email ID", "Phone Number", "Website",
    "Updated At", "Created At", "Unsubscribed", "Unsubscribed At", "Unsubscribe Source",
)  # fmt: skip
ODD_LOCAL_PARTS = (
    "o'neill",
    "first+tag",
    "a",
    "x_y-z",
    "under_score.and.dots",
    "1234567890",
    "user!name",
    "very.long." + "x" * 40,
)
BAD_ADDRESSES = (
    "no-at-sign.example.com",
    "two@@example.com",
    "spaces in@example.com",
    "@example.org",
    "trailing@",
    "dot@.example",
    "a@b..example",
)


@dataclass
class Member:
    """One invented human: the register's row and the org's records that belong together."""

    number: int
    first: str
    last: str
    company: str
    title: str
    email: str
    row: dict[str, str] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    opted_out_at: datetime | None = None

    @property
    def person_id(self) -> str:
        """Sales Connect's id."""
        return f"SC-{self.number:06d}"


class Cast:
    """Makes members one after the other, and keeps what they leave in the export and in the org."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.now = now.replace(microsecond=0)
        self.random = random.Random(seed)  # noqa: S311 - invented people, not secrets
        self.names: Iterator[dict[str, Any]] = generate_people(8_000, seed, now)
        self.rows: list[dict[str, str]] = []
        self.records: list[dict[str, Any]] = []
        self.made = 0
        self.lately = False

    def member(self, **values: str) -> Member:
        """Somebody new; nothing of them stands anywhere yet."""
        like = next(p for p in self.names if p.get("Email") and not p.get("IsDeleted"))
        self.made += 1
        local, _, domain = like["Email"].partition("@")
        odd = ODD_LOCAL_PARTS[self.made // 40 % len(ODD_LOCAL_PARTS)] if self.made % 40 == 0 else ""
        email = f"{odd}{self.made}@{domain}" if odd else f"{local}.{self.made}@{domain}"
        given = {
            "email": email,
            "first": like.get("FirstName", ""),
            "last": like["LastName"],
            "company": like.get("Company", ""),
            "title": like.get("Title", ""),
        }
        return Member(number=self.made, **(given | values))

    def in_register(self, member: Member, *, source: str = "", salesforce_id: str | None = None) -> Member:
        """A row in Sales Connect's export; with a source, unsubscribed at ``member.opted_out_at``."""
        stored = member.records[0]["id"] if member.records and salesforce_id is None else salesforce_id or ""
        created = self.now - timedelta(days=self.random.randint(500, 900))
        updated = member.opted_out_at or created + timedelta(days=self.random.randint(1, 90))
        member.row = {
            "Person ID": member.person_id,
            "Salesforce ID": stored,
            "First Name": member.first,
            "Last Name": member.last,
            "Company": member.company,
            "Title": member.title,
            "Email ID": member.email,
            "Phone Number": f"+49 30 555 {member.number:04d}",
            "Website": f"https://www.{member.email.partition('@')[2]}",
            "Updated At": updated.isoformat(),
            "Created At": created.isoformat(),
            "Unsubscribed": "Yes" if source else "No",
            "Unsubscribed At": member.opted_out_at.isoformat() if source and member.opted_out_at else "",
            "Unsubscribe Source": source.replace("_", " ").title() if source else "",
        }
        self.rows.append(member.row)
        return member

    def opt_out(self, member: Member) -> datetime:
        """When this member opted out: the same day on both sides."""
        if member.opted_out_at is None:
            days = self.random.randint(1, 13) if self.lately else self.random.randint(60, 400)
            member.opted_out_at = self.now - timedelta(days=days, seconds=self.random.randint(3_600, 80_000))
        return member.opted_out_at

    def mostly_lately(self, i: int) -> None:
        """Two of three opt-outs from here on happened in the last two weeks: what the nightly sync has not levelled yet."""
        self.lately = i % 3 > 0

    def in_org(self, member: Member, *, opted_out: bool, times: int = 1, history: bool = True, **values: Any) -> Member:
        """Records of a member in the org; opted out by one of its users, a little after the register knew."""
        for _ in range(times):
            kind = "Lead" if len(self.records) % 9 < LEADS_OF_NINE else "Contact"
            created = self.now - timedelta(days=self.random.randint(500, 900))
            record: dict[str, Any] = {
                "object": kind,
                "id": _record_id(kind, len(self.records) + 1),
                "FirstName": member.first,
                "LastName": member.last,
                "Company": member.company,
                "Title": member.title,
                "Email": member.email,
                "CreatedDate": created.isoformat(),
                "LastModifiedDate": created.isoformat(),
                "SystemModstamp": created.isoformat(),
                "LastModifiedById": "Ingrid Dahl",
            }
            if opted_out:
                self._opted_out(record, self.opt_out(member) + timedelta(minutes=self.random.randint(1, 300)), history=history)
            record |= values
            member.records.append(record)
            self.records.append(record)
        return member

    def _opted_out(self, record: dict[str, Any], at: datetime, *, history: bool) -> None:
        by = self.random.choice(USERS)
        stamps = dict.fromkeys(("LastModifiedDate", "SystemModstamp"), at.isoformat())
        record |= dict.fromkeys(FIELDS, True) | stamps | {"LastModifiedById": by}
        if history:
            record["history"] = [{"field": f, "old": False, "new": True, "at": at.isoformat(), "by": by} for f in FIELDS]

    # Groups of members; each says which disagreement, if any, it stands for.

    def in_agreement(self, count: int, *, unsubscribed: bool) -> None:
        """Both sides say the same; a sixth have no Salesforce id in the export and are found by their address."""
        sources = ("clicked_link", "manual", "clicked_link", "bounce", "clicked_link", "spam_complaint")
        for i in range(count):
            member = self.in_org(self.member(), opted_out=unsubscribed, times=2 if i % 7 == 0 else 1)
            self.in_register(member, source=sources[i % 6] if unsubscribed else "", salesforce_id="" if i % 6 == 0 else None)

    def opted_out_only_in_salesforce(self, count: int) -> None:
        """A user ticked the box; nobody told the register."""
        for i in range(count):
            self.mostly_lately(i)
            self.in_register(self.in_org(self.member(), opted_out=True)).opted_out_at = None
        self.lately = False

    def unsubscribed_only_locally(self, count: int) -> None:
        """The link was clicked; Salesforce still mails."""
        for i in range(count):
            self.mostly_lately(i)
            member = self.in_org(self.member(), opted_out=False)
            self.opt_out(member)
            self.in_register(member, source="clicked_link")
        self.lately = False

    def records_disagree(self, count: int) -> None:
        """Two records of one person, one opted out."""
        for i in range(count):
            self.mostly_lately(i)
            member = self.in_org(self.in_org(self.member(), opted_out=True), opted_out=False)
            self.in_register(member, source="manual")
        self.lately = False

    def never_syncs(self, count: int) -> None:
        """Unsubscribed, and Salesforce has nobody of this address."""
        for _ in range(count):
            member = self.member()
            self.opt_out(member)
            self.in_register(member, source="clicked_link")

    def link_broken(self, count: int) -> None:
        """The stored id leads to a deleted record or a converted lead."""
        for i in range(count):
            member = self.member()
            self.opt_out(member)
            is_lead = len(self.records) % 9 < LEADS_OF_NINE
            self.in_org(member, opted_out=True, **({"IsConverted": True} if i % 2 and is_lead else {"IsDeleted": True}))
            self.in_register(member, source="manual")

    def address_changed(self, count: int) -> None:
        """Linked by id, but the two systems have different addresses."""
        for i in range(count):
            member = self.in_org(self.member(), opted_out=False, Email=f"new.address.{i}@example.net")
            self.opt_out(member)
            self.in_register(member, source="clicked_link")

    def duplicate_addresses(self, count: int) -> None:
        """Two people of one address, one of them unsubscribed."""
        for _ in range(count):
            first = self.in_org(self.member(), opted_out=False)
            self.in_register(first)
            second = self.member(email=first.email)
            self.opt_out(second)
            self.in_register(second, source="clicked_link")

    def orphan_opt_outs(self, count: int) -> None:
        """Opted out in Salesforce, unknown to the register."""
        for i in range(count):
            self.mostly_lately(i)
            self.in_org(self.member(), opted_out=True)
        self.lately = False

    def fields_disagree(self, count: int) -> None:
        """Only one of the two opt-out fields is set."""
        for _ in range(count):
            member = self.in_org(self.member(), opted_out=True, Sales_Opt_Out__c=False)
            member.records[0]["history"] = member.records[0]["history"][:1]
            self.in_register(member, source="manual")

    def origin_unknown(self, count: int) -> None:
        """Opted out without any history of who did it."""
        for _ in range(count):
            member = self.in_org(self.member(), opted_out=True, history=False)
            self.in_register(member, source="salesforce_sync")

    def cleared_by_somebody(self, count: int) -> None:
        """The opt-out was cleared in Salesforce by a user, without any consent on file."""
        for _ in range(count):
            member = self.in_org(self.member(), opted_out=True)
            at = self.now - timedelta(days=20)
            record = member.records[0] | dict.fromkeys(FIELDS, False)
            record |= dict.fromkeys(("LastModifiedDate", "SystemModstamp"), at.isoformat())
            record["history"] = [
                *record["history"],
                *({"field": f, "old": True, "new": False, "at": at.isoformat(), "by": "Ingrid Dahl"} for f in FIELDS),
            ]
            self.records[self.records.index(member.records[0])] = record
            member.records[0] = record
            member.opted_out_at = None
            self.in_register(member)

    def only_in_org(self, total: int) -> None:
        """People of Salesforce whom the register does not have, until the org has so many records."""
        while len(self.records) < total:
            self.in_org(self.member(), opted_out=False)

    def unusable_rows(self, count: int) -> None:
        """Rows that an import has to reject, each with its reason."""
        for i in range(count):
            member = self.member(email=BAD_ADDRESSES[i % len(BAD_ADDRESSES)])
            self.in_register(member, salesforce_id="not-an-id" if i % 8 == 7 else "")

    def rows_twice(self, count: int) -> None:
        """People whom the export holds twice, as exports do."""
        self.rows += [dict(row) for row in islice(self.rows, 100, 100 + count)]


def _record_id(kind: str, number: int) -> str:
    return f"{'00Q' if kind == 'Lead' else '003'}SCR{number:09d}"
