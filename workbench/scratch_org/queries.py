"""Queries over REST: the first page, the pages behind a locator, queryAll."""

import json
import re
import secrets

from .clock import instant, stamp
from .descriptions import column_metadata
from .messages import Call, OrgError, Reply
from .org import LIVES_OF_LOCATOR, Org, base_path
from .soql import Selection, parsed, translated, within_bounds

_BATCH = re.compile(r"batchSize\s*=\s*(\d{1,9})\b", re.IGNORECASE | re.ASCII)
_LOCATOR = re.compile(r"(01g\w+)-(\d{1,9})", re.ASCII)


def query(org: Org, call: Call) -> Reply:
    """GET vX/query?q="""
    with within_bounds():
        return _first_page(org, call, every=False)


def query_all(org: Org, call: Call) -> Reply:
    """GET vX/queryAll?q= : deleted records too."""
    with within_bounds():
        return _first_page(org, call, every=True)


def _first_page(org: Org, call: Call, *, every: bool) -> Reply:
    soql = call.params.get("q", "")
    selection = translated(parsed(soql), org.permissions, org.clock.now(), every=every)
    if call.params.get("columns", "").lower() == "true":
        return Reply(body=column_metadata(selection.kind, [(c.path, c.field) for c in selection.columns]))
    limit, offset = selection.bounds
    if selection.query.count:
        row = org.tables.db.execute(selection.count_sql(), (*selection.parameters, limit, offset)).fetchone()
        return Reply(body={"totalSize": row[0], "done": True, "records": []})
    batch = _batch_size(call)
    first = batch + 1 if limit < 0 else min(limit, batch + 1)
    rows = org.tables.db.execute(selection.rows_sql(), (*selection.parameters, first, offset)).fetchall()
    base = base_path(call.version)
    body = {"totalSize": len(rows), "done": True, "records": [selection.record(r, base) for r in rows[:batch]]}
    if len(rows) > batch:
        locator, total = _open_cursor(org, selection, batch, every=every)
        body |= {"totalSize": total, "done": False, "nextRecordsUrl": f"{base}/query/{locator}-{batch}"}
    return Reply(body=body)


def _batch_size(call: Call) -> int:
    match = _BATCH.search(call.headers.get("sforce-query-options", ""))
    return min(2000, max(200, int(match.group(1)))) if match else 2000


def _open_cursor(org: Org, selection: Selection, batch: int, *, every: bool) -> tuple[str, int]:
    """Keep the ids of the whole result, page by page, as the result stood at the first page."""
    ids = [r[0] for r in org.tables.db.execute(selection.ids_sql(), (*selection.parameters, *selection.bounds))]
    locator = f"01gSCR{secrets.token_hex(6)}"
    org.tables.db.execute(
        'INSERT INTO "query_cursor" VALUES (?, ?, ?, ?, ?, ?)',
        (locator, selection.query.soql, int(every), batch, len(ids), stamp(org.clock.now())),
    )
    pages = ((locator, start, json.dumps(ids[start : start + batch])) for start in range(batch, len(ids), batch))
    org.tables.db.executemany('INSERT INTO "cursor_page" VALUES (?, ?, ?)', pages)
    return locator, len(ids)


def more(org: Org, call: Call, locator: str) -> Reply:
    """GET vX/query/{locator}: a further page; it can be read again.

    Raises:
        OrgError: INVALID_QUERY_LOCATOR when there is no such page or it is too old.
    """
    match = _LOCATOR.fullmatch(locator)
    name, start = (match.group(1), int(match.group(2))) if match else ("", 0)
    cursor = org.tables.db.execute('SELECT * FROM "query_cursor" WHERE "locator" = ?', (name,)).fetchone()
    page = org.tables.db.execute('SELECT "ids" FROM "cursor_page" WHERE "locator" = ? AND "start" = ?', (name, start)).fetchone()
    if not (cursor and page) or org.clock.now() - instant(cursor["at"]) > LIVES_OF_LOCATOR:
        raise OrgError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    ids = json.loads(page["ids"])
    selection = translated(parsed(cursor["soql"]), org.permissions, org.clock.now(), every=bool(cursor["every"]), ids=ids)
    rows = org.tables.db.execute(selection.rows_sql(), (*selection.parameters, -1, 0))
    base = base_path(call.version)
    records = [selection.record(r, base) for r in rows]
    body = {"totalSize": cursor["total"], "done": True, "records": records}
    following = start + cursor["batch"]
    if following < cursor["total"]:
        body |= {"done": False, "nextRecordsUrl": f"{base}/query/{name}-{following}"}
    return Reply(body=body)
