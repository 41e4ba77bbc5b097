"""What happens on the org besides the API: other users and automation edit records, an administrator changes settings.

Used by the control port and by hooks. Bounds of the API (field-level security, frozen leads) don't apply here.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from .clock import instant, stamp
from .describe import ObjectType
from .faults import Hook
from .grants import register
from .ids import long_id
from .org import Org
from .records import Author
from .rules import kind_with_rules
from .transactions import Pending
from .values import typed

Action = Callable[[Org, dict[str, Any]], dict[str, Any]]


def write(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "id", "values", "user"?, "at"?, "system"?}: an edit, or a new record when there is no id.

    ``at`` gives the stamps an earlier time than the commit, as a long transaction does; ``system`` moves
    SystemModstamp only, as a bounce does.
    """
    kind = org.kind(str(order["object"]))
    values = _values(kind, order.get("values", {}))
    author = _author(org, order)
    if "id" not in order:
        return {"id": org.records.create(kind, values, author)}
    record_id = _id(order["id"])
    opt_out = org.records.change(kind, record_id, values, author)
    return {"id": record_id, "opt_out": opt_out}


def delete(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "id", "user"?}: into the recycle bin."""
    kind, record_id = _with_a_bin(org, order), _id(order["id"])
    org.records.existing(kind, record_id)
    org.records.delete(kind, record_id, _author(org, order))
    return {"id": record_id}


def undelete(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "id", "user"?}: back out of the recycle bin."""
    kind, record_id = _with_a_bin(org, order), _id(order["id"])
    org.records.undelete(kind, record_id, _author(org, order))
    return {"id": record_id}


def purge(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "id"}: out of the recycle bin for good, as it happens to every record after some days."""
    kind, record_id = _with_a_bin(org, order), _id(order["id"])
    org.records.purge(kind, record_id)
    return {"id": record_id}


def convert(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"id", "user"?}: a lead becomes a contact."""
    return {"contact": org.records.convert(_id(order["id"]), _author(org, order))}


def merge(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "master", "loser", "user"?}."""
    kind, master, loser = _with_a_bin(org, order), _id(order["master"]), _id(order["loser"])
    if master == loser:
        raise ValueError("A record can't be merged into itself")
    org.records.merge(kind, master, loser, _author(org, order))
    return {"master": master}


def clock(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"advance": seconds, "at": instant, "frozen": bool}, each optional."""
    frozen = order.get("frozen")
    now = org.move_clock(advance=float(order.get("advance", 0)), at=order.get("at"), frozen=frozen)
    return {"now": stamp(now)}


def history(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"tracking": bool}: field history tracking of the opt-out fields."""
    org.records.track(bool(order["tracking"]))
    return {"tracking": org.records.tracking}


def permissions(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "field", "readable"?, "updateable"?}: field-level security."""
    readable, updateable = bool(order.get("readable", True)), bool(order.get("updateable", True))
    org.permit(str(order["object"]), str(order["field"]), readable=readable, updateable=updateable)
    return {}


def limits(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"max"?, "used"?}: today's API requests."""
    org.set_limits(maximum=order.get("max"), used=order.get("used"))
    return {"max": org.max_requests, "used": org.used_requests}


def conditions(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"stamp": "LastModifiedDate" | "SystemModstamp"}: what If-Unmodified-Since is compared with."""
    if order["stamp"] not in ("LastModifiedDate", "SystemModstamp"):
        raise ValueError("stamp has to be LastModifiedDate or SystemModstamp")
    org.stamp_checked = str(order["stamp"])
    org.tables.keep("stamp_checked", org.stamp_checked)
    return {}


def bulk(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"polls": n}: how often a bulk job says InProgress before it is complete."""
    org.bulk_polls = int(order["polls"])
    org.tables.keep("bulk_polls", str(org.bulk_polls))
    return {}


def rules(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "when": condition in SOQL, "message", "field"?}: a validation rule; {"clear": true} ends all rules."""
    if order.get("clear"):
        org.rules.clear()
    if "object" in order:
        kind, field = kind_with_rules(str(order["object"])), str(order.get("field", ""))
        org.rules.validate(kind, str(order["when"]), str(order["message"]), field=field, at=org.clock.now())
    return {"rules": len(org.rules.validation)}


def duplicates(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "fields": [...], "allow_save"?: true, "name"?}: a duplicate rule."""
    kind = kind_with_rules(str(order["object"]))
    allow_save, name = bool(order.get("allow_save", True)), str(order.get("name", f"Standard_{kind.name}_Duplicate_Rule"))
    org.rules.refuse_duplicates(kind, [str(f) for f in order["fields"]], allow_save=allow_save, name=name)
    return {"rules": len(org.rules.duplicate)}


def begin(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"object", "id", "values", "user"?}: another user's long transaction holds a record; nothing is visible yet."""
    kind, record_id = org.kind(str(order["object"])), _id(order["id"])
    org.records.existing(kind, record_id)
    author = replace(_author(org, order), at=org.clock.now())
    return {"transaction": org.transactions.begin(Pending(kind, record_id, _values(kind, order["values"]), author))}


def commit(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"transaction", "rollback"?: true}: what was begun becomes visible, with the stamps of its beginning, or is given up."""
    number = int(order["transaction"])
    if number not in org.transactions.open:
        raise ValueError(f"No open transaction {number}")
    if order.get("rollback"):
        del org.transactions.open[number]
        return {}
    return {"opt_out": org.transactions.commit(number, org.records)}


def tokens(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"user"?}: a token for that user; {"expire": true}: end every session."""
    if order.get("expire"):
        org.expire_tokens()
        return {}
    user = org.records.user(str(order["user"])) if "user" in order else None
    return {"access_token": org.new_token(user)}


ACTIONS: dict[str, Action] = {
    "write": write,
    "delete": delete,
    "undelete": undelete,
    "purge": purge,
    "convert": convert,
    "merge": merge,
    "clock": clock,
    "history": history,
    "permissions": permissions,
    "limits": limits,
    "conditions": conditions,
    "bulk": bulk,
    "rules": rules,
    "duplicates": duplicates,
    "begin": begin,
    "commit": commit,
    "tokens": tokens,
    "credentials": register,
}


def act(org: Org, name: str, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one action by name, all or nothing.

    Raises:
        ValueError, KeyError: the order is incomplete or wrong.
        OrgError: the record doesn't exist.
    """
    if name not in ACTIONS:
        raise ValueError(f"Unknown action {name!r}; known: {', '.join(ACTIONS)}")
    with org.tables.atomic():
        return ACTIONS[name](org, order)


def carry_out(org: Org, hooks: Iterable[Hook], *, after: bool) -> None:
    """Run those hooks that are meant for this side of the request."""
    for hook in hooks:
        if hook.after == after:
            for entry in hook.actions:
                for name, order in entry.items():
                    act(org, name, order)


def _author(org: Org, order: dict[str, Any]) -> Author:
    at = instant(str(order["at"])) if order.get("at") else None
    return Author(org.records.user(str(order.get("user", "Olga Admin"))), at=at, system=bool(order.get("system")))


def _with_a_bin(org: Org, order: dict[str, Any]) -> ObjectType:
    kind = org.kind(str(order["object"]))
    if not kind.writable:
        raise ValueError(f"A {kind.name} can't be deleted")
    return kind


def _id(text: Any) -> str:
    found = long_id(str(text))
    if found is None:
        raise ValueError(f"No record id: {text!r}")
    return found


def _values(kind: ObjectType, given: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        field = kind.field(name)
        if field is None or field.name == "Id":
            raise ValueError(f"{kind.name} has no field {name} that can be written")
        values[field.name] = typed(field, value)
    return values
