"""The comparison by the register, by engines on its snapshot, and by what people would use instead; ratios within one run.

    python tests/bench/engines.py [--people 1000000] [--runs 3]

The register of `million.py`: people and 1.1 records each. The core comparison is `CORE`: its queries are the register's own, counted in
SQLite, and by DuckDB on Parquet of the same rows. Beside it ``pandas.merge`` on the same SQLite file, and datacompy (with pandas and with
polars) on the flags of each record by its id, which is a part of it. What is not installed is left out, and it says so.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import million
import sqlalchemy as sa

from workbench import engines
from workbench.engines import asking
from workbench.engines.dialects import said_in
from workbench.store.mismatches import ledger

CORE = ("opted_out_only_in_salesforce", "unsubscribed_only_locally", "records_disagree", "orphan_opt_out")


def snapshot_of(file: Path) -> Path:
    """Where the register's snapshot is."""
    return file.with_name("snapshot")


def written(file: Path) -> dict[str, Any]:
    """Write the snapshot; how many rows it has."""
    with million.store_of(file).read() as tx:
        return million.timed(lambda: sum(engines.write(tx, snapshot_of(file), at=datetime.now(UTC)).rows.values()))


def register_core(file: Path) -> dict[str, Any]:
    """The core comparison in the register; how many were found."""
    with million.store_of(file).read() as tx:
        own: frozenset[str] = frozenset()

        def counted() -> int:
            found = 0
            for query in ledger.queries(own):
                kind: Any = query.selected_columns["kind"]
                if kind.element.value in CORE:
                    keys = query.with_only_columns(query.selected_columns["person_id"], query.selected_columns["record_id"])
                    found += tx.execute(sa.select(sa.func.count()).select_from(keys.subquery())).scalar_one()
            return found

        return million.timed(counted)


def duckdb_core(file: Path) -> dict[str, Any]:
    """The same by DuckDB, with the links at hand as the register has them."""
    with asking._asked("duckdb://", snapshot_of(file)) as (engine, questions):
        return million.timed(
            lambda: sum(engine.count(said_in(engine.dialect, one.text)) for one in questions if one.kind in CORE)
        )


def duckdb_links_and_core(file: Path) -> dict[str, Any]:
    """The same, and the links are made first."""

    def counted() -> int:
        with asking._asked("duckdb://", snapshot_of(file)) as (engine, questions):
            return sum(engine.count(said_in(engine.dialect, one.text)) for one in questions if one.kind in CORE)

    return million.timed(counted)


def duckdb_every_kind(file: Path) -> dict[str, Any]:
    """Links and every kind by DuckDB."""
    return million.timed(lambda: sum(engines.counts("duckdb://", snapshot_of(file)).values()))


def spark_every_kind(file: Path) -> dict[str, Any]:
    """Links and every kind by Spark in two threads, its start included; the processor's time is not that of Java."""
    return million.timed(lambda: sum(engines.counts("spark://local[2]", snapshot_of(file)).values()))


FLAGS = (
    "SELECT s.record_id, p.unsubscribed_at IS NOT NULL AS opted_out FROM person p JOIN person_salesforce_id s USING (person_id)",
    "SELECT record_id, opted_out FROM org_record",
)


def datacompy_pandas(file: Path) -> dict[str, Any]:
    """Flags by record id: datacompy on pandas."""
    import datacompy
    import pandas as pd

    compare = getattr(datacompy, "PandasCompare", None) or datacompy.Compare

    def compared() -> int:
        raw = sqlite3.connect(file)
        one, other = (pd.read_sql(query, raw) for query in FLAGS)
        return _differing(compare(one, other, join_columns="record_id"))

    return million.timed(compared)


def datacompy_polars(file: Path) -> dict[str, Any]:
    """Flags by record id: datacompy on polars."""
    import polars as pl
    from datacompy import PolarsCompare

    def compared() -> int:
        raw = sqlite3.connect(file)
        one, other = (
            pl.DataFrame(raw.execute(query).fetchall(), schema=["record_id", "opted_out"], orient="row") for query in FLAGS
        )
        return _differing(PolarsCompare(one, other, join_columns="record_id"))

    return million.timed(compared)


def _differing(done: Any) -> int:
    return int(len(done.df1_unq_rows) + len(done.df2_unq_rows) + len(done.intersect_rows) - done.count_matching_rows())


PARTS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "register_core": (register_core, "core, the register (SQLite)"),
    "duckdb_core": (duckdb_core, "core, DuckDB on Parquet, links at hand"),
    "duckdb_links_and_core": (duckdb_links_and_core, "links and core, DuckDB on Parquet"),
    "by_pandas": (million.by_pandas, "core, pandas.merge from the register"),
    "datacompy_pandas": (datacompy_pandas, "flags by id, datacompy with pandas"),
    "datacompy_polars": (datacompy_polars, "flags by id, datacompy with polars"),
}
ONCE: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "links": (million.links, "links, the register"),
    "mismatches": (million.mismatches, "every kind, the register"),
    "snapshot": (written, "the snapshot"),
    "duckdb_every_kind": (duckdb_every_kind, "links and every kind, DuckDB"),
}
LAST: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "spark_every_kind": (spark_every_kind, "links and every kind, Spark in two threads"),
}
GOALS = (
    ("register_core", "duckdb_core", "the register takes {:.2f} times DuckDB's {} (goal: at most 1.6)"),
    ("by_pandas", "register_core", "pandas.merge takes {:.2f} times the register's {} (goal: at least 4)"),
    ("datacompy_pandas", "register_core", "datacompy with pandas takes {:.2f} times the register's {} (goal: at least 4)"),
    ("datacompy_polars", "register_core", "datacompy with polars takes {:.2f} times the register's {} (goal: at least 3)"),
)


def apart(file: Path, part: str) -> dict[str, Any] | str:
    """One part in a process of its own, with its peak of memory in MB; or the last line of what it said when it ended."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, "--file", str(file)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended"])[-1]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def line(about: str, one: dict[str, Any] | str) -> None:
    """Print what one part took, or why it is left out."""
    if isinstance(one, str):
        million._say(f"  {about:46} left out: {one}")
    else:
        million._say(
            f"  {about:46} {one['seconds']:7.2f} s, of a processor {one['cpu']:6.2f} s {one['peak']:6.0f} MB  {one['found'] or ''}"
        )


def measure(people: int, runs: int) -> None:
    """Measure and print: what is done once, then the comparisons in turn, the median of each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "register.db"
        records = million.written(file, people)
        million._say(f"{people:,} people, {records:,} records, {file.stat().st_size / 1e6:,.0f} MB")
        for part, (_, about) in ONCE.items():
            line(about, apart(file, part))
        million._say(f"  Parquet: {sum(f.stat().st_size for f in snapshot_of(file).iterdir()) / 1e6:,.0f} MB")
        taken: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
        for _ in range(runs):
            for part in PARTS:
                one = apart(file, part)
                if isinstance(one, str):
                    line(PARTS[part][1], one)
                else:
                    taken[part].append(one)
        million._say(f"medians of {runs}:")
        medians = {part: sorted(ones, key=lambda one: float(one["cpu"]))[len(ones) // 2] for part, ones in taken.items() if ones}
        for part, one in medians.items():
            line(PARTS[part][1], one)
        for slow, fast, sentence in GOALS:
            if slow in medians and fast in medians:
                for what, words in (("cpu", "processor time"), ("seconds", "time by the clock")):
                    million._say(f"  {sentence.format(medians[slow][what] / medians[fast][what], words)}")
        for part, (_, about) in LAST.items():
            line(about, apart(file, part))
        if medians["register_core"]["found"] != medians["duckdb_core"]["found"]:
            raise SystemExit("The register and DuckDB did not find the same.")


def main() -> None:
    """Measure and print; with ``--part``, be one of the processes that are measured."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--part", help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if not given.part:
        measure(given.people, given.runs)
        return
    found = (PARTS | ONCE | LAST)[given.part][0](given.file)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    million._say(json.dumps(found | {"peak": peak}))


if __name__ == "__main__":
    main()
