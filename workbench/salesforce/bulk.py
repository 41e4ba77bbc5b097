"""Many rows through a Bulk API 2.0 query job: create it, wait for it, read its pages as they stream in.

simple-salesforce's own job helper holds a page as text, can't ask for deleted rows and gives up a job on any error; a page
here is parsed while it arrives, and one that breaks off is read again from its locator, which stays valid.
Source: "Bulk API 2.0 Query" in the Bulk API 2.0 Developer Guide.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from workbench.org import Bookmark, OrgRefusedError, OrgUnreachableError, Page
from workbench.salesforce import bounds
from workbench.salesforce.connection import Connection
from workbench.salesforce.replies import Reply, Request

T = TypeVar("T")
Columns = Mapping[str, Sequence[str]]
Convert = Callable[[Columns], Sequence[T]]
PAGE = 20_000  # rows of one results page: some 30 MB while it is read and stored
BLOCK = 1 << 20  # characters of a page that are taken apart at once
NEXT_VALUE, NEXT_RECORD = '","', '"\n"'  # what lies between two values, and between two records, as Salesforce writes them
JOB_ID = re.compile(r"[A-Za-z0-9]{15,18}")
LOCATOR = re.compile(r"[A-Za-z0-9+/=_-]{1,200}")
FIRST_WAIT, LONGEST_WAIT, LONGEST_JOB = 0.05, 15.0, 4 * 3600.0  # seconds
PART_WAITED = 8  # a job is asked for again after an eighth of the time that it took so far


def query_job(
    connection: Connection, query: str, *, convert: Convert[T], what: str, at: Bookmark | None = None
) -> Iterator[Page[T]]:
    """Every row of a query, deleted ones included, in pages of at most `PAGE` rows; ``convert`` makes them of a page's columns.

    With a bookmark, the pages behind it of the job that it names: no job is made, and no page before it is read.

    Raises:
        OrgRefusedError: the job was refused, failed, or is no longer there.
        OrgError: it did not end, or could not be read.
    """
    if at and at.delivered and not at.locator:  # the last page was read
        if at.delivered != at.promised:
            raise OrgRefusedError(f"Query job {at.job} had delivered {at.delivered} of {at.promised} rows ({what}).")
        return
    job = at.job if at else begin_job(connection, query, what=what)
    promised = await_job(connection, f"jobs/query/{job}", what)
    delivered, locator = (at.delivered, at.locator) if at else (0, "")
    seen, empty = {"", locator}, 0
    while True:
        rows, locator = connection.ask_stream(
            _page_request(job, locator, what), lambda reply, chunks: _page(reply, chunks, convert)
        )
        delivered += len(rows)
        if rows:
            yield Page(rows, Bookmark(job=job, locator=locator, delivered=delivered, promised=promised))
        empty = 0 if rows else empty + 1
        if locator in seen or empty > bounds.MOST_EMPTY:
            break
        seen.add(locator)
    if locator or delivered != promised:
        raise OrgUnreachableError(f"Query job {job} delivered {delivered} of {promised} rows ({what}).")


def begin_job(connection: Connection, query: str, *, what: str) -> str:
    """Make a job for a query; gives its id. Raises: OrgError."""
    body = {"operation": "queryAll", "query": query, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
    # creating a job changes no record: after a lost answer a second one is made and the first left to expire
    return connection.ask(Request(what=what, method="POST", path="jobs/query", body=body), lambda reply: job_id(reply.body["id"]))


def job_id(text: str) -> str:
    """A job's id, which becomes part of addresses. Raises: ValueError for anything else."""
    if not JOB_ID.fullmatch(text):
        raise ValueError("not a job id")
    return text


def await_job(connection: Connection, path: str, what: str, *, ended: Collection[str] = ("JobComplete",)) -> int:
    """Wait until the job is in one of these states; gives the number of rows that it found or processed.

    Raises:
        OrgRefusedError: it failed or was aborted, and that is none of them.
        OrgError: it did not end, or could not be asked.
    """
    job = path.rpartition("/")[2]
    waited = 0.0
    while waited < LONGEST_JOB:
        state, found = connection.ask(Request(what=what, path=path), _job_state)
        if state in ended:
            return found
        if state in ("Failed", "Aborted"):
            raise OrgRefusedError(
                f"Salesforce did not finish job {job}: {state} ({what}).", "Look at Bulk Data Load Jobs in Setup."
            )
        wait = min(LONGEST_WAIT, max(FIRST_WAIT, waited / PART_WAITED))
        connection.patience.sleep(wait)
        waited += wait
    raise OrgUnreachableError(f"Job {job} did not end within four hours ({what}).")


def _job_state(reply: Reply) -> tuple[str, int]:
    return reply.body["state"], int(reply.body.get("numberRecordsProcessed") or 0)


def _page_request(job: str, locator: str, what: str) -> Request:
    params = {"maxRecords": str(PAGE), **({"locator": locator} if locator else {})}
    return Request(what=what, path=f"jobs/query/{job}/results", params=params)


def _page(reply: Reply, chunks: Iterable[bytes], convert: Convert[T]) -> tuple[Sequence[T], str]:
    """One page's rows and the next page's locator. Raises: ValueError when the page is shorter than it says."""
    found = columns(chunks)
    rows = convert(found) if found else ()
    if len(rows) != int(reply.headers["sforce-numberofrecords"]):
        raise ValueError("the page broke off")
    locator = reply.headers.get("sforce-locator", "null")
    if locator != "null" and not LOCATOR.fullmatch(locator):
        raise ValueError("not a locator")
    return rows, "" if locator == "null" else locator


def columns(chunks: Iterable[bytes]) -> dict[str, list[str]]:
    """The values of a CSV that comes in pieces, by the names in its header; none without records.

    Column by column, a page is checked and converted in a fraction of the time that it takes record by record.

    Raises:
        ValueError: it is not CSV in UTF-8, or a record is longer or shorter than the header.
    """
    names: list[str] = []
    found: list[list[str]] = []
    for width, values in _blocks(chunks):
        begin = 0
        if not names:
            names, begin = values[:width], width
            found = [[] for _ in names]
        elif width != len(names):
            raise ValueError("records of different lengths")
        for place, column in enumerate(found):
            column.extend(values[begin + place :: width])
    return dict(zip(names, found, strict=True)) if found and found[0] else {}


def _blocks(chunks: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Whole records of a CSV, many at a time: how many values each has, and all their values in a row."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, most = "", BLOCK
    for chunk in chunks:
        text += decoder.decode(chunk)
        end = text.rfind(NEXT_RECORD) + 2  # behind the line feed
        if len(text) < most or end < 2:
            continue
        try:
            yield _values(text[:end])
        except ValueError:  # perhaps cut inside of a value that holds a quoted line: with more of it, it can be told
            most = 2 * len(text)
        else:
            text, most = text[end:], BLOCK
    if text := text + decoder.decode(b"", final=True):
        yield _values(text)


def _values(text: str) -> tuple[int, list[str]]:
    """The values of whole records, one after another, and how many each record has. Raises: ValueError."""
    return _plain_values(text.removesuffix("\n")) or _any_values(text)


def _plain_values(text: str) -> tuple[int, list[str]] | None:
    """As `_values`, of records as Salesforce writes nearly all: every value in quotes, and no quote in any; None for others."""
    if not text.startswith('"') or not text.endswith('"'):
        return None
    rows = text[1:-1].split(NEXT_RECORD)
    between = rows[0].count(NEXT_VALUE)
    values = NEXT_VALUE.join(rows).split(NEXT_VALUE)
    # Without quotes but those around values, each was split where it ends. A line feed alone in quotes would pass for a record's end.
    if text.count('"') != 2 * len(values) or NEXT_VALUE + NEXT_RECORD[1:] in text:
        return None
    return (between + 1, values) if all(row.count(NEXT_VALUE) == between for row in rows) else None


def _any_values(text: str) -> tuple[int, list[str]]:
    """As `_values`, of any CSV. Raises: ValueError."""
    try:
        found = list(csv.reader(io.StringIO(text, newline="\n"), strict=True))
    except csv.Error:
        raise ValueError("not CSV") from None
    if any(len(record) != len(found[0]) for record in found):
        raise ValueError("records of different lengths")
    return len(found[0]), list(chain.from_iterable(found))


def records(chunks: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """The records of a CSV that comes in pieces. Raises: ValueError for what is not CSV in UTF-8."""
    reader = csv.reader(lines(chunks), strict=True)
    try:
        header = next(reader, [])
        for values in reader:
            yield dict(zip(header, values, strict=True))
    except csv.Error:
        raise ValueError("not CSV") from None


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Text lines, ends kept, of bytes that are cut anywhere; only a line feed ends a line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (f"{line}\n" for line in whole)
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest
