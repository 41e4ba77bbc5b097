"""Who is calling, what the API offers, and what is left of today's requests."""

import base64
import hmac
from urllib.parse import parse_qsl

from . import grants
from .descriptions import described, described_all, summary
from .identity import identity_url
from .messages import Call, OrgError, Reply
from .org import NEWEST_VERSION, OLDEST_VERSION, Org, base_path

_RESOURCES = ("query", "queryAll", "sobjects", "composite", "limits", "jobs", "consent")
_ALLOCATIONS = {
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyStreamingApiEvents": 10_000,
    "DailyWorkflowEmails": 395,
    "DataStorageMB": 5_120,
    "FileStorageMB": 20_480,
    "HourlySyncReportRuns": 500,
    "HourlyAsyncReportRuns": 1_200,
    "HourlyTimeBasedWorkflow": 50,
    "MassEmail": 10,
    "PermissionSets": 1_500,
    "SingleEmail": 15,
}


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
            "id": identity_url(org, user),
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


def revoked(org: Org, call: Call) -> Reply:
    """POST /services/oauth2/revoke: ends the session of that token; an unknown one is an error."""
    form = dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
    known = org.end_session(form.get("token", call.params.get("token", "")))
    return Reply(200) if known else _refused("unsupported_token_type", "this token type is not supported")


def versions(_org: Org, _call: Call) -> Reply:
    """GET /services/data, the one resource without a session."""
    numbers = range(OLDEST_VERSION, NEWEST_VERSION + 1)
    return Reply(body=[{"label": _season(n), "url": base_path(f"{n}.0"), "version": f"{n}.0"} for n in numbers])


def _season(version: int) -> str:
    """The release that brought a version: three a year, 31 came with Summer '14."""
    since = version - 31
    return f"{('Summer', 'Winter', 'Spring')[since % 3]} '{14 + (since + 2) // 3}"


def resources(org: Org, call: Call) -> Reply:
    """GET /services/data/vX."""
    found = {name: f"{base_path(call.version)}/{name}" for name in _RESOURCES}
    return Reply(body=found | {"identity": identity_url(org, call.user)})


def objects(_org: Org, call: Call) -> Reply:
    """GET vX/sobjects."""
    return Reply(body=described_all(base_path(call.version)))


def describe(org: Org, call: Call, name: str) -> Reply:
    """GET vX/sobjects/{O}/describe."""
    return Reply(body=described(org.kind(name), org.permissions, base_path(call.version)))


def basics(org: Org, call: Call, name: str) -> Reply:
    """GET vX/sobjects/{O}: what Describe Global says of it, and the records that the user saw last (here: none)."""
    return Reply(body={"objectDescribe": summary(org.kind(name), base_path(call.version)), "recentItems": []})


def limits(org: Org, _call: Call) -> Reply:
    """GET vX/limits: what is counted here, and the usual allocations for the rest."""
    jobs, batches = (
        org.tables.db.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]  # noqa: S608 - names from here
        for table in ("bulk_job", "ingest_job")
    )
    return Reply(
        body={
            "DailyApiRequests": _left(org.max_requests, org.used_requests),
            "DailyBulkApiBatches": _left(15_000, batches),
            "DailyBulkV2QueryJobs": _left(10_000, jobs),
            **{name: _left(most) for name, most in _ALLOCATIONS.items()},
        }
    )


def _left(most: int, used: int = 0) -> dict[str, int]:
    return {"Max": most, "Remaining": max(0, most - used)}


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
