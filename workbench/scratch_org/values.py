"""Is what a client wants to write allowed, and of the right type? Field by field, as Salesforce answers."""

import re
from typing import Any

from .clock import instant, stamp
from .describe import ID_TYPES, OBJECTS, Field, ObjectType, Permissions
from .ids import long_id
from .messages import OrgError

_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>.]+(?:\.[^@\s,;<>.]+)+")


def checked_values(
    kind: ObjectType, payload: dict[str, Any], permissions: Permissions, *, creating: bool = False
) -> dict[str, Any]:
    """The payload with exact field names and stored types.

    Raises:
        OrgError: INVALID_FIELD, INVALID_FIELD_FOR_INSERT_UPDATE, REQUIRED_FIELD_MISSING or a type error.
    """
    given = {k: v for k, v in payload.items() if k != "attributes"}
    fields = {name: _known(kind, name) for name in given}
    _refuse_read_only(kind, list(fields.values()), permissions, creating=creating)
    values = {field.name: typed(field, given[name]) for name, field in fields.items()}
    _refuse_missing(kind, values, creating=creating)
    return values


def typed(field: Field, value: Any) -> Any:
    """One value in the type of its field.

    Raises:
        OrgError: the value has another type, is too long, or no address.
    """
    if field.type == "boolean":
        return _boolean(field, value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise OrgError(
            400,
            "JSON_PARSER_ERROR",
            f"Cannot deserialize instance of {field.type} from VALUE or request may be missing a required field",
            [field.name],
        )
    return _text(field, value)


def _boolean(field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise OrgError(
        400,
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        f"{field.label}: value not of required type: {'null' if value is None else type(value).__name__}",
        [field.name],
    )


def _text(field: Field, value: str) -> str:
    if field.type in ID_TYPES:
        found = long_id(value)
        if found is None or (field.refers_to and not found.startswith(OBJECTS[field.refers_to.lower()].prefix)):
            raise OrgError(400, "MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", [field.name])
        return found
    if field.type == "datetime":
        try:
            return stamp(instant(value))
        except ValueError as error:
            raise OrgError(400, "JSON_PARSER_ERROR", f"Invalid datetime: {value}", [field.name]) from error
    if field.length and len(value) > field.length:
        message = f"{field.label}: data value too large: {value[:40]} (max length={field.length})"
        raise OrgError(400, "STRING_TOO_LONG", message, [field.name])
    if field.type == "email" and not _ADDRESS.fullmatch(value):
        raise OrgError(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", [field.name])
    return value


def _known(kind: ObjectType, name: str) -> Field:
    field = kind.field(name)
    if field is None:
        raise OrgError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
    return field


def _refuse_read_only(kind: ObjectType, fields: list[Field], permissions: Permissions, *, creating: bool) -> None:
    refused = [f.name for f in fields if not (f.createable if creating else f.updateable) or not permissions.writable(kind, f)]
    if refused:
        raise OrgError(
            400,
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of this field"
            " and verify that it is read/write for your profile or permission set.",
            refused,
        )


def _refuse_missing(kind: ObjectType, values: dict[str, Any], *, creating: bool) -> None:
    required = kind.required
    if kind.name == "Account" and (values.get("LastName") or not creating):
        required = ()
    missing = [f for f in required if (creating or f in values) and not values.get(f)]
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise OrgError(400, "REQUIRED_FIELD_MISSING", message, missing)
