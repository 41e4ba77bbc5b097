"""Counts over months against counting by hand, over a random register."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import sqlalchemy as sa
from invented_register import T0, Invented, new_store, undone

from workbench.months import bounds
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.store import figures


def test_unsubscribes_are_counted_by_month_and_source(tmp_path):
    draw = random.Random(5)
    store = new_store(tmp_path)
    spans = bounds(2026, 11, number=12)
    edges = [*spans, *(b - timedelta(milliseconds=1) for b in spans)]
    with undone(store) as tx:
        made, happened = Invented(tx), []
        for number in range(200):
            at = draw.choice(edges) if draw.random() < 0.3 else T0 - timedelta(hours=draw.randrange(12_000))
            source = draw.choice(UNSUBSCRIBE_SOURCES)
            made.out(made.person(f"p{number}@example.com"), at=at, source=source)
            happened.append((at, source))
        expected = [Counter(source for at, source in happened if a <= at < b) for a, b in pairwise(spans)]
        found = figures.by_source(tx, spans)
        assert [{k: n for k, n in span.items() if n} for span in found] == expected
        assert all(set(span) == set(UNSUBSCRIBE_SOURCES) for span in found)
        assert [row["unsubscribed"] for row in figures.between(tx, spans)] == [sum(span.values()) for span in expected]
        assert figures.by_source(tx, spans[:1]) == []
        assert figures.resubscribed(tx, spans) == [0] * 12
    store.close()


def test_the_months_are_read_from_an_index_alone(tmp_path):
    """The episodes of a long register are many pages; what is counted stands in the index."""
    store = new_store(tmp_path)
    with store.read() as tx:
        if tx.dialect.name == "sqlite":
            query = (
                "SELECT source, count(*) FROM unsubscribe WHERE opted_out_at >= '2026' AND opted_out_at < '2027' GROUP BY source"
            )
            plan = " ".join(str(row) for row in tx.execute(sa.text(f"EXPLAIN QUERY PLAN {query}")))
            assert "COVERING INDEX ix_unsubscribe_when" in plan
    store.close()
