"""Up to 200 records in one request: sObject Collections."""

from collections.abc import Sequence
from typing import Any

from .describe import OBJECTS, ObjectType
from .ids import long_id
from .messages import Call, OrgError, Reply
from .org import Org
from .rows import as_record, create_one, delete_one, update_one, visible_fields

MOST_RECORDS = 200
_ROLLED_BACK = {
    "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "message": "Record rolled back because not all records were valid and the request was using AllOrNone header",
    "fields": [],
}


class _RolledBack(Exception):  # noqa: N818 - a way out of a transaction, not an error
    pass


def create(org: Org, call: Call) -> Reply:
    """POST vX/composite/sobjects."""
    return _each(org, call, *_records(call))


def update(org: Org, call: Call) -> Reply:
    """PATCH vX/composite/sobjects."""
    items, all_or_none = _records(call)
    ids = [long_id(str(item.get("id") or item.get("Id"))) for item in items]
    known = [i for i in ids if i]
    if len(set(known)) < len(known):
        raise OrgError(400, "INVALID_FIELD", "Duplicate id specified")
    return _each(org, call, items, all_or_none)


def upsert(org: Org, call: Call) -> Reply:
    """PATCH vX/composite/sobjects/{O}/Id: each result says whether its record was created."""
    items, all_or_none = _records(call)
    methods = ["PATCH" if item.get("id") or item.get("Id") else "POST" for item in items]
    reply = _each(org, call, items, all_or_none, methods)
    results = zip(reply.body, methods, strict=True)
    return Reply(body=[{**result, "created": method == "POST"} if result["success"] else result for result, method in results])


def delete(org: Org, call: Call) -> Reply:
    """DELETE vX/composite/sobjects?ids=&allOrNone=."""
    ids = [i for i in call.params.get("ids", "").split(",") if i]
    _refuse_count(len(ids))
    return _each(org, call, [{"id": i} for i in ids], call.params.get("allOrNone", "").lower() == "true")


def retrieve(org: Org, call: Call, name: str) -> Reply:
    """GET or POST vX/composite/sobjects/{O} with ids and fields: records in the order asked, null for missing ones."""
    kind = org.kind(name)
    if call.method == "POST":
        body = call.json_object()
        ids, names = body.get("ids") or [], body.get("fields") or []
        if not isinstance(ids, list) or not isinstance(names, list):
            raise OrgError(400, "JSON_PARSER_ERROR", "ids and fields have to be lists")
    else:
        ids, names = (call.params.get(n, "").split(",") for n in ("ids", "fields"))
    _refuse_count(len(ids), 2000 if call.method == "POST" else 800)
    fields = visible_fields(org, kind, [str(n).strip() for n in names if n])
    return Reply(body=[_retrieved(org, call, kind, str(i), fields) for i in ids])


def _retrieved(org: Org, call: Call, kind: ObjectType, text: str, fields: list[Any]) -> dict[str, Any] | None:
    record_id = long_id(text.strip())
    if record_id is None:
        raise OrgError(400, "MALFORMED_ID", f"malformed id {text}")
    row = org.records.row(kind, record_id)
    gone = row is None or (kind.has("IsDeleted") and row["IsDeleted"])
    return None if row is None or gone else as_record(kind, row, fields, call.version)


def _records(call: Call) -> tuple[list[dict[str, Any]], bool]:
    body = call.json_object()
    items = body.get("records")
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
        raise OrgError(400, "JSON_PARSER_ERROR", "The request needs a list 'records'")
    _refuse_count(len(items))
    return items, body.get("allOrNone") is True


def _refuse_count(count: int, most: int = MOST_RECORDS) -> None:
    if count > most:
        raise OrgError(400, "EXCEEDED_MAX_SIZE_REQUEST", f"record limit reached. cannot submit more than {most} records")


def _each(org: Org, call: Call, items: list[dict[str, Any]], all_or_none: bool, methods: Sequence[str] | None = None) -> Reply:
    """Each record by the request's method, or by its own."""
    noted = len(call.writes)
    each = zip(items, methods or [call.method] * len(items), strict=True)
    try:
        with org.tables.atomic():
            results = [_one(org, call, item, method) for item, method in each]
            if all_or_none and not all(r["success"] for r in results):
                raise _RolledBack  # noqa: TRY301 - leaves the transaction
    except _RolledBack:
        for entry in call.writes[noted:]:
            entry["status"] = "rolled back"
        return Reply(body=[{"success": False, "errors": [_ROLLED_BACK]} if r["success"] else r for r in results])
    return Reply(body=results)


def _one(org: Org, call: Call, item: dict[str, Any], method: str) -> dict[str, Any]:
    """One record in its own savepoint; its error becomes its result."""
    record_id: str | None = None
    try:
        with org.tables.atomic():
            kind, record_id = _addressed(method, item)
            payload = {k: v for k, v in item.items() if k.lower() != "id"}
            if method == "POST":
                record_id = create_one(org, call, kind, payload)
            elif method == "DELETE":
                delete_one(org, call, kind, str(record_id))
            else:
                update_one(org, call, kind, str(record_id), payload)
    except OrgError as error:
        found = error if error.code != "NOT_FOUND" else OrgError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        known = {"id": record_id} if record_id else {}
        return known | {"success": False, "errors": [found.row_error()]}
    return {"id": record_id, "success": True, "errors": []}


def _addressed(method: str, item: dict[str, Any]) -> tuple[ObjectType, str | None]:
    """The object and id of one entry of a collection."""
    record_id = long_id(str(item.get("id") or item.get("Id") or ""))
    if method == "DELETE":
        kind = next((k for k in OBJECTS.values() if record_id and k.writable and record_id.startswith(k.prefix)), None)
    else:
        attributes = item.get("attributes")
        name = str(attributes.get("type", "")) if isinstance(attributes, dict) else ""
        kind = OBJECTS.get(name.lower())
        if kind is None:
            raise OrgError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
    if method == "POST":
        return _known(kind), None
    if record_id is None or kind is None or not record_id.startswith(kind.prefix):
        raise OrgError(400, "MALFORMED_ID", "id value of incorrect type", ["Id"])
    return kind, record_id


def _known(kind: ObjectType | None) -> ObjectType:
    if kind is None:
        raise OrgError(400, "INVALID_TYPE", "sObject type is missing")
    return kind
