"""Records into an empty or used org, many at once: from a file of JSON lines, or from the seeded generator.

One record a line: {"object", "id"?, fields..., "history": [{"field", "old", "new", "at", "by"}]}. Users are named by
name, a contact's account by "Company". What is missing is filled in: ids by number, the last change from the history.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from .clock import instant, stamp
from .describe import OBJECTS, Field, ObjectType
from .ids import long_id, number_of, numbered_id
from .org import Org

_BATCH = 5_000
_USER_FIELDS = frozenset({"OwnerId", "CreatedById", "LastModifiedById"})
_DEFAULTS = {kind.name: tuple((f.name, 0 if f.type == "boolean" else None) for f in kind.fields) for kind in OBJECTS.values()}
_APART = frozenset({"object", "id", "Id", "history"})
_LOADABLE = frozenset({"Lead", "Contact", "Account", "Individual", "ContactPointTypeConsent"})


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines.

    Raises:
        ValueError: a line is no JSON object, with its number.
    """
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise ValueError(f"Line {number} is no JSON") from error
            if not isinstance(record, dict):
                raise ValueError(f"Line {number} is no JSON object")  # noqa: TRY004 - wrong data, not a wrong call
            yield record


def load(org: Org, records: Iterable[dict[str, Any]]) -> int:
    """Store records with their history, all or none; returns their number.

    Raises:
        ValueError: an unknown object or field, a wrong id or instant, an id used twice.
    """
    with org.tables.atomic():
        loader = _Loader(org)
        for record in records:
            loader.add(record)
        loader.close()
    return loader.count


class _Loader:
    def __init__(self, org: Org) -> None:
        self.org = org
        self.now = stamp(org.clock.now())
        self.count = 0
        self.users: dict[str, str] = {}
        self.accounts: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        self.pending: dict[str, list[tuple[Any, ...]]] = {}
        self.steps: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {}

    def add(self, record: dict[str, Any]) -> None:
        kind = OBJECTS.get(str(record.get("object", "")).lower())
        if kind is None or kind.name not in _LOADABLE:
            raise ValueError(f"Can't load records of object {record.get('object')!r}")
        history = sorted(record.get("history") or [], key=lambda h: self.instant(h["at"]))
        row = self.row(kind, record)
        row["Id"] = self.record_id(kind, record)
        self.complete(kind, row, history)
        self.insert(kind, row)
        for change in history if kind.history else ():
            self.add_history(kind, row["Id"], change)
        if kind.name == "Account" and row.get("Name"):
            self.accounts[row["Name"]] = row["Id"]
        self.count += 1

    def row(self, kind: ObjectType, record: dict[str, Any]) -> dict[str, Any]:
        """The stored values of the fields that are given; a contact's company becomes its account."""
        found: dict[str, Any] = {}
        steps = self.steps.setdefault(kind.name, {})
        for name, value in record.items():
            if name in _APART:
                continue
            if name == "Company" and kind.name == "Contact":
                found.setdefault("AccountId", self.account(str(value)) if value else None)
                continue
            if name not in steps:
                steps[name] = self.step(_field(kind, name))
            canonical, converted = steps[name]
            found[canonical] = None if value is None or value == "" else converted(value)
        return found

    def step(self, field: Field) -> tuple[str, Callable[[Any], Any]]:
        """The exact name of a field and how its values are stored."""
        if field.name in _USER_FIELDS:
            return field.name, self.user
        by_type: dict[str, Callable[[Any], Any]] = {"boolean": partial(_flag, field), "reference": _id, "datetime": self.instant}
        return field.name, by_type.get(field.type, str)

    def complete(self, kind: ObjectType, row: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Fill in what follows from the rest: current values and last change from the history, the full name, the stamps."""
        for change in reversed(history):
            name, converted = self.step(_field(kind, str(change["field"])))
            row.setdefault(name, converted(change["new"]))
        last = self.instant(history[-1]["at"]) if history else ""
        created = row.setdefault("CreatedDate", self.instant(history[0]["at"]) if history else self.now)
        row.setdefault("LastModifiedDate", max(created, last))
        row.setdefault("SystemModstamp", row["LastModifiedDate"])
        row.setdefault("CreatedById", self.org.user)
        row.setdefault("LastModifiedById", self.user(str(history[-1].get("by", ""))) if last else row["CreatedById"])
        row.setdefault("OwnerId", row["CreatedById"])
        if row.get("LastName"):
            row["Name"] = " ".join(p for p in (row.get("FirstName"), row["LastName"]) if p)
        row["deleted_at"] = row["SystemModstamp"] if row.get("IsDeleted") else None

    def add_history(self, kind: ObjectType, record_id: str, change: dict[str, Any]) -> None:
        history = OBJECTS[kind.history.lower()]
        field = _field(kind, str(change["field"]))
        row = {
            "Id": self.next_id(history.prefix),
            f"{kind.name}Id": record_id,
            "Field": field.name,
            "DataType": "Boolean" if field.type == "boolean" else "Text",
            "OldValue": json.dumps(change.get("old")),
            "NewValue": json.dumps(change.get("new")),
            "CreatedDate": self.instant(change["at"]),
            "CreatedById": self.user(str(change.get("by", ""))),
        }
        self.insert(history, row)

    def insert(self, kind: ObjectType, row: dict[str, Any]) -> None:
        rows = self.pending.setdefault(kind.name, [])
        rows.append((*[row.get(n) or d for n, d in _DEFAULTS[kind.name]], row.get("deleted_at")))
        if len(rows) >= _BATCH:
            self.flush(kind)

    def flush(self, kind: ObjectType) -> None:
        rows = self.pending.pop(kind.name, [])
        names = ", ".join(f'"{f.name}"' for f in kind.fields)
        marks = ", ".join("?" * (len(kind.fields) + 1))
        try:
            self.org.tables.db.executemany(f'INSERT INTO "{kind.name}" ({names}, "deleted_at") VALUES ({marks})', rows)  # noqa: S608 - names come from OBJECTS
        except self.org.tables.db.IntegrityError as error:
            raise ValueError(f"A {kind.name} id is used twice") from error

    def close(self) -> None:
        for name in list(self.pending):
            self.flush(OBJECTS[name.lower()])
        for prefix, number in self.numbers.items():
            self.org.tables.next_number(prefix, number - self.org.tables.next_number(prefix, 0) + 1)

    def record_id(self, kind: ObjectType, record: dict[str, Any]) -> str:
        given = record.get("id") or record.get("Id")
        if not given:
            return self.next_id(kind.prefix)
        found = _id(given)
        if not found.startswith(kind.prefix):
            raise ValueError(f"The id {given!r} is no {kind.name} id")
        self.numbers[kind.prefix] = max(self.last_number(kind.prefix), number_of(found))
        return found

    def next_id(self, prefix: str) -> str:
        self.numbers[prefix] = self.last_number(prefix) + 1
        return numbered_id(prefix, self.numbers[prefix])

    def last_number(self, prefix: str) -> int:
        if prefix not in self.numbers:
            self.numbers[prefix] = self.org.tables.next_number(prefix, 0) - 1
        return self.numbers[prefix]

    def account(self, name: str) -> str:
        if name not in self.accounts:
            self.add({"object": "Account", "Name": name})
            self.count -= 1
        return self.accounts[name]

    def user(self, name: str) -> str:
        if not name:
            return self.org.user
        if name not in self.users:
            self.users[name] = self.org.records.user(name)
        return self.users[name]

    def instant(self, text: str) -> str:
        if len(text) == 28 and text.endswith(".000+0000"):
            datetime.fromisoformat(text)  # already as it is stored, if it is an instant at all
            return text
        return stamp(instant(text))


def _field(kind: ObjectType, name: str) -> Field:
    field = kind.field(name)
    if field is None or field.name == "Id":
        raise ValueError(f"{kind.name} has no field {name!r} that can be loaded")
    return field


def _flag(field: Field, value: Any) -> int:
    if not isinstance(value, bool):
        raise ValueError(f"{field.name} has to be true or false")  # noqa: TRY004 - wrong data, not a wrong call
    return int(value)


def _id(value: Any) -> str:
    found = long_id(str(value))
    if found is None:
        raise ValueError(f"No record id: {value!r}")
    return found
