"""Logging in: client credentials or a signed assertion (JWT bearer) at the org's own login address, or a token that was handed in;
user name and password only as the legacy that it is (`soap`).

Makes the one simple-salesforce object; it is given the token directly, so that it never logs in again by itself (its own
repetition after a 401 loses the condition of a conditional write).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from simple_salesforce.api import Salesforce

from workbench.org import OrgAuthenticationError, OrgError
from workbench.salesforce import soap
from workbench.salesforce.replies import NO_ANSWER, RETRIED, Reply, error_of, fault_of
from workbench.salesforce.transport import Timeouts, bind_instance, is_loopback, origin_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

API_VERSION = "64.0"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST_ASSERTION = 180  # seconds; Salesforce refuses more
OAUTH_ERROR = re.compile(r"[a-z]+(?:_[a-z]+){0,4}")
USER_ID = re.compile(r"/id/00D[A-Za-z0-9]{12,15}/(005[A-Za-z0-9]{12,15})$")


@dataclass(frozen=True, kw_only=True)
class OrgCredentials:
    """How to log in to one org; secrets are not in its ``repr``.

    ``url`` is the org's My Domain address, or a loopback address for an org on this computer. Either a token, or client id
    and secret, or client id, user name and the file of a private key, or user name and password (with the security token, where
    the org asks for one); with a token, too, that is used until it expires. The key is read from its file when it is needed and
    never kept.
    """

    url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    username: str = ""
    key_file: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    security_token: str = field(default="", repr=False)
    api_version: str = API_VERSION


@dataclass(frozen=True, kw_only=True)
class Login:
    """A valid login: the simple-salesforce object that carries it, and as whom ("" when the login did not say)."""

    client: Salesforce = field(repr=False)
    user_id: str = ""


def with_token(session: requests.Session, credentials: OrgCredentials) -> Login:
    """The login that a handed-in token stands for; asks nothing."""
    return Login(client=_client(session, credentials, token=credentials.access_token, origin=origin_of(credentials.url)))


def log_in(session: requests.Session, credentials: OrgCredentials, *, timeouts: Timeouts, wait: Callable[[Reply], bool]) -> Login:
    """Log in with client id and secret, by a signed assertion, or by user name and password: one request if the answer is usable.

    After a lost or busy answer ``wait`` waits as long as it asks for, and says whether to try again.
    Source: RFC 6749 4.4, RFC 7523; Salesforce help "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 JWT Bearer Flow".

    Raises:
        OrgAuthenticationError: none given, not accepted, or the private key can't be used.
        OrgUnreachableError, OrgQuotaError: no usable answer.
        OrgNotAllowedError: the answer names an instance that the workspace isn't bound to.
    """
    if credentials.username and credentials.password:
        return _by_password(session, credentials, timeouts=timeouts, wait=wait)
    reply = _ask_for_token(session, credentials, **_proof(credentials))
    while _worth_another(reply) and wait(reply):
        reply = _ask_for_token(session, credentials, **_proof(credentials))
    if not _granted(reply):
        raise _login_error(reply, "signed assertion" if credentials.key_file else "client id and secret")
    origin = bind_instance(session, login_url=credentials.url, instance_url=reply.body["instance_url"], timeouts=timeouts)
    user = USER_ID.search(str(reply.body.get("id", "")))
    client = _client(session, credentials, token=reply.body["access_token"], origin=origin)
    return Login(client=client, user_id=user[1] if user else "")


def _granted(reply: Reply) -> bool:
    body = reply.body if isinstance(reply.body, dict) else {}
    return reply.status == 200 and all(isinstance(body.get(name), str) for name in ("access_token", "instance_url"))


def _worth_another(reply: Reply) -> bool:
    if _granted(reply) or _denied(reply):
        return False
    fault = fault_of(reply.status, reply.body, readable=False)
    return fault is not None and fault.kind in RETRIED


def _by_password(
    session: requests.Session, credentials: OrgCredentials, *, timeouts: Timeouts, wait: Callable[[Reply], bool]
) -> Login:
    reply = _ask_by_password(session, credentials)
    while soap.says_nothing(reply) and wait(reply):
        reply = _ask_by_password(session, credentials)
    token, instance, user_id = soap.logged_in(reply)
    origin = bind_instance(session, login_url=credentials.url, instance_url=instance, timeouts=timeouts)
    return Login(client=_client(session, credentials, token=token, origin=origin), user_id=user_id)


def _ask_by_password(session: requests.Session, credentials: OrgCredentials) -> Reply:
    who = {name: getattr(credentials, name) for name in ("username", "password", "security_token")}
    address = f"{origin_of(credentials.url)}{soap.path(credentials.api_version)}"
    try:
        answer = session.post(address, data=soap.body(**who), headers=soap.HEADERS)
        return Reply(status=answer.status_code, headers=_lower(answer), body=answer.text)
    except (requests.RequestException, OSError, ValueError):
        return NO_ANSWER  # raised by the caller, outside of this clause: the cause holds the request with the password


def _proof(credentials: OrgCredentials) -> dict[str, Any]:
    """What is sent as a login: the form, and the client's own authentication where there is a secret."""
    if credentials.client_id and credentials.username and credentials.key_file:
        signed = assertion(credentials, key=_private_key(credentials.key_file), now=datetime.now(UTC))
        return {"data": {"grant_type": JWT_BEARER, "assertion": signed}}
    if credentials.client_id and credentials.client_secret:
        return {"data": {"grant_type": "client_credentials"}, "auth": (credentials.client_id, credentials.client_secret)}
    if credentials.access_token:
        raise OrgAuthenticationError(
            "The access token that was handed in is not valid (any more), and there is nothing else to log in with.",
            "Hand in a new one: `sf org display --json --target-org NAME | workbench org login --token`.",
        )
    raise OrgAuthenticationError("There is no client id and secret, nor anything else, to log in with.")


def _private_key(path: str) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: object = None
    with suppress(OSError, ValueError, TypeError, UnsupportedAlgorithm):  # their texts may quote the file
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    if isinstance(key, RSAPrivateKey):
        return key
    raise OrgAuthenticationError(
        "The private key that WORKBENCH_JWT_KEY_FILE names can't be read as an RSA key in PEM form without a password.",
        "Name the file of the key whose certificate the connected app knows.",
    )


def assertion(credentials: OrgCredentials, *, key: RSAPrivateKey, now: datetime) -> str:
    """The signed statement that this client acts for this user, valid for three minutes (JWT, RS256)."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    claims = {
        "iss": credentials.client_id,
        "sub": credentials.username,
        "aud": _audience(credentials.url),
        "exp": int(now.timestamp()) + LONGEST_ASSERTION,
    }
    text = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{text}.{_base64(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _audience(url: str) -> str:
    """Whom an assertion is for: Salesforce names one address for production and one for sandboxes."""
    if is_loopback(url):
        return url
    return f"https://{'test' if '.sandbox.my.' in url else 'login'}.salesforce.com"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _ask_for_token(session: requests.Session, credentials: OrgCredentials, **proof: Any) -> Reply:
    try:
        answer = session.post(
            f"{origin_of(credentials.url)}/services/oauth2/token",
            headers={"Accept": "application/json"},
            **proof,
        )
        return Reply(status=answer.status_code, headers=_lower(answer), body=answer.json())
    except (requests.RequestException, OSError, ValueError):
        return NO_ANSWER  # raised by the caller, outside of this clause: the cause holds the request with the secret


def _lower(answer: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _denied(reply: Reply) -> str:
    """What Salesforce calls its refusal of a login; "" when it did not refuse."""
    said = reply.body.get("error", "") if isinstance(reply.body, dict) and reply.status in (400, 401, 403) else ""
    return said if isinstance(said, str) and OAUTH_ERROR.fullmatch(said) else ""


def _login_error(reply: Reply, shown: str) -> OrgError:
    if said := _denied(reply):
        return OrgAuthenticationError(f"Salesforce did not accept the {shown} ({reply.status} {said}).")
    fault = fault_of(reply.status, reply.body, readable=False)
    return error_of(fault, "logging in") if fault else OrgAuthenticationError("The login was answered without a token.")


def _client(session: requests.Session, credentials: OrgCredentials, *, token: str, origin: str) -> Salesforce:
    return Salesforce(
        session_id=token,
        instance_url=origin,
        session=session,
        version=credentials.api_version,
        object_pairs_hook=None,  # plain dicts, four times as fast as the default
    )
