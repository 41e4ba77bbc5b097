"""Many rows through a Bulk API 2.0 query job: create it, wait for it, read its pages as they stream in.

simple-salesforce's own job helper holds a page as text, can't ask for deleted rows and gives up a job on any error; a page
here is parsed while it arrives, and one that breaks off is read again from its locator, which stays valid.
Source: "Bulk API 2.0 Query" in the Bulk API 2.0 Developer Guide.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from workbench.org import Bookmark, OrgRefusedError, OrgUnreachableError, Page
from workbench.salesforce.connection import Connection
from workbench.salesforce.replies import Reply, Request

T = TypeVar("T")
Columns = Mapping[str, Sequence[str]]
Convert = Callable[[Columns], Sequence[T]]
PAGE = 20_000  # rows of one results page: some 30 MB while it is read and stored
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
    seen = {"", locator}
    while True:
        rows, locator = connection.ask_stream(
            _page_request(job, locator, what), lambda reply, chunks: _page(reply, chunks, convert)
        )
        delivered += len(rows)
        if rows:
            yield Page(rows, Bookmark(job=job, locator=locator, delivered=delivered, promised=promised))
        if locator in seen:
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


def columns(chunks: Iterable[bytes]) -> dict[str, tuple[str, ...]]:
    """The values of a CSV that comes in pieces, by the names in its header; none without records.

    Column by column, a page is checked and converted in a fraction of the time that it takes record by record.

    Raises:
        ValueError: it is not CSV in UTF-8, or a record is longer or shorter than the header.
    """
    try:
        rows = list(csv.reader(lines(chunks), strict=True))
    except csv.Error:
        raise ValueError("not CSV") from None
    header = rows.pop(0) if rows else []
    return dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}


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
