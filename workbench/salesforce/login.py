"""Logging in: client credentials against the org's own login address, or a token that was handed in.

Makes the one simple-salesforce object; it is given the token directly, so that it never logs in again by itself (its own
repetition after a 401 loses the condition of a conditional write).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import requests
from simple_salesforce.api import Salesforce

from workbench.org import OrgAuthenticationError, OrgError
from workbench.salesforce.replies import NO_ANSWER, Reply, error_of, fault_of
from workbench.salesforce.transport import Timeouts, bind_instance, origin_of

API_VERSION = "64.0"
OAUTH_ERROR = re.compile(r"[a-z]+(?:_[a-z]+){0,4}")
USER_ID = re.compile(r"/id/00D[A-Za-z0-9]{12,15}/(005[A-Za-z0-9]{12,15})$")


@dataclass(frozen=True, kw_only=True)
class OrgCredentials:
    """How to log in to one org; secrets are not in its ``repr``.

    ``url`` is the org's My Domain address, or a loopback address for an org on this computer. Either a token, or client id
    and secret, or both: then the token is used until it expires.
    """

    url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    api_version: str = API_VERSION


@dataclass(frozen=True, kw_only=True)
class Login:
    """A valid login: the simple-salesforce object that carries it, and as whom ("" when the login did not say)."""

    client: Salesforce = field(repr=False)
    user_id: str = ""


def with_token(session: requests.Session, credentials: OrgCredentials) -> Login:
    """The login that a handed-in token stands for; asks nothing."""
    return Login(client=_client(session, credentials, token=credentials.access_token, origin=origin_of(credentials.url)))


def with_client_credentials(session: requests.Session, credentials: OrgCredentials, *, timeouts: Timeouts) -> Login:
    """Log in with client id and secret: one request.

    Source: RFC 6749 4.4; Salesforce help "OAuth 2.0 Client Credentials Flow".

    Raises:
        OrgAuthenticationError: none given, or not accepted.
        OrgUnreachableError: no usable answer.
        OrgNotAllowedError: the answer names an instance that the workspace isn't bound to.
    """
    if not (credentials.client_id and credentials.client_secret):
        raise OrgAuthenticationError("The login expired or is missing, and there is no client id and secret to log in again.")
    reply = _ask_for_token(session, credentials)
    body = reply.body if isinstance(reply.body, dict) else {}
    token, instance = body.get("access_token"), body.get("instance_url")
    if reply.status != 200 or not isinstance(token, str) or not isinstance(instance, str):
        raise _login_error(reply)
    origin = bind_instance(session, login_url=credentials.url, instance_url=instance, timeouts=timeouts)
    user = USER_ID.search(str(body.get("id", "")))
    return Login(client=_client(session, credentials, token=token, origin=origin), user_id=user[1] if user else "")


def _ask_for_token(session: requests.Session, credentials: OrgCredentials) -> Reply:
    try:
        answer = session.post(
            f"{origin_of(credentials.url)}/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(credentials.client_id, credentials.client_secret),
            headers={"Accept": "application/json"},
        )
        return Reply(status=answer.status_code, headers=_lower(answer), body=answer.json())
    except (requests.RequestException, OSError, ValueError):
        return NO_ANSWER  # raised by the caller, outside of this clause: the cause holds the request with the secret


def _lower(answer: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _login_error(reply: Reply) -> OrgError:
    said = reply.body.get("error", "") if isinstance(reply.body, dict) else ""
    if reply.status in (400, 401, 403) and isinstance(said, str) and OAUTH_ERROR.fullmatch(said):
        return OrgAuthenticationError(f"Salesforce did not accept the client id and secret ({reply.status} {said}).")
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
