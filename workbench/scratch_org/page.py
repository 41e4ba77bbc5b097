"""The page at ``/`` for people who watch: what is in the org, the last requests, which faults are on.

Plain HTML without script and without a single outside address; everything is escaped. It shows no record, no address and
no token, since it asks nobody who they are.
"""

import json
from collections.abc import Iterable
from html import escape

from .clock import stamp
from .describe import OBJECTS
from .messages import Reply
from .org import Org

_LAST = 25
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color:#1b1b1b;background:#fff}"
    "table{border-collapse:collapse;margin:.4rem 0 1.4rem}th,td{text-align:left;padding:.2rem .9rem .2rem 0;"
    "border-bottom:1px solid #d8d8d8}td.n{text-align:right;font-variant-numeric:tabular-nums}"
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Cells = Iterable[object]


def page(org: Org, *, watch: bool = False) -> Reply:
    """The page; with ``watch`` the browser asks again every five seconds."""
    again = "<meta http-equiv=refresh content=5>" if watch else ""
    link = '<a href="/">Stop watching</a>' if watch else '<a href="/?watch=1">Watch (reloads every 5 seconds)</a>'
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8>{again}<title>Scratch Org</title><style>{_STYLE}</style>"
        "<h1>Scratch Org</h1>"
        "<p>This is not Salesforce: it is a local stand-in with invented records, for tests and demonstrations.</p>"
        f"<p>{link}</p>"
        f"{_facts(org)}<h2>In the org</h2>{_contents(org)}<h2>Faults</h2>{_faults(org)}"
        f"<h2>Last requests</h2>{_requests(org)}</html>"
    )
    return Reply(text=text, headers=_HEADERS, media_type="text/html; charset=utf-8")


def _facts(org: Org) -> str:
    tracking = "on" if org.records.tracking else "off"
    return (
        f"<p>The org's time is {escape(stamp(org.clock.now()))}. API requests today: {org.used_requests:,} of"
        f" {org.max_requests:,}. Field history tracking is {tracking}.</p>"
    )


def _contents(org: Org) -> str:
    rows = []
    for kind in OBJECTS.values():
        deleted = 'SUM("IsDeleted")' if kind.has("IsDeleted") else "0"
        sql = f'SELECT COUNT(*), {deleted} FROM "{kind.name}"'  # noqa: S608 - names come from OBJECTS
        total, gone = org.tables.db.execute(sql).fetchone()
        rows.append((kind.label, f"{total - (gone or 0):,}", f"{gone or 0:,}"))
    return _table(("Object", "Records", "In the recycle bin"), rows, numbers=(1, 2))


def _faults(org: Org) -> str:
    rows: list[Cells] = [(f.kind, f.matcher.on, f.matcher.seen) for f in org.faults.plan]
    rows += [
        (f"{e.rate:.1%} chance of {', '.join(e.kinds)} (seed {e.seed})", e.matcher.on, e.matcher.seen)
        for e in org.faults.lotteries
    ]
    rows += [("something done behind the API's back", h.matcher.on, h.matcher.seen) for h in org.faults.hooks]
    return _table(("What", "On", "Matches seen"), rows, numbers=(2,)) if rows else "<p>None is on.</p>"


def _requests(org: Org) -> str:
    """The latest first; the page's own requests are left out."""
    found = org.tables.db.execute('SELECT "entry" FROM "request_log" ORDER BY "number" DESC LIMIT 500')
    entries = [e for e in (json.loads(r[0]) for r in found) if e["path"].strip("/")][:_LAST]
    rows = [
        (e["number"], e["at"], e["method"], e["path"], e["status"] or "cut off", len(e["writes"]) or "", ", ".join(e["faults"]))
        for e in entries
    ]
    heads = ("No.", "At", "Method", "Path", "Status", "Writes", "Faults")
    return _table(heads, rows, numbers=(0, 4, 5)) if rows else "<p>None yet.</p>"


def _table(heads: Cells, rows: Iterable[Cells], *, numbers: tuple[int, ...]) -> str:
    head = "".join(f"<th scope=col>{escape(str(h))}</th>" for h in heads)
    body = "".join(f"<tr>{_cells(row, numbers)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Cells, numbers: tuple[int, ...]) -> str:
    return "".join(f"<td{' class=n' if n in numbers else ''}>{escape(str(cell))}</td>" for n, cell in enumerate(row))
