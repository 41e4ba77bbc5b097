"""A full pull of many records, beside a bare reading of the same HTTP pages to disk: whole processes, the two kinds alternating.

    python tests/bench/pull.py [--people 200000] [--runs 3] [--kills 4] [--database FILE]

One scratch org on a file database serves both. The bare reader is this file with ``--bare``: nothing but http.client, the same
query jobs, fields and page size, asked for in the same order, each page written to disk as it comes, nothing parsed. Ours is the
command `workbench org pull --full` on a new workspace, all of it: starting Python, logging in, reading, storing rows and history
durably, and the closing step (what vanished, links, mismatches, trail). The org's own work for each page is part of both.

Then a pull is killed in the middle several times, and the org's request log tells which pages were asked for twice.
Goals: at most 1.5 times the bare reading, below 200 MB, and no page asked for twice but those under way at a kill.
"""

from __future__ import annotations

import argparse
import compileall
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

os.environ.setdefault("WORKBENCH_NO_KEYRING", "1")

GOAL_RATIO, GOAL_MEMORY = 1.5, 200.0  # times the bare reading; MB
FIELDS = ("HasOptedOutOfEmail",)


class Bare:
    """The least that reads the pages: one connection, no parsing, no checks."""

    def __init__(self, host: str, token: str) -> None:
        self.connection = http.client.HTTPConnection(host)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        """One request; the answer's body is not read yet."""
        text = None if body is None else json.dumps(body)
        self.connection.request(method, f"/services/data/v64.0/{path}", text, self.headers)
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status}")
        return answer

    def job(self, query: str) -> str:
        """Make a query job and wait for it, asking often."""
        made = json.load(self.ask("POST", "jobs/query", {"operation": "queryAll", "query": query}))
        while json.load(self.ask("GET", f"jobs/query/{made['id']}"))["state"] != "JobComplete":
            time.sleep(0.02)
        return str(made["id"])

    def pages(self, job: str, size: int, file: Path) -> None:
        """All pages of a job, to one file."""
        locator = ""
        with file.open("wb") as out:
            while locator != "null":
                asked = {"maxRecords": str(size), **({"locator": locator} if locator else {})}
                answer = self.ask("GET", f"jobs/query/{job}/results?{urlencode(asked)}")
                while chunk := answer.read(1 << 16):
                    out.write(chunk)
                locator = answer.headers["Sforce-Locator"]


def bare(host: str, token: str, folder: str, size: str, *queries: str) -> None:
    """What the bare reader's process does."""
    reader = Bare(host, token)
    for number, query in enumerate(queries):
        reader.pages(reader.job(query), int(size), Path(folder) / f"{number}.csv")


class Measure(NamedTuple):
    """What one process took: seconds by the clock, peak memory (MB), and seconds of a processor (its own, not the org's)."""

    seconds: float
    memory: float
    cpu: float


class Yard:
    """One org, and what is measured against it."""

    def __init__(self, folder: Path, people: int, database: Path) -> None:
        import workbench
        from workbench.salesforce import bulk
        from workbench.scratch_org.process import start_scratch_org

        self.folder, self.size = folder, bulk.PAGE
        compileall.compile_dir(Path(workbench.__file__).parent, quiet=2)  # as installing it does; a checkout may lack it
        self.org = start_scratch_org(people=people, database=database)
        self.made = 0

    def workspace(self) -> Path:
        """A new one that is bound to the org."""
        from workbench.bench import Workbench

        self.made += 1
        folder = self.folder / f"workspace{self.made}"
        Workbench.init(folder, name="bench", url=self.org.url, controller="Example GmbH").close()
        return folder

    def queries(self) -> list[str]:
        """The queries of our pull, in its order, so that both read the same."""
        from workbench.org import OBJECTS
        from workbench.salesforce import OrgCredentials, SalesforceOrg
        from workbench.salesforce.replies import Request
        from workbench.salesforce.soql import all_history_query, all_query, columns_of

        found = []
        credentials = OrgCredentials(url=self.org.url, client_id=self.org.client_id, client_secret=self.org.client_secret)
        with SalesforceOrg(credentials, opt_out_fields=FIELDS) as org:
            for kind in OBJECTS:
                describing = Request(what=f"describing {kind}", path=f"sobjects/{kind}/describe")
                shown = org.connection.ask(describing, lambda reply: reply.body)
                found += [all_query(kind, columns_of(kind, shown, FIELDS)), all_history_query(kind, FIELDS)]
        return found

    def bare(self, queries: Sequence[str]) -> Measure:
        """One bare reading."""
        with tempfile.TemporaryDirectory(dir=self.folder) as target:
            host = urlsplit(self.org.url).netloc
            return measured([__file__, "--bare", host, self.org.access_token, target, str(self.size), *queries])

    def ours(self) -> Measure:
        """One pull."""
        return measured(["-m", "workbench", "--workspace", str(self.workspace()), "org", "pull", "--full"])

    def killed(self, kills: int) -> tuple[int, int, int]:
        """Kill a pull so many times, then let it end; gives pages read, those asked for twice, and query jobs made."""
        before = self.last_request()
        words = [sys.executable, "-m", "workbench", "--workspace", str(self.workspace()), "org", "pull", "--full"]
        for _ in range(kills):
            seen = len(self.pages_since(before))
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and len(self.pages_since(before)) < seen + 2:
                time.sleep(0.1)
            process.kill()
            process.wait()
        measured(words[1:])
        pages = Counter(self.pages_since(before))
        jobs = [r for r in self.requests_since(before) if r["method"] == "POST" and r["path"].endswith("/jobs/query")]
        return len(pages), sum(n - 1 for n in pages.values()), len(jobs)

    def pages_since(self, number: int) -> list[tuple[str, str]]:
        """(path, locator) of every results page that was asked for after a request, by the org's own log."""
        return [(r["path"], r["page"]) for r in self.requests_since(number) if r["path"].endswith("/results")]

    def requests_since(self, number: int) -> list[dict[str, Any]]:
        """The org's log after a request."""
        return [r for r in self.org.control("/requests")["requests"] if r["number"] > number]

    def last_request(self) -> int:
        """The number of the newest request."""
        return max((r["number"] for r in self.requests_since(0)), default=0)


def measured(words: Sequence[str]) -> Measure:
    """Start one process and wait for its end."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words[:4])} ended with code {process.returncode}")
    return Measure(seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--bare"]:
        bare(*sys.argv[2:])
        return
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--kills", type=int, default=4)
    options.add_argument("--database", type=Path, help="an org's file to use again, or to make")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yard = Yard(folder, given.people, given.database or folder / "org.db")
        try:
            compare(yard, given.people, given.runs)
            if given.kills:
                pages, twice, jobs = yard.killed(given.kills)
                say(f"killed {given.kills} times: {pages} pages, {twice} of them asked for twice, {jobs} query jobs made")
        finally:
            yard.org.stop()


def compare(yard: Yard, people: int, runs: int) -> None:
    """Alternate the bare reading and our pull, and print both."""
    queries = yard.queries()
    bares, ours = [], []
    for _ in range(runs):
        bares.append(yard.bare(queries))
        ours.append(yard.ours())
    ratios = [our.seconds / one.seconds for one, our in zip(bares, ours, strict=True)]
    seconds, memory = statistics.median(our.seconds for our in ours), max(our.memory for our in ours)
    say(f"full pull of {people:,} records, {runs} runs, bare reading and pull in turn")
    say(f"  bare reading  {statistics.median(one.seconds for one in bares):6.1f} s   {_cpu(bares)}")
    say(
        f"  pull          {seconds:6.1f} s   {_cpu(ours)}   {people / seconds:,.0f} rows/s   peak {memory:.0f} MB (goal {GOAL_MEMORY:.0f})"
    )
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    say(f"  ratio         {statistics.median(ratios):6.2f}     each: {each} (goal {GOAL_RATIO})")


def _cpu(measures: Sequence[Measure]) -> str:
    """The processor's time, which what else the machine does changes least."""
    return f"{statistics.median(one.cpu for one in measures):.1f} s of a processor"


def say(line: str) -> None:
    """One line of the result, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
