"""Pages of a Bulk job, column by column: the rules of `rows`, in a fraction of the time.

Nearly all values of a column are plain: an id of eighteen characters that fits its suffix, an instant in UTC and whole seconds. A
column in which all are is taken as it is; in any other each value goes the way of `rows`, which also says what is no value at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from workbench.org import FieldChange, RowColumns
from workbench.person import are_18_characters, salesforce_id_18
from workbench.salesforce.bulk import Columns
from workbench.salesforce.person_accounts import MARK
from workbench.salesforce.rows import moment_of, truth_of

_PLAIN_INSTANTS = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.000Z\n)*")
_LINE = len("2026-01-05T09:00:01.000Z\n")
_TRUTH = {"true": True, "false": False}


def rows_of(object: str, columns: Columns, opt_out_fields: Sequence[str]) -> RowColumns:
    """A page of Leads or Contacts. Raises: ValueError or LookupError, whenever `rows.row_of` does for one of them."""
    ids = _ids(columns["Id"])
    nothing, no, none = [""] * len(ids), [False] * len(ids), [None] * len(ids)
    company = columns.get("Company", nothing)
    if "Account.Name" in columns:
        company = [own or parent for own, parent in zip(company, columns["Account.Name"], strict=True)]
    bounced = columns.get("EmailBouncedDate")
    return RowColumns(
        object=[object] * len(ids),
        record_id=ids,
        email=columns["Email"],
        opt_outs=_opt_outs(columns, opt_out_fields),
        system_modstamp=_instants(columns["SystemModstamp"]),
        last_modified_date=_instants(columns["LastModifiedDate"]),
        last_modified_by=columns["LastModifiedById"],
        first_name=columns.get("FirstName", nothing),
        last_name=columns.get("LastName", nothing),
        company=company,
        is_deleted=_truths(columns["IsDeleted"]),
        is_converted=_truths(columns["IsConverted"]) if "IsConverted" in columns else no,
        converted_contact_id=_where_given(columns.get("ConvertedContactId"), _ids) or none,
        merged_into=_where_given(columns.get("MasterRecordId"), _ids) or none,
        bounced_at=_where_given(bounced, _instants) or none,
        person_account=_where_given(_person_accounts(columns), _ids) or none,
    )


def changes_of(object: str, columns: Columns) -> list[FieldChange]:
    """A page of an object's history. Raises: ValueError or LookupError, whenever `rows.change_of` does for one of it."""
    nothing = [""] * len(columns["Field"])
    return [
        FieldChange(record_id=record_id, field=field, old=old, new=new, at=at, by=by, by_name=by_name)
        for record_id, field, old, new, at, by, by_name in zip(
            _ids(columns[f"{object}Id"]),
            columns["Field"],
            map(_truth_or_none, columns["OldValue"]),
            map(_truth_or_none, columns["NewValue"]),
            map(moment_of, columns["CreatedDate"]),
            columns["CreatedById"],
            columns.get("CreatedBy.Name", nothing),
            strict=True,
        )
    ]


def _ids(values: Sequence[str]) -> Sequence[str]:
    """Ids with eighteen characters."""
    return values if are_18_characters(values) else [salesforce_id_18(value) for value in values]


def _lines(values: Sequence[str]) -> str:
    """A column as one text, to be looked at at once; a value that holds a line feed makes two lines, and the text too long."""
    return "\n".join([*values, ""])


def _instants(values: Sequence[str]) -> Sequence[str]:
    """Instants as text, in UTC and whole seconds."""
    text = _lines(values)
    if len(text) == _LINE * len(values) and _PLAIN_INSTANTS.fullmatch(text):
        for day in {text[at : at + 10] for at in range(0, len(text), _LINE)}:
            date.fromisoformat(day)
        return values
    return [_instant(value) for value in values]


def _instant(value: str) -> str:
    return moment_of(value).replace(tzinfo=None).isoformat() + ".000Z"


def _truths(values: Sequence[str]) -> list[bool]:
    try:
        return [_TRUTH[value] for value in values]
    except KeyError:
        return [truth_of(value) for value in values]


def _truth_or_none(value: str) -> bool | None:
    return truth_of(value) if value else None


def _opt_outs(columns: Columns, fields: Sequence[str]) -> list[dict[str, bool]]:
    """Each row's opt-outs; those of many rows are one dictionary."""
    made: dict[tuple[bool, ...], dict[str, bool]] = {}
    found = list(zip(*(_truths(columns[name]) for name in fields), strict=True))
    for values in set(found):
        made[values] = dict(zip(fields, values, strict=True))
    return [made[values] for values in found]


def _where_given(values: Sequence[str] | None, convert: Callable[[Sequence[str]], Sequence[str]]) -> list[str | None] | None:
    """A column of which few rows have a value, the others None; None for no column."""
    if values is None:
        return None
    given = iter(convert([value for value in values if value]))
    return [next(given) if value else None for value in values]


def _person_accounts(columns: Columns) -> Sequence[str] | None:
    """The account of each contact that is a person's, "" for all others."""
    if MARK not in columns:
        return None
    accounts: Iterable[str] = columns.get("AccountId", [""] * len(columns[MARK]))
    return [account if person else "" for person, account in zip(_truths(columns[MARK]), accounts, strict=True)]
