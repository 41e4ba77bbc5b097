"""Counts over months: how many people unsubscribed, were resubscribed, refused, taken back; each table is read once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store.database import Transaction

FIGURES = ("unsubscribed", "resubscribed", "refused", "aborted", "relapsed")


def between(tx: Transaction, bounds: Sequence[datetime]) -> list[dict[str, int]]:
    """For each span from one bound to the next (its end left out): `FIGURES`, each a number of episodes, people or relapses.

    An unsubscribe counts when the person opted out, a relapse when it was first seen.
    """
    i, m = s.intent.c, s.mismatch.c
    counted = (
        (s.unsubscribe.c.opted_out_at, sa.true()),
        (i.done_at, sa.true()),
        (i.changed_at, i.state == "REFUSED"),
        (i.changed_at, i.state == "ABORTED"),
        (m.first_seen, m.kind == "relapse"),
    )
    rows = [_counts(tx, moment, which, bounds) for moment, which in counted]
    return [dict(zip(FIGURES, span, strict=True)) for span in zip(*rows, strict=True)]


def _counts(tx: Transaction, moment: sa.Column[Any], which: sa.ColumnElement[bool], bounds: Sequence[datetime]) -> list[int]:
    sums = [sa.func.count(sa.case(((moment >= a) & (moment < b), 1))) for a, b in pairwise(bounds)]
    if not sums:
        return []
    return [int(n) for n in tx.execute(sa.select(*sums).where(which, moment >= bounds[0], moment < bounds[-1])).one()]
