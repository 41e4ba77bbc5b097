"""`workbench import people` of a large file, beside SQLite's own `.import` of the same file with the same indexes, in turn.

    python tests/bench/importing.py [--people 1000000] [--runs 1] [--again] [--database postgresql://…]

The file has the columns of a Sales Connect export; a fifth of its people are unsubscribed. The bare import is the `sqlite3` shell
(or, where there is none, a Python process with `csv.reader` and ``executemany``; the result says which): the file into one table of
text in a database of the register's durability, then, over the columns of the file that correspond, every index that the register
keeps of people, Salesforce ids and unsubscribes. Nothing is checked, normalised, looked up or compared there. Ours is the whole command
on a new workspace: starting Python, reading and checking every row, looking for whom it means, storing people, ids and unsubscribes, the
trail, and the search for mismatches that ends it. Each is a process of its own; what its clock and its memory say is printed.

With ``--again`` the same file is taken in once more, and then one in which every hundredth person moved and another one unsubscribed.
Goals: at most 4 times the bare import, and a peak of memory that does not grow with the file.
"""

from __future__ import annotations

import argparse
import compileall
import csv
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("WORKBENCH_NO_KEYRING", "1")

GOAL_RATIO = 4.0
HEADER = (
    "First Name", "Last Name", "Company", "Email ID", "Phone Number", "Updated At", "Salesforce ID", "Person ID", "Unsubscribed",
    "Unsubscribed At", "Unsubscribe Source",
)  # fmt: skip
SHELL = shutil.which("sqlite3")
PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32000;"
OUT = """"Unsubscribed" = 'yes'"""
INDEXES = (
    'CREATE UNIQUE INDEX person_key ON people ("Person ID")',
    'CREATE UNIQUE INDEX external_id ON people ("Person ID", "Email ID")',
    'CREATE INDEX email ON people ("Email ID", "Person ID")',
    """CREATE INDEX domain ON people (substr("Email ID", instr("Email ID", '@') + 1), "Person ID")""",
    'CREATE INDEX unsubscribed ON people ("Unsubscribed At", "Person ID")',
    'CREATE INDEX last_name ON people ("Last Name", "Person ID")',
    'CREATE INDEX company ON people ("Company", "Person ID")',
    'CREATE INDEX unsubscribed_text ON people ("Unsubscribed At", "Person ID", "Email ID", "First Name", "Last Name", "Company")'
    f" WHERE {OUT}",
    'CREATE UNIQUE INDEX salesforce_key ON people ("Person ID", "Salesforce ID")',
    'CREATE INDEX salesforce ON people ("Salesforce ID", "Person ID")',
    f'CREATE UNIQUE INDEX unsubscribe_key ON people ("Person ID") WHERE {OUT}',
    f'CREATE INDEX unsubscribe_person ON people ("Person ID", "Unsubscribed", "Unsubscribed At") WHERE {OUT}',
)
"""What the register keeps of people (8), stored Salesforce ids (2) and unsubscribes (2), over the columns of the file."""


class Measure(NamedTuple):
    """What one process took: seconds by the clock, peak memory (MB), and seconds of a processor."""

    seconds: float
    memory: float
    cpu: float


def written(file: Path, people: int, *, changed: bool = False) -> Path:
    """A file of so many people; ``changed``: every hundredth moved to another address, and another hundredth unsubscribed since."""
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(HEADER)
        rows.writerows(_rows(people, changed=changed))
    return file


def _rows(people: int, *, changed: bool) -> Iterator[tuple[str, ...]]:
    from workbench.person import salesforce_id_18

    chance = random.Random(5)
    for n in range(people):
        unsubscribed = n % 5 == 0 or (changed and n % 100 == 51)
        last = f"Name{chance.randrange(50_000):05}"
        host = f"company{n % 5000}.example.{'net' if changed and n % 100 == 52 else 'com'}"
        yield (
            f"First{n % 2000}", last, f"Company {n % 5000}", f"{last.lower()}.{n}@{host}", f"+49 30 {n:07}",
            f"2026-10-{1 + n % 28:02} 09:00:00Z", salesforce_id_18(f"{'003' if n % 2 else '00Q'}{n:012d}"), f"SC-{n:07}",
            "yes" if unsubscribed else "no",
            f"2026-0{1 + n % 9}-1{n % 10} 0{n % 10}:{n % 60:02}:00Z" if unsubscribed else "",
            "Clicked Link" if unsubscribed else "",
        )  # fmt: skip


def bare(folder: Path, file: Path) -> Measure:
    """SQLite's own import."""
    database = folder / "bare.db"
    for old in folder.glob("bare.db*"):
        old.unlink()
    if SHELL is None:
        return measured([sys.executable, __file__, "--bare", str(database), str(file)])
    script = f"{PRAGMAS}\n.import --csv {file} people\n" + "".join(f"{index};\n" for index in INDEXES)
    return measured([SHELL, "-bail", str(database)], said=script)


def bare_by_python(database: str, file: str) -> None:
    """The same by Python's driver, where there is no shell."""
    raw = sqlite3.connect(database)
    raw.executescript(PRAGMAS)
    with Path(file).open(encoding="utf-8", newline="") as text:
        rows = csv.reader(text)
        names = next(rows)
        columns = '" TEXT, "'.join(names)
        raw.execute(f'CREATE TABLE people ("{columns}" TEXT)')
        raw.executemany(f"INSERT INTO people VALUES ({','.join('?' * len(names))})", rows)
    for index in INDEXES:
        raw.execute(index)
    raw.commit()


def workspace(folder: Path, database: str) -> Path:
    """A new one."""
    from workbench.bench import Workbench

    Workbench.init(folder, name="bench", url="http://127.0.0.1:9", controller="Example GmbH", database=database).close()
    return folder


def ours(folder: Path, file: Path) -> Measure:
    """The command."""
    return measured([sys.executable, "-m", "workbench", "--workspace", str(folder), "import", "people", str(file)])


def measured(words: Sequence[str], *, said: str = "") -> Measure:
    """Start one process and wait for its end; what it takes counts, not what the one that measures had."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if process.stdin is not None:
        process.stdin.write(said)
        process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words[:4])} ended with code {process.returncode}")
    return Measure(seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def compare(folder: Path, people: int, runs: int, *, again: bool, database: str) -> None:
    """Alternate both imports, and print what each took."""
    import workbench

    compileall.compile_dir(Path(workbench.__file__).parent, quiet=2)  # as installing it does; a checkout may lack it
    file = written(folder / "people.csv", people)
    say(f"import of {people:,} people ({file.stat().st_size / 1e6:,.0f} MB)")
    bares, taken = [], []
    for number in range(runs):
        bares.append(bare(folder, file))
        here = workspace(folder / f"workspace{number}", database)
        taken.append(ours(here, file))
    told = f"sqlite3's .import and {len(INDEXES)} indexes" if SHELL else f"Python's csv, executemany and {len(INDEXES)} indexes"
    say(f"  {_line(bares, people)}   {told}")
    say(f"  {_line(taken, people)}   workbench import people")
    ratios = [our.seconds / one.seconds for one, our in zip(bares, taken, strict=True)]
    each = f", each {', '.join(f'{ratio:.2f}' for ratio in ratios)}" if runs > 1 else ""
    of_cpu = statistics.median(our.cpu / one.cpu for one, our in zip(bares, taken, strict=True))
    say(f"  ratio {statistics.median(ratios):.2f}{each} (goal {GOAL_RATIO:.0f}); of processor time {of_cpu:.2f}")
    if again:
        say(f"  {_line([ours(here, file)], people)}   the same file again")
        newer = written(folder / "newer.csv", people, changed=True)
        say(f"  {_line([ours(here, newer)], people)}   one in which every fiftieth person changed")


def _line(measures: Sequence[Measure], people: int) -> str:
    seconds = statistics.median(one.seconds for one in measures)
    cpu, memory = statistics.median(one.cpu for one in measures), max(one.memory for one in measures)
    return f"{seconds:6.1f} s  {cpu:6.1f} s of a processor  {people / seconds:9,.0f} rows/s  peak {memory:5.0f} MB"


def say(line: str) -> None:
    """One line of the result, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--bare"]:
        bare_by_python(*sys.argv[2:])
        return
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=1)
    options.add_argument("--again", action="store_true", help="take the same file in again, and then a changed one")
    options.add_argument("--database", default="", help="an empty PostgreSQL database for the register, instead of a file")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), given.people, 1 if given.database else given.runs, again=given.again, database=given.database)


if __name__ == "__main__":
    main()
