"""The text of queries: field lists, quoting, and lists cut so that no query grows beyond what Salesforce takes.

Pure. Every value that comes from outside goes through `quoted`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from simple_salesforce.format import quote_soql_value

from workbench.org import OBJECTS, FieldAccess, OrgPermissionError, OrgRefusedError
from workbench.person import salesforce_id_18
from workbench.salesforce.person_accounts import MARK

SHORTEST_MARKER = 36  # characters: the id of an intent
LONGEST_LIST = 200  # ids or addresses of one query; equal to the rows of one collections request
LONGEST_TEXT = 40_000  # characters of one list: two lists and the fields stay below the 100,000 of one query
FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
PREFIX = {"Lead": "00Q", "Contact": "003"}

_MUST = ("Id", "Email", "IsDeleted", "SystemModstamp", "LastModifiedDate", "LastModifiedById")
_OPTIONAL = {
    "Lead": ("FirstName", "LastName", "Company", "IsConverted", "ConvertedContactId", "MasterRecordId", "EmailBouncedDate"),
    "Contact": ("FirstName", "LastName", "MasterRecordId", "EmailBouncedDate"),
}


def quoted(values: Sequence[str]) -> str:
    """A parenthesised list of string literals. The one place where a value becomes part of a query.

    Source: "Quoted String Escape Sequences" in the SOQL and SOSL Reference; the escaping is simple-salesforce's.
    """
    return str(quote_soql_value(list(values)))


def usable_ids(record_ids: Iterable[str]) -> list[str]:
    """Record ids in their 18-character form, each once, in order.

    Raises:
        OrgRefusedError: one of them is not a Salesforce id; it is not quoted, for it may be anything.
    """
    try:
        return list(dict.fromkeys(salesforce_id_18(record_id) for record_id in record_ids))
    except ValueError:
        pass
    raise OrgRefusedError(
        "One of the record ids asked for has not the form of a Salesforce id.", "Check the links of these people."
    )


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Values in lists of at most `LONGEST_LIST` values and `LONGEST_TEXT` characters as quoted."""
    chunk: list[str] = []
    length = 0
    for value in values:
        size = len(quoted([value]))
        if chunk and (len(chunk) == LONGEST_LIST or length + size > LONGEST_TEXT):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += size
    if chunk:
        yield chunk


def access_of(object: str, describe: Mapping[str, Any], opt_out_fields: Sequence[str]) -> tuple[FieldAccess, ...]:
    """What a describe answer allows for each opt-out field; a field hidden by field-level security is absent from it."""
    shown = {field["name"]: field for field in describe["fields"]}
    editable = describe.get("updateable") is not False
    return tuple(
        FieldAccess(
            object=object,
            field=name,
            readable=shown.get(name, {}).get("type") == "boolean",
            updateable=editable and shown.get(name, {}).get("updateable") is True,
        )
        for name in opt_out_fields
    )


def marker_access_of(object: str, describe: Mapping[str, Any], name: str) -> FieldAccess:
    """The same for the marker field: a text field that an intent's id fits into."""
    field: Mapping[str, Any] = next((field for field in describe["fields"] if field["name"] == name), {})
    fits = field.get("type") in ("string", "textarea") and int(field.get("length") or 0) >= SHORTEST_MARKER
    editable = describe.get("updateable") is not False and field.get("updateable") is True
    return FieldAccess(object=object, field=name, readable=fits, updateable=fits and editable, marker=True)


def columns_of(
    object: str, describe: Mapping[str, Any], opt_out_fields: Sequence[str], marker_field: str = ""
) -> tuple[str, ...]:
    """The fields that every reading of an object asks for.

    Fields that the product can do without are left out when the user may not see them.

    Raises:
        OrgPermissionError: an opt-out field, or one that no decision can do without, is hidden or absent; it is named.
    """
    shown = {field["name"]: field for field in describe["fields"]}
    for access in access_of(object, describe, opt_out_fields):
        if not access.readable:
            raise OrgPermissionError(
                f"{object}.{access.field} is hidden from the logged-in user, does not exist or is no checkbox."
            )
    for name in _MUST:
        if name not in shown:
            raise OrgPermissionError(f"{object}.{name} is hidden from the logged-in user.")
    optional = tuple(name for name in _OPTIONAL[object] if name in shown)
    if object == "Contact" and MARK in shown and "AccountId" in shown:
        optional += (MARK, "AccountId")
    if marker_field in shown:
        optional += (marker_field,)
    company = ("Account.Name",) if object == "Contact" and shown.get("AccountId", {}).get("relationshipName") == "Account" else ()
    return (*_MUST, *optional, *opt_out_fields, *company)


def history_columns(object: str) -> tuple[str, ...]:
    """The fields that are asked of LeadHistory and ContactHistory."""
    return (f"{object}Id", "Field", "OldValue", "NewValue", "CreatedDate", "CreatedById", "CreatedBy.Name")


def people_query(
    object: str, columns: Sequence[str], *, record_ids: Sequence[str], addresses: Sequence[str], accounts: Sequence[str] = ()
) -> str:
    """Rows of one object with one of these ids or addresses, or that are the contact of one of these person accounts.

    Salesforce compares addresses without regard to case.
    """
    conditions = [f"Id IN {quoted(record_ids)}"] if record_ids else []
    if accounts:
        conditions.append(f"(AccountId IN {quoted(accounts)} AND {MARK} = true)")
    if addresses:
        conditions.append(f"Email IN {quoted(addresses)}")
    return f"SELECT {','.join(columns)} FROM {object} WHERE {' OR '.join(conditions)}"  # noqa: S608 SOQL; values are quoted


def history_query(object: str, opt_out_fields: Sequence[str], *, record_ids: Sequence[str]) -> str:
    """Changes of the opt-out fields of rows with these ids."""
    return f"{all_history_query(object, opt_out_fields)} AND {object}Id IN {quoted(record_ids)}"


def all_query(object: str, columns: Sequence[str]) -> str:
    """Every row of one object. Without order and limit, or a Bulk job would not be cut into parts by Salesforce."""
    return f"SELECT {','.join(columns)} FROM {object}"  # noqa: S608 SOQL; names from describe


def all_history_query(object: str, opt_out_fields: Sequence[str]) -> str:
    """Every change of the opt-out fields of one object."""
    return f"SELECT {','.join(history_columns(object))} FROM {object}History WHERE Field IN {quoted(opt_out_fields)}"  # noqa: S608 SOQL


def recent_query(object: str, since: datetime) -> str:
    """The ids of rows that were modified since a moment, to the second."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"SELECT Id FROM {known_object(object)} WHERE SystemModstamp >= {moment}"  # noqa: S608 SOQL; nothing from outside


def count_query(query: str) -> str:
    """The query that counts what another one would find."""
    return f"SELECT COUNT() FROM {query.partition(' FROM ')[2]}"  # noqa: S608 SOQL; made from a query of this module


def known_object(object: str) -> str:
    """An object's name, if it is one that this product reads. Raises: ValueError."""
    if object not in OBJECTS:
        raise ValueError(f"not an object that is read here: {object}")
    return object
