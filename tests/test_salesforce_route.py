"""Through a company's network: a real CONNECT proxy in front of a real TLS server whose authority only `ca_file` knows."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from workbench.credentials import route_of
from workbench.org import OrgUnreachableError
from workbench.salesforce import OrgCredentials, Patience, Route, SalesforceOrg
from workbench.salesforce.transport import Timeouts, bound_session
from workbench.settings import OrgSettings

HOST = "acme.my.salesforce.com"
ONCE = Patience(tries=1, sleep=lambda _: None)
QUICK = Timeouts(connect=5, read=5)


def certificate(folder: Path) -> Path:
    """A certificate of the host that is its own authority, with its key, in one file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1)
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = made.sign(key, hashes.SHA256())
    file = folder / "ca.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


class Salesforce(BaseHTTPRequestHandler):
    """Counts three leads."""

    def do_GET(self) -> None:
        text = json.dumps({"totalSize": 3, "done": True, "records": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Proxy(BaseHTTPRequestHandler):
    """Connects to the TLS server whatever name is asked for, and keeps the names."""

    asked: list[str]
    target: tuple[str, int]

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        with socket.create_connection(self.target, timeout=5) as behind:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=self._pass_on, args=(behind, self.connection), daemon=True)
            back.start()
            self._pass_on(self.connection, behind)
            back.join(timeout=5)
        self.close_connection = True

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Quiet."""


@dataclass
class Network:
    proxy: str
    ca_file: str
    asked: list[str]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    file = certificate(tmp_path_factory.mktemp("ca"))
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Salesforce)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    behind.socket = context.wrap_socket(behind.socket, server_side=True)
    handler = type("Handler", (Proxy,), {"asked": [], "target": behind.server_address})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    for server in (behind, proxy):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield Network(f"http://127.0.0.1:{proxy.server_address[1]}", str(file), handler.asked)
    for server in (proxy, behind):
        server.shutdown()
        server.server_close()


def org(**route: str) -> SalesforceOrg:
    credentials = OrgCredentials(url=f"https://{HOST}", access_token="00D!token")
    return SalesforceOrg(credentials, patience=ONCE, timeouts=QUICK, route=Route(**route))


def test_an_org_is_reached_through_the_proxy_that_the_workspace_names(network: Network) -> None:
    settings = OrgSettings(kind="production", url=f"https://{HOST}", proxy=network.proxy, ca_file=network.ca_file)
    route = route_of(settings)
    with org(proxy=route.proxy, ca_file=route.ca_file) as through:
        assert through.count("Lead") == 3
    assert network.asked[-1] == f"{HOST}:443"


def test_an_authority_that_is_not_named_is_not_trusted(network: Network) -> None:
    with org(proxy=network.proxy) as through, pytest.raises(OrgUnreachableError):
        through.count("Lead")


def test_the_environment_names_no_proxy(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, network.proxy)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", network.ca_file)
    before = len(network.asked)
    with bound_session(f"https://{HOST}", timeouts=QUICK) as session:
        settings = session.merge_environment_settings(f"https://{HOST}/", {}, None, None, None)
    assert (dict(settings["proxies"]), settings["verify"]) == ({}, True)
    assert len(network.asked) == before


def test_an_org_on_this_computer_needs_no_way_out(network: Network) -> None:
    with bound_session(
        "http://127.0.0.1:9", timeouts=QUICK, route=Route(proxy=network.proxy, ca_file=network.ca_file)
    ) as session:
        assert (session.proxies, session.verify) == ({}, True)
