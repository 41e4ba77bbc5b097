"""Who is calling, what the API offers, and what is left of today's requests."""

import base64
import hmac
from typing import Any
from urllib.parse import parse_qsl

from . import grants
from .describe import OBJECTS, described, described_all
from .messages import Call, OrgError, Reply
from .org import NEWEST_VERSION, OLDEST_VERSION, Org, base_path

_RESOURCES = ("query", "queryAll", "sobjects", "composite", "limits", "jobs")


def token(org: Org, call: Call) -> Reply:
    """POST /services/oauth2/token: client_credentials (Basic header or body), password, or a signed assertion."""
    form = dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
    grant = form.get("grant_type")
    if grant == grants.JWT_BEARER:
        return _by_assertion(org, form)
    if grant != "client_credentials" and not (grant == "password" and grants.has_passwords(org)):
        return _refused("unsupported_grant_type", "grant type not supported")
    client, secret = _credentials(call, form)
    if not hmac.compare_digest(client.encode(), org.client_id.encode()):
        return _refused("invalid_client_id", "client identifier invalid")
    if not hmac.compare_digest(secret.encode(), org.client_secret.encode()):
        return _refused("invalid_client", "invalid client credentials")
    if grant == "client_credentials":
        return _granted(org, org.user)
    user = grants.user_by_password(org, form.get("username", ""), form.get("password", ""))
    return _granted(org, user) if user else _refused("invalid_grant", "authentication failure")


def _by_assertion(org: Org, form: dict[str, str]) -> Reply:
    try:
        return _granted(org, grants.user_by_assertion(org, form.get("assertion", "")))
    except ValueError as error:
        return _refused("invalid_grant", str(error))


def _granted(org: Org, user: str) -> Reply:
    return Reply(
        body={
            "access_token": org.new_token(user),
            "instance_url": org.address,
            "id": f"{org.address}/id/{org.org_id}/{user}",
            "token_type": "Bearer",
            "issued_at": str(int(org.clock.now().timestamp() * 1000)),
            "signature": "scratch-org-signs-nothing",
            "scope": "api",
        }
    )


def _credentials(call: Call, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return client, secret


def _refused(error: str, description: str) -> Reply:
    return Reply(400, {"error": error, "error_description": description})


def userinfo(org: Org, call: Call) -> Reply:
    """GET /services/oauth2/userinfo."""
    user = org.records.existing(OBJECTS["user"], call.user)
    return Reply(
        body={
            "sub": f"{org.address}/id/{org.org_id}/{call.user}",
            "user_id": call.user,
            "organization_id": org.org_id,
            "preferred_username": user["Username"],
            "name": user["Name"],
            "email": user["Email"],
            "active": True,
        }
    )


def versions(_org: Org, _call: Call) -> Reply:
    """GET /services/data, the one resource without a session."""
    numbers = range(OLDEST_VERSION, NEWEST_VERSION + 1)
    return Reply(body=[{"label": _season(n), "url": base_path(f"{n}.0"), "version": f"{n}.0"} for n in numbers])


def _season(version: int) -> str:
    """The release that brought a version: three a year, 31 came with Summer '14."""
    since = version - 31
    return f"{('Summer', 'Winter', 'Spring')[since % 3]} '{14 + (since + 2) // 3}"


def resources(_org: Org, call: Call) -> Reply:
    """GET /services/data/vX."""
    return Reply(body={name: f"{base_path(call.version)}/{name}" for name in _RESOURCES})


def objects(_org: Org, call: Call) -> Reply:
    """GET vX/sobjects."""
    return Reply(body=described_all(base_path(call.version)))


def describe(org: Org, call: Call, name: str) -> Reply:
    """GET vX/sobjects/{O}/describe."""
    return Reply(body=described(org.kind(name), org.permissions, base_path(call.version)))


def limits(org: Org, _call: Call) -> Reply:
    """GET vX/limits."""
    left: dict[str, Any] = {"Max": org.max_requests, "Remaining": max(0, org.max_requests - org.used_requests)}
    return Reply(
        body={
            "DailyApiRequests": left,
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
        }
    )


def session(org: Org, call: Call) -> str:
    """The user of the bearer token.

    Raises:
        OrgError: 401 INVALID_SESSION_ID.
    """
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    user = org.user_of(value.strip()) if scheme.lower() in ("bearer", "oauth") else None
    if user is None:
        raise OrgError(401, "INVALID_SESSION_ID", "Session expired or invalid")
    return user
