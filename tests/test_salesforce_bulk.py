"""Query jobs against a server that breaks off, fails, repeats itself: a pull is whole or it is an error."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from workbench.org import OrgError, OrgRefusedError, OrgUnreachableError
from workbench.salesforce import OrgCredentials, Patience, Timeouts, bulk
from workbench.salesforce.bulk import Columns, query_job
from workbench.salesforce.connection import Connection
from workbench.salesforce.transport import Route

Answer = tuple[int, dict[str, str], bytes]
JOB = "750000000000001AAA"


class Script:
    """What the server answers: one entry a request by path ending, the last one for ever."""

    def __init__(self) -> None:
        self.states = ["JobComplete"]
        self.found = 3
        self.pages: list[Answer] = []
        self.asked: list[str] = []

    def answer(self, method: str, path: str) -> Answer:
        self.asked.append(f"{method} {path}")
        if "/results" in path:
            return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        state = self.states.pop(0) if len(self.states) > 1 and method == "GET" else self.states[0]
        return 200, {}, json.dumps({"id": JOB, "state": state, "numberRecordsProcessed": self.found}).encode()


@pytest.fixture
def served() -> Iterator[tuple[Script, Connection]]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = script.answer(self.command, self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    credentials = OrgCredentials(url=f"http://127.0.0.1:{server.server_address[1]}", access_token="x")
    connection = Connection(credentials, timeouts=Timeouts(read=5), patience=Patience(sleep=lambda _: None), route=Route())
    yield script, connection
    connection.close()
    server.shutdown()
    server.server_close()


def page(*ids: str, locator: str = "null", says: int | None = None, length: int | None = None) -> Answer:
    body = "\n".join(['"Id"', *(f'"{record_id}"' for record_id in ids)]) + "\n"
    given = {
        "Sforce-Locator": locator,
        "Sforce-NumberOfRecords": str(len(ids) if says is None else says),
        "Content-Type": "text/csv",
    }
    return 200, given | ({"Content-Length": str(length)} if length else {}), body.encode()


def pulled(
    connection: Connection, convert: Callable[[Columns], Sequence[str]] = lambda columns: columns["Id"]
) -> list[list[str]]:
    return [list(page) for page in query_job(connection, "SELECT Id FROM Lead", convert=convert, what="pulling")]


def test_pages_come_one_by_one(served: tuple[Script, Connection]) -> None:
    script, connection = served
    script.states = ["UploadComplete", "InProgress", "JobComplete"]
    script.pages = [page("a", "b", locator="Mg"), page("c")]
    assert pulled(connection) == [["a", "b"], ["c"]]
    assert "locator=Mg" in script.asked[-1]


def test_no_rows(served: tuple[Script, Connection]) -> None:
    script, connection = served
    script.found, script.pages = 0, [page()]
    assert pulled(connection) == []


def test_a_page_that_breaks_off_is_read_again_and_given_once(served: tuple[Script, Connection]) -> None:
    script, connection = served
    script.pages = [page("a", "b", locator="Mg"), page("c", length=999), page(says=1), page("c")]
    assert pulled(connection) == [["a", "b"], ["c"]]
    assert sum("locator=Mg" in asked for asked in script.asked) == 3


@pytest.mark.parametrize(
    "pages",
    [
        [page("a")],
        [page("a", "b")],
        [page("a", "b", "c", says=4)],
        [page("a", "b", "c", says=2)],
        [page("a", "b", "c", locator="Mg")],
        [page("a", locator="Mg"), page("b", locator="Mg")],
        [page("a", "b", "c", locator="../../sobjects")],
        [(200, {"Content-Type": "text/csv"}, b'"Id"\n"a"\n"b"\n"c"\n')],
        [(200, {"Content-Type": "text/html"}, b"<html>canary@example.com</html>")],
        [(500, {}, b"canary@example.com")],
    ],
)
def test_a_pull_that_is_not_whole_is_an_error(served: tuple[Script, Connection], pages: list[Answer]) -> None:
    script, connection = served
    script.pages = pages
    with pytest.raises(OrgUnreachableError) as caught:
        pulled(connection)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_fails_is_named(served: tuple[Script, Connection], state: str) -> None:
    script, connection = served
    script.states = [state]
    with pytest.raises(OrgRefusedError, match=f"job {JOB}: {state}"):
        pulled(connection)


def test_a_job_that_never_ends_is_given_up(served: tuple[Script, Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    script, connection = served
    monkeypatch.setattr(bulk, "LONGEST_JOB", 60.0)
    script.states = ["InProgress"]
    with pytest.raises(OrgUnreachableError, match="did not end"):
        pulled(connection)


def test_rows_that_can_not_be_read_are_an_error(served: tuple[Script, Connection]) -> None:
    script, connection = served
    script.pages = [page("a", "b", "c")]
    with pytest.raises(OrgError):
        pulled(connection, lambda columns: columns["SystemModstamp"])
