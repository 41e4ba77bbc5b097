"""Rows of the org on their way into the register: without the names of erased people, in the order and form of `org_record`.

Whole columns are brought into that form, not row by row: a full pull brings hundreds of thousands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from itertools import chain, repeat
from typing import Any

from workbench.org import OrgRow, RowColumns
from workbench.person import normalize_address
from workbench.store import schema as s
from workbench.store import suppression
from workbench.store.database import Transaction

_NAMES = tuple(field.name for field in fields(RowColumns))


def columns_of(rows: Sequence[OrgRow]) -> RowColumns:
    """Rows as columns; those that come so are taken as they are."""
    if isinstance(rows, RowColumns):
        return rows
    found: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in _NAMES}
    for name in ("system_modstamp", "last_modified_date", "bounced_at"):
        found[name] = [moment and s.instant_text(moment) for moment in found[name]]
    return RowColumns(**found)


_UNKEPT = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL keeps no NUL, and neither database half of a surrogate pair


def storable(text: str) -> str:
    """A text of the org as the register can keep it: one odd name must not keep everybody's opt-outs out."""
    return _UNKEPT.sub("\ufffd", text)


def storable_columns(rows: RowColumns) -> RowColumns:
    """The same rows with texts that the register can keep; whether there is an odd one is asked of a whole column at once."""
    odd: dict[str, Any] = {}
    for name in ("email", "first_name", "last_name", "company"):
        if not _all_kept("".join(getattr(rows, name))):
            odd[name] = [storable(text) for text in getattr(rows, name)]
    return replace(rows, **odd) if odd else rows


def _all_kept(text: str) -> bool:
    """Whether nothing in it has to be replaced: five times as fast as looking for it, and a pull asks it of every row."""
    if "\x00" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def values(rows: RowColumns, *, snapshot_id: str, seen_at: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows as tuples in the order of `org_record`.

    Truth is given as 0 and 1: SQLite's driver looks for an adapter of every True and False, which costs a third of the storing.
    """
    flags = {id(one): _flags(one) for one in {id(one): one for one in rows.opt_outs}.values()}
    opted_out, opt_outs, differ = ([flags[id(one)][which] for one in rows.opt_outs] for which in range(3))
    return zip(
        rows.record_id,
        rows.object,
        map(normalize_address, rows.email),
        rows.email,
        rows.first_name,
        rows.last_name,
        rows.company,
        opted_out,
        opt_outs,
        differ,
        rows.system_modstamp,
        rows.last_modified_date,
        rows.last_modified_by,
        map(int, rows.is_deleted),
        map(int, rows.is_converted),
        rows.converted_contact_id,
        rows.merged_into,
        rows.bounced_at,
        rows.person_account,
        repeat(s.instant_text(seen_at)),
        repeat(snapshot_id),
        strict=False,  # two of them have no end
    )


def _flags(opt_outs: dict[str, bool]) -> tuple[int, str, int]:
    return _told(tuple(opt_outs.items()))


@cache  # few: each field is set or not
def _told(opt_outs: tuple[tuple[str, bool], ...]) -> tuple[int, str, int]:
    """Whether any is set, all of them as JSON, and whether they differ."""
    values = {value for _, value in opt_outs}
    return int(any(values)), json.dumps(dict(opt_outs)), int(len(values) > 1)


def without_erased(tx: Transaction, rows: RowColumns, *, since: datetime) -> RowColumns:
    """The rows; those of people who were erased, told by their address or by the record itself, without address and name."""
    kept_out = suppression.among(tx, chain(rows.record_id, rows.email))
    if not kept_out:
        return rows
    theirs = {i for i, email in zip(rows.record_id, rows.email, strict=True) if i in kept_out or email in kept_out}
    suppression.add_records(tx, theirs, since=since)
    hidden: dict[str, Any] = {
        name: ["" if i in theirs else text for i, text in zip(rows.record_id, getattr(rows, name), strict=True)]
        for name in ("email", "first_name", "last_name", "company")
    }
    return replace(rows, **hidden)
