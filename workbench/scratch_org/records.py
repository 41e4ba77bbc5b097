"""Records: read, create, change and delete them, with stamps, field history and the ledger of opt-outs.

What is written here follows Salesforce: stamps are whole seconds; a write that changes nothing moves LastModifiedDate
and leaves no history; history is kept only while tracking is on. The ledger is ours, for tests: every change of an
opt-out field in the order of commits, whether tracked or not.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .clock import Clock, stamp
from .describe import OBJECTS, Field, ObjectType
from .ids import numbered_id
from .messages import OrgError
from .tables import Tables, decoded, encoded

_OPT_OUTS = frozenset({"HasOptedOutOfEmail", "Sales_Opt_Out__c", "PersonHasOptedOutOfEmail", "Sales_Opt_Out__pc"})
_TO_CONTACT = {
    "PersonHasOptedOutOfEmail": "HasOptedOutOfEmail",
    "Sales_Opt_Out__pc": "Sales_Opt_Out__c",
    "Resubscription__pc": "Resubscription__c",
    "PersonEmail": "Email",
    "FirstName": "FirstName",
    "LastName": "LastName",
}
_TO_ACCOUNT = {contact: account for account, contact in _TO_CONTACT.items()}


@dataclass(frozen=True)
class Author:
    """Who writes, and for which request of the log; ``at`` overrides the clock, ``system`` moves SystemModstamp only."""

    user: str
    request: int | None = None
    at: datetime | None = None
    system: bool = False


class Records:
    """All records of the org."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self.tables = tables
        self.db = tables.db
        self.clock = clock
        self.tracking = tables.setting("tracking") != "off"

    def row(self, kind: ObjectType, record_id: str) -> sqlite3.Row | None:
        """The stored row, deleted or not."""
        found: sqlite3.Row | None = self.db.execute(f'SELECT * FROM "{kind.name}" WHERE "Id" = ?', (record_id,)).fetchone()  # noqa: S608 - names come from OBJECTS
        return found

    def existing(self, kind: ObjectType, record_id: str) -> sqlite3.Row:
        """The stored row of a record that isn't deleted.

        Raises:
            OrgError: 404 NOT_FOUND or ENTITY_IS_DELETED.
        """
        row = self.row(kind, record_id)
        if row is None:
            raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")
        if "IsDeleted" in row.keys() and row["IsDeleted"]:  # noqa: SIM118 - a Row iterates over values
            raise OrgError(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return row

    def create(self, kind: ObjectType, values: dict[str, Any], author: Author) -> str:
        """Store a new record with already checked values and return its id."""
        at = stamp(author.at or self.clock.now())
        record_id = numbered_id(kind.prefix, self.tables.next_number(kind.prefix))
        row = {"Id": record_id, "OwnerId": author.user, **values}
        row |= {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
        row |= {"CreatedById": author.user, "LastModifiedById": author.user}
        row = {k: v for k, v in row.items() if kind.has(k)}
        self._insert(kind, row | _name(kind, row))
        self._note_history(kind, record_id, [("created", "Text", None, None)], author)
        if kind.name == "Account" and row.get("LastName"):
            self._give_person_contact(record_id, row, author)
        return record_id

    def change(self, kind: ObjectType, record_id: str, values: dict[str, Any], author: Author) -> dict[str, list[bool]]:
        """Write already checked values; returns the opt-out fields with [old, new] as far as they were named."""
        author = replace(author, at=author.at or self.clock.now())  # one moment for both halves of a person account
        opt_outs = self._change_one(kind, record_id, values, author)
        self._mirror(kind, record_id, values, author)
        return opt_outs

    def delete(self, kind: ObjectType, record_id: str, author: Author, *, master: str | None = None) -> None:
        """Put a record into the recycle bin; ``master`` names the winner of a merge."""
        at = stamp(author.at or self.clock.now())
        stamps = {"deleted_at": at, "SystemModstamp": at, "LastModifiedDate": at, "LastModifiedById": author.user}
        merged = {"MasterRecordId": master} if kind.has("MasterRecordId") else {}
        self._update(kind, record_id, {"IsDeleted": 1, **merged, **stamps})
        if kind.name == "Account":
            for contact in self._contacts_of(record_id):
                self.delete(OBJECTS["contact"], contact, author)

    def undelete(self, kind: ObjectType, record_id: str, author: Author) -> None:
        """Take a record back out of the recycle bin.

        Raises:
            OrgError: 404 NOT_FOUND when it isn't there.
        """
        row = self._binned(kind, record_id)
        merged = {"MasterRecordId": None} if kind.has("MasterRecordId") else {}
        self._update(kind, record_id, {"IsDeleted": 0, "deleted_at": None, **merged, **self._stamps(row, author)})

    def purge(self, kind: ObjectType, record_id: str) -> None:
        """Empty the recycle bin of one record: it is gone without a trace, and its history with it.

        Raises:
            OrgError: 404 NOT_FOUND when it isn't there.
        """
        self._binned(kind, record_id)
        self.db.execute(f'DELETE FROM "{kind.name}" WHERE "Id" = ?', (record_id,))  # noqa: S608 - names come from OBJECTS
        if kind.history:
            self.db.execute(f'DELETE FROM "{kind.history}" WHERE "{kind.name}Id" = ?', (record_id,))  # noqa: S608 - names come from OBJECTS

    def _binned(self, kind: ObjectType, record_id: str) -> sqlite3.Row:
        row = self.row(kind, record_id)
        if row is None or not row["IsDeleted"]:
            raise OrgError(404, "NOT_FOUND", "The record isn't in the recycle bin")
        return row

    def _contacts_of(self, account_id: str) -> list[str]:
        rows = self.db.execute('SELECT "Id" FROM "Contact" WHERE "AccountId" = ? AND "IsDeleted" = 0', (account_id,))
        return [str(r[0]) for r in rows]

    def convert(self, lead_id: str, author: Author) -> str:
        """Convert a lead into a new contact at an account of its company; returns the contact's id."""
        lead = self.existing(OBJECTS["lead"], lead_id)
        account = self.create(OBJECTS["account"], {"Name": lead["Company"]}, author)
        carried = ("FirstName", "LastName", "Title", "Email", "HasOptedOutOfEmail", "Sales_Opt_Out__c", "IndividualId")
        values = {name: lead[name] for name in carried} | {"AccountId": account}
        contact = self.create(OBJECTS["contact"], values, author)
        day = (author.at or self.clock.now()).date().isoformat()
        converted = {"IsConverted": True, "ConvertedDate": day, "ConvertedContactId": contact}
        self._change_one(OBJECTS["lead"], lead_id, converted, author)
        self._note_history(OBJECTS["lead"], lead_id, [("leadConverted", "Text", None, None)], author)
        return contact

    def merge(self, kind: ObjectType, master_id: str, loser_id: str, author: Author) -> None:
        """Merge a duplicate into a master: the loser goes to the recycle bin and names its master."""
        self.existing(kind, master_id)
        self.existing(kind, loser_id)
        if kind.name == "Account":
            for contact in self._contacts_of(loser_id):
                self._change_one(OBJECTS["contact"], contact, {"AccountId": master_id}, author)
        self.delete(kind, loser_id, author, master=master_id)
        self._change_one(kind, master_id, {}, author)
        self._note_history(kind, master_id, [(f"{kind.name.lower()}Merged", "Text", None, None)], author)

    def user(self, name: str) -> str:
        """The id of the user with that name or id; a new one is created when there is none."""
        row = self.db.execute('SELECT "Id" FROM "User" WHERE "Name" = ? OR "Id" = ?', (name, name)).fetchone()
        if row:
            return str(row[0])
        kind = OBJECTS["user"]
        record_id = numbered_id(kind.prefix, self.tables.next_number(kind.prefix))
        at = stamp(self.clock.now())
        username = f"{'.'.join(name.lower().split())}@scratch.example.com"
        dates = {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
        self._insert(kind, {"Id": record_id, "Name": name, "Username": username, "Email": username, "IsActive": 1, **dates})
        return record_id

    def track(self, tracking: bool) -> None:
        """Switch field history tracking."""
        self.tracking = tracking
        self.tables.keep("tracking", "on" if tracking else "off")

    def _change_one(self, kind: ObjectType, record_id: str, values: dict[str, Any], author: Author) -> dict[str, list[bool]]:
        before = self.existing(kind, record_id)
        after = {name: encoded(_field(kind, name), value) for name, value in values.items()}
        after |= _name(kind, {**dict(before), **after}) if {"FirstName", "LastName"} & set(after) else {}
        changed = [_field(kind, n) for n, v in after.items() if before[n] != v]
        self._update(kind, record_id, after | self._stamps(before, author))
        history = [
            (f.name, "Boolean" if f.type == "boolean" else "Text", decoded(f, before[f.name]), decoded(f, after[f.name]))
            for f in changed
            if f.tracked
        ]
        self._note_history(kind, record_id, history, author)
        named = {n: [bool(before[n]), bool(v)] for n, v in after.items() if n in _OPT_OUTS}
        self._note_ledger(kind, record_id, named, author)
        return named

    def _stamps(self, before: sqlite3.Row, author: Author) -> dict[str, str]:
        at = stamp(author.at or self.clock.now())
        stamps = {"SystemModstamp": at}
        if not author.system:
            stamps |= {"LastModifiedDate": at, "LastModifiedById": author.user}
        return {k: v for k, v in stamps.items() if k in before.keys()}  # noqa: SIM118 - a Row iterates over values

    def _insert(self, kind: ObjectType, row: dict[str, Any]) -> None:
        stored = {name: encoded(_field(kind, name), value) for name, value in row.items()}
        names = ", ".join(f'"{n}"' for n in stored)
        marks = ", ".join("?" * len(stored))
        self.db.execute(f'INSERT INTO "{kind.name}" ({names}) VALUES ({marks})', tuple(stored.values()))  # noqa: S608 - names come from OBJECTS

    def _update(self, kind: ObjectType, record_id: str, row: dict[str, Any]) -> None:
        assignments = ", ".join(f'"{n}" = ?' for n in row)
        self.db.execute(f'UPDATE "{kind.name}" SET {assignments} WHERE "Id" = ?', (*row.values(), record_id))  # noqa: S608 - names come from OBJECTS

    def _note_history(
        self, kind: ObjectType, record_id: str, changes: Iterable[tuple[str, str, Any, Any]], author: Author
    ) -> None:
        if not (kind.history and self.tracking):
            return
        history = OBJECTS[kind.history.lower()]
        for name, data_type, old, new in changes:
            row = {
                "Id": numbered_id(history.prefix, self.tables.next_number(history.prefix)),
                f"{kind.name}Id": record_id,
                "CreatedById": author.user,
                "CreatedDate": stamp(author.at or self.clock.now()),
                "Field": name,
                "DataType": data_type,
                "OldValue": old,
                "NewValue": new,
            }
            self._insert(history, row)

    def _note_ledger(self, kind: ObjectType, record_id: str, named: dict[str, list[bool]], author: Author) -> None:
        at = stamp(author.at or self.clock.now())
        rows = [
            (kind.name, record_id, name, old, new, author.user, at, author.request)
            for name, (old, new) in named.items()
            if old != new
        ]
        columns = '"object", "id", "field", "old", "new", "by", "at", "request"'
        self.db.executemany(f'INSERT INTO "opt_out_ledger" ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)', rows)  # noqa: S608 - names come from OBJECTS

    def _give_person_contact(self, account_id: str, row: dict[str, Any], author: Author) -> None:
        values = {theirs: row[ours] for ours, theirs in _TO_CONTACT.items() if ours in row}
        contact = self.create(OBJECTS["contact"], values | {"AccountId": account_id, "IsPersonAccount": True}, author)
        self._update(OBJECTS["account"], account_id, {"PersonContactId": contact, "IsPersonAccount": 1})

    def _mirror(self, kind: ObjectType, record_id: str, values: dict[str, Any], author: Author) -> None:
        """Keep a person account and its hidden contact the same; both rows' stamps move together."""
        if kind.name not in ("Account", "Contact"):
            return
        row = self.existing(kind, record_id)
        if not row["IsPersonAccount"]:
            return
        here, other, link = (
            (_TO_CONTACT, "contact", "PersonContactId") if kind.name == "Account" else (_TO_ACCOUNT, "account", "AccountId")
        )
        mirrored = {here[n]: v for n, v in values.items() if n in here}
        self._change_one(OBJECTS[other], row[link], mirrored, author)


def _field(kind: ObjectType, name: str) -> Field:
    field = kind.field(name)
    if field is None:
        raise KeyError(f"{kind.name} has no field {name}")
    return field


def _name(kind: ObjectType, row: dict[str, Any]) -> dict[str, str]:
    """The full name that Salesforce composes from its parts, for persons."""
    if not kind.has("LastName") or not row.get("LastName"):
        return {}
    return {"Name": " ".join(part for part in (row.get("FirstName"), row["LastName"]) if part)}
