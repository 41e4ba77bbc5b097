"""An org that never comes to an end: each of its answers ends in one sentence, with little read and nothing stored."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from workbench.org import OrgError, OrgUnreachableError
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, Timeouts, bounds
from workbench.salesforce.bulk import query_job
from workbench.salesforce.connection import Connection
from workbench.salesforce.reading import query_pages
from workbench.salesforce.transport import Route

QUICK = Timeouts(connect=2, read=0.3)
ONCE = Patience(tries=1, sleep=lambda _: None)
Answers = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def served(answers: Answers) -> Iterator[tuple[str, threading.Event]]:
    """A server that answers every request so, and whether the test is over."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        """Answers as told until the other side has enough."""

        protocol_version = "HTTP/1.1"
        ended = over

        def do_GET(self) -> None:
            with suppress(OSError):
                answers(self)
            self.close_connection = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", over
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def head(handler: BaseHTTPRequestHandler, **headers: str) -> None:
    handler.send_response(200)
    for name, value in {"Content-Type": "application/json", "Connection": "close", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """One byte at a time, each well within the time for the next."""
    head(handler, Content_Length="1000000000", Sforce_NumberOfRecords="1")
    while not handler.ended.wait(0.02):  # type: ignore[attr-defined]
        handler.wfile.write(b" ")
        handler.wfile.flush()


def dripping_chunks(handler: BaseHTTPRequestHandler) -> None:
    """The same in chunks, without a length."""
    head(handler, Transfer_Encoding="chunked", Sforce_NumberOfRecords="1")
    while not handler.ended.wait(0.02):  # type: ignore[attr-defined]
        handler.wfile.write(b"1\r\n \r\n")
        handler.wfile.flush()


def bomb(handler: BaseHTTPRequestHandler) -> None:
    """A thousandfold of what is sent."""
    head(handler, Content_Encoding="gzip", Transfer_Encoding="chunked", Sforce_NumberOfRecords="1")
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    while not handler.ended.is_set():  # type: ignore[attr-defined]
        piece = packer.compress(b" " * 1_000_000)
        if piece:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Bytes without end."""
    head(handler, Transfer_Encoding="chunked", Sforce_NumberOfRecords="1")
    while not handler.ended.is_set():  # type: ignore[attr-defined]
        handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


WITHOUT_END = {"dripping": dripping, "dripping chunks": dripping_chunks, "a bomb": bomb, "endless": endless}


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds, reached sooner."""
    monkeypatch.setattr(bounds, "LARGEST", 8 * 1024 * 1024)
    monkeypatch.setattr(bounds, "LARGEST_STREAM", 8 * 1024 * 1024)


@pytest.mark.parametrize("how", WITHOUT_END)
def test_an_answer_without_end_is_given_up_in_one_sentence(how: str) -> None:
    tracemalloc.start()
    try:
        with (
            served(WITHOUT_END[how]) as (url, _),
            SalesforceOrg(OrgCredentials(url=url, access_token="x"), timeouts=QUICK, patience=ONCE) as org,
            pytest.raises(OrgUnreachableError, match=r"\(counting rows: no answer\)"),
        ):
            org.count("Lead")
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("how", WITHOUT_END)
def test_a_stream_without_end_is_given_up_too(how: str) -> None:
    with served(WITHOUT_END[how]) as (url, _):
        connection = connected(url)
        from workbench.salesforce.connection import Request

        with pytest.raises(OrgUnreachableError):
            connection.ask_stream(Request(what="reading", path="jobs/query/1/results"), lambda _, chunks: sum(map(len, chunks)))
        connection.close()


def connected(url: str) -> Connection:
    return Connection(OrgCredentials(url=url, access_token="x"), timeouts=QUICK, patience=ONCE, route=Route())


def test_empty_pages_without_end_are_given_up() -> None:
    numbers = count()

    def next_page(handler: BaseHTTPRequestHandler) -> None:
        page = {"records": [], "done": False, "nextRecordsUrl": f"/services/data/v67.0/query/01g{next(numbers)}"}
        body = json.dumps(page).encode()
        head(handler, Content_Length=str(len(body)))
        handler.wfile.write(body)

    with served(next_page) as (url, _):
        connection = connected(url)
        with pytest.raises(OrgError):
            list(query_pages(connection, "SELECT Id FROM Lead", dict, what="reading"))
        connection.close()
    assert next(numbers) < 3 * bounds.MOST_EMPTY


def test_empty_pages_of_a_job_without_end_are_given_up() -> None:
    numbers = count()

    def next_page(handler: BaseHTTPRequestHandler) -> None:
        if "results" in handler.path:
            head(handler, Content_Length="0", Sforce_NumberOfRecords="0", Sforce_Locator=f"MTAw{next(numbers)}")
            return
        body = b'{"id": "750xx0000000001AAA", "state": "JobComplete", "numberRecordsProcessed": 5}'
        head(handler, Content_Length=str(len(body)))
        handler.wfile.write(body)

    with served(next_page) as (url, _):
        connection = connected(url)
        with pytest.raises(OrgUnreachableError, match=r"delivered 0 of 5 rows"):
            list(query_job(connection, "SELECT Id FROM Lead", convert=lambda columns: [*columns], what="reading"))
        connection.close()
    assert next(numbers) < 3 * bounds.MOST_EMPTY


def test_what_is_sound_comes_through_packed_or_not() -> None:
    body = gzip.compress(b'{"totalSize": 3, "done": true, "records": []}')

    def sound(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Content_Encoding="gzip", Content_Length=str(len(body)))
        handler.wfile.write(body)

    with (
        served(sound) as (url, _),
        SalesforceOrg(OrgCredentials(url=url, access_token="x"), timeouts=QUICK, patience=ONCE) as org,
    ):
        assert org.count("Lead") == 3
