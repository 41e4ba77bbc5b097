"""A batch against the wire alone: what our run adds to the bare HTTP exchanges, what it needs of memory, and what plain updates cost.

    python tests/bench/batch.py [--people 10000] [--rounds 3] [--slow-people 500] [--small 1000]

One to three records a person, all resubscribed. The requests of one run are recorded; then `workbench batch run` in a process of its
own, and a plain script that sends the recorded requests over one connection, take turns, each on its own copy of the same org. Last,
with an org that answers after 20 ms, our run against one ``sf.Contact.update`` a record. Goals: at most 2 times the bare exchanges,
at least 10 times as fast as single updates, and a peak of memory that does not grow with the number of people.
"""

from __future__ import annotations

import argparse
import base64
import csv
import http.client
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["WORKBENCH_NO_KEYRING"] = "1"

import requests
from conftest import CONSENTED, CONTROLLER, contact_id, lead_id, org_line
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from workbench.bench import Workbench
from workbench.scratch_org.process import ScratchOrg, start_scratch_org

MOST_OF_THE_WIRE, LEAST_FASTER = 2.0, 10.0
DELAY = 0.02  # seconds
SLOW = {"kind": "slow", "on": "* ^/services/data/", "times": 0, "seconds": DELAY}
BATCH = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass(frozen=True)
class Case:
    """A workspace with an approved batch, and the org as it was then; both are copied for every run."""

    folder: Path
    batch: str
    people: int
    records: int
    port: int
    contacts: tuple[str, ...]


def prepared(folder: Path, people: int) -> Case:
    """People on both sides with a consent each, proposed and approved."""
    folder.mkdir()
    records = list(_records(people))
    (folder / "org.jsonl").write_text("\n".join(line for _, _, line in records), encoding="utf-8")
    _write_csvs(folder, people)
    with start_scratch_org(data=folder / "org.jsonl", database=folder / "org.db") as org:
        wb = Workbench.init(folder / "workspace", name="bench", url=org.url, controller=CONTROLLER)
        policy = f'controller = "{CONTROLLER}"\nwrite_cap = {people + 1}\n'
        (folder / "workspace" / "policy.toml").write_text(policy, encoding="utf-8")
        wb.close()
        with Workbench.open(folder / "workspace") as opened:
            opened.import_people(folder / "people.csv")
            opened.import_consents(folder / "consents.csv", evidence_dir=folder)
            opened.pull(full=True)
            chosen = opened.people(unsubscribed=True, limit=people + 1)
            plan = opened.propose(chosen, reason="signed_form")
            if plan.eligible != people:
                raise SystemExit(f"only {plan.eligible} of {people} are eligible: {plan.table.codes.value_counts().to_dict()}")
            opened.approve(plan.id, plan.digest)
        port = urlsplit(org.url).port or 0
    contacts = tuple(record_id for kind, record_id, _ in records if kind == "Contact")
    return Case(folder, plan.id, people, len(records), port, contacts)


def _records(people: int) -> Iterator[tuple[str, str, str]]:
    chance, number = random.Random(3), 0  # the same people every time
    for person in range(people):
        for n in range(chance.choice((1, 2, 3))):
            kind, record_id = ("Contact", contact_id(number)) if (person + n) % 2 else ("Lead", lead_id(number))
            yield kind, record_id, org_line(kind, record_id, _address(person), opted_out=True)
            number += 1


def _address(person: int) -> str:
    return f"person{person}@example.com"


def _write_csvs(folder: Path, people: int) -> None:
    (folder / "form.pdf").write_bytes(b"%PDF-1.7 signed by everybody")
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("external_id", "email", "last_name", "unsubscribed", "unsubscribed_at", "unsubscribe_source"))
        rows.writerows((f"p{n}", _address(n), "Person", "yes", "2026-03-01T12:00:00Z", "clicked_link") for n in range(people))
    with (folder / "consents.csv").open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        names = ("purpose", "given_at", "method", "notice_text", "notice_version", "language", "jurisdiction", "evidence")
        rows.writerow(("person", "authorization_type", "state", "consent_type", "controller", *names))
        shown = ("sales_email", CONSENTED.isoformat(), "paper", "Send me mail again.", "2026-05", "en", "GB", "form.pdf")
        rows.writerows((f"p{n}", "consent", "given", "explicitly_expressed", CONTROLLER, *shown) for n in range(people))


@contextmanager
def again(case: Case, *, slow: bool = False) -> Iterator[tuple[ScratchOrg, Path]]:
    """The org on its port and the workspace, both as they were when the batch was approved."""
    with tempfile.TemporaryDirectory(dir=case.folder) as name:
        folder = Path(name)
        shutil.copyfile(case.folder / "org.db", folder / "org.db")
        shutil.copytree(case.folder / "workspace", folder / "workspace")
        with start_scratch_org(database=folder / "org.db", arguments=["--port", str(case.port)]) as org:
            if slow:
                org.control("/faults", {"plan": [SLOW]})
            yield org, folder / "workspace"


def recorded(case: Case) -> list[tuple[str, str, str]]:
    """Every request of one run: method, path with query, body."""
    found: list[tuple[str, str, str]] = []
    original = HTTPAdapter.send

    def send(self: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
        found.append((request.method or "", request.path_url, body))
        return original(self, request, *args, **kwargs)

    # only looks on: the requests go out as they are
    with again(case) as (_, workspace), mock.patch.object(HTTPAdapter, "send", send), Workbench.open(workspace) as wb:
        outcome = wb.run(case.batch)
    if outcome.done != case.people:
        raise SystemExit(f"only {outcome.sentence}")
    return [entry for entry in found if entry[1] != "/services/oauth2/token"]


def ours(case: Case, *, slow: bool = False) -> tuple[float, float]:
    """Seconds and peak memory (MB) of ``workbench batch run`` as a process."""
    with again(case, slow=slow) as (org, workspace):
        env = os.environ | {"WORKBENCH_CLIENT_ID": org.client_id, "WORKBENCH_CLIENT_SECRET": org.client_secret}
        words = [sys.executable, "-m", "workbench", "batch", "run", case.batch, "--workspace", str(workspace)]
        seconds, peak, said = _timed(words, env)
    if f"{case.people:,} of {case.people:,} people resubscribed" not in said:
        raise SystemExit(f"the run ended otherwise: {said[-500:]}")
    return seconds, peak


def bare(case: Case, exchanges: Path) -> float:
    """Seconds of a plain script that sends the same requests, as a process."""
    with again(case) as (org, _):
        facts = {"url": org.url, "client_id": org.client_id, "client_secret": org.client_secret}
        words = [sys.executable, __file__, "--replay", str(exchanges), "--org", json.dumps(facts)]
        seconds, _, said = _timed(words, dict(os.environ))
    if "replayed" not in said:
        raise SystemExit(f"the replay ended otherwise: {said[-500:]}")
    return seconds


def replay(exchanges: Path, facts: dict[str, str]) -> None:
    """Log in and send everything over one connection, reading every answer to its end."""
    connection = http.client.HTTPConnection(urlsplit(facts["url"]).netloc)
    basic = base64.b64encode(f"{facts['client_id']}:{facts['client_secret']}".encode()).decode()
    form = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/services/oauth2/token", "grant_type=client_credentials", form)
    token = json.loads(connection.getresponse().read())["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with exchanges.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            method, path, body = json.loads(line)
            connection.request(method, path, body.encode() or None, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise SystemExit(f"request {number} was answered with {answer.status}")
    sys.stdout.write(f"replayed {number}\n")


def single_updates(case: Case) -> float:
    """Seconds that one ``sf.Contact.update`` a record takes, for as many records as the batch has (from the contacts, as measured)."""
    with again(case, slow=True) as (org, _):
        session = requests.Session()
        session.mount("https://", _Plain())
        client = Salesforce(instance_url=org.url, session_id=org.access_token, session=session, version="64.0")
        start = time.perf_counter()
        for record_id in case.contacts:
            client.Contact.update(record_id, {"HasOptedOutOfEmail": False})
        return (time.perf_counter() - start) * case.records / len(case.contacts)


class _Plain(HTTPAdapter):
    """simple-salesforce writes https in front of every address; the org on this computer speaks plain HTTP."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = (request.url or "").replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


def _timed(words: list[str], env: dict[str, str]) -> tuple[float, float, str]:
    """Seconds, peak memory in MB, and what a process said."""
    watched = [sys.executable, __file__, "--watch", json.dumps(words)]
    done = subprocess.run(watched, env=env, capture_output=True, text=True, check=False)
    *said, last = (done.stderr + done.stdout).splitlines() or [""]
    found = json.loads(last)
    return found["seconds"], found["peak"] / 1024, "\n".join(said)


def watch(words: list[str]) -> None:
    """Run one process and say how long it took and how much memory it had at most."""
    start = time.perf_counter()
    subprocess.run(words, check=False)
    seconds = time.perf_counter() - start
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}) + "\n")


def measure(options: argparse.Namespace, folder: Path) -> bool:
    """Measure and print; whether every goal is reached."""
    case = prepared(folder / "large", options.people)
    exchanges = folder / "exchanges.jsonl"
    found = recorded(case)
    exchanges.write_text("\n".join(json.dumps(entry) for entry in found), encoding="utf-8")
    _say(f"{case.people:,} people with {case.records:,} records, all resubscribed: {len(found):,} requests")
    rounds = [(ours(case), bare(case, exchanges)) for _ in range(options.rounds)]
    mine, peak = statistics.median(r[0][0] for r in rounds), max(r[0][1] for r in rounds)
    wire = statistics.median(r[1] for r in rounds)
    ratio = statistics.median(r[0][0] / r[1] for r in rounds)
    _say(f"  our run {mine:.1f} s, bare exchanges {wire:.1f} s: {ratio:.2f} times (goal: at most {MOST_OF_THE_WIRE})")
    small = prepared(folder / "small", options.small)
    _say(f"  peak memory {peak:.0f} MB; with {small.people:,} people {ours(small)[1]:.0f} MB")
    slow = prepared(folder / "slow", options.slow_people)
    alone, together = single_updates(slow), ours(slow, slow=True)[0]
    faster = alone / together
    _say(f"{slow.people:,} people with {slow.records:,} records, an org that answers after {DELAY * 1000:.0f} ms:")
    _say(
        f"  single updates {alone:.1f} s, our run {together:.1f} s: {faster:.1f} times faster (goal: at least {LEAST_FASTER:.0f})"
    )
    return ratio <= MOST_OF_THE_WIRE and faster >= LEAST_FASTER


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print; with the inner options, be one of the processes that are measured."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=10_000)
    options.add_argument("--small", type=int, default=1_000)
    options.add_argument("--slow-people", type=int, default=500)
    options.add_argument("--rounds", type=int, default=3)
    for inner in ("--replay", "--org", "--watch"):
        options.add_argument(inner, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.watch:
        watch(json.loads(given.watch))
    elif given.replay:
        replay(Path(given.replay), json.loads(given.org))
    else:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(not measure(given, Path(folder)))


if __name__ == "__main__":
    main()
