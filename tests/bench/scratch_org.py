"""The scratch org's speed: seeding, a query job of everybody, and simple requests a second.

    python tests/bench/scratch_org.py [--people 1000000] [--requests 5000]

The org runs in a process of its own on a file database. Printed are the seconds and the peak memory (RSS) of seeding up to its
ready line; how long a Bulk 2.0 query of all leads takes until it is complete, how long other requests waited meanwhile, and how
fast its pages come; and how many simple requests a second one client gets answered on two kept-alive connections, and how many the org could answer if it
had a core to itself (by the time that it computes for each).
Goals: a million records in 120 seconds and 2 GB; 1,000 requests a second.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from pull import Bare

from workbench.scratch_org.process import ScratchOrg, start_scratch_org

PAGE = 20_000


def peak(org: ScratchOrg) -> float:
    """Peak memory of the org's process in MB."""
    status = Path(f"/proc/{org.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def used(org: ScratchOrg) -> float:
    """Seconds that the org's process has computed."""
    fields = Path(f"/proc/{org.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(line: str) -> None:
    """One line of the result, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def job(org: ScratchOrg, folder: Path) -> None:
    """A query job of all leads, with another client asking all the while."""
    reader, other = (Bare(urlsplit(org.url).netloc, org.access_token) for _ in range(2))
    waits: list[float] = []
    done = threading.Event()

    def ask_meanwhile() -> None:
        while not done.is_set():
            start = time.perf_counter()
            other.ask("GET", "limits").read()
            waits.append(time.perf_counter() - start)
            time.sleep(0.02)

    meanwhile = threading.Thread(target=ask_meanwhile)
    meanwhile.start()
    try:
        start = time.perf_counter()
        made = reader.job("SELECT Id, Email, FirstName, LastName, Company, HasOptedOutOfEmail, SystemModstamp FROM Lead")
        complete = time.perf_counter()
        reader.pages(made, PAGE, folder / "leads.csv")
        read = time.perf_counter()
    finally:
        done.set()
        meanwhile.join()
    size = (folder / "leads.csv").stat().st_size / 1e6
    rows = json.load(reader.ask("GET", f"jobs/query/{made}"))["numberRecordsProcessed"]
    say(f"query job of {rows:,} leads: complete after {complete - start:.1f} s, {size:.0f} MB read in {read - complete:.1f} s")
    say(f"  other requests meanwhile: median {statistics.median(waits) * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms")
    say(f"  the org's peak memory: {peak(org):.0f} MB")


def request(org: ScratchOrg, path: str) -> bytes:
    """A request as it goes over the wire."""
    host = urlsplit(org.url).netloc
    return (
        f"GET /services/data/v{org.api_version}/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {org.access_token}\r\n\r\n"
    ).encode()


def answered(connection: socket.socket, asked: bytes, times: int) -> None:
    """Ask the same so many times on one connection, each time after the answer to the last."""
    for _ in range(times):
        connection.sendall(asked)
        got = connection.recv(65536)
        head, _, body = got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += connection.recv(65536)


def rate(org: ScratchOrg, path: str, times: int) -> float:
    """Requests a second on two connections at once, so that the org never waits for the client."""
    where, asked = urlsplit(org.url), request(org, path)
    connections = [socket.create_connection((where.hostname, where.port)) for _ in range(2)]
    start = time.perf_counter()
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(answered, connection, asked, times // 2) for connection in connections]:
            done.result()
    return times / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=200_000)
    options.add_argument("--requests", type=int, default=5_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        with start_scratch_org(people=given.people, database=Path(name) / "org.db") as org:
            seconds = time.perf_counter() - start
            say(f"seeding {given.people:,} records: {seconds:.1f} s ({given.people / seconds:,.0f}/s), peak {peak(org):.0f} MB")
            job(org, Path(name))
            first = Bare(urlsplit(org.url).netloc, org.access_token)
            query = urlencode({"q": "SELECT Id, Email FROM Lead LIMIT 1"})
            record = json.load(first.ask("GET", f"query?{query}"))["records"][0]["Id"]
            for what, path in (("a row", f"sobjects/Lead/{record}?fields=Id,Email"), ("a query of one row", f"query?{query}")):
                before = used(org)
                found = statistics.median(rate(org, path, given.requests) for _ in range(3))
                each = (used(org) - before) / (3 * given.requests)
                say(f"simple requests, {what}: {found:,.0f} a second (goal 1,000); the limit of one core is {1 / each:,.0f}")


if __name__ == "__main__":
    main()
