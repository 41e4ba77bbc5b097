"""Whatever comes in from outside is read, or refused by the error that its reader names: no other exception, whatever the bytes.

Inputs are mutations of good ones and things made up; `EXAMPLES` says how many each test tries (`make soak`). What once broke a reader is
kept as an example beside its test.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fuzzed import JSON, fuzzed, records, texts
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.errors import SettingsError, WorkbenchError
from workbench.evidence import media_type, plain_name
from workbench.intake.files import SourceFile
from workbench.org import FieldChange, OrgError, OrgRow
from workbench.policy import load_policy, starting_policy
from workbench.salesforce.replies import Reply, composite_parts, error_entry, fault_of, first_fault, retry_after, status_of
from workbench.salesforce.rows import change_of, row_of
from workbench.scratch_org.soql import grammar
from workbench.trail.checkpoint import Signer, VerifierKey, open_checkpoint, parse_checkpoint, split_notes

MISFITS = (LookupError, TypeError, ValueError, AttributeError)
"""What the connection makes one sentence of, when an answer of the org is taken apart."""

SIGNER = Signer("test", b"\1" * 32)
NOTE = SIGNER.sign(7, b"\2" * 32)
POLICY = starting_policy("Example GmbH")
CSV = 'Person ID,Email,Unsubscribed\np1,ann@example.com,yes\n"p,2","b""ob@example.com",no\n'
SOQL = "SELECT Id, Email FROM Lead WHERE Email = 'a' AND (HasOptedOutOfEmail = true OR Id IN ('00Q000000000001')) ORDER BY Id LIMIT 5"
RECORD = {
    "Id": "00Q000000000001",
    "Email": "a@example.com",
    "HasOptedOutOfEmail": True,
    "SystemModstamp": "2026-01-05T09:00:00.000+0000",
    "LastModifiedDate": "2026-01-05T09:00:00.000+0000",
    "LastModifiedById": "005000000000001",
    "IsDeleted": False,
    "IsConverted": False,
    "ConvertedContactId": None,
    "MasterRecordId": None,
    "EmailBouncedDate": None,
    "Company": "ACME",
}
CHANGE = {
    "LeadId": "00Q000000000001",
    "Field": "HasOptedOutOfEmail",
    "OldValue": False,
    "NewValue": True,
    "CreatedDate": "2026-01-05T09:00:00.000+0000",
    "CreatedById": "005000000000001",
    "CreatedBy": {"Name": "Ada"},
}


@fuzzed
@given(texts(NOTE))
def test_checkpoints(text: str) -> None:
    for read in (
        parse_checkpoint,
        split_notes,
        VerifierKey.parse,
        lambda note: open_checkpoint(note, VerifierKey("test", b"\3" * 32)),
    ):
        with suppress(WorkbenchError):
            read(text)  # type: ignore[operator]


@fuzzed
@given(texts(POLICY))
def test_policies(text: str) -> None:
    with suppress(SettingsError):
        assert load_policy(text, name="policy.toml").controller is not None


@fuzzed
@given(
    texts(CSV).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=200),
    st.sampled_from([None, "utf-8", "cp1252", "utf-16", "latin-1"]),
)
def test_files_of_rows(content: bytes, encoding: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.csv"
        path.write_bytes(content)
        try:
            source = SourceFile(path, encoding=encoding)
            assert all(row.line > 0 for row in source.rows())
        except WorkbenchError:
            pass


@fuzzed
@given(
    st.binary(max_size=400)
    | st.tuples(
        st.sampled_from([b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"PK\3\4", b"II*\0", b"From: ", b"{", b"<"]), st.binary(max_size=200)
    ).map(b"".join),
    st.text(),
)
def test_evidence(content: bytes, name: str) -> None:
    assert "/" in media_type(content)
    try:
        kept = plain_name(name)
    except WorkbenchError:
        return
    assert "/" not in kept
    assert "\0" not in kept


@fuzzed
@given(texts(SOQL))
def test_queries(text: str) -> None:
    with suppress(grammar.OrgError):
        assert grammar.parsed(text) is not None


@fuzzed
@given(records(RECORD))
@example(RECORD | {"Id": None})
@example(RECORD | {"SystemModstamp": "9999-12-31T23:59:59.000-1400"})
@example(RECORD | {"LastModifiedDate": "0001-01-01T00:00:00.000+1400"})
@example(RECORD | {"EmailBouncedDate": "9999-12-31T23:59:59.000-1400"})
@example(RECORD | {"LastModifiedById": {"Id": []}})
def test_records_of_the_org(record: dict[str, Any]) -> None:
    try:
        row = row_of("Lead", record, ["HasOptedOutOfEmail"])
    except MISFITS:
        return
    assert isinstance(row, OrgRow)
    assert row.opt_outs["HasOptedOutOfEmail"] is (record["HasOptedOutOfEmail"] in (True, "true"))


@fuzzed
@given(records(CHANGE))
@example(CHANGE | {"CreatedDate": "0001-01-01T00:00:00.000+1400"})
@example(CHANGE | {"Field": []})
def test_changes_of_the_org(record: dict[str, Any]) -> None:
    with suppress(MISFITS):
        assert isinstance(change_of("Lead", record), FieldChange)


@fuzzed
@given(
    st.integers(100, 599), JSON, st.dictionaries(st.sampled_from(["date", "retry-after", "content-type"]), st.text(max_size=40))
)
def test_answers_of_the_org(status: int, body: Any, headers: dict[str, str]) -> None:
    reply = Reply(status=status, headers=headers, body=body)
    assert all(isinstance(part, str) for part in error_entry(body))
    fault_of(status, body)
    for read in (
        first_fault,
        lambda reply: [status_of(part) for part in composite_parts(reply)],
        lambda reply: retry_after(reply, datetime(2026, 1, 1, tzinfo=UTC)),
    ):
        try:
            read(reply)
        except (OrgError, *MISFITS):
            pass


@pytest.mark.parametrize("good", [CSV])
def test_the_good_ones_are_read(good: str, tmp_path: Path) -> None:
    """The inputs that are mutated would come through."""
    (tmp_path / "file.csv").write_text(good, encoding="utf-8")
    assert [row.reason for row in SourceFile(tmp_path / "file.csv").rows()] == ["", ""]
    assert parse_checkpoint(NOTE).size == 7
    assert load_policy(POLICY, name="policy.toml").controller == "Example GmbH"
    assert grammar.parsed(SOQL)
    assert row_of("Lead", RECORD, ["HasOptedOutOfEmail"]).opt_outs == {"HasOptedOutOfEmail": True}
    assert change_of("Lead", CHANGE).new is True
