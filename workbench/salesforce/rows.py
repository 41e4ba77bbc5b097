"""Records as Salesforce sends them (JSON, or CSV of a Bulk job) into our row types; what does not fit is an error, never a guess.

Pure. JSON says ``2026-01-05T09:00:00.000+0000``, true and null; CSV says ``2026-01-05T09:00:00.000Z``, ``true`` and "".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workbench.org import FieldChange, OrgRow
from workbench.person import salesforce_id_18
from workbench.salesforce.person_accounts import MARK

_TRUTH = {True: True, False: False, "true": True, "false": False}


def moment_of(value: str) -> datetime:
    """A Salesforce datetime, UTC, whole seconds. Raises: ValueError."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a datetime without a zone")
    if moment.tzinfo is UTC and not moment.microsecond:
        return moment
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:  # no ValueError, and so it would pass those who make one sentence of an odd answer
        raise ValueError("a datetime beyond the calendar") from None


def truth_of(value: object) -> bool:
    """A checkbox's value. Raises: ValueError for anything but true and false: an opt-out must not be read as none."""
    if isinstance(value, bool | str) and value in _TRUTH:
        return _TRUTH[value]
    raise ValueError("not the value of a checkbox")


def row_of(object: str, record: Mapping[str, Any], opt_out_fields: Sequence[str], marker_field: str = "") -> OrgRow:
    """One Lead or Contact.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: a field that decides something is absent or odd; the connection makes one
            sentence of them.
    """
    bounced = record.get("EmailBouncedDate")
    modstamp, modified = record["SystemModstamp"], record["LastModifiedDate"]
    stamped = moment_of(modstamp)
    return OrgRow(
        record_id=salesforce_id_18(record["Id"]),
        object=object,
        email=_text(record["Email"]),
        opt_outs={name: truth_of(record[name]) for name in opt_out_fields},
        system_modstamp=stamped,
        last_modified_date=stamped if modified == modstamp else moment_of(modified),
        last_modified_by=_text(record["LastModifiedById"]),
        first_name=_text(record.get("FirstName")),
        last_name=_text(record.get("LastName")),
        company=_text(record.get("Company")) or _related(record, "Account", "Name"),
        is_deleted=truth_of(record["IsDeleted"]),
        is_converted=truth_of(record["IsConverted"]) if "IsConverted" in record else False,
        converted_contact_id=_reference(record.get("ConvertedContactId")),
        merged_into=_reference(record.get("MasterRecordId")),
        bounced_at=moment_of(bounced) if bounced else None,
        mark=_text(record[marker_field]) if marker_field in record else None,
        person_account=_reference(record.get("AccountId")) if truth_of(record.get(MARK, False)) else None,
    )


def change_of(object: str, record: Mapping[str, Any]) -> FieldChange:
    """One row of an object's history. Raises: as `row_of`."""
    return FieldChange(
        record_id=salesforce_id_18(record[f"{object}Id"]),
        field=_text(record["Field"]),
        old=_truth_or_none(record["OldValue"]),
        new=_truth_or_none(record["NewValue"]),
        at=moment_of(record["CreatedDate"]),
        by=_text(record["CreatedById"]),
        by_name=_related(record, "CreatedBy", "Name"),
    )


def _text(value: object) -> str:
    """A text, "" for none. Raises: TypeError for anything else."""
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError("this is no text")


def _truth_or_none(value: object) -> bool | None:
    return None if value in (None, "") else truth_of(value)


def _related(record: Mapping[str, Any], relation: str, field: str) -> str:
    """A parent's field: nested in JSON, a column with a dot in CSV."""
    parent = record.get(relation)
    value = parent.get(field) if isinstance(parent, Mapping) else record.get(f"{relation}.{field}")
    return _text(value)


def _reference(value: str | None) -> str | None:
    return salesforce_id_18(value) if value else None
