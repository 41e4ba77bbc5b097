"""The org as a whole: its records, users, tokens, limits and settings, shared by both ports."""

import json
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .clock import Clock, instant, stamp
from .describe import OBJECTS, ObjectType, Permissions
from .faults import Faults
from .ids import numbered_id
from .messages import Call, OrgError, not_found
from .records import Author, Records
from .results import Results
from .rules import Rules
from .tables import Tables
from .transactions import Transactions

API_VERSION = "64.0"
OLDEST_VERSION, NEWEST_VERSION = 31, 66
YEARS = range(1970, 3000)
LIVES_OF_LOCATOR = timedelta(days=2)
DEFAULT_DAILY_REQUESTS = 1_000_000


class Org:
    """One scratch org on one database; a database that was used before goes on where it stopped."""

    def __init__(
        self, *, database: Path | None = None, clock: datetime | None = None, user: str = "Workbench Integration"
    ) -> None:
        self.tables = Tables(database)
        self.clock = Clock(timedelta(seconds=float(self.tables.setting("clock_offset") or 0)))
        if clock is not None:
            self.clock.set(clock)
        self.records = Records(self.tables, self.clock)
        self.permissions = Permissions()
        self.rules = Rules(self.tables)
        self.transactions = Transactions()
        self.faults = Faults()
        self.client_id = f"scratch.{self.tables.secret('client_id')}"
        self.client_secret = self.tables.secret("client_secret")
        self.org_id = self._organization()
        self.user = self.records.user(user)
        self.max_requests = int(self.tables.setting("max_requests") or DEFAULT_DAILY_REQUESTS)
        self.request_number = self.tables.next_number("request", 0) - 1
        self.used_requests = int(self.tables.setting("used_requests") or 0)
        self.stamp_checked = self.tables.setting("stamp_checked") or "LastModifiedDate"
        self.bulk_polls = int(self.tables.setting("bulk_polls") or 1)
        self.address = ""
        self.results = Results(database.with_name(f"{database.name}-results") if database else None)
        self.runner = ThreadPoolExecutor(1, thread_name_prefix="query-job")
        self.runs: dict[str, Future[int]] = {}
        self._restore_permissions()

    def close(self) -> None:
        """Let the database go; a query that is running beside is left to end."""
        self.runner.shutdown(wait=False, cancel_futures=True)
        self.tables.db.close()

    def _organization(self) -> str:
        found = self.tables.setting("org_id")
        if found:
            return found
        org_id = numbered_id("00D", 1)
        at = stamp(self.clock.now())
        self.tables.db.execute(
            'INSERT INTO "Organization" ("Id", "Name", "OrganizationType", "InstanceName", "IsSandbox", "CreatedDate",'
            ' "LastModifiedDate", "SystemModstamp") VALUES (?, ?, ?, ?, 1, ?, ?, ?)',
            (org_id, "Scratch Org", "Developer Edition", "SCRAT", at, at, at),
        )
        self.tables.keep("org_id", org_id)
        return org_id

    def _restore_permissions(self) -> None:
        for name, field, readable, updateable in json.loads(self.tables.setting("permissions") or "[]"):
            self.permit(name, field, readable=readable, updateable=updateable)

    def permit(self, name: str, field: str, *, readable: bool, updateable: bool) -> None:
        """Set field-level security for the API's users; kept across a restart."""
        kind = self.kind(name)
        found = kind.field(field)
        if found is None:
            raise not_found()
        self.permissions.set(kind, found, readable=readable, updateable=updateable)
        self.tables.keep("permissions", json.dumps(self.permissions.rules()))

    def move_clock(self, *, advance: float = 0, at: str | None = None, frozen: bool | None = None) -> datetime:
        """Move the clock by seconds or to an instant, stop it or let it go; kept across a restart (but not stopped).

        Raises:
            ValueError, OverflowError: that is no time, or none that a clock should show.
        """
        target = (self.clock.now() if at is None else instant(at)) + timedelta(seconds=advance)
        if target.year not in YEARS:
            raise ValueError(f"The clock goes from {YEARS[0]} to {YEARS[-1]}")
        self.clock.set(target)
        if frozen is not None:
            self.clock.freeze(frozen)
        self.tables.keep("clock_offset", str(self.clock.offset.total_seconds()))
        return self.clock.now()

    def new_token(self, user: str | None = None) -> str:
        """A fresh access token for a user (the integration user unless named)."""
        token = f"{self.org_id[:15]}!{secrets.token_urlsafe(48)}"
        self.tables.db.execute('INSERT INTO "access_token" VALUES (?, ?)', (token, user or self.user))
        return token

    def user_of(self, token: str) -> str | None:
        """The user a token speaks for; None when it is unknown or expired."""
        row = self.tables.db.execute('SELECT "user" FROM "access_token" WHERE "token" = ?', (token,)).fetchone()
        return str(row[0]) if row else None

    def end_session(self, token: str) -> bool:
        """End one session; False when there is none with that token."""
        return bool(self.tables.db.execute('DELETE FROM "access_token" WHERE "token" = ?', (token,)).rowcount)

    def expire_tokens(self) -> None:
        """End every session."""
        self.tables.db.execute('DELETE FROM "access_token"')

    def set_limits(self, *, maximum: int | None = None, used: int | None = None) -> None:
        """Set the daily request allocation or how much of it is gone."""
        if not all(n is None or (type(n) is int and 0 <= n < 2**31) for n in (maximum, used)):
            raise ValueError("max and used have to be whole numbers")
        self.max_requests = self.max_requests if maximum is None else maximum
        self.used_requests = self.used_requests if used is None else used
        self.tables.keep("max_requests", str(self.max_requests))
        self.tables.keep("used_requests", str(self.used_requests))

    def count_request(self) -> None:
        """Count one API request.

        Raises:
            OrgError: 403 REQUEST_LIMIT_EXCEEDED when the day's allocation is gone.
        """
        if self.used_requests >= self.max_requests:
            raise OrgError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.used_requests += 1
        self.tables.keep("used_requests", str(self.used_requests))

    @property
    def limit_info(self) -> str:
        """The header Sforce-Limit-Info."""
        return f"api-usage={self.used_requests}/{self.max_requests}"

    def kind(self, name: str) -> ObjectType:
        """The object of that name.

        Raises:
            OrgError: 404 NOT_FOUND.
        """
        kind = OBJECTS.get(name.lower())
        if kind is None:
            raise not_found()
        return kind

    def author(self, call: Call) -> Author:
        """The writer of a request."""
        return Author(call.user, call.number)

    def note_request(self, entry: dict[str, Any]) -> None:
        """Write one entry of the request log."""
        self.tables.db.execute('INSERT OR REPLACE INTO "request_log" VALUES (?, ?)', (entry["number"], json.dumps(entry)))
        self.tables.reach_number("request", entry["number"])

    def next_request(self) -> int:
        """The number of the request that arrives now; goes on after a restart behind the last one that left a trace."""
        self.request_number += 1
        return self.request_number


def base_path(version: str) -> str:
    """``/services/data/v64.0``."""
    return f"/services/data/v{version or API_VERSION}"
