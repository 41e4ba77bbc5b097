"""The control port: what tests and demonstrations do behind the API's back, and what they may look at.

POST an action of ``actions`` by its name, ``/faults``, ``/hooks`` or ``/stop``; GET ``/requests``, ``/changes``, ``/state``.
"""

import json
from typing import Any

from .actions import ACTIONS, act
from .clock import stamp
from .messages import Reply
from .org import Org


def answer(org: Org, method: str, path: str, order: dict[str, Any], params: dict[str, str]) -> Reply:
    """The reply to one control request.

    Raises:
        ValueError, KeyError: the order is incomplete or wrong.
        OrgError: the record doesn't exist.
    """
    name = path.strip("/")
    if method == "GET":
        return _look(org, name, int(params.get("since", 0)))
    if method != "POST":
        return Reply(405, {"error": "Only GET and POST"})
    if name in ACTIONS:
        return Reply(body=act(org, name, order))
    return _plan(org, name, order)


def _plan(org: Org, name: str, order: dict[str, Any]) -> Reply:
    if name == "faults":
        if order.get("clear"):
            org.faults.clear()
        org.faults.add(order.get("plan", []))
        if "rate" in order:
            org.faults.add_lottery({k: v for k, v in order.items() if k not in ("clear", "plan")})
        return Reply(body={"planned": len(org.faults.plan), "lotteries": len(org.faults.lotteries)})
    if name == "hooks":
        _check_actions(order)
        org.faults.add_hook(order)
        return Reply(body={"hooks": len(org.faults.hooks)})
    if name == "stop":
        return Reply(body={"stopping": True})
    return Reply(404, {"error": f"No such control: {name}"})


def _check_actions(order: dict[str, Any]) -> None:
    """Refuse a hook whose actions don't exist before it is planned, not in the middle of a request."""
    actions = order.get("do") or []
    for entry in actions if isinstance(actions, list) else [actions]:
        unknown = set(entry) - set(ACTIONS) if isinstance(entry, dict) else ()
        if unknown:
            raise ValueError(f"Unknown action {sorted(unknown)[0]!r}; known: {', '.join(ACTIONS)}")


def _look(org: Org, name: str, since: int) -> Reply:
    if name == "requests":
        rows = org.tables.db.execute('SELECT "entry" FROM "request_log" WHERE "number" > ? ORDER BY "number"', (since,))
        return Reply(body={"requests": [json.loads(r[0]) for r in rows]})
    if name == "changes":
        rows = org.tables.db.execute('SELECT * FROM "opt_out_ledger" WHERE "number" > ? ORDER BY "number"', (since,))
        changes = [dict(r) | {"old": bool(r["old"]), "new": bool(r["new"])} for r in rows]
        return Reply(body={"changes": changes})
    if name == "state":
        return Reply(body=_state(org))
    return Reply(404, {"error": f"No such control: {name}"})


def _state(org: Org) -> dict[str, Any]:
    counts = {
        name: org.tables.db.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - names from below
        for name in ("Lead", "Contact", "Account", "User", "LeadHistory", "ContactHistory")
    }
    return {
        "now": stamp(org.clock.now()),
        "tracking": org.records.tracking,
        "records": counts,
        "faults": [{"kind": f.kind, "on": f.matcher.on, "seen": f.matcher.seen} for f in org.faults.plan],
        "lotteries": [
            {"on": e.matcher.on, "seed": e.seed, "rate": e.rate, "kinds": list(e.kinds), "seen": e.matcher.seen, "drawn": e.drawn}
            for e in org.faults.lotteries
        ],
        "hooks": [{"on": h.matcher.on, "seen": h.matcher.seen} for h in org.faults.hooks],
        "limits": {"max": org.max_requests, "used": org.used_requests},
        "user": org.user,
    }
