"""What an administrator forbids: validation rules and duplicate rules, checked after a write and before its commit.

They hold for the API: rows, collections, composite and bulk ingest. What the control port writes is not checked.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .describe import OBJECTS, ObjectType, Permissions
from .messages import Call, OrgError
from .soql import parsed, translated
from .tables import Tables

_ALLOWED = re.compile(r"allowSave\s*=\s*true", re.IGNORECASE)
_DUPLICATE = "Use one of these records?"

Rule = dict[str, Any]


class DuplicateError(OrgError):
    """A record like this one is there already; the request-level form names those it is like."""

    def __init__(self, kind: ObjectType, others: list[str], version: str, rule: Rule) -> None:
        super().__init__(400, "DUPLICATES_DETECTED", _DUPLICATE)
        records = [
            {"attributes": {"type": kind.name, "url": f"/services/data/v{version}/sobjects/{kind.name}/{other}"}, "Id": other}
            for other in others
        ]
        matches = [{"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": r} for r in records]
        self.result = {
            "allowSave": rule["allow_save"],
            "duplicateRule": rule["name"],
            "duplicateRuleEntityType": kind.name,
            "errorMessage": _DUPLICATE,
            "matchResults": [
                {
                    "entityType": kind.name,
                    "errors": [],
                    "matchEngine": "ExactMatchEngine",
                    "matchRecords": matches,
                    "rule": rule["name"],
                    "size": len(matches),
                    "success": True,
                }
            ],
        }

    def body(self) -> list[dict[str, Any]]:
        """With the records that it is like."""
        return [{"duplicateResult": self.result, **super().body()[0]}]


class Rules:
    """The rules of an org; kept across a restart."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.validation: list[Rule] = json.loads(tables.setting("validation_rules") or "[]")
        self.duplicate: list[Rule] = json.loads(tables.setting("duplicate_rules") or "[]")

    def validate(self, kind: ObjectType, when: str, message: str, *, field: str = "", at: datetime) -> None:
        """Refuse records for which a condition in SOQL is true, with a message, on a field if one is named.

        Raises:
            OrgError: the condition can't be read.
            ValueError: there is no such field.
        """
        if field and not kind.has(field):
            raise ValueError(f"{kind.name} has no field {field}")
        translated(parsed(_question(kind, "000000000000000", when)), Permissions(), at)
        self.validation.append({"object": kind.name, "when": when, "message": message, "field": field})
        self._keep()

    def refuse_duplicates(self, kind: ObjectType, fields: list[str], *, allow_save: bool, name: str) -> None:
        """Refuse records that are like another in all these fields.

        Raises:
            ValueError: there is no such field.
        """
        found = [kind.field(f) for f in fields]
        if not fields or None in found:
            raise ValueError(f"A duplicate rule needs fields of {kind.name}")
        names = [f.name for f in found if f]
        self.duplicate.append({"object": kind.name, "fields": names, "allow_save": allow_save, "name": name})
        self._keep()

    def clear(self) -> None:
        """Forget all rules."""
        self.validation.clear()
        self.duplicate.clear()
        self._keep()

    def check(self, call: Call, kind: ObjectType, record_id: str, *, written: Iterable[str], at: datetime) -> None:
        """Check a record as it was just written; a duplicate is looked for when one of the rule's fields was written.

        Raises:
            OrgError: FIELD_CUSTOM_VALIDATION_EXCEPTION or DUPLICATES_DETECTED.
        """
        for rule in self.validation:
            if rule["object"] == kind.name and self._holds(kind, record_id, rule["when"], at):
                fields = [rule["field"]] if rule["field"] else []
                raise OrgError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule["message"], fields)
        allowed = bool(_ALLOWED.search(call.headers.get("sforce-duplicate-rule-header", "")))
        for rule in self.duplicate:
            if rule["object"] == kind.name and set(rule["fields"]) & set(written) and not (allowed and rule["allow_save"]):
                others = self._like(kind, record_id, rule["fields"])
                if others:
                    raise DuplicateError(kind, others, call.version, rule)

    def _holds(self, kind: ObjectType, record_id: str, when: str, at: datetime) -> bool:
        selection = translated(parsed(_question(kind, record_id, when)), Permissions(), at)
        row = self.tables.db.execute(selection.count_sql(), (*selection.parameters, -1, 0)).fetchone()
        return bool(row[0])

    def _like(self, kind: ObjectType, record_id: str, fields: list[str]) -> list[str]:
        tests = " AND ".join(f'other."{name}" = this."{name}"' for name in fields)
        rows = self.tables.db.execute(
            f'SELECT other."Id" FROM "{kind.name}" this JOIN "{kind.name}" other ON {tests}'  # noqa: S608 - names come from OBJECTS
            ' WHERE this."Id" = ? AND other."Id" != this."Id" AND other."IsDeleted" = 0 ORDER BY other."Id" LIMIT 5',
            (record_id,),
        )
        return [str(r[0]) for r in rows]

    def _keep(self) -> None:
        self.tables.keep("validation_rules", json.dumps(self.validation))
        self.tables.keep("duplicate_rules", json.dumps(self.duplicate))


def _question(kind: ObjectType, record_id: str, when: str) -> str:
    return f"SELECT COUNT() FROM {kind.name} WHERE Id = '{record_id}' AND ({when})"  # noqa: S608 - SOQL, not SQL


def kind_with_rules(name: str) -> ObjectType:
    """The object of that name.

    Raises:
        ValueError: it doesn't exist, or nobody writes its records.
    """
    kind = OBJECTS.get(name.lower())
    if kind is None or not kind.writable:
        raise ValueError(f"No rules for {name}")
    return kind
