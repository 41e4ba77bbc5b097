"""A register of many people: finding all mismatches, the grid's pages, the panels' charts, one unsubscribe by phone; beside pandas on the same file.

    python tests/bench/million.py [--people 1000000] [--pages 200]

People and 1.1 records each are written straight into a new register in SQLite; of a hundred, twenty are opted out on both sides, and
one on each side only. Then, each in a process of its own: the links, every kind of mismatch (for the first time, again with nothing
new, and after 1,000 changes: first only where something was touched, then all of it, which has to find nothing more), the same core comparison by ``pandas.merge`` from the same file (join by id, flags differ, missing links, several records
an address), and pages of the grid in every sort and under filters that people use.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.person import salesforce_id_18
from workbench.store import review

NOW = "2026-11-02T09:00:00.000000Z"


def store_of(file: Path) -> Any:
    """The register in this file."""
    from workbench.store.database import Store

    return Store(f"sqlite:///{file}")


def written(file: Path, people: int) -> int:
    """Make the register; returns how many records it has."""
    store = store_of(file)
    store.upgrade()
    store.close()
    raw = sqlite3.connect(file)
    raw.execute("PRAGMA synchronous = OFF")
    values = ("?," * 14)[:-1]
    raw.executemany(
        "INSERT INTO person (person_id, external_id, email, email_as_given, domain, first_name, last_name, company, title, created_at,"
        f" updated_at, unsubscribed_at, unsubscribe_source, version) VALUES ({values})",
        _people(people),
    )
    raw.execute(
        "INSERT INTO unsubscribe (unsubscribe_id, person_id, opted_out_at, source, detail, recorded_at, recorded_by)"
        " SELECT 'u' || person_id, person_id, unsubscribed_at, unsubscribe_source, '', created_at, 'bench' FROM person"
        " WHERE unsubscribed_at IS NOT NULL"
    )
    values = ("?," * 17)[:-1]
    raw.executemany(
        "INSERT INTO org_record (record_id, object, email, email_as_given, first_name, last_name, company, opted_out, opt_outs,"
        " fields_differ, system_modstamp, last_modified_date, last_modified_by, is_deleted, is_converted, seen_at, snapshot_id)"
        f" VALUES ({values})",
        _records(people),
    )
    raw.execute(
        "INSERT INTO person_salesforce_id (person_id, record_id) SELECT p.person_id, r.record_id FROM org_record r"
        " JOIN person p ON p.email = r.email"
    )
    raw.execute(
        "INSERT INTO org_history (record_id, field, at, by, old_value, new_value) SELECT record_id, 'HasOptedOutOfEmail',"
        " last_modified_date, last_modified_by, 0, 1 FROM org_record WHERE opted_out"
    )
    raw.execute("ANALYZE")
    raw.commit()
    number = int(raw.execute("SELECT count(*) FROM org_record").fetchone()[0])
    raw.close()
    return number


def _state(number: int) -> tuple[bool, bool]:
    """Whether the person is unsubscribed, whether the record is opted out."""
    place = number % 100
    return place < 20 or place == 20, place < 20 or place == 21


def _address(number: int) -> str:
    return f"person{number}@company{number % 5000}.example"


def _people(people: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(5)
    for n in range(people):
        email, domain = _address(n), f"company{n % 5000}.example"
        out = f"2026-0{1 + n % 9}-1{n % 10}T0{n % 10}:{n % 60:02}:00.{n % 1_000_000:06}Z" if _state(n)[0] else None
        name = f"Name{chance.randrange(50_000):05}"
        source = "clicked_link" if out else None
        yield (
            f"{n:08x}-0000-4000-8000-{n:012x}", f"p{n}", email, email, domain, "Person", name, f"Company {n % 5000}", "",
            NOW, NOW, out, source, 1,
        )  # fmt: skip


def _records(people: int) -> Iterator[tuple[Any, ...]]:
    number = 0
    for n in range(people):
        for _ in range(2 if n % 10 == 0 else 1):
            kind, prefix = ("Contact", "003") if number % 2 else ("Lead", "00Q")
            out = _state(n)[1]
            fields = json.dumps({"HasOptedOutOfEmail": out})
            yield (
                salesforce_id_18(f"{prefix}{number:012d}"), kind, _address(n), _address(n), "Person", "Name", "Company", out, fields,
                False, NOW, NOW, salesforce_id_18("005000000000002"), False, False, NOW, "s",
            )  # fmt: skip
            number += 1


# --- what is measured, each in a process of its own


def links(file: Path) -> dict[str, Any]:
    """All links anew."""
    from workbench.store import records

    with store_of(file).write() as tx:
        return timed(lambda: records.relink(tx))


def mismatches(file: Path) -> dict[str, Any]:
    """Every kind of mismatch; how many were found."""
    from workbench.store import mismatches as found

    with store_of(file).write() as tx:
        return timed(lambda: sum(found.refresh(tx, datetime.now(UTC), everything=True).counts.values()))


def changes(file: Path) -> dict[str, Any]:
    """1,000 changes by both sides: records opted out or in, people unsubscribed, moved to another address."""
    from workbench.store.database import Transaction

    chance = random.Random(9)

    def some(tx: Transaction, number: int) -> list[str]:
        people = tx.exec_driver_sql("SELECT count(*) FROM person").scalar_one()
        return [f"{n:08x}-0000-4000-8000-{n:012x}" for n in chance.sample(range(people), number)]

    def changed() -> int:
        with store_of(file).write() as tx:
            for person_id in some(tx, 600):
                tx.exec_driver_sql(
                    "UPDATE org_record SET opted_out = NOT opted_out, system_modstamp = '2026-11-03T09:00:00.000Z' WHERE record_id ="
                    " (SELECT min(record_id) FROM person_salesforce_id WHERE person_id = ?)",
                    (person_id,),
                )
            for person_id in some(tx, 300):
                tx.exec_driver_sql(
                    "UPDATE person SET unsubscribed_at = '2026-11-03T09:00:00.000Z', unsubscribe_source = 'manual' WHERE person_id = ?",
                    (person_id,),
                )
            for person_id in some(tx, 100):
                tx.exec_driver_sql("UPDATE person SET email = 'moved.' || email WHERE person_id = ?", (person_id,))
            return int(tx.exec_driver_sql("SELECT count(*) FROM touched").scalar_one())

    return timed(changed)


def touched(file: Path) -> dict[str, Any]:
    """Every kind of mismatch, only where something was touched; how many are open then."""
    from workbench.store import mismatches as found

    with store_of(file).write() as tx:
        return timed(lambda: sum(found.refresh(tx, datetime.now(UTC)).counts.values()))


def touched_again(file: Path) -> dict[str, Any]:
    """The same on a connection that has looked before, as a notebook or a batch has; first what the second look sees is changed."""
    from workbench.store import mismatches as found

    store = store_of(file)
    with store.write() as tx:
        found.refresh(tx, datetime.now(UTC))
    changes(file)
    with store.write() as tx:
        return timed(lambda: sum(found.refresh(tx, datetime.now(UTC)).counts.values()))


def forecast(file: Path) -> dict[str, Any]:
    """What tonight's sync would write."""
    from workbench.store import mismatches as found

    with store_of(file).read() as tx:
        return timed(lambda: len(found.forecast(tx)))


def charts(file: Path) -> dict[str, Any]:
    """The charts of the panels that ask about everybody, each drawn five times: the slowest of each, and the bytes of both."""
    from workbench import pictures
    from workbench.months import bounds
    from workbench.store import figures
    from workbench.store import mismatches as found

    now = datetime.fromisoformat(NOW)
    months = bounds(now.year, now.month, number=12)

    def ages(tx: Any) -> str:
        return pictures.mismatch_ages(found.ages(tx, now), limit=10)

    def by_month(tx: Any) -> str:
        counted = zip(months, figures.by_source(tx, months), figures.resubscribed(tx, months), strict=False)
        return pictures.unsubscribes_by_month([{"since": at, "resubscribed": n, **span} for at, span, n in counted])

    store, size = store_of(file), 0
    slowest = {"ages": 0.0, "months": 0.0}
    for _ in range(5):
        for name, draw in (("ages", ages), ("months", by_month)):
            begun = time.perf_counter()
            with store.read() as tx:
                size += len(draw(tx))
            slowest[name] = max(slowest[name], time.perf_counter() - begun)
    return slowest | {"found": size // 5}


def by_pandas(file: Path) -> dict[str, Any]:
    """The core comparison by pandas from the same file."""
    import pandas as pd

    def compared() -> int:
        raw = sqlite3.connect(file)
        people = pd.read_sql("SELECT person_id, email, unsubscribed_at FROM person", raw)
        stored = pd.read_sql("SELECT person_id, record_id FROM person_salesforce_id", raw)
        rows = pd.read_sql("SELECT record_id, email, opted_out FROM org_record", raw)
        by_id = people.merge(stored, on="person_id").merge(rows[["record_id", "opted_out"]], on="record_id")
        by_email = people.merge(rows, on="email", how="outer", indicator=True)
        both = pd.concat([by_id, by_email[by_email._merge == "both"]]).drop_duplicates(["person_id", "record_id"])
        differ = both[both.unsubscribed_at.notna() != both.opted_out.astype(bool)]
        alone = by_email[(by_email._merge == "right_only") & (by_email.opted_out == 1)]
        mixed = rows.groupby("email").opted_out.nunique()
        return len(differ) + len(alone) + int((mixed > 1).sum())

    return timed(compared)


SORTED = tuple((sort, descending) for sort in review.SORTS for descending in (False, True))
FILTERS: tuple[dict[str, Any], ...] = (
    {"unsubscribed": True},
    {"unsubscribed": True, "text": "name00012"},
    {"unsubscribed": True, "domain": "company77.example"},
    {"unsubscribed": True, "mismatch": "unsubscribed_only_locally"},
    {"unsubscribed": True, "company": "77", "consent": False},
    {"unsubscribed": True, "consent": True},
    {"mismatch": "relapse"},
    {"text": "name00012"},
    {"salesforce": "opted_in"},
    {},
)


def pages(file: Path, number: int) -> dict[str, Any]:
    """So many pages of the grid, with random sorts and filters, each from the second page on as the one before ended."""

    chance, taken = random.Random(8), list[tuple[float, str]]()
    store = store_of(file)
    for _ in range(number):
        filters, (sort, descending) = chance.choice(FILTERS), chance.choice(SORTED)
        after = None
        for _page in range(2):
            begun = time.perf_counter()
            with store.read() as tx:
                found = review.page(tx, filters, sort=sort, descending=descending, after=after, limit=100)
            taken.append((time.perf_counter() - begun, f"{filters} by {sort}{' descending' * descending}"))
            if not found.has_next:
                break
            after = found.last_key
    taken.sort()
    seconds, slowest = taken[-1]
    at = {"median": taken[len(taken) // 2][0], "p95": taken[int(len(taken) * 0.95)][0], "most": seconds, "slowest": slowest}
    return {"seconds": sum(t for t, _ in taken), "found": len(taken), **at}


def timed(work: Callable[[], Any]) -> dict[str, Any]:
    """Seconds it took, those of a processor among them, and what came out."""
    begun, busy = time.perf_counter(), time.process_time()
    found = work()
    return {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - busy, "found": found}


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "links": links,
    "mismatches": mismatches,
    "changes": changes,
    "touched": touched,
    "touched_again": touched_again,
    "forecast": forecast,
    "by_pandas": by_pandas,
    "charts": charts,
}


PARTS_IN_ORDER = (
    "links",
    "mismatches",
    "mismatches",
    "changes",
    "touched",
    "touched_again",
    "mismatches",
    "forecast",
    "by_pandas",
)


def apart(file: Path, part: str, number: int = 0) -> dict[str, Any]:
    """One part in a process of its own, with its peak of memory in MB."""
    words = [sys.executable, __file__, "--part", part, "--file", str(file), "--pages", str(number)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def measure(people: int, number: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "register.db"
        records = written(file, people)
        _say(f"{people:,} people, {records:,} records, {file.stat().st_size / 1e6:,.0f} MB")
        again = [apart(file, part) for part in PARTS_IN_ORDER]
        names = (
            "links",
            "links and every kind of mismatch",
            "every kind of mismatch again",
            "1,000 changes",
            "mismatches where touched",
            "in a process that had looked",
            "and of everything",
            "forecast",
            "core comparison by pandas.merge",
        )
        for name, one in zip(names, again, strict=True):
            _say(
                f"  {name:32} {one['seconds']:7.2f} s, of a processor {one['cpu']:6.2f} s {one['peak']:6.0f} MB  {one['found'] or ''}"
            )
        if again[5]["found"] != again[6]["found"]:
            raise SystemExit("A look at what was touched did not find what a look at everything finds.")
        _say(
            f"  everything takes {again[6]['cpu'] / again[4]['cpu']:.0f} times the processor time of what 1,000 changes touched,"
            f" {again[6]['cpu'] / again[5]['cpu']:.0f} times in a process that had looked before"
        )
        _say(f"  pandas takes {again[8]['cpu'] / again[6]['cpu']:.2f} times the processor time of every kind")
        grid = apart(file, "pages", number)
        at = ", ".join(f"{key} {1000 * grid[key]:.0f} ms" for key in ("median", "p95", "most"))
        _say(f"  {grid['found']} pages of the grid: {at} ({grid['slowest']})")
        drawn = apart(file, "charts")
        _say(
            f"  charts: ages of mismatches {1000 * drawn['ages']:.0f} ms, months {1000 * drawn['months']:.0f} ms, {drawn['found']} bytes"
        )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print; with ``--part``, be one of the processes that are measured."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--pages", type=int, default=200)
    options.add_argument("--part", help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if not given.part:
        measure(given.people, given.pages)
        return
    found = pages(given.file, given.pages) if given.part == "pages" else PARTS[given.part](given.file)
    _say(json.dumps(found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
