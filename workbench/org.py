"""What we ask of a Salesforce org: the operations, the rows they answer with, and how they can fail.

`salesforce.SalesforceOrg` is the one implementation that speaks HTTP. Everything above works on these types only.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol, TypeVar, overload

from workbench.errors import WorkbenchError
from workbench.person import normalize_address
from workbench.said import kept

T = TypeVar("T")
OBJECTS = ("Lead", "Contact")
OPT_OUT_FIELD = "HasOptedOutOfEmail"


@dataclass(kw_only=True, slots=True)  # not frozen: a pull makes hundreds of thousands, and frozen ones take four times as long
class OrgRow:
    """One Lead or Contact as read from the org at one moment; never changed once it is made.

    ``opt_outs`` maps each configured opt-out field to its value. ``person_account`` is the account (001...) of which this contact is
    the hidden half: one person, who may be known by either id. ``mark`` is what the marker field says, None where none was read. Datetimes are UTC-aware with whole seconds, as Salesforce
    stamps them. ``email`` is as stored in Salesforce, not normalised.
    """

    record_id: str
    object: str
    email: str = field(repr=False)
    opt_outs: dict[str, bool]
    system_modstamp: datetime
    last_modified_date: datetime
    last_modified_by: str
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)
    company: str = field(default="", repr=False)
    is_deleted: bool = False
    is_converted: bool = False
    converted_contact_id: str | None = None
    merged_into: str | None = None
    bounced_at: datetime | None = None
    person_account: str | None = None
    mark: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Every Salesforce id by which this record may be known."""
        return (self.record_id, self.person_account) if self.person_account else (self.record_id,)

    @property
    def written_object(self) -> str:
        """The object through which the record is changed."""
        return "Account" if self.person_account else self.object

    @property
    def opted_out(self) -> bool:
        """Whether any of the configured opt-out fields is set: least permissive wins."""
        return any(self.opt_outs.values())


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One row of LeadHistory/ContactHistory for an opt-out field; ``at`` to the second, order within a second undefined."""

    record_id: str
    field: str
    old: bool | None
    new: bool | None
    at: datetime
    by: str
    by_name: str = dataclasses.field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All rows of some people, read in one logical step.

    ``server_time`` is the org's own ``Date`` header when the answer was made. ``rows`` holds every row whose id was asked
    for or whose address equals one asked for; ids that the org no longer knows are in ``missing``.
    """

    rows: tuple[OrgRow, ...]
    history: tuple[FieldChange, ...]
    missing: frozenset[str]
    server_time: datetime

    @cached_property
    def by_id(self) -> Mapping[str, OrgRow]:
        """Every row by each id that it goes by; its own record id counts before what is another row's second one."""
        return {known: row for row in self.rows for known in row.ids} | {row.record_id: row for row in self.rows}

    @cached_property
    def by_address(self) -> Mapping[str, tuple[OrgRow, ...]]:
        """The rows that carry each normalised address; a reading is of hundreds of people, and each is looked for in it."""
        found: dict[str, list[OrgRow]] = defaultdict(list)
        for row in self.rows:
            found[normalize_address(row.email)].append(row)
        return {address: tuple(rows) for address, rows in found.items()}

    @cached_property
    def _changes(self) -> Mapping[str, tuple[FieldChange, ...]]:
        found: dict[str, list[FieldChange]] = defaultdict(list)
        for change in self.history:
            found[change.record_id].append(change)
        return {record_id: tuple(changes) for record_id, changes in found.items()}

    def history_of(self, record_ids: Iterable[str]) -> tuple[FieldChange, ...]:
        """The history of some rows; of each row in the order of ``history``."""
        return tuple(change for record_id in record_ids for change in self._changes.get(record_id, ()))


@dataclass(frozen=True, kw_only=True)
class ConditionalClear:
    """Clear the opt-out fields of one row, if it was not modified after ``unmodified_since`` (its SystemModstamp as read).

    ``mark`` is what the org's marker field is set to in the same change, where the workspace names such a field.
    """

    record_id: str
    object: str
    fields: tuple[str, ...]
    unmodified_since: datetime
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class RowAnswer:
    """What the org said about one row of a write.

    ``outcome``: ``done`` (2xx), ``conflict`` (412: modified since), ``gone``, ``refused`` (permission, rule, converted),
    ``locked`` or ``unknown`` (no answer, 5xx: it may or may not have been applied). ``code`` is Salesforce's error code.
    """

    record_id: str
    outcome: str
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class OrgIdentity:
    """Which org this is and as whom we are logged in. ``kind``: ``production``, ``sandbox`` or ``scratch``."""

    org_id: str
    name: str
    kind: str
    user_id: str
    api_version: str


@dataclass(frozen=True, kw_only=True)
class FieldAccess:
    """What the logged-in user may do with one opt-out field of one object, or (``marker``) with the field that marks our clears."""

    object: str
    field: str
    readable: bool
    updateable: bool
    marker: bool = False


@dataclass(frozen=True, kw_only=True)
class ApiUsage:
    """API calls used and allowed in the org's current 24 hours."""

    used: int
    allowed: int


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Ids changed and deleted in a window; ``covered_until`` is where the next window starts (latestDateCovered)."""

    updated: tuple[str, ...]
    deleted: tuple[str, ...]
    covered_until: datetime


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """Where the next page of a query job begins: ``delivered`` of ``promised`` rows lie before it; valid while the job exists.

    ``locator`` is empty before the first page and behind the last one; ``job`` is empty where so few rows need none.
    """

    job: str
    locator: str
    delivered: int
    promised: int


@dataclass(frozen=True, kw_only=True, eq=False)
class RowColumns(Sequence[OrgRow]):
    """Many rows as columns of plain values, one entry a row: how pages go from the org into the register.

    As a sequence it gives an `OrgRow` for each, made when it is looked at. Instants are text as Bulk delivers them and the register
    keeps them, UTC with milliseconds that are zero: ``2026-01-05T09:00:01.000Z``. Everything else is as in `OrgRow`; rows with the
    same opt-outs may share one dictionary.
    """

    object: Sequence[str]
    record_id: Sequence[str]
    email: Sequence[str] = field(repr=False)
    opt_outs: Sequence[dict[str, bool]]
    system_modstamp: Sequence[str]
    last_modified_date: Sequence[str]
    last_modified_by: Sequence[str]
    first_name: Sequence[str] = field(repr=False)
    last_name: Sequence[str] = field(repr=False)
    company: Sequence[str] = field(repr=False)
    is_deleted: Sequence[bool]
    is_converted: Sequence[bool]
    converted_contact_id: Sequence[str | None]
    merged_into: Sequence[str | None]
    bounced_at: Sequence[str | None]
    person_account: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.record_id)

    @overload
    def __getitem__(self, index: int) -> OrgRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[OrgRow]: ...
    def __getitem__(self, index: int | slice) -> OrgRow | Sequence[OrgRow]:
        """One row, or a list of some."""
        if isinstance(index, slice):
            return [self._row(i) for i in range(len(self))[index]]
        return self._row(index)

    def _row(self, index: int) -> OrgRow:
        bounced = self.bounced_at[index]
        return OrgRow(
            record_id=self.record_id[index],
            object=self.object[index],
            email=self.email[index],
            opt_outs=self.opt_outs[index],
            system_modstamp=datetime.fromisoformat(self.system_modstamp[index]),
            last_modified_date=datetime.fromisoformat(self.last_modified_date[index]),
            last_modified_by=self.last_modified_by[index],
            first_name=self.first_name[index],
            last_name=self.last_name[index],
            company=self.company[index],
            is_deleted=self.is_deleted[index],
            is_converted=self.is_converted[index],
            converted_contact_id=self.converted_contact_id[index],
            merged_into=self.merged_into[index],
            bounced_at=datetime.fromisoformat(bounced) if bounced else None,
            person_account=self.person_account[index],
        )


class Page(Sequence[T]):
    """Rows of a query job, and where the next ones begin: a page like any other, for a reading that can be gone on with."""

    def __init__(self, rows: Sequence[T], following: Bookmark) -> None:
        self.rows, self.following = rows, following

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """One row, or some."""
        return self.rows[index]


class Org(Protocol):
    """A Salesforce org as this product needs it. Every method raises only `OrgError` subclasses."""

    opt_out_fields: tuple[str, ...]

    def identity(self) -> OrgIdentity:
        """Who and where we are."""

    def access(self) -> tuple[FieldAccess, ...]:
        """Field permissions of every opt-out field and the marker field on Lead and Contact, and on Account where it may be a person's."""

    def usage(self) -> ApiUsage:
        """API calls used today."""

    def keep_within_budget(self) -> None:
        """Refuse to begin something new once the workspace's share of the org's daily calls is used, by whomever.

        Asked before a page or a group of people, never before an opt-out is written: that may always use what is left.

        Raises:
            OrgQuotaError: the share is used.
        """

    def read(self, *, record_ids: Sequence[str], addresses: Sequence[str], history: bool) -> Reading:
        """Every Lead/Contact with one of these ids or addresses (any case), deleted ones included, with field history.

        The id of a person account finds its contact.

        One composite API call for up to about 200 ids and 200 addresses.
        """

    def clear(self, writes: Sequence[ConditionalClear]) -> tuple[RowAnswer, ...]:
        """Clear opt-outs conditionally: at most 25 rows, one composite call, conditions inside its body.

        Never raises for a lost answer: those rows are ``unknown``. Raises before sending for authentication or quota.
        """

    def opt_out(self, rows: Sequence[tuple[str, str]]) -> tuple[RowAnswer, ...]:
        """Set every opt-out field of (object, record id) rows, unconditionally: the safe direction. Any number of rows."""

    def begin_pull(self, object: str, *, history: bool = False) -> Bookmark:
        """Let the org look for every row of one object (or its history) from now on; `pull` takes what this gives as ``at``."""

    def pull(self, object: str, *, at: Bookmark | None = None) -> Iterator[Sequence[OrgRow]]:
        """Every row of one object, deleted and merged ones included, page by page (REST when few, Bulk 2.0 when many).

        Pages of Bulk 2.0 are a `Page` of `RowColumns`; with its bookmark as ``at``, the same job is read on from there.
        """

    def pull_history(self, object: str, *, at: Bookmark | None = None) -> Iterator[Sequence[FieldChange]]:
        """Every opt-out field change of one object, page by page; as `pull`."""

    def changes(self, object: str, *, since: datetime) -> Changes:
        """What was updated or deleted since a moment (getUpdated, getDeleted)."""

    def keep_text(self, object: str, field: str, *, text: str) -> str:
        """Insert one record of a custom object whose field holds the text; its id. A lost answer is an `OrgUnreachableError`."""

    def kept_texts(self, object: str, field: str) -> Iterator[str]:
        """The texts that the records of a custom object hold, deleted ones included."""

    def rows(self, object: str, record_ids: Iterable[str]) -> Iterator[Sequence[OrgRow]]:
        """Some rows by id, deleted ones included, in pages."""


class OrgError(WorkbenchError):
    """Salesforce could not be asked or said no; the text holds status, code and ids, never a reply body."""

    default_advice = kept("Nothing was lost; run the same command again, or `workbench org check` to see what is wrong.")
    pauses = True
    """Whether a batch waits for a person to resume it."""


class OrgUnreachableError(OrgError):
    """No connection, a timeout, a 5xx or an answer that isn't Salesforce's, after the allowed retries."""

    default_advice = kept("Check the address and the network, then run the same command again (`batch resume` for a batch).")


class OrgAuthenticationError(OrgError):
    """The credentials were not accepted, or expired and a new login did not help."""

    default_advice = kept("Log in again with `workbench org login`.")


class OrgQuotaError(OrgError):
    """The org's daily API calls are used up, or too many long calls run at once."""

    default_advice = kept("Wait for the org's limit to recover, then resume.")


class OrgPermissionError(OrgError):
    """The user lacks access to an object or field: field-level security, or the field does not exist."""

    default_advice = kept("Have an administrator give the integration user read and edit access to the opt-out field.")


class OrgRefusedError(OrgError):
    """Salesforce refused a request as malformed or against its rules."""


class OrgNotAllowedError(OrgError):
    """A request would have left for a host that this workspace is not bound to; it was not sent."""

    default_advice = kept("Check [org] in workbench.toml; a demo or test workspace only ever speaks to 127.0.0.1.")
