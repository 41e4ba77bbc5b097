"""Records into row types: JSON and CSV agree, and a doubtful opt-out is an error."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from workbench.person import salesforce_id_18
from workbench.salesforce import bulk
from workbench.salesforce.bulk import columns, lines, records
from workbench.salesforce.columns import changes_of, rows_of
from workbench.salesforce.rows import change_of, moment_of, row_of, truth_of
from workbench.store import incoming

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


TEXTS = st.text(max_size=12)
IDS = st.one_of(
    st.integers(0, 10**9).map(lambda n: salesforce_id_18(f"00Q{n:012d}")),
    st.text("AbZ9", min_size=15, max_size=15).map(salesforce_id_18),
    st.text("AbZ9", min_size=15, max_size=15),
    st.sampled_from(
        ["003xx000004TmiQAAS", "003xx000004Tmiqaas", "003xx000004TmiQAAA", " 003xx000004TmiQAAS", "003xx\u0660\u0661", ""]
    ),
)
TRUTHS = st.sampled_from(["true", "false"])
ODD_TRUTHS = st.sampled_from(["true", "false", "", "TRUE", "1", " true"])
INSTANTS = st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda at: at.isoformat(timespec="seconds") + ".000Z")  # noqa: DTZ001 a zone is written
ODD_INSTANTS = st.one_of(
    INSTANTS,
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)).map(datetime.isoformat),  # noqa: DTZ001 as above
    st.sampled_from(
        [
            "2026-02-30T10:00:00.000Z",
            "2026-01-05T24:00:00.000Z",
            "2026-01-05T10:00:60.000Z",
            "2026-01-05T10:00:00.999Z",
            "2026-01-05T10:00:00.000+0100",
            "2026-01-05T10:00:00",
            "0000-01-05T10:00:00.000Z",
            "\u0662026-01-05T10:00:00.000Z",
            "2026-01-05T10:00:00.000Z\n",
            "",
        ]
    ),
)


def sheets(ids: st.SearchStrategy[str], truths: st.SearchStrategy[str], instants: st.SearchStrategy[str]) -> Any:
    """Some records of a page, all with the same columns, of which the optional ones may be absent."""
    must = {"Id": ids, "Email": TEXTS, "LastModifiedById": TEXTS, "SystemModstamp": instants, "LastModifiedDate": instants}
    must |= dict.fromkeys(("IsDeleted", "HasOptedOutOfEmail", "Other__c"), truths)
    few = st.one_of(st.just(""), ids)
    may = {"FirstName": TEXTS, "LastName": TEXTS, "Company": TEXTS, "Account.Name": TEXTS, "IsConverted": truths}
    may |= {"ConvertedContactId": few, "MasterRecordId": few, "AccountId": few, "IsPersonAccount": truths}
    may |= {"EmailBouncedDate": st.one_of(st.just(""), instants)}
    names = st.sets(st.sampled_from(sorted(may)))
    return names.flatmap(
        lambda some: st.lists(st.fixed_dictionaries(must | {name: may[name] for name in sorted(some)}), min_size=1, max_size=4)
    )


def answer(step: Callable[[], Any]) -> Any:
    """What a reading gives, or that it refuses."""
    try:
        return step()
    except (ValueError, LookupError):
        return "refused"


def by_columns(sheet: list[dict[str, str]]) -> dict[str, list[str]]:
    return {name: [record[name] for record in sheet] for name in sheet[0]}


@given(sheets(IDS, TRUTHS, INSTANTS) | sheets(IDS, ODD_TRUTHS, ODD_INSTANTS), st.sampled_from(["Lead", "Contact"]))
def test_a_page_read_by_columns_says_what_its_records_say(sheet: list[dict[str, str]], kind: str) -> None:
    fields = ("HasOptedOutOfEmail", "Other__c")
    one_by_one = answer(lambda: [row_of(kind, record, fields) for record in sheet])
    rows = answer(lambda: rows_of(kind, by_columns(sheet), fields))
    event(str(one_by_one == "refused"))
    assert (rows if rows == "refused" else list(rows)) == one_by_one
    if rows != "refused":
        assert list(incoming.columns_of(list(rows)).system_modstamp) == list(rows.system_modstamp)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"LeadId": IDS, "Field": TEXTS, "OldValue": ODD_TRUTHS, "NewValue": ODD_TRUTHS, "CreatedDate": ODD_INSTANTS}
            | {"CreatedById": TEXTS, "CreatedBy.Name": TEXTS}
        ),
        min_size=1,
        max_size=3,
    )
)
def test_history_read_by_columns_says_what_its_records_say(sheet: list[dict[str, str]]) -> None:
    one_by_one = answer(lambda: [change_of("Lead", record) for record in sheet])
    assert answer(lambda: changes_of("Lead", by_columns(sheet))) == one_by_one


@pytest.mark.parametrize("name", ["HasOptedOutOfEmail", "IsDeleted", "SystemModstamp", "Email", "Id", "LastModifiedById"])
def test_a_page_without_a_deciding_column_is_an_error(name: str) -> None:
    page = columns([CSV.encode()])
    assert list(rows_of("Contact", page, OPT_OUTS)) == [row_of("Contact", JSON, OPT_OUTS)]
    with pytest.raises(LookupError):
        rows_of("Contact", {key: value for key, value in page.items() if key != name}, OPT_OUTS)


QUOTED = st.lists(st.lists(st.text(alphabet='",\n\r\\ aé', max_size=3), min_size=2, max_size=2), min_size=2, max_size=6)


@given(QUOTED, st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_a_page_all_in_quotes_is_what_the_csv_module_reads(values: list[list[str]], size: int, block: int, doubled: bool) -> None:
    """Values of a lone line feed, comma or quote are where splitting at ``","`` and at line ends could go wrong."""
    keep = values if doubled else [[value.replace('"', "") for value in row] for row in values]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["Id", "Name"], *keep])
    page = text.getvalue().encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "BLOCK", block)
        found = columns(page[i : i + size] for i in range(0, len(page), size))
    assert found == {"Id": [row[0] for row in keep], "Name": [row[1] for row in keep]}


@pytest.mark.parametrize("page", ['"Id","Name"\n"1"\n', '"Id"\n"1","2"\n', '"Id"\n"1\n', '"Id"\n"1"2\n'])
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_a_page_whose_records_differ_or_whose_quotes_are_open_is_refused(
    page: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BLOCK", block)
    with pytest.raises(ValueError, match=r"CSV|lengths"):
        columns([page.encode()])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_columns_are_those_of_the_records(size: int) -> None:
    text = 'Id,Name\n1,"Zoë, ""the"" Ünder\nline"\n2,\u2028x\r\n'.encode()
    cut = [text[i : i + size] for i in range(0, len(text), size)]
    assert {name: list(values) for name, values in columns(cut).items()} == by_columns(list(records(cut)))
    assert columns([b"Id,Name\n"]) == columns([]) == {}


@pytest.mark.parametrize("text", [b"Id,Name\n1\n", b'Id,Name\n1,"open', b"Id\n\xff\n", b"Id,Name\n1,2,3\n", b"Id\n1\n\n"])
def test_columns_of_broken_csv_are_an_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        columns([text])
