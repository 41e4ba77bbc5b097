"""Reading people: several queries in one composite request, all pages of their answers, and the org's own time of it.

Rows are asked before their history, in one request and in this order: what changed after a row was read shows in its history.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from workbench.org import OBJECTS, FieldChange, OrgRow
from workbench.salesforce import bounds
from workbench.salesforce.connection import Connection
from workbench.salesforce.person_accounts import ACCOUNT_PREFIX, MARK
from workbench.salesforce.replies import Reply, Request, composite_parts, date_of, unreadable
from workbench.salesforce.rows import change_of, row_of
from workbench.salesforce.soql import PREFIX, history_query, people_query

T = TypeVar("T")
MOST_QUERIES = 5  # query subrequests of one composite request
NEXT_PAGE = re.compile(r"/services/data/v\d+\.\d/query(?:All)?/[A-Za-z0-9_-]{1,100}")
Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query on one object and how a record of its answer is read."""

    text: str
    convert: Callable[[Record], OrgRow | FieldChange]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What some queries found; ``at`` is the org's time when it made the first answer (None when nothing was asked)."""

    rows: tuple[OrgRow, ...] = ()
    changes: tuple[FieldChange, ...] = ()
    at: datetime | None = None

    def __add__(self, other: Found) -> Found:
        moments = [at for at in (self.at, other.at) if at]
        return Found(rows=self.rows + other.rows, changes=self.changes + other.changes, at=min(moments, default=None))


def people_queries(
    columns: Mapping[str, Sequence[str]],
    opt_out_fields: Sequence[str],
    *,
    record_ids: Sequence[str],
    addresses: Sequence[str],
    marker_field: str = "",
) -> list[Query]:
    """The queries for the rows of some people: at most one for each object that ``columns`` names."""
    queries = []
    for kind in columns:
        ids = [record_id for record_id in record_ids if record_id.startswith(PREFIX[kind])]
        accounts = [i for i in record_ids if i.startswith(ACCOUNT_PREFIX)] if MARK in columns[kind] else []
        if ids or addresses or accounts:
            text = people_query(kind, columns[kind], record_ids=ids, addresses=addresses, accounts=accounts)
            queries.append(Query(text=text, convert=_row_reader(kind, opt_out_fields, marker_field)))
    return queries


def history_queries(opt_out_fields: Sequence[str], record_ids: Sequence[str]) -> list[Query]:
    """The queries for the history of some rows: at most one for each object."""
    queries = []
    for kind in OBJECTS:
        ids = [record_id for record_id in record_ids if record_id.startswith(PREFIX[kind])]
        if ids:
            text = history_query(kind, opt_out_fields, record_ids=ids)
            queries.append(Query(text=text, convert=_change_reader(kind)))
    return queries


def _row_reader(object: str, opt_out_fields: Sequence[str], marker_field: str) -> Callable[[Record], OrgRow]:
    return lambda record: row_of(object, record, opt_out_fields, marker_field)


def _change_reader(object: str) -> Callable[[Record], FieldChange]:
    return lambda record: change_of(object, record)


def find(connection: Connection, queries: Sequence[Query], *, what: str) -> Found:
    """Ask some queries, five to a request, deleted rows included, and read every page. Raises: OrgError."""
    found = Found()
    for start in range(0, len(queries), MOST_QUERIES):
        found += _find_together(connection, queries[start : start + MOST_QUERIES], what)
    return found


def _find_together(connection: Connection, queries: Sequence[Query], what: str) -> Found:
    request = composite_query([query.text for query in queries], api_version=connection.credentials.api_version, what=what)
    pages, at = connection.ask(request, lambda reply: (_pages_of(reply, queries), date_of(reply)))
    read = [item for converted, _ in pages for item in converted]
    for query, (_, following) in zip(queries, pages, strict=True):
        for page in following_pages(connection, following, query.convert, what=what):
            read.extend(page)
    rows = tuple(item for item in read if isinstance(item, OrgRow))
    return Found(rows=rows, changes=tuple(item for item in read if isinstance(item, FieldChange)), at=at)


def composite_query(texts: Sequence[str], *, api_version: str, what: str) -> Request:
    """Several queries in one request. Source: "Composite" in the REST API Developer Guide: at most five queries."""
    parts = [
        {
            "method": "GET",
            "url": f"/services/data/v{api_version}/queryAll?{urlencode({'q': text})}",
            "referenceId": f"query{number}",
        }
        for number, text in enumerate(texts)
    ]
    return Request(what=what, method="POST", path="composite", body={"allOrNone": False, "compositeRequest": parts})


def _pages_of(reply: Reply, queries: Sequence[Query]) -> list[tuple[list[OrgRow | FieldChange], str]]:
    answered = {part["referenceId"]: part["body"] for part in composite_parts(reply)}
    return [page_of(answered[f"query{number}"], query.convert) for number, query in enumerate(queries)]


def page_of(body: Mapping[str, Any], convert: Callable[[Record], T]) -> tuple[list[T], str]:
    """One page of a query's answer, and where the next one is ("" after the last). Raises: ValueError or LookupError."""
    records = [convert(record) for record in body["records"]]
    if body["done"] is True:
        return records, ""
    following = body["nextRecordsUrl"]
    if not NEXT_PAGE.fullmatch(following):
        raise ValueError("not the address of a page")
    return records, following


def following_pages(connection: Connection, following: str, convert: Callable[[Record], T], *, what: str) -> Iterator[list[T]]:
    """The pages of a query's answer after the first.

    Raises:
        OrgError: also when a page names one that was read as the next, or page after page is empty.
    """
    read: set[str] = set()
    empty = 0
    while following:
        if following in read or empty > bounds.MOST_EMPTY:
            raise unreadable(what)
        read.add(following)
        page, following = connection.ask(Request(what=what, path=following), lambda reply: page_of(reply.body, convert))
        empty = 0 if page else empty + 1
        yield page


def query_pages(connection: Connection, query: str, convert: Callable[[Record], T], *, what: str) -> Iterator[list[T]]:
    """Every page of one query, deleted rows included. Raises: OrgError."""
    request = Request(what=what, path="queryAll/", params={"q": query})
    page, following = connection.ask(request, lambda reply: page_of(reply.body, convert))
    if page:
        yield page
    yield from following_pages(connection, following, convert, what=what)
