"""`SalesforceOrg`: the operations of `workbench.org.Org` over HTTP. Each is one logical step; how is left to its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import zip_longest
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from workbench.org import (
    OBJECTS,
    OPT_OUT_FIELD,
    ApiUsage,
    Bookmark,
    Changes,
    ConditionalClear,
    FieldAccess,
    FieldChange,
    OrgError,
    OrgIdentity,
    OrgPermissionError,
    OrgQuotaError,
    OrgRow,
    Reading,
    RowAnswer,
)
from workbench.person import salesforce_id_18
from workbench.salesforce.bulk import Columns, begin_job, query_job
from workbench.salesforce.changes import changes
from workbench.salesforce.columns import changes_of, rows_of
from workbench.salesforce.connection import Connection, Patience
from workbench.salesforce.ingest import opt_out_in_bulk
from workbench.salesforce.login import Login, OrgCredentials
from workbench.salesforce.notes import insert_text, read_texts
from workbench.salesforce.person_accounts import ACCOUNT, MARK, accounts_of, written_fields
from workbench.salesforce.reading import MOST_QUERIES, Found, find, history_queries, people_queries, query_pages
from workbench.salesforce.replies import Reply, Request, date_of
from workbench.salesforce.rows import change_of, row_of
from workbench.salesforce.soql import (
    FIELD_NAME,
    LONGEST_LIST,
    access_of,
    all_history_query,
    all_query,
    chunks,
    columns_of,
    count_query,
    known_object,
    marker_access_of,
    usable_ids,
)
from workbench.salesforce.transport import Route, Timeouts, is_loopback
from workbench.salesforce.writes import (
    clear_answers,
    clear_request,
    opt_out_answers,
    opt_out_groups,
    opt_out_request,
    unknown,
)

T = TypeVar("T")
MOST_BY_COLLECTIONS = 2_000  # rows to be opted out: above it Salesforce's guidance is Bulk API 2.0
MOST_BY_REST = 2_000  # rows: one page; above it Salesforce's guidance is Bulk API 2.0
DESCRIBED: Mapping[str, type] = {"name": str, "type": str, "length": int, "updateable": bool, "relationshipName": str}
"""What is looked at of a field, and of which kind it is."""


@dataclass(frozen=True, kw_only=True)
class Reader(Generic[T]):
    """How one kind of thing is read: from a record of REST, and from the columns of a Bulk page."""

    record: Callable[[Mapping[str, Any]], T]
    columns: Callable[[Columns], Sequence[T]]


class SalesforceOrg:
    """One Salesforce org, logged in on first use; implements `workbench.org.Org`.

    Threads may share one. Use it as a context manager, or `close` it. Nothing is asked before the first operation.

    Raises:
        OrgNotAllowedError: the credentials' address is neither Salesforce's nor on this computer.
    """

    def __init__(
        self,
        credentials: OrgCredentials,
        *,
        opt_out_fields: Sequence[str] = (OPT_OUT_FIELD,),
        timeouts: Timeouts = Timeouts(),  # noqa: B008 frozen
        patience: Patience = Patience(),  # noqa: B008 frozen
        daily_share: float = 1.0,
        marker_field: str = "",
        route: Route = Route(),  # noqa: B008 frozen
    ) -> None:
        if not opt_out_fields or not all(FIELD_NAME.fullmatch(name) for name in opt_out_fields):
            raise ValueError("opt-out fields are given by their API names, one at least")
        self.opt_out_fields = tuple(dict.fromkeys(opt_out_fields))
        self.credentials = credentials
        self.daily_share = daily_share
        self.marker_field = marker_field
        self.connection = Connection(credentials, timeouts=timeouts, patience=patience, route=route)
        self._columns: dict[str, tuple[str, ...]] = {}
        self._accounts: dict[str, str] = {}
        self._identity: tuple[Login, OrgIdentity] | None = None

    def __repr__(self) -> str:
        return f"SalesforceOrg({self.credentials.url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the open sockets."""
        self.connection.close()

    @property
    def calls(self) -> int:
        """API calls made so far by this object, failed ones included."""
        return self.connection.calls

    def identity(self) -> OrgIdentity:
        """Who and where we are; asked once a login. Raises: OrgError."""
        login = self.connection.login()
        if self._identity is None or self._identity[0] is not login:
            request = Request(
                what="asking which org this is", path="query/", params={"q": "SELECT Id, Name, IsSandbox FROM Organization"}
            )
            organization = self.connection.ask(request, _organization)
            self._identity = (self.connection.login(), self._identity_of(*organization))
        return self._identity[1]

    def _identity_of(self, org_id: str, name: str, sandbox: bool) -> OrgIdentity:
        kind = "sandbox" if sandbox else "production"
        return OrgIdentity(
            org_id=org_id,
            name=name,
            kind="scratch" if is_loopback(self.credentials.url) else kind,
            user_id=self.connection.login().user_id or self._user_id(),
            api_version=self.credentials.api_version,
        )

    def _user_id(self) -> str:
        request = Request(what="asking who is logged in", path="/services/oauth2/userinfo")
        return self.connection.ask(request, lambda reply: salesforce_id_18(reply.body["user_id"]))

    def access(self) -> tuple[FieldAccess, ...]:
        """Permissions on the opt-out and marker fields of Lead and Contact, and of Account where it may be a person's, asked anew.

        Raises:
            OrgError: it could not be asked.
        """
        described = {kind: self.describe(kind) for kind in OBJECTS}
        if any(field["name"] == MARK for field in described["Contact"]["fields"]):
            described[ACCOUNT] = self.describe(ACCOUNT)
        found: tuple[FieldAccess, ...] = ()
        for kind, describe in described.items():
            found += access_of(kind, describe, written_fields(kind, self.opt_out_fields))
            if self.marker_field:
                found += (marker_access_of(kind, describe, *written_fields(kind, [self.marker_field])),)
        for kind in OBJECTS:
            with suppress(OrgPermissionError):  # a reading asks again, and says what is hidden
                self._columns[kind] = columns_of(kind, described[kind], self.opt_out_fields, self.marker_field)
        return found

    def describe(self, object: str) -> dict[str, Any]:
        """An object as the user may see it: whether it can be queried and updated, and its visible fields. Raises: OrgError."""
        request = Request(what=f"describing {object}", path=f"sobjects/{object}/describe")
        return self.connection.ask(request, _described)

    def _columns_of(self, object: str) -> tuple[str, ...]:
        if object not in self._columns:
            self._columns[object] = columns_of(object, self.describe(object), self.opt_out_fields, self.marker_field)
        return self._columns[object]

    def usage(self) -> ApiUsage:
        """API calls of the org's current 24 hours. Where the user may not read limits, as the last answer told. Raises: OrgError."""
        try:
            return self.connection.ask(Request(what="asking for the limits", path="limits/"), _usage_of)
        except OrgPermissionError:
            if self.connection.usage is None:
                raise
            return self.connection.usage

    def keep_within_budget(self) -> None:
        """Refuse to begin something new above the share of the org's daily calls that was configured.

        Costs a call only where the latest answer told of too many: it may be from yesterday.

        Raises:
            OrgQuotaError: the share is used.
            OrgError: it could not be asked.
        """
        latest = self.connection.usage
        if latest is not None and latest.used < self.daily_share * latest.allowed:
            return
        usage = self.usage()
        if usage.used >= self.daily_share * usage.allowed:
            raise OrgQuotaError(
                f"{usage.used} of the org's {usage.allowed} API calls of 24 hours are used, and this workspace begins nothing new"
                f" above {self.daily_share:.0%} of them.",
                "Go on when calls have become free again, or raise daily_share in workbench.toml; opt-outs are still written.",
            )

    def read(self, *, record_ids: Sequence[str], addresses: Sequence[str], history: bool) -> Reading:
        """Every Lead/Contact with one of these ids or addresses, deleted ones included; one or two API calls per 200.

        The second call is made only for the history of rows that were found by address. ``missing`` has 18-character ids.

        Raises:
            OrgError: it could not be read as a whole.
        """
        asked = usable_ids(record_ids)
        found = Found()
        for ids, some in _paired(asked, addresses):
            found += self._with_known_fields(partial(self._read_some, ids, some, history=history))
        rows = {row.record_id: row for row in found.rows}
        return Reading(
            rows=tuple(rows.values()),
            history=tuple(sorted(set(found.changes), key=lambda change: (change.at, change.record_id, change.field))),
            missing=frozenset(asked).difference(*(row.ids for row in rows.values())),
            server_time=found.at or self._server_time(),
        )

    def _read_some(self, record_ids: Sequence[str], addresses: Sequence[str], *, history: bool) -> Found:
        columns = {kind: self._columns_of(kind) for kind in OBJECTS}
        queries = people_queries(
            columns, self.opt_out_fields, record_ids=record_ids, addresses=addresses, marker_field=self.marker_field
        )
        if history:
            queries += history_queries(self.opt_out_fields, record_ids)
        found = find(self.connection, queries, what="reading people")
        self._accounts |= accounts_of(found.rows)
        if not history:
            return found
        others = dict.fromkeys(row.record_id for row in found.rows if row.record_id not in set(record_ids))
        later = [query for ids in chunks(others) for query in history_queries(self.opt_out_fields, ids)]
        return found + find(self.connection, later, what="reading field history")

    def _with_known_fields(self, step: Callable[[], T]) -> T:
        """A step that asks for described fields; when one was taken away meanwhile, described anew, named or left out."""
        try:
            return step()
        except OrgPermissionError:
            self._columns.clear()
        for kind in OBJECTS:
            self._columns_of(kind)  # raises with the name of an opt-out field that is gone
        return step()

    def _server_time(self) -> datetime:
        return self.connection.ask(Request(what="asking for the time", path=""), date_of)

    def clear(self, writes: Sequence[ConditionalClear]) -> tuple[RowAnswer, ...]:
        """Clear opt-outs, each row only if it was not modified since it was read: at most 25 rows, one call.

        A lost answer is ``unknown`` for all rows, never an error: read the rows again to learn what happened.

        Raises:
            OrgError: nothing was cleared (no login, quota, or the whole request was turned down).
            ValueError: more than 25 rows, one twice, or anything but opt-out fields.
        """
        accounts = self._accounts_of([(write.object, write.record_id) for write in writes])
        request = clear_request(
            writes,
            api_version=self.credentials.api_version,
            opt_out_fields=self.opt_out_fields,
            accounts=accounts,
            marker_field=self.marker_field,
        )
        return clear_answers(writes, self.connection.tell(request))

    def opt_out(self, rows: Sequence[tuple[str, str]]) -> tuple[RowAnswer, ...]:
        """Set every opt-out field of (object, record id) rows, each row once; ids come back with 18 characters.

        200 to a call; above 2,000 rows by Bulk jobs, and by calls only what these do not vouch for.

        Raises:
            OrgError: nothing was written. Once something was, the rows not reached are ``unknown`` instead.
        """
        accounts = self._accounts_of(rows)
        answers: tuple[RowAnswer, ...] = ()
        if len(rows) > MOST_BY_COLLECTIONS:
            answers, rows = opt_out_in_bulk(self.connection, rows, self.opt_out_fields, accounts)
        stopped: OrgError | None = None
        for group in opt_out_groups(rows, accounts):
            if stopped is None:
                try:
                    reply = self.connection.tell(opt_out_request(group, self.opt_out_fields, accounts))
                    answers += opt_out_answers(group, reply, accounts)
                    continue
                except OrgError as error:
                    if not answers:
                        raise
                    stopped = error
            answers += unknown(group, "REQUEST_LIMIT_EXCEEDED" if isinstance(stopped, OrgQuotaError) else "")
        return answers

    def _accounts_of(self, rows: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Through which account each contact is written; asked for those that were not read before.

        Where that can't be told, the contact itself is written: Salesforce refuses it for a person account's, and takes all others.
        """
        known = self._accounts
        contacts = dict.fromkeys(salesforce_id_18(record_id) for kind, record_id in rows if kind == "Contact")
        with suppress(OrgError):
            if unread := [i for i in contacts if i not in known]:
                found = accounts_of(row for page in self.rows("Contact", unread) for row in page)
                known |= found
        return known

    def keep_text(self, object: str, field: str, *, text: str) -> str:
        """Insert one record of a custom object that holds a text; its id. Raises: OrgError, as `notes.insert_text`."""
        return insert_text(self.connection, object, field, text=text)

    def kept_texts(self, object: str, field: str) -> Iterator[str]:
        """The texts that records of a custom object hold. Raises: OrgError."""
        return read_texts(self.connection, object, field)

    def count(self, object: str) -> int:
        """How many rows an object has, deleted ones included. Raises: OrgError."""
        return self._count(all_query(known_object(object), ("Id",)))

    def _count(self, query: str) -> int:
        request = Request(what="counting rows", path="queryAll/", params={"q": count_query(query)})
        return self.connection.ask(request, lambda reply: int(reply.body["totalSize"]))

    def begin_pull(self, object: str, *, history: bool = False) -> Bookmark:
        """Make the job that finds every row of one object, or its history: the org works on it while others are read.

        Where they are few, no job is made, and the bookmark only tells their number. Raises: OrgError.
        """
        query, what = self._pulled(object, history=history)
        rows = self._count(query)
        job = "" if rows <= MOST_BY_REST else begin_job(self.connection, query, what=what)
        return Bookmark(job=job, locator="", delivered=0, promised=rows)

    def pull(self, object: str, *, at: Bookmark | None = None) -> Iterator[Sequence[OrgRow]]:
        """Every row of one object, deleted and merged ones included, in pages of at most 20,000; from a bookmark on, if one is given.

        Raises:
            OrgRefusedError: Salesforce no longer has the bookmark's job, among other reasons.
            OrgError: it could not be read.
        """
        query, what = self._pulled(object, history=False)
        reader = Reader(
            record=lambda record: row_of(object, record, self.opt_out_fields),
            columns=lambda columns: rows_of(object, columns, self.opt_out_fields),
        )
        yield from self._all_pages(query, reader, what=what, at=at)

    def pull_history(self, object: str, *, at: Bookmark | None = None) -> Iterator[Sequence[FieldChange]]:
        """Every opt-out field change of one object that Salesforce still keeps, page by page; as `pull`. Raises: OrgError."""
        query, what = self._pulled(object, history=True)
        reader = Reader(record=partial(change_of, object), columns=partial(changes_of, object))
        yield from self._all_pages(query, reader, what=what, at=at)

    def _pulled(self, object: str, *, history: bool) -> tuple[str, str]:
        """The query for everything of one kind, and what asking it is called."""
        if history:
            return all_history_query(known_object(object), self.opt_out_fields), f"pulling {object} history"
        query = self._with_known_fields(lambda: all_query(object, self._columns_of(known_object(object))))
        return query, f"pulling {object} rows"

    def _all_pages(self, query: str, reader: Reader[T], *, what: str, at: Bookmark | None) -> Iterator[Sequence[T]]:
        if at and at.job:
            yield from query_job(self.connection, query, convert=reader.columns, what=what, at=at)
        elif (at.promised if at else self._count(query)) <= MOST_BY_REST:
            yield from query_pages(self.connection, query, reader.record, what=what)
        else:
            yield from query_job(self.connection, query, convert=reader.columns, what=what)

    def changes(self, object: str, *, since: datetime) -> Changes:
        """What was updated or deleted since a moment, the last minute included; three calls. The next window starts at ``covered_until``.

        Source: "Get Updated", "Get Deleted" in the REST API Developer Guide; ``latestDateCovered`` leaves room for
        transactions that were under way.

        Raises:
            OrgRefusedError: the window is longer than Salesforce remembers; everything has to be pulled.
            OrgError: it could not be asked.
        """
        return changes(
            self.connection, known_object(object), since=since, until=self.connection.server_now() or self._server_time()
        )

    def rows(self, object: str, record_ids: Iterable[str]) -> Iterator[Sequence[OrgRow]]:
        """Some rows by id, deleted ones included, in pages; 1,000 to a call. Ids that the org doesn't know are left out.

        Raises:
            OrgError: it could not be read.
        """
        asked = usable_ids(record_ids)
        for start in range(0, len(asked), MOST_QUERIES * LONGEST_LIST):
            page = self._with_known_fields(
                partial(self._rows, known_object(object), asked[start : start + MOST_QUERIES * LONGEST_LIST])
            )
            if page:
                yield page

    def _rows(self, object: str, record_ids: Sequence[str]) -> Sequence[OrgRow]:
        columns = {object: self._columns_of(object)}
        queries = [
            query
            for ids in chunks(record_ids)
            for query in people_queries(columns, self.opt_out_fields, record_ids=ids, addresses=())
        ]
        return find(self.connection, queries, what=f"reading {object} rows").rows


def _paired(record_ids: Sequence[str], addresses: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Ids and addresses cut into lists that fit into one request."""
    nobody: list[str] = []
    yield from zip_longest(chunks(record_ids), chunks(filter(None, dict.fromkeys(addresses))), fillvalue=nobody)


def _organization(reply: Reply) -> tuple[str, str, bool]:
    """Id, name, and whether it is a sandbox. An answer without its id is none: a workspace is bound to it."""
    record = reply.body["records"][0]
    salesforce_id_18(record["Id"])  # raises for what is no id
    return record["Id"], _of_kind(str, record.get("Name")) or "", bool(_of_kind(bool, record["IsSandbox"]))


def _described(reply: Reply) -> dict[str, Any]:
    """The few things about an object and its fields that are looked at; real describe answers are large."""
    fields = [{name: _of_kind(kind, field.get(name)) for name, kind in DESCRIBED.items()} for field in reply.body["fields"]]
    return {name: _of_kind(bool, reply.body.get(name)) for name in ("queryable", "updateable")} | {"fields": fields}


def _of_kind(kind: type[T], value: object) -> T | None:
    """A value of an answer, or None where there is none. Raises: TypeError for one of another kind."""
    if value is None or isinstance(value, kind):
        return value
    raise TypeError(f"this is no {kind.__name__}")


def _usage_of(reply: Reply) -> ApiUsage:
    daily = reply.body["DailyApiRequests"]
    return ApiUsage(used=int(daily["Max"]) - int(daily["Remaining"]), allowed=int(daily["Max"]))
