"""Logging in by a signed assertion: what is sent, that nothing of the key leaves, and that an expired login is renewed once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from workbench.credentials import credentials_for
from workbench.errors import SettingsError
from workbench.org import OrgAuthenticationError
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg
from workbench.salesforce.login import assertion
from workbench.settings import OrgSettings


class LoginHost(BaseHTTPRequestHandler):
    """Gives a new token for every assertion; only the newest is valid."""

    forms: list[dict[str, list[str]]]
    url: str

    def do_POST(self) -> None:
        self.forms.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.say(200, {"access_token": f"token{len(self.forms)}", "instance_url": self.url, "id": f"{self.url}/id/x"})

    def do_GET(self) -> None:
        if self.headers["Authorization"] == f"Bearer token{len(self.forms)}":
            self.say(200, {"totalSize": 3, "done": True, "records": []})
        else:
            self.say(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])

    def say(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[type[LoginHost]]:
    handler = type("Handler", (LoginHost,), {"forms": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, path: Path, password: bytes = b"") -> Path:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    return path


@pytest.fixture
def key_file(tmp_path: Path, key: rsa.RSAPrivateKey) -> Path:
    return pem(key, tmp_path / "server.key")


def test_the_assertion_says_who_acts_for_whom_and_is_signed(
    host: type[LoginHost], key_file: Path, key: rsa.RSAPrivateKey
) -> None:
    credentials = OrgCredentials(url=host.url, client_id="the-client", username="robot@example.com", key_file=str(key_file))
    with SalesforceOrg(credentials) as org:
        assert org.count("Lead") == 3
    (form,) = host.forms
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(form["assertion"][0], key.public_key(), algorithms=["RS256"], audience=host.url)
    assert (claims["iss"], claims["sub"]) == ("the-client", "robot@example.com")
    assert type(claims["exp"]) is int
    assert 0 < claims["exp"] - time.time() <= 180
    assert key_file.read_text().splitlines()[1] not in json.dumps(host.forms)


def test_an_expired_login_is_renewed_once_for_many_threads(host: type[LoginHost], key_file: Path) -> None:
    credentials = OrgCredentials(url=host.url, client_id="c", username="u", key_file=str(key_file), access_token="expired")
    with SalesforceOrg(credentials, patience=Patience(sleep=lambda _: None)) as org:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(org.count("Lead"))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (found, len(host.forms)) == ([3] * 6, 1)


@pytest.mark.parametrize(
    ("url", "audience"),
    [
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
    ],
)
def test_whom_an_assertion_is_for(key: rsa.RSAPrivateKey, url: str, audience: str) -> None:
    from datetime import UTC, datetime

    text = assertion(OrgCredentials(url=url, client_id="c", username="u"), key=key, now=datetime.now(UTC))
    assert jwt.decode(text, key.public_key(), algorithms=["RS256"], audience=audience)["aud"] == audience


def test_a_key_that_can_not_be_used_is_one_sentence_without_its_contents(host: type[LoginHost], tmp_path: Path, key) -> None:
    (tmp_path / "text").write_text("canary")
    files = (
        tmp_path / "absent",
        tmp_path / "text",
        pem(ec.generate_private_key(ec.SECP256R1()), tmp_path / "curve"),
        pem(key, tmp_path / "locked", b"canary"),
    )
    for file in files:
        credentials = OrgCredentials(url=host.url, client_id="c", username="u", key_file=str(file))
        with SalesforceOrg(credentials) as org, pytest.raises(OrgAuthenticationError, match=r"^The private key that") as caught:
            org.count("Lead")
        assert "canary" not in repr(caught.value)
        assert caught.value.__context__ is None
    assert host.forms == []


def test_the_environment_names_the_key_and_who_uses_it(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    org = OrgSettings(kind="production", url="https://acme.my.salesforce.com")
    monkeypatch.setenv("WORKBENCH_JWT_KEY_FILE", str(key_file))
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", "the-client")
    with pytest.raises(SettingsError, match="not who logs in with it") as caught:
        credentials_for(org)
    assert "WORKBENCH_USERNAME" in caught.value.advice
    monkeypatch.setenv("WORKBENCH_USERNAME", "robot@example.com")
    found = credentials_for(org)
    assert (found.client_id, found.username, found.key_file) == ("the-client", "robot@example.com", str(key_file))
    assert str(key_file) not in repr(found)
