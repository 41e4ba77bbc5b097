"""Who a session belongs to, as OpenID Connect and Salesforce's own identity URL say it."""

from typing import Any

from .describe import OBJECTS
from .messages import Call, Reply, not_found
from .org import Org, base_path


def userinfo(org: Org, call: Call) -> Reply:
    """GET or POST /services/oauth2/userinfo."""
    user = _user(org, call.user)
    return Reply(
        body={
            "sub": identity_url(org, call.user),
            "user_id": call.user,
            "organization_id": org.org_id,
            "preferred_username": user["username"],
            "nickname": user["username"].partition("@")[0],
            "name": user["name"],
            "email": user["email"],
            "email_verified": True,
            "given_name": user["first_name"],
            "family_name": user["last_name"],
            "zoneinfo": "Etc/UTC",
            "profile": f"{org.address}/{call.user}",
            "urls": _urls(org, call.user),
            "active": True,
            "user_type": "STANDARD",
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "updated_at": user["at"],
        }
    )


def identity(org: Org, call: Call, org_id: str, user_id: str) -> Reply:
    """GET /id/{organization}/{user}: the address that every token's reply names."""
    if (org_id[:15], user_id[:15]) != (org.org_id[:15], call.user[:15]):
        raise not_found()
    user = _user(org, call.user)
    return Reply(
        body={
            "id": identity_url(org, call.user),
            "asserted_user": True,
            "user_id": call.user,
            "organization_id": org.org_id,
            "username": user["username"],
            "nick_name": user["username"].partition("@")[0],
            "display_name": user["name"],
            "email": user["email"],
            "email_verified": True,
            "first_name": user["first_name"],
            "last_name": user["last_name"],
            "timezone": "Etc/UTC",
            "urls": _urls(org, call.user),
            "active": True,
            "user_type": "STANDARD",
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "last_modified_date": user["at"],
            "is_app_installed": True,
        }
    )


def identity_url(org: Org, user: str) -> str:
    """Where a user's identity can be asked for."""
    return f"{org.address}/id/{org.org_id}/{user}"


def _user(org: Org, user_id: str) -> dict[str, Any]:
    row = org.records.existing(OBJECTS["user"], user_id)
    name = str(row["Name"] or "")
    first, _, last = name.rpartition(" ")
    return {
        "username": str(row["Username"] or ""),
        "name": name,
        "email": row["Email"],
        "first_name": first or None,
        "last_name": last,
        "at": row["LastModifiedDate"],
    }


def _urls(org: Org, user: str) -> dict[str, str]:
    rest = org.address + base_path("{version}")
    return {
        "enterprise": f"{org.address}/services/Soap/c/{{version}}/{org.org_id[:15]}",
        "partner": f"{org.address}/services/Soap/u/{{version}}/{org.org_id[:15]}",
        "rest": f"{rest}/",
        "sobjects": f"{rest}/sobjects/",
        "query": f"{rest}/query/",
        "profile": f"{org.address}/{user}",
        "custom_domain": org.address,
    }
