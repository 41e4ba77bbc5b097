"""Records into row types: JSON and CSV agree, and a doubtful opt-out is an error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from workbench.salesforce.bulk import lines, records
from workbench.salesforce.rows import change_of, moment_of, row_of, truth_of

JSON: dict[str, Any] = {
    "attributes": {"type": "Contact", "url": "/services/data/v64.0/sobjects/Contact/003xx000004TmiQAAS"},
    "Id": "003xx000004TmiQAAS",
    "Email": "Ann@Example.com",
    "IsDeleted": False,
    "SystemModstamp": "2026-01-05T09:00:01.000+0000",
    "LastModifiedDate": "2026-01-05T09:00:00.000+0000",
    "LastModifiedById": "005000000000001AAA",
    "FirstName": "Ann",
    "LastName": None,
    "MasterRecordId": None,
    "EmailBouncedDate": None,
    "HasOptedOutOfEmail": True,
    "Account": {"attributes": {}, "Name": "Example"},
}
CSV = (
    '"Id","Email","IsDeleted","SystemModstamp","LastModifiedDate","LastModifiedById","FirstName","LastName","MasterRecordId",'
    '"EmailBouncedDate","HasOptedOutOfEmail","Account.Name"\n'
    '"003xx000004TmiQAAS","Ann@Example.com","false","2026-01-05T09:00:01.000Z","2026-01-05T09:00:00.000Z","005000000000001AAA",'
    '"Ann","","","","true","Example"\n'
)
OPT_OUTS = ("HasOptedOutOfEmail",)


def test_json_and_csv_give_the_same_row() -> None:
    row = row_of("Contact", JSON, OPT_OUTS)
    (record,) = records([CSV.encode()])
    assert row_of("Contact", record, OPT_OUTS) == row
    assert row.opt_outs == {"HasOptedOutOfEmail": True}
    assert row.system_modstamp == datetime(2026, 1, 5, 9, 0, 1, tzinfo=UTC)
    assert row.company == "Example"
    assert row.last_name == ""
    assert row.merged_into is None
    assert "Example.com" not in repr(row)


@pytest.mark.parametrize("value", [None, "", "TRUE?", 0, 1, "no", [], {}])
def test_what_is_neither_true_nor_false_is_no_checkbox(value: object) -> None:
    with pytest.raises(ValueError, match="checkbox"):
        truth_of(value)


@pytest.mark.parametrize("name", ["HasOptedOutOfEmail", "IsDeleted", "SystemModstamp", "Email"])
def test_a_record_without_a_deciding_field_is_an_error(name: str) -> None:
    with pytest.raises(LookupError):
        row_of("Contact", {key: value for key, value in JSON.items() if key != name}, OPT_OUTS)


def test_moments_are_whole_seconds_with_a_zone() -> None:
    assert moment_of("2026-01-05T10:00:00.999+0100") == datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone"):
        moment_of("2026-01-05T10:00:00")


def test_history_in_json_and_csv() -> None:
    record = {
        "LeadId": "00Q000000000001EAA",
        "Field": "HasOptedOutOfEmail",
        "OldValue": None,
        "NewValue": True,
        "CreatedDate": "2026-01-05T09:00:00.000+0000",
        "CreatedById": "005000000000001AAA",
        "CreatedBy": {"Name": "Nightly Sync"},
    }
    flat = {**record, "OldValue": "", "NewValue": "true", "CreatedBy": None, "CreatedBy.Name": "Nightly Sync"}
    change = change_of("Lead", record)
    assert change_of("Lead", flat) == change
    assert (change.old, change.new, change.by_name) == (None, True, "Nightly Sync")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_csv_may_be_cut_anywhere(size: int) -> None:
    text = 'Id,Name\n1,"Zoë, ""the"" Ünder\nline"\n2,\u2028x\r\n'.encode()
    cut = [text[i : i + size] for i in range(0, len(text), size)]
    assert list(records(cut)) == [{"Id": "1", "Name": 'Zoë, "the" Ünder\nline'}, {"Id": "2", "Name": "\u2028x"}]
    assert "".join(lines(cut)) == text.decode()


@pytest.mark.parametrize("text", [b"Id,Name\n1\n", b'Id,Name\n1,"open', b"Id\n\xff\n", b"Id,Name\n1,2,3\n"])
def test_broken_csv_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        list(records([text]))
