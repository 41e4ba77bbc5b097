"""Counts over months: how many people unsubscribed, were resubscribed, refused, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.store import schema as s
from workbench.store.database import Transaction

FIGURES = ("unsubscribed", "resubscribed", "refused", "aborted", "relapsed")


def between(tx: Transaction, bounds: Sequence[datetime]) -> list[dict[str, int]]:
    """For each span from one bound to the next (its end left out): `FIGURES`, each a number of episodes, people or relapses.

    An unsubscribe counts when the person opted out, a relapse when it was first seen.
    """
    i, m = s.intent.c, s.mismatch.c
    counted = (
        (i.done_at, sa.true()),
        (i.changed_at, i.state == "REFUSED"),
        (i.changed_at, i.state == "ABORTED"),
        (m.first_seen, m.kind == "relapse"),
    )
    unsubscribed = [sum(span.values()) for span in by_source(tx, bounds)]
    rows = [unsubscribed, *(_counts(tx, moment, which, bounds) for moment, which in counted)]
    return [dict(zip(FIGURES, span, strict=True)) for span in zip(*rows, strict=True)]


def by_source(tx: Transaction, bounds: Sequence[datetime]) -> list[dict[str, int]]:
    """For each span from one bound to the next: how many unsubscribes of every source (`UNSUBSCRIBE_SOURCES`) took place in it.

    Span by span, for an index holds them in that order: all months of a long register cost as much as one look at the last ones.
    """
    u = s.unsubscribe.c
    query = sa.select(u.source, sa.func.count()).group_by(u.source)
    found = [
        dict(tuple(row) for row in tx.execute(query.where(u.opted_out_at >= a, u.opted_out_at < b))) for a, b in pairwise(bounds)
    ]
    return [{source: span.get(source, 0) for source in UNSUBSCRIBE_SOURCES} for span in found]


def resubscribed(tx: Transaction, bounds: Sequence[datetime]) -> list[int]:
    """For each span from one bound to the next: how many people were resubscribed in it."""
    return _counts(tx, s.intent.c.done_at, sa.true(), bounds)


def _counts(tx: Transaction, moment: sa.Column[Any], which: sa.ColumnElement[bool], bounds: Sequence[datetime]) -> list[int]:
    sums = [sa.func.count(sa.case(((moment >= a) & (moment < b), 1))) for a, b in pairwise(bounds)]
    if not sums:
        return []
    return [int(n) for n in tx.execute(sa.select(*sums).where(which, moment >= bounds[0], moment < bounds[-1])).one()]
