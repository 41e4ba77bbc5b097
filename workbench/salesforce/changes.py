"""What changed in an object since a moment: getUpdated, getDeleted, and the rows of the last minute that both leave out.

Salesforce remembers changes for 30 days and deletions for about 15, and tells at most 600,000 ids: beyond that a reading of
everything is what is left. Source: "Get Updated", "Get Deleted" in the REST API Developer Guide.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from workbench.org import Changes, OrgRefusedError
from workbench.salesforce.connection import Connection
from workbench.salesforce.reading import query_pages
from workbench.salesforce.replies import Reply, Request
from workbench.salesforce.rows import moment_of
from workbench.salesforce.soql import recent_query, usable_ids

LONGEST_WINDOW = timedelta(days=30)
SHORTEST_WINDOW = timedelta(seconds=60)
PULL_EVERYTHING = "Pull everything: `workbench org pull --full`."


def changes(connection: Connection, object: str, *, since: datetime, until: datetime) -> Changes:
    """Ids updated or deleted from ``since`` to ``until``, by the org's clock; three calls.

    ``covered_until`` (latestDateCovered of both) leaves room for transactions that were under way.

    Raises:
        OrgRefusedError: Salesforce does not remember the whole window, or too much changed in it.
        OrgError: it could not be asked.
    """
    start = min(since, until - SHORTEST_WINDOW)
    if until - start >= LONGEST_WINDOW:
        raise OrgRefusedError("Salesforce tells changes of the last 30 days only.", PULL_EVERYTHING)
    window = {"start": _iso(start), "end": _iso(until)}
    what, path = f"asking what changed in {object}", f"sobjects/{object}"
    updated, until_updated = connection.ask(Request(what=what, path=f"{path}/updated/", params=window), _updated)
    deleted, until_deleted, earliest = connection.ask(Request(what=what, path=f"{path}/deleted/", params=window), _deleted)
    if earliest and earliest > start:
        raise OrgRefusedError("Salesforce has purged deletions of this window.", PULL_EVERYTHING)
    covered_until = min(until_updated, until_deleted)
    late = _modified_since(connection, object, covered_until, what)
    return Changes(updated=tuple(dict.fromkeys((*updated, *late))), deleted=deleted, covered_until=covered_until)


def _modified_since(connection: Connection, object: str, moment: datetime, what: str) -> tuple[str, ...]:
    """Rows modified after what getUpdated vouches for: it cuts off the current minute, in which somebody may opt out."""
    pages = query_pages(connection, recent_query(object, moment), lambda record: str(record["Id"]), what=what)
    return tuple(usable_ids(record_id for page in pages for record_id in page))


def _updated(reply: Reply) -> tuple[tuple[str, ...], datetime]:
    return tuple(usable_ids(reply.body["ids"])), moment_of(reply.body["latestDateCovered"])


def _deleted(reply: Reply) -> tuple[tuple[str, ...], datetime, datetime | None]:
    ids = tuple(usable_ids(entry["id"] for entry in reply.body["deletedRecords"]))
    earliest = reply.body.get("earliestDateAvailable")
    return ids, moment_of(reply.body["latestDateCovered"]), moment_of(earliest) if earliest else None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()
