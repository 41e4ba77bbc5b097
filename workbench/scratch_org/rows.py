"""One record over REST, and which records changed: sObject Rows, getUpdated, getDeleted.

Conditional writes follow "Conditional Requests" of the REST API guide: a weak check against the last modified date,
412 when the record changed since, 400 when the header can't be read.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .clock import from_http_date, http_date, instant, stamp
from .describe import Field, ObjectType
from .ids import long_id
from .messages import Call, OrgError, Reply, not_found
from .org import Org, base_path
from .tables import decoded
from .values import checked_values

_OPT_OUT_LOG = "opt_out"


def read(org: Org, call: Call, name: str, record_id: str) -> Reply:
    """GET vX/sobjects/{O}/{id}[?fields=], with If-Modified-Since."""
    kind = org.kind(name)
    row = org.records.existing(kind, _addressed(kind, record_id))
    fields = _chosen(org, kind, call.params.get("fields", ""))
    modified = _modified(org, row)
    headers = {"Last-Modified": http_date(modified)} if modified else {}
    since = call.headers.get("if-modified-since")
    if since and modified and modified <= _http_moment(since, "If-Modified-Since"):
        return Reply(304, headers=headers)
    return Reply(body=as_record(kind, row, fields, call.version), headers=headers)


def create(org: Org, call: Call, name: str) -> Reply:
    """POST vX/sobjects/{O}."""
    record_id = create_one(org, call, org.kind(name), call.json_object())
    return Reply(201, {"id": record_id, "success": True, "errors": []})


def update(org: Org, call: Call, name: str, record_id: str) -> Reply:
    """PATCH vX/sobjects/{O}/{id}, with If-Unmodified-Since."""
    kind = org.kind(name)
    update_one(org, call, kind, _addressed(kind, record_id), call.json_object())
    return Reply(204)


def delete(org: Org, call: Call, name: str, record_id: str) -> Reply:
    """DELETE vX/sobjects/{O}/{id}."""
    kind = org.kind(name)
    delete_one(org, call, kind, _addressed(kind, record_id))
    return Reply(204)


def create_one(org: Org, call: Call, kind: ObjectType, payload: dict[str, Any]) -> str:
    """Create one record for a row or a collection; returns its id."""
    _refuse_unwritable(kind)
    values = checked_values(kind, payload, org.permissions, creating=True)
    if kind.name == "Account":
        _refuse_misplaced(kind, values, is_person=bool(values.get("LastName")))
    record_id = org.records.create(kind, values, org.author(call))
    org.rules.check(call, kind, record_id, written=values, at=org.clock.now())
    call.writes.append({"action": "create", "object": kind.name, "id": record_id, "fields": sorted(values), "status": 201})
    return record_id


def update_one(org: Org, call: Call, kind: ObjectType, record_id: str, payload: dict[str, Any]) -> None:
    """Update one record for a row or a collection, and log what was tried with which outcome."""
    entry: dict[str, Any] = {
        "action": "update",
        "object": kind.name,
        "id": record_id,
        "fields": sorted(k for k in payload if k != "attributes"),
        "condition": call.headers.get("if-unmodified-since"),
        "status": 204,
    }
    call.writes.append(entry)
    try:
        entry[_OPT_OUT_LOG] = _update(org, call, kind, record_id, payload)
    except OrgError as error:
        entry["status"] = error.status
        entry["error"] = error.code
        raise


def _update(org: Org, call: Call, kind: ObjectType, record_id: str, payload: dict[str, Any]) -> dict[str, list[bool]]:
    _refuse_unwritable(kind)
    condition = call.headers.get("if-unmodified-since")
    since = _http_moment(condition, "If-Unmodified-Since") if condition is not None else None
    row = org.records.existing(kind, record_id)
    _refuse_lock(org, call, record_id)
    modified = _modified(org, row)
    if since is not None and modified is not None and modified > since:
        message = "The record has been modified since the date given in If-Unmodified-Since."
        raise OrgError(412, "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE", message)
    values = checked_values(kind, payload, org.permissions)
    _refuse_frozen(kind, row, values)
    changes = org.records.change(kind, record_id, values, org.author(call))
    org.rules.check(call, kind, record_id, written=values, at=org.clock.now())
    return changes


def delete_one(org: Org, call: Call, kind: ObjectType, record_id: str) -> None:
    """Delete one record for a row or a collection."""
    _refuse_unwritable(kind)
    org.records.existing(kind, record_id)
    _refuse_lock(org, call, record_id)
    org.records.delete(kind, record_id, org.author(call))
    call.writes.append({"action": "delete", "object": kind.name, "id": record_id, "status": 204})


def updated(org: Org, call: Call, name: str) -> Reply:
    """GET vX/sobjects/{O}/updated?start&end: ids by SystemModstamp; seconds are cut off, as in Salesforce."""
    kind = org.kind(name)
    _refuse_unwritable(kind)
    start, end = _window(org, call)
    rows = org.tables.db.execute(
        f'SELECT "Id" FROM "{kind.name}" WHERE "IsDeleted" = 0 AND "SystemModstamp" >= ? AND "SystemModstamp" < ?'  # noqa: S608 - names come from OBJECTS
        ' ORDER BY "SystemModstamp", "Id" LIMIT 600001',
        (stamp(start), stamp(end)),
    )
    ids = [r[0] for r in rows]
    if len(ids) > 600_000:
        raise OrgError(400, "EXCEEDED_ID_LIMIT", "The number of ids exceeds 600,000")
    return Reply(body={"ids": ids, "latestDateCovered": _covered(org, end)})


def deleted(org: Org, call: Call, name: str) -> Reply:
    """GET vX/sobjects/{O}/deleted?start&end."""
    kind = org.kind(name)
    _refuse_unwritable(kind)
    start, end = _window(org, call)
    rows = org.tables.db.execute(
        f'SELECT "Id", "deleted_at" FROM "{kind.name}" WHERE "IsDeleted" = 1 AND "deleted_at" >= ? AND "deleted_at" < ?'  # noqa: S608 - names come from OBJECTS
        ' ORDER BY "deleted_at", "Id"',
        (stamp(start), stamp(end)),
    )
    records = [{"id": r[0], "deletedDate": r[1]} for r in rows]
    earliest = stamp(org.clock.now() - timedelta(days=15))
    return Reply(body={"deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": _covered(org, end)})


def _covered(org: Org, end: datetime) -> str:
    return stamp(org.transactions.covered(end).replace(second=0, microsecond=0))


def _window(org: Org, call: Call) -> tuple[datetime, datetime]:
    try:
        # A "+" of a zone arrives as a space when the client didn't quote it.
        start, end = (instant(call.params.get(n, "").replace(" ", "+")) for n in ("start", "end"))
    except ValueError as error:
        raise OrgError(400, "INVALID_REPLICATION_DATE", "start and end have to be dates with a time and a zone") from error
    now = org.clock.now()
    start, end = (t.replace(second=0, microsecond=0) for t in (start, min(end, now)))
    if start >= end:
        raise OrgError(400, "INVALID_REPLICATION_DATE", "endDate has to be at least one minute greater than startDate")
    if start < now - timedelta(days=30, minutes=1):
        raise OrgError(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
    return start, end


def as_record(kind: ObjectType, row: sqlite3.Row, fields: Sequence[Field], version: str) -> dict[str, Any]:
    """A stored row as a JSON record."""
    url = f"{base_path(version)}/sobjects/{kind.name}/{row['Id']}"
    record: dict[str, Any] = {"attributes": {"type": kind.name, "url": url}}
    return record | {f.name: decoded(f, row[f.name]) for f in fields}


def _chosen(org: Org, kind: ObjectType, text: str) -> list[Field]:
    names = [n.strip() for n in text.split(",") if n.strip()]
    return visible_fields(org, kind, names) if names else [f for f in kind.fields if org.permissions.readable(kind, f)]


def visible_fields(org: Org, kind: ObjectType, names: Sequence[str]) -> list[Field]:
    """The fields of those names.

    Raises:
        OrgError: INVALID_FIELD for one that doesn't exist or is hidden.
    """
    found: list[Field] = []
    for name in names:
        field = kind.field(name)
        if field is None or not org.permissions.readable(kind, field):
            raise OrgError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        found.append(field)
    return found


def _addressed(kind: ObjectType, text: str) -> str:
    found = long_id(text)
    if found is None:
        message = f"Provided external ID field does not exist or is not accessible: {text}"
        raise OrgError(404, "NOT_FOUND", message)
    if not found.startswith(kind.prefix):
        raise not_found()
    return found


def _modified(org: Org, row: sqlite3.Row) -> datetime | None:
    text = dict(row).get(org.stamp_checked) or dict(row).get("CreatedDate")
    return instant(text) if text else None


def _http_moment(text: str, header: str) -> datetime:
    try:
        return from_http_date(text)
    except ValueError as error:
        raise OrgError(400, "INVALID_HEADER", f"The value of the header {header} is not a valid date") from error


def _refuse_unwritable(kind: ObjectType) -> None:
    if not kind.writable:
        raise OrgError(405, "METHOD_NOT_ALLOWED", f"HTTP method not allowed: {kind.name} is read-only here")


def _refuse_lock(org: Org, call: Call, record_id: str) -> None:
    if call.is_locked(record_id) or org.transactions.holds(record_id):
        message = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
        raise OrgError(400, "UNABLE_TO_LOCK_ROW", message, [])


def _refuse_frozen(kind: ObjectType, row: sqlite3.Row, values: dict[str, Any]) -> None:
    if kind.name == "Lead" and row["IsConverted"]:
        raise OrgError(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
    if kind.name == "Account":
        _refuse_misplaced(kind, values, is_person=bool(row["IsPersonAccount"]))
    if kind.name == "Contact" and row["IsPersonAccount"]:
        message = "A person account's contact is changed through its account"
        raise OrgError(400, "INSUFFICIENT_ACCESS_OR_READONLY", message, [])


def _refuse_misplaced(kind: ObjectType, values: dict[str, Any], *, is_person: bool) -> None:
    """A person account's name is made of its parts; a business account has no person's fields."""
    persons = {f.name for f in kind.fields if f.name.startswith("Person") or f.name.endswith(("__pc", "FirstName", "LastName"))}
    misplaced = [n for n in values if (n == "Name" if is_person else n in persons)]
    if misplaced:
        message = f"{kind.name}: bad field names on insert/update call: {', '.join(misplaced)}"
        raise OrgError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, misplaced)
