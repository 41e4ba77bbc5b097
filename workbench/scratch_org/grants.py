"""Logins besides client credentials: a signed assertion, name and password, and the old SOAP login.

None of them works until the control port registers a public key or a password, as an administrator would.
"""

import hashlib
import hmac
import json
import re
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from .messages import Call, Reply
from .org import Org
from .signatures import claims, public_key

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FIRST_WITHOUT_SOAP_LOGIN = 65
_AUDIENCE = re.compile(r"https://[\w.-]+\.salesforce\.com/?", re.ASCII)
_SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns="urn:partner.soap.sforce.com" xmlns:sf="urn:fault.partner.soap.sforce.com"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)


def register(org: Org, order: dict[str, Any]) -> dict[str, Any]:
    """{"public_key"?: PEM, "user"?: name, "password"?}: returns the username to log in with.

    Raises:
        ValueError: the key can't be used, or the password is empty.
    """
    if "public_key" in order:
        public_key(str(order["public_key"]))
        org.tables.keep("jwt_public_key", str(order["public_key"]))
    user = org.records.user(str(order["user"])) if "user" in order else org.user
    if "password" in order:
        if not order["password"]:
            raise ValueError("The password is empty")
        passwords = _passwords(org) | {user: _digest(org, str(order["password"]))}
        org.tables.keep("passwords", json.dumps(passwords))
    row = org.tables.db.execute('SELECT "Username" FROM "User" WHERE "Id" = ?', (user,)).fetchone()
    return {"username": row[0]}


def has_passwords(org: Org) -> bool:
    """Whether logging in by password is switched on; new orgs block it."""
    return bool(_passwords(org))


def user_by_password(org: Org, username: str, password: str) -> str | None:
    """The user with that name and password (with the security token behind it, if it was registered so)."""
    user = _user(org, username)
    expected = _passwords(org).get(user or "")
    return user if expected and hmac.compare_digest(expected, _digest(org, password)) else None


def user_by_assertion(org: Org, assertion: str) -> str:
    """The user an assertion speaks for: RS256 by the registered key, by this org's client, for Salesforce, in time.

    Raises:
        ValueError: why it isn't taken, as Salesforce words it.
    """
    pem = org.tables.setting("jwt_public_key")
    if pem is None:
        raise ValueError("user hasn't approved this consumer")
    try:
        found = claims(assertion, public_key(pem))
        expires = float(found["exp"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("invalid assertion") from error
    if found.get("iss") != org.client_id:
        raise ValueError("client identifier invalid")
    audience = str(found.get("aud", ""))
    if audience.rstrip("/") != org.address and not _AUDIENCE.fullmatch(audience):
        raise ValueError("audience is invalid")
    if not expires > org.clock.now().timestamp():
        raise ValueError("expired authorization code")
    user = _user(org, str(found.get("sub", "")))
    if user is None:
        raise ValueError("user hasn't approved this consumer")
    return user


def soap(org: Org, call: Call, version: str) -> Reply:
    """POST /services/Soap/u/{version}: login, which ended with version 65, and logout."""
    found = _elements(call.body)
    if "logout" not in found:
        return _soap_login(org, found, version)
    if not org.end_session(found.get("sessionId", "")):
        return _fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
    return _envelope(200, "<logoutResponse/>")


def _soap_login(org: Org, found: dict[str, str], version: str) -> Reply:
    if float(version) >= FIRST_WITHOUT_SOAP_LOGIN:
        return _fault("INVALID_OPERATION", f"SOAP Login operation is not available in the API version specified ({version})")
    if "login" not in found:
        return _fault("INVALID_OPERATION", "Only login and logout are served here")
    user = user_by_password(org, found.get("username", ""), found.get("password", ""))
    if user is None:
        return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    name, username, email = org.tables.db.execute(
        'SELECT "Name", "Username", "Email" FROM "User" WHERE "Id" = ?', (user,)
    ).fetchone()
    address = f"{org.address}/services/Soap"
    values = {
        "metadataServerUrl": f"{address}/m/{version}/{org.org_id[:15]}",
        "passwordExpired": "false",
        "sandbox": "true",
        "serverUrl": f"{address}/u/{version}/{org.org_id[:15]}",
        "sessionId": org.new_token(user),
        "userId": user,
    }
    info = {"organizationId": org.org_id, "userEmail": email, "userFullName": name, "userId": user, "userName": username}
    return _envelope(200, f"<loginResponse><result>{_tags(values)}<userInfo>{_tags(info)}</userInfo></result></loginResponse>")


def _elements(body: bytes) -> dict[str, str]:
    """The elements of an envelope by their local names, with their texts; none when it can't be read."""
    if b"<!" in body:
        return {}  # no document types, so no entities
    try:
        return {e.tag.rpartition("}")[2]: e.text or "" for e in ET.fromstring(body).iter()}  # noqa: S314 - refused above
    except ET.ParseError:
        return {}


def _tags(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _fault(code: str, message: str) -> Reply:
    kind = "LoginFault" if code == "INVALID_LOGIN" else "UnexpectedErrorFault"
    detail = f"<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{escape(message)}</sf:exceptionMessage>"
    return _envelope(
        500,
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring>"
        f'<detail><sf:{kind} xsi:type="sf:{kind}">{detail}</sf:{kind}></detail></soapenv:Fault>',
    )


def _envelope(status: int, body: str) -> Reply:
    return Reply(status, text=_SOAP.format(body), media_type="text/xml;charset=UTF-8")


def _user(org: Org, username: str) -> str | None:
    row = org.tables.db.execute('SELECT "Id" FROM "User" WHERE "Username" = ? AND "IsActive" = 1', (username,)).fetchone()
    return str(row[0]) if row else None


def _passwords(org: Org) -> dict[str, str]:
    found: dict[str, str] = json.loads(org.tables.setting("passwords") or "{}")
    return found


def _digest(org: Org, password: str) -> str:
    return hashlib.scrypt(password.encode(), salt=org.client_secret.encode(), n=1024, r=8, p=1).hex()
