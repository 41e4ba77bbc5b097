"""Reading CSV files strictly: the place of a mistake is named, and a mistake in one row costs one row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.intake import columns, files, values
from workbench.intake.files import LARGEST_CELL, LONGEST_LINE, SourceFile

CORPORA = Path(os.environ.get("WORKBENCH_CORPORA", "/nonexistent"))


def read(folder: Path, data: bytes, encoding: str | None = None) -> SourceFile:
    path = folder / "file.csv"
    path.write_bytes(data)
    return SourceFile(path, encoding=encoding)


def cells(source: SourceFile) -> list[tuple[str, ...]]:
    return [row.cells for row in source.rows() if not row.reason]


def reasons(source: SourceFile) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in source.rows() if row.reason]


@pytest.mark.skipif(not (CORPORA / "csv-spectrum").is_dir(), reason="WORKBENCH_CORPORA names no folder with csv-spectrum")
def test_csv_spectrum() -> None:
    files = sorted((CORPORA / "csv-spectrum").glob("*.csv"))
    assert len(files) == len(list((CORPORA / "csv-spectrum").glob("*.json"))) >= 11
    for path in files:
        source = SourceFile(path)
        found = [dict(zip(source.header, row, strict=True)) for row in cells(source)]
        wanted = json.loads(path.with_suffix(".json").read_text("utf-8"))
        if b"\r\n" not in path.read_bytes():  # some copies of the corpus lost their line ends
            wanted = [{key: value.replace("\r\n", "\n") for key, value in row.items()} for row in wanted]
        assert found == wanted, path.name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends_are_recognised(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    text = end.join([delimiter.join(["E-Mail", "Name"]), delimiter.join(["jané@example.com", '"x\u2028y"']), ""])
    source = read(tmp_path, text.encode(encoding))
    assert source.header == ("E-Mail", "Name")
    assert cells(source) == [("jané@example.com", "x\u2028y")]


def test_an_excel_preamble_names_the_delimiter(tmp_path: Path) -> None:
    source = read(tmp_path, b"sep=;\r\nEmail;Last, First, Middle\r\na@example.com;x\r\n")
    assert source.header == ("Email", "Last, First, Middle")
    assert [row.line for row in source.rows()] == [3]


def test_known_names_decide_between_two_ways_to_cut_the_header(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("Last, First, Middle;Email\n")
    assert SourceFile(path, known=lambda name: name == "Email").header == ("Last, First, Middle", "Email")


def test_broken_utf8_is_named_with_byte_and_line(tmp_path: Path) -> None:
    good = b"Email\n" + b"jane@example.com\n" * 20_000
    with pytest.raises(InputError, match=f"byte {len(good) + 1:,} in line 20,002 does not fit") as caught:
        list(read(tmp_path, good + b"j\xfcrgen@example.com\n").rows())
    assert "cp1252" in caught.value.advice
    assert cells(read(tmp_path, b"Email\nj\xfcrgen\n", "cp1252")) == [("jürgen",)]
    with pytest.raises(InputError, match="byte 9 in line 1 does not fit"):
        read(tmp_path, b"\xef\xbb\xbfEmail,\xff\n")


def test_a_truncated_character_at_the_end_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="byte 6 in line 2"):
        list(read(tmp_path, "Email\nä".encode()[:-1]).rows())


@pytest.mark.parametrize(
    ("data", "encoding", "sentence"),
    [
        (b"", None, "the file is empty"),
        (b"\xef\xbb\xbf", None, "the file is empty"),
        (b"\n\r\n", None, "the file is empty"),
        (b"PK\x03\x04xl/", None, "Excel workbook"),
        ("Email\n".encode("utf-32"), None, "UTF-32"),
        (b"Email\n", "latin-99", "no text encoding"),
        (b"Email\n", "hex", "no text encoding"),
        (b"Email\n", "a\0b", "no text encoding"),
        (b'"Email\n', None, "can't be read as column names"),
    ],
)
def test_files_that_are_not_csv_are_refused(tmp_path: Path, data: bytes, encoding: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, data, encoding)


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(InputError, match="no such file"):
            SourceFile(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = read(tmp_path, b"Email\na@example.com\n")
    source.path.write_bytes(b"Email\nb@example.com\n")
    with pytest.raises(InputError, match="was changed while it was read"):
        list(source.rows())


def test_one_bad_row_costs_one_row(tmp_path: Path) -> None:
    source = read(
        tmp_path,
        b'Email,Name\n"a"x,1\nb@example.com,2\n"never closed,3\nc@example.com,4\nd@example.com,5,6\n,\n\ne@example.com,\0\nf@example.com,7',
    )
    assert cells(source) == [("b@example.com", "2"), ("c@example.com", "4"), ("f@example.com", "7")]
    assert reasons(source) == [
        (2, "a quotation mark stands where none may stand"),
        (4, "a quotation mark is opened and not closed"),
        (6, "the row has 3 cells, the header has 2"),
        (9, "a cell holds a NUL character"),
    ]


def test_line_numbers_count_lines_within_cells(tmp_path: Path) -> None:
    source = read(tmp_path, b'Email,Note\na@example.com,"one\ntwo\r\nthree"\nb@example.com,x,y\n')
    assert reasons(source) == [(5, "the row has 3 cells, the header has 2")]


def test_cells_and_lines_that_are_far_too_long_cost_one_row(tmp_path: Path) -> None:
    for cell in (b'"' + b"x" * (LARGEST_CELL + 1) + b'"', b"x" * (LONGEST_LINE + 100_000)):
        source = read(tmp_path, b"Email,Name\n" + cell + b",1\nb@example.com,2\n")
        assert cells(source) == [("b@example.com", "2")]
        assert [line for line, reason in reasons(source) if "more than 1,000,000 characters" in reason] == [2]


@given(st.binary(max_size=300))
def test_no_bytes_make_it_stumble(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"Email,Name\n" + data)
    try:
        rows = list(SourceFile(path).rows())
    except InputError:
        return
    assert all(row.reason or len(row.cells) == 2 for row in rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman"])
def test_utf8_under_another_name_is_an_error_and_not_other_letters(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InputError, match=f"the file is in UTF-8, and {encoding} would make other letters of it"):
        read(tmp_path, "Email,Name\na@example.com,Müller\n".encode(), encoding)
    assert cells(read(tmp_path, b"Email,Name\na@example.com,Muller\n", encoding)) == [("a@example.com", "Muller")]
    assert cells(read(tmp_path, "Email,Name\na@example.com,Müller\n".encode(encoding), encoding)) == [("a@example.com", "Müller")]


odd_text = st.lists(st.sampled_from(["a", '"', '""', ",", ";", "\n", "\r\n", "\r", "é", "\0", " ", "sep=;"]), max_size=60).map(
    "".join
)


@given(odd_text, st.sampled_from([3, 10, 64, 100_000]))
def test_records_that_are_read_together_are_those_that_are_read_alone(
    tmp_path_factory: pytest.TempPathFactory, text: str, piece: int
) -> None:
    """The file in pieces of any size, with everything plain in a piece read at once; and record by record."""
    path = tmp_path_factory.getbasetemp() / "together.csv"
    path.write_bytes(f"{text}\nEmail,Name\n{text}\nx,y\n{text}".encode())

    def found() -> list[tuple[int, tuple[str, ...], str]] | str:
        try:
            return [(row.line, row.cells, row.reason) for row in SourceFile(path).rows()]
        except InputError as error:
            return str(error)

    with mock.patch.object(files, "PIECE", piece):
        together = found()
    with mock.patch.object(files, "_plain_records", return_value=([], [])):
        alone = found()
    assert together == alone


def test_columns_are_found_whatever_their_case_and_spaces() -> None:
    header = ["first name", "E-MAIL ID", "PersonID", "Phone Number", "unsubscribe_date"]
    found = columns.find(header, columns.PEOPLE, mapping=None, one_of=("email",))
    assert dict(found.positions) == {"external_id": 2, "email": 1, "first_name": 0, "unsubscribed_at": 4}


def test_a_missing_column_names_those_that_are_there() -> None:
    with pytest.raises(InputError, match=r"no column Email ID; it has Name, Kontakt") as caught:
        columns.find(["Name", "Kontakt"], columns.PEOPLE, mapping=None, one_of=("email",))
    assert "--map email=COLUMN" in caught.value.advice


def test_an_error_about_columns_shows_no_addresses() -> None:
    with pytest.raises(InputError, match="seems to hold data") as caught:
        columns.find(["jane@example.com", "Jane"], columns.PEOPLE, mapping=None, one_of=("email",))
    assert "jane" not in str(caught.value).lower()


def test_a_mapping_goes_first_and_is_checked() -> None:
    header = ["Email", "Kontakt"]
    found = columns.find(header, columns.PEOPLE, mapping={"email": "kontakt"}, one_of=("email",))
    assert found.positions["email"] == 1
    with pytest.raises(InputError, match="no field is called mail"):
        columns.find(header, columns.PEOPLE, mapping={"mail": "Email"}, one_of=("email",))
    with pytest.raises(InputError, match="field email does not exist; it has Email, Kontakt"):
        columns.find(header, columns.PEOPLE, mapping={"email": "Mehl"}, one_of=("email",))
    with pytest.raises(InputError, match="2 columns could be the field email"):
        columns.find(["Email", "Email ID"], columns.PEOPLE, mapping=None, one_of=("email",))


@pytest.mark.parametrize("text", ["yes", "Y", "TRUE", "1", "x", "Unsubscribed", "opted-out", "Ja"])
def test_yes(text: str) -> None:
    assert values.yes_or_no(text)


@pytest.mark.parametrize("text", ["", " ", "no", "N", "FALSE", "0", "Subscribed", "-", "–"])
def test_no(text: str) -> None:
    assert not values.yes_or_no(text)


@pytest.mark.parametrize("text", ["maybe", "2", "?", "nope", "#REF!", "yes no"])
def test_neither_yes_nor_no(text: str) -> None:
    with pytest.raises(ValueError, match="neither yes nor no"):
        values.yes_or_no(text)


@pytest.mark.parametrize(
    ("text", "latest", "found"),
    [
        ("2026-10-03T14:05:33Z", False, "2026-10-03T14:05:33+00:00"),
        ("2026-10-03 14:05:33 UTC", False, "2026-10-03T14:05:33+00:00"),
        ("2026-10-03 14:05", False, "2026-10-03T14:05:00+02:00"),
        ("2026-10-03 14:05:33.123456 -0700", False, "2026-10-03T14:05:33.123000-07:00"),
        ("2026-10-03 14:05:33,5+05:30", False, "2026-10-03T14:05:33.500000+05:30"),
        ("2026-10-03", False, "2026-10-03T00:00:00+02:00"),
        ("2026-10-03", True, "2026-10-03T23:59:59.999000+02:00"),
        ("2026-10-25 02:30", False, "2026-10-25T02:30:00+02:00"),  # the hour that comes twice: its first time
        ("2026-10-25 02:30", True, "2026-10-25T02:30:00+01:00"),  # and its second
    ],
)
def test_moments(text: str, latest: bool, found: str) -> None:
    assert values.moment(text, values.zone_named("Europe/Berlin"), latest=latest).at.isoformat() == found


@pytest.mark.parametrize(
    "text", ["", "10/03/2026", "2026-13-01", "2026-02-30 10:00Z", "0001-01-01", "9999-01-01", "2026-W01-1", "٢٠٢٦-١٠-٠٣"]
)
def test_texts_that_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|year"):
        values.moment(text, latest=True)


@pytest.mark.parametrize("text", ["jane@example.com", "O'Neil+x@sub.example.org", "jané@exämple.com", "JANE@EXAMPLE.COM"])
def test_addresses(text: str) -> None:
    assert values.address(text)


@pytest.mark.parametrize(
    "text", ["", "jane", "jane@", "@example.com", "a@b@example.com", "a b@example.com", "Jane <jane@example.com>", "a..b@example.com",
             "jane@exa_mple.com", "a\u200b@example.com", "jane@example.com\nbcc: x@example.com"],
)  # fmt: skip
def test_texts_that_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="e-mail address") as caught:
        values.address(text)
    assert "jane@" not in str(caught.value)


def test_zones_are_named_as_iana_names_them() -> None:
    assert values.zone_named(None) is None
    for name in ("Berlin", "../../etc/passwd", "Europe"):
        with pytest.raises(InputError, match="no time zone has this name"):
            values.zone_named(name)
