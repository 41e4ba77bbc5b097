"""Where requests may go: to the bound org, and nowhere else whatever the environment says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from workbench.org import OrgNotAllowedError, OrgUnreachableError
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, Timeouts
from workbench.salesforce.transport import bind_instance, bound_session, origin_of

TIMEOUTS = Timeouts(connect=2, read=2)


class Recorder(BaseHTTPRequestHandler):
    """Answers like an org and keeps what it was asked."""

    seen: list[tuple[str, dict[str, str]]]
    answer: tuple[int, dict[str, str], bytes]

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[tuple[str, type[Recorder]]]:
    handler = type("Handler", (Recorder,), {"seen": [], "answer": (200, {"Content-Type": "application/json"}, b"{}")})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every look-up of a host name, none of which is answered."""
    asked: list[object] = []

    def refuse(name: object, *_: object, **__: object) -> list[object]:
        asked.append(name)
        raise AssertionError("a host name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "http://example.com/",
        "https://acme.my.salesforce.com.example.com/",
        "https://acme.my.salesforce.com@example.com/",
        "https://acme.my.salesforce.com:8443/",
        "http://acme.my.salesforce.com/",
        "https://other.my.salesforce.com/",
        "http://127.0.0.1:9/",
    ],
)
def test_nothing_leaves_for_another_host(url: str, no_names: list[object]) -> None:
    session = bound_session("https://acme.my.salesforce.com", timeouts=TIMEOUTS)
    with closing(session), pytest.raises(OrgNotAllowedError, match="was not sent"):
        session.post(url, data="jane.canary@example.com")
    assert no_names == []


def test_nothing_leaves_for_another_port_of_this_computer(host: tuple[str, type[Recorder]]) -> None:
    url, handler = host
    with closing(bound_session("http://127.0.0.1:9", timeouts=TIMEOUTS)) as session:
        for address in (url, url.replace("http", "https")):
            with pytest.raises(OrgNotAllowedError):
                session.get(address)
    assert handler.seen == []


def test_the_bound_host_is_reached_over_plain_http_from_an_https_address(host: tuple[str, type[Recorder]]) -> None:
    url, handler = host
    with closing(bound_session(url, timeouts=TIMEOUTS)) as session:
        assert session.get(url.replace("http", "https") + "/x").status_code == 200
    assert [path for path, _ in handler.seen] == ["/x"]


def test_redirects_are_not_followed(host: tuple[str, type[Recorder]]) -> None:
    url, handler = host
    handler.answer = (307, {"Location": f"{url}/elsewhere"}, b"")
    with closing(bound_session(url, timeouts=TIMEOUTS)) as session, pytest.raises(requests.TooManyRedirects):
        session.post(url.replace("http", "https") + "/x", data="once")
    assert [path for path, _ in handler.seen] == ["/x"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("https://ACME--uat.sandbox.my.salesforce.com/", "https://acme--uat.sandbox.my.salesforce.com"),
        ("http://127.0.0.1:8123", "https://127.0.0.1:8123"),
        ("http://localhost:8123/", "https://localhost:8123"),
    ],
)
def test_origins_of_orgs(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.my.salesforce.com",
        "http://acme.my.salesforce.com",
        "https://salesforce.com.example.org",
        "https://evilsalesforce.com",
        "https://example.com",
        "https://acme.my.salesforce.com:99999",
        "https://acme.my.salesforce.com/path",
        "https://user:secret@acme.my.salesforce.com",
        "https://192.168.0.1",
        "http://127.0.0.2:80",
        "file:///etc/passwd",
    ],
)
def test_addresses_that_are_no_orgs(url: str) -> None:
    with pytest.raises(OrgNotAllowedError) as caught:
        SalesforceOrg(OrgCredentials(url=url, access_token="secret"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("login", "instance", "allowed"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com", True),
        ("https://login.salesforce.com", "https://acme.my.salesforce.com", True),
        ("https://acme.my.salesforce.com", "https://example.com", False),
        ("https://acme.my.salesforce.com", "http://127.0.0.1:80", False),
        ("http://127.0.0.1:8123", "http://localhost:8123", True),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8124", False),
        ("http://127.0.0.1:8123", "https://acme.my.salesforce.com", False),
    ],
)
def test_the_instance_that_a_login_names(login: str, instance: str, allowed: bool) -> None:
    with closing(bound_session(login, timeouts=TIMEOUTS)) as session:
        if allowed:
            assert bind_instance(session, login_url=login, instance_url=instance, timeouts=TIMEOUTS).startswith("https://")
        else:
            with pytest.raises(OrgNotAllowedError):
                bind_instance(session, login_url=login, instance_url=instance, timeouts=TIMEOUTS)


def test_proxies_and_netrc_of_the_environment_are_ignored(
    host: tuple[str, type[Recorder]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = host
    handler.answer = (200, {"Content-Type": "application/json"}, b'{"totalSize": 3, "done": true, "records": []}')
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login netrc password netrc\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with SalesforceOrg(OrgCredentials(url=url, access_token="the-token")) as org:
        assert org.count("Lead") == 3
    assert [headers["Authorization"] for _, headers in handler.seen] == ["Bearer the-token"]


def test_a_silent_host_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        credentials = OrgCredentials(url=f"http://127.0.0.1:{silent.getsockname()[1]}", access_token="the-token")
        org = SalesforceOrg(credentials, timeouts=Timeouts(read=0.05), patience=Patience(tries=1))
        with org, pytest.raises(OrgUnreachableError, match=r"counting rows: no answer"):
            org.count("Lead")


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Type": "text/html"}, b"<html>jane.canary@example.com</html>"),
        (502, {"Content-Type": "text/html"}, b"<html>jane.canary@example.com</html>"),
        (200, {"Content-Type": "application/json"}, b'{"records": "jane.canary@example.com"}'),
        (200, {"Content-Type": "application/json"}, b'"jane.canary@example.com"'),
        (200, {"Content-Type": "application/json"}, b"7"),
        (200, {"Content-Type": "application/json", "Content-Length": "999"}, b'{"totalSize": 3'),
        (302, {"Location": "https://example.com/jane.canary@example.com"}, b""),
        (200, {"Content-Type": "application/json"}, b"[" * 200_000 + b"]" * 200_000),
        (400, {"Content-Type": "application/json"}, b"[" * 200_000 + b"]" * 200_000),
        (200, {"Content-Type": "application/json", "Sforce-Limit-Info": f"api-usage={'9' * 6000}/1"}, b"7"),
    ],
)
def test_answers_that_are_not_salesforces(host: tuple[str, type[Recorder]], answer: tuple[int, dict[str, str], bytes]) -> None:
    url, handler = host
    handler.answer = answer
    with (
        SalesforceOrg(
            OrgCredentials(url=url, access_token="x"), timeouts=TIMEOUTS, patience=Patience(sleep=lambda _: None)
        ) as org,
        pytest.raises(OrgUnreachableError) as caught,
    ):
        org.count("Lead")
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.advice}"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_reads_are_repeated_and_wait_as_long_as_the_server_asks(host: tuple[str, type[Recorder]]) -> None:
    url, handler = host
    handler.answer = (503, {"Retry-After": "3"}, b"")
    waits: list[float] = []
    with SalesforceOrg(OrgCredentials(url=url, access_token="x"), patience=Patience(tries=3, sleep=waits.append)) as org:
        with pytest.raises(OrgUnreachableError):
            org.count("Lead")
        assert org.calls == len(handler.seen) == 3
    assert waits == [3, 3]


def test_a_server_that_asks_for_hours_is_not_waited_for(host: tuple[str, type[Recorder]]) -> None:
    url, handler = host
    handler.answer = (503, {"Retry-After": "7200"}, b"")
    waits: list[float] = []
    org = SalesforceOrg(OrgCredentials(url=url, access_token="x"), patience=Patience(sleep=waits.append))
    with org, pytest.raises(OrgUnreachableError):
        org.count("Lead")
    assert (waits, len(handler.seen)) == ([], 1)


def test_writes_are_sent_once(host: tuple[str, type[Recorder]]) -> None:
    url, handler = host
    handler.answer = (503, {}, b"")
    with SalesforceOrg(OrgCredentials(url=url, access_token="x")) as org:
        answers = org.opt_out([("Lead", "00Q000000000001")])
    assert [answer.outcome for answer in answers] == ["unknown"]
    assert len(handler.seen) == 1


def test_secrets_are_not_shown() -> None:
    credentials = OrgCredentials(url="http://127.0.0.1:9", client_id="id", client_secret="s3cret", access_token="t0ken")
    with SalesforceOrg(credentials) as org:
        for shown in (repr(credentials), repr(org), repr(org.connection), repr(org.connection.login())):
            assert "s3cret" not in shown
            assert "t0ken" not in shown
