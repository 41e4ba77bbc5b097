"""Texts of queries: nothing that comes from outside can change what is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.org import OrgPermissionError, OrgRefusedError
from workbench.salesforce.reading import composite_query
from workbench.salesforce.soql import (
    LONGEST_LIST,
    LONGEST_TEXT,
    access_of,
    all_history_query,
    chunks,
    columns_of,
    count_query,
    history_query,
    known_object,
    people_query,
    quoted,
    usable_ids,
)

FIELDS = (
    "Id",
    "Email",
    "FirstName",
    "LastName",
    "IsDeleted",
    "MasterRecordId",
    "SystemModstamp",
    "LastModifiedDate",
    "LastModifiedById",
)


def describe(*without: str, **extra: dict[str, Any]) -> dict[str, Any]:
    fields = [{"name": name, "type": "string", "updateable": True} for name in FIELDS]
    fields.append({"name": "HasOptedOutOfEmail", "type": "boolean", "updateable": True})
    return {"fields": [{**field, **extra.get(str(field["name"]), {})} for field in fields if field["name"] not in without]}


def unescaped(literal: str) -> str:
    """The value of a SOQL literal, read by its own rules: a quote inside must be escaped."""
    out, i = [], 1
    while i < len(literal) - 1:
        if literal[i] == "\\":
            i += 1
            out.append({"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}.get(literal[i], literal[i]))
        else:
            assert literal[i] != "'", "the literal ends early"
            out.append(literal[i])
        i += 1
    return "".join(out)


@given(st.text())
def test_a_quoted_value_reads_back_as_itself(value: str) -> None:
    assert unescaped(quoted([value])[1:-1]) == value


def test_an_address_can_not_leave_its_literal() -> None:
    query = people_query("Lead", ("Id",), record_ids=(), addresses=["x' OR Email LIKE '%@example.com"])
    assert query == "SELECT Id FROM Lead WHERE Email IN ('x\\' OR Email LIKE \\'%@example.com')"


def test_queries() -> None:
    query = people_query("Lead", ("Id", "Email"), record_ids=["00Q000000000001EAA"], addresses=["a@example.com"])
    assert query == "SELECT Id,Email FROM Lead WHERE Id IN ('00Q000000000001EAA') OR Email IN ('a@example.com')"
    history = history_query("Lead", ["HasOptedOutOfEmail"], record_ids=["00Q000000000001EAA"])
    assert history.endswith("FROM LeadHistory WHERE Field IN ('HasOptedOutOfEmail') AND LeadId IN ('00Q000000000001EAA')")
    counted = count_query(all_history_query("Contact", ["HasOptedOutOfEmail"]))
    assert counted == "SELECT COUNT() FROM ContactHistory WHERE Field IN ('HasOptedOutOfEmail')"
    with pytest.raises(ValueError, match="not an object"):
        known_object("Account")


def test_ids_are_checked_before_use_and_not_quoted_in_the_error() -> None:
    assert usable_ids(["001xx000003DGb2", "001xx000003DGb2AAG"]) == ["001xx000003DGb2AAG"]
    with pytest.raises(OrgRefusedError, match="has not the form of a Salesforce id") as caught:
        usable_ids(["jane.canary@example.com"])
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@given(st.lists(st.text(max_size=254), max_size=500))
def test_chunks_keep_everything_and_stay_small(values: list[str]) -> None:
    cut = list(chunks(values))
    assert [value for chunk in cut for value in chunk] == values
    assert all(0 < len(chunk) <= LONGEST_LIST for chunk in cut)


def test_the_longest_addresses_fit_into_a_query() -> None:
    worst = ["\\" * 254] * 1000
    for chunk in chunks(worst):
        assert len(quoted(chunk)) <= LONGEST_TEXT + LONGEST_LIST


def test_hidden_optional_fields_are_left_out_and_a_hidden_opt_out_field_is_named() -> None:
    assert "FirstName" not in columns_of("Lead", describe("FirstName"), ["HasOptedOutOfEmail"])
    with pytest.raises(OrgPermissionError, match=r"^Lead\.HasOptedOutOfEmail is hidden"):
        columns_of("Lead", describe("HasOptedOutOfEmail"), ["HasOptedOutOfEmail"])
    with pytest.raises(OrgPermissionError, match=r"^Contact\.SystemModstamp is hidden"):
        columns_of("Contact", describe("SystemModstamp"), ["HasOptedOutOfEmail"])
    with pytest.raises(OrgPermissionError, match=r"Lead\.Email is hidden.*or is no checkbox"):
        columns_of("Lead", describe(), ["Email"])


def test_access_tells_hidden_from_read_only() -> None:
    read_only = describe(HasOptedOutOfEmail={"updateable": False})
    (access,) = access_of("Lead", read_only, ["HasOptedOutOfEmail"])
    assert (access.readable, access.updateable) == (True, False)
    (access,) = access_of("Lead", describe("HasOptedOutOfEmail"), ["HasOptedOutOfEmail"])
    assert (access.readable, access.updateable) == (False, False)


def test_nothing_in_a_composite_query_can_be_taken_for_a_reference() -> None:
    request = composite_query(["SELECT Id FROM Lead WHERE Email IN ('@{q.x}')"], api_version="64.0", what="reading")
    assert isinstance(request.body, dict)
    (part,) = request.body["compositeRequest"]
    assert part["url"] == "/services/data/v64.0/queryAll?q=SELECT+Id+FROM+Lead+WHERE+Email+IN+%28%27%40%7Bq.x%7D%27%29"
