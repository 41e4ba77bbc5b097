"""The verifier's program, whole imports and every answer of an org, spoilt on the way: each ends in a sentence, and no opt-out is lost.

`EXAMPLES` says how many each test tries (`make soak`); `tests/test_fuzz.py` does the same to the readers alone.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from conftest import LONG_AGO, World, contact_id, lead_id, org_line, worlds
from fuzzed import EXAMPLES, JSON, fuzzed, texts
from hypothesis import given
from hypothesis import strategies as st
from trail_samples import honest_trail

from workbench import verify_trail
from workbench.errors import WorkbenchError
from workbench.org import ConditionalClear, OrgError, RowAnswer
from workbench.person import salesforce_id_18
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, Timeouts
from workbench.store.schema import unsubscribe

BYTES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 40), st.binary(max_size=6)), min_size=1, max_size=4)
"""Pieces that are cut out of some bytes (place, length) and what is put there."""


def spoilt(content: bytes, pieces: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, put in pieces:
        at = place % (len(content) + 1)
        content = content[:at] + put + content[at + length :]
    return content


# --- the program of the verifier


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[Path, bytes]]:
    trail = honest_trail(Random(5))
    folder = trail.write(tmp_path_factory.mktemp("fuzz") / "export")
    known = folder.parent / "known.txt"
    known.write_text(trail.known, encoding="utf-8")
    return folder, trail.signer.vkey.text, {path: path.read_bytes() for path in [*folder.rglob("*"), known] if path.is_file()}


@fuzzed
@given(st.data(), BYTES)
def test_the_verifier(
    exported: tuple[Path, str, dict[Path, bytes]], data: st.DataObject, pieces: list[tuple[int, int, bytes]]
) -> None:
    folder, vkey, files = exported
    path = data.draw(st.sampled_from(sorted(files)))
    changed = spoilt(files[path], pieces)
    path.write_bytes(changed)
    words = ["verify_trail.py", str(folder), "--vkey", vkey, "--known", str(folder.parent / "known.txt")]
    before, sys.argv = sys.argv, words
    try:
        code = verify_trail.main()
    finally:
        sys.argv = before
        path.write_bytes(files[path])
    assert code in (0, 1, 2)
    if path.name == "events.jsonl" or path.parent.name == "evidence":
        assert (code == 0) == (changed == files[path])


# --- whole files that are taken in


CSVS = {
    "people": "Person ID,Email,Name,Salesforce ID,Unsubscribed,Unsubscribed at\np1,ann@example.com,Ann,00Q000000000001,yes,2026-03-01\n",
    "unsubscribes": "Email,Date,Source\nann@example.com,2026-03-01T09:00:00Z,manual\nnew@example.com,,\n",
    "consents": (
        "Email,Obtained on,Method,Scope,Wording,Evidence\n"
        "ann@example.com,2026-06-01,signed_form,marketing e-mail,I want it again,form.pdf\n"
    ),
}


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("imports")
    (folder / "evidence").mkdir()
    (folder / "evidence" / "form.pdf").write_bytes(b"%PDF-1.4 signed")
    with worlds(folder) as world:
        made = world()
        made.person("ann@example.com")
        for number in range(5):
            made.person(f"person{number}@example.com", unsubscribed=number % 2 == 0)
        yield made


def still_open(world: World) -> set[str]:
    """The episodes of opt-outs that are open."""
    with world.wb.store.read() as tx:
        return set(tx.scalars(sa.select(unsubscribe.c.unsubscribe_id).where(unsubscribe.c.closed_at.is_(None))))


@fuzzed
@given(st.sampled_from(sorted(CSVS)).flatmap(lambda kind: st.tuples(st.just(kind), texts(CSVS[kind]))), st.booleans())
def test_an_import(register: World, file: tuple[str, str], dry_run: bool) -> None:
    kind, text = file
    path, wb, before = register.folder.parent / "given.csv", register.wb, still_open(register)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    said: tuple[str, ...] = ()
    taken_in = False
    try:
        if kind == "consents":
            result = wb.import_consents(path, register.folder.parent / "evidence", dry_run=dry_run)
        else:
            result = getattr(wb, f"import_{kind}")(path, dry_run=dry_run)
        said, taken_in = result.problems, not dry_run
    except WorkbenchError as error:
        said = (str(error),)
    after = still_open(register)
    assert [sentence for sentence in said if "@example" in sentence] == []
    assert before <= after
    assert taken_in or after == before


# --- every answer of an org


@dataclass
class Between:
    """A server between the client and a scratch org: the answer numbered ``at`` since `arm` goes through ``spoil``."""

    target: str
    url: str = ""
    at: int = -1
    spoil: Callable[[int, bytes], tuple[int, bytes]] = lambda status, body: (status, body)
    seen: int = 0
    spoilt: Counter[str] = field(default_factory=Counter)

    def arm(self, at: int, spoil: Callable[[int, bytes], tuple[int, bytes]]) -> None:
        self.at, self.spoil, self.seen = at, spoil, 0

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        address = urlsplit(self.target)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "accept-encoding", "connection")}
        connection.request(method, path, body, kept | {"Host": address.netloc})
        reply = connection.getresponse()
        status, content = reply.status, reply.read()
        connection.close()
        number, self.seen = self.seen, self.seen + 1
        if number == self.at:
            self.spoilt[path.partition("?")[0].split("/")[-1 if path.count("/") < 5 else 4]] += 1
            status, content = self.spoil(status, content)
        keep = ("content-type", "date", "sforce-limit-info", "sforce-locator", "sforce-numberofrecords")
        return status, [(name, value) for name, value in reply.getheaders() if name.lower() in keep], content


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Between]]:
    with worlds(tmp_path_factory.mktemp("between")) as world:
        made = world(
            *(org_line("Lead", lead_id(n), f"lead{n}@example.com", opted_out=n % 2 == 0) for n in range(1, 6)),
            *(org_line("Contact", contact_id(n), f"contact{n}@example.com", opted_out=n % 2 == 0) for n in range(1, 6)),
        )
        one = Between(made.org.url)

        class Handler(BaseHTTPRequestHandler):
            """Hands on, both ways."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = one.answer(self.command, self.path, self.headers, body)
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_PATCH = do_GET  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        one.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield made, one
        server.shutdown()
        server.server_close()


def cleared(org: SalesforceOrg) -> list[RowAnswer]:
    long_ago = ConditionalClear(record_id=lead_id(2), object="Lead", fields=("HasOptedOutOfEmail",), unmodified_since=LONG_AGO)
    answers = list(org.clear([long_ago]))
    assert [salesforce_id_18(lead_id(2))] == [salesforce_id_18(answer.record_id) for answer in answers]
    return answers


OPERATIONS: dict[str, Callable[[SalesforceOrg], object]] = {
    "identity": lambda org: org.identity(),
    "access": lambda org: org.access(),
    "usage": lambda org: org.usage(),
    "read": lambda org: org.read(record_ids=[lead_id(1), contact_id(2)], addresses=["lead3@example.com"], history=True),
    "clear": cleared,
    "opt_out": lambda org: org.opt_out([("Lead", lead_id(1)), ("Contact", contact_id(4))]),
    "count": lambda org: org.count("Lead"),
    "pull": lambda org: list(org.pull("Contact", at=org.begin_pull("Contact"))),
    "pull_history": lambda org: list(org.pull_history("Lead", at=org.begin_pull("Lead", history=True))),
    "changes": lambda org: org.changes("Lead", since=datetime.now(UTC) - timedelta(days=1)),
    "rows": lambda org: list(org.rows("Lead", [lead_id(1), lead_id(2)])),
}

MISFIT = st.tuples(st.integers(0, 10**6), JSON | st.sampled_from(["", "\0", -1, 10**30, [], {}, "0001-01-01T00:00:00.000+1400"]))


def put(body: bytes, place: int, value: Any) -> bytes:
    """The JSON of an answer with one of its values replaced."""
    try:
        whole = [json.loads(body)]
    except ValueError:
        return body
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            places.append((node, key))
            walk(inner)

    walk(whole)
    node, key = places[place % len(places)]
    node[key] = value
    return json.dumps(whole[0]).encode()


@fuzzed
@given(
    st.sampled_from(sorted(OPERATIONS)),
    st.integers(0, 3),
    st.integers(200, 599) | st.sampled_from([200, 201, 204, 400, 401, 403, 404, 412, 503]) | st.none() | st.none(),
    st.one_of(MISFIT, MISFIT, BYTES),
)
def test_an_answer_of_the_org(between: tuple[World, Between], operation: str, at: int, status: int | None, change: Any) -> None:
    world, proxy = between

    def spoil(was: int, body: bytes) -> tuple[int, bytes]:
        body = put(body, *change) if isinstance(change, tuple) else spoilt(body, change)
        now = status or was
        return now, b"" if now in (204, 304) else body

    token = str(world.org.access_token)
    quick = Patience(tries=2, sleep=lambda _: None)
    with SalesforceOrg(
        OrgCredentials(url=proxy.url, access_token=token), timeouts=Timeouts(connect=2, read=5), patience=quick
    ) as org:
        proxy.arm(at, spoil)
        with suppress(OrgError):
            OPERATIONS[operation](org)
        proxy.arm(-1, spoil)
    assert all(world.flags(lead_id(2)).values())  # a condition of long ago clears nothing, whatever becomes of the answer


def test_the_server_between_did_something(between: tuple[World, Between]) -> None:
    world, proxy = between
    assert sum(proxy.spoilt.values()) > EXAMPLES // 4
    assert len(proxy.spoilt) > 4
    for operation, ask in OPERATIONS.items():
        with SalesforceOrg(OrgCredentials(url=proxy.url, access_token=str(world.org.access_token))) as org:
            assert ask(org) is not None, operation
