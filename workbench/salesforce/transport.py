"""Where requests may go and how long they may take: one HTTP session, bound to one org's host, deaf to the environment.

simple-salesforce writes ``https://`` in front of every address. For an org on this computer the bound adapter speaks plain
HTTP instead; for every other host only TLS is spoken. Nothing here knows what is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from workbench.org import OrgNotAllowedError
from workbench.salesforce import bounds

LOOPBACK = frozenset({"127.0.0.1", "localhost"})
SALESFORCE_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:salesforce|force)\.com")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long to wait for a connection, and for the next bytes of an answer; seconds."""

    connect: float = 10.0
    read: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Route:
    """How a company's network is left: ``proxy`` is an address such as http://proxy.example.com:3128, ``ca_file`` the file of the
    authorities (PEM) that are trusted instead of the public ones. An org on this computer is reached without either.
    """

    proxy: str = ""
    ca_file: str = ""


class RefuseAll(BaseAdapter):
    """Answers for every host that the session is not bound to: the request is not sent, no name is looked up."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Refuse. Raises: OrgNotAllowedError."""
        host = urlsplit(request.url or "").hostname or "an unnamed host"
        raise OrgNotAllowedError(f"A request to {host} was not sent: this workspace is bound to another org.")

    def close(self) -> None:
        """Nothing is open."""


class OrgAdapter(HTTPAdapter):
    """Sends to the bound host, with our timeouts, without any retry of its own, and reads no more than `bounds` allow."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__(max_retries=0)
        self._timeouts = timeouts

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send with the default timeouts where the caller gave none (simple-salesforce gives none for most calls)."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (self._timeouts.connect, self._timeouts.read)
        answer = super().send(request, *args, **kwargs)
        return answer if kwargs.get("stream") else bounds.whole(answer, patience=self._timeouts.read)


class LoopbackAdapter(OrgAdapter):
    """For an org on this computer only: takes the ``https`` address that simple-salesforce makes and speaks plain HTTP."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send over HTTP to a loopback address. Raises: OrgNotAllowedError for any other."""
        address = urlsplit(request.url or "")
        if address.hostname not in LOOPBACK:
            raise OrgNotAllowedError("Plain HTTP is spoken to this computer only; the request was not sent.")
        request.url = address._replace(scheme="http").geturl()
        return super().send(request, *args, **kwargs)


def is_loopback(url: str) -> bool:
    """Whether an address names this computer."""
    return urlsplit(url).hostname in LOOPBACK


def origin_of(url: str) -> str:
    """The ``https://host[:port]`` under which an org is asked, for an org on this computer too (see `LoopbackAdapter`).

    Raises:
        OrgNotAllowedError: neither a Salesforce host over https nor this computer.
    """
    try:
        address = urlsplit(url)
        host, port = address.hostname or "", address.port
    except ValueError:
        raise OrgNotAllowedError("The org's address can't be read.") from None
    if not _plain(address) or not (_is_local(address, host) or _is_salesforce(address, host, port)):
        raise OrgNotAllowedError(
            "The org's address is neither an https address that ends in .salesforce.com or .force.com nor on this computer."
        )
    return f"https://{host}" if port in (None, 443) and host not in LOOPBACK else f"https://{host}:{port or 80}"


def _plain(address: SplitResult) -> bool:
    return address.path in ("", "/") and not (address.query or address.fragment or "@" in address.netloc)


def _is_local(address: SplitResult, host: str) -> bool:
    return address.scheme in ("http", "https") and host in LOOPBACK


def _is_salesforce(address: SplitResult, host: str, port: int | None) -> bool:
    return address.scheme == "https" and port in (None, 443) and SALESFORCE_HOST.fullmatch(host) is not None


def bound_session(url: str, *, timeouts: Timeouts, route: Route = Route()) -> requests.Session:
    """A session that reaches the org at ``url`` and nothing else.

    It reads no proxy, certificate or netrc settings from the environment (a netrc entry would replace the bearer token); the proxy
    and the authorities are those of ``route``. It keeps no cookies and follows no redirects (a redirected write would be sent twice).

    Raises:
        OrgNotAllowedError: see `origin_of`.
    """
    origin = origin_of(url)
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    if not is_loopback(origin):
        session.proxies = {"https": route.proxy} if route.proxy else {}
        session.verify = route.ca_file or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", RefuseAll())
    session.mount("http://", RefuseAll())
    _mount(session, origin, timeouts)
    return session


def bind_instance(session: requests.Session, *, login_url: str, instance_url: str, timeouts: Timeouts) -> str:
    """Let a session reach the instance that a login named, too; gives its origin.

    Raises:
        OrgNotAllowedError: the instance is not a Salesforce host; or one of the two is on this computer and the other isn't.
    """
    login, instance = origin_of(login_url), origin_of(instance_url)
    if is_loopback(login) or is_loopback(instance):
        if not (is_loopback(login) and is_loopback(instance) and urlsplit(login).port == urlsplit(instance).port):
            raise OrgNotAllowedError("The login named an instance elsewhere than the org that this workspace is bound to.")
        return login
    _mount(session, instance, timeouts)
    return instance


def _mount(session: requests.Session, origin: str, timeouts: Timeouts) -> None:
    # the slash ends the host: without it https://acme.my.salesforce.com.example.com would fit, too
    session.mount(f"{origin}/", LoopbackAdapter(timeouts) if is_loopback(origin) else OrgAdapter(timeouts))
