"""The old login by user name, password and security token, for orgs that have no app to log in through yet.

One SOAP request; the answer is searched for the three values that count, no document is parsed. Salesforce ends this login:
API version 65.0 and later have none, versions 31.0 to 64.0 lose it in Summer '27, and new orgs have it switched off.
Source: "login()" in the SOAP API Developer Guide; Salesforce help 005132110.
"""

from __future__ import annotations

import re
from html import unescape
from xml.sax.saxutils import escape

from workbench.org import OrgAuthenticationError, OrgError
from workbench.said import said
from workbench.salesforce.replies import ERROR_CODE, LONGEST_CODE, Reply, error_of, fault_of

NEWEST_VERSION = "64.0"
LEGACY = said(
    "Logged in by user name and password, the old way, which Salesforce ends in Summer '27 (and new orgs do not have):"
    " set up an External Client App and log in with `workbench org login` before that."
)
ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:urn="urn:partner.soap.sforce.com"><soapenv:Body><urn:login><urn:username>{}</urn:username>'
    "<urn:password>{}</urn:password></urn:login></soapenv:Body></soapenv:Envelope>"
)
HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": "login", "Accept": "text/xml"}
BUSY = ("SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION")
USER_ID = re.compile(r"005[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")


def path(api_version: str) -> str:
    """Where the login is: of the version asked for, or of the newest one that has it."""
    return f"/services/Soap/u/{min(api_version, NEWEST_VERSION, key=float)}"


def body(*, username: str, password: str, security_token: str) -> bytes:
    """The request. The security token stands behind the password, without anything between."""
    return ENVELOPE.format(escape(username), escape(f"{password}{security_token}")).encode()


def logged_in(reply: Reply) -> tuple[str, str, str]:
    """Session id, instance address and user id ("" when unsaid) of an answer whose body is its text.

    Raises:
        OrgAuthenticationError: not accepted, or the org has no such login any more.
        OrgUnreachableError: no usable answer.
    """
    text = reply.body if isinstance(reply.body, str) else ""
    session, server, user = (_element(text, name) for name in ("sessionId", "serverUrl", "userId"))
    host = re.match(r"(https?://[^/\s]+)/", server)
    if reply.status == 200 and session and host:
        return session, host[1], user if USER_ID.fullmatch(user) else ""
    raise _refused(reply, _element(text, "exceptionCode"))


def says_nothing(reply: Reply) -> bool:
    """Whether an answer neither logs in nor refuses, so that the same request may be sent again."""
    text = reply.body if isinstance(reply.body, str) else ""
    return not _element(text, "sessionId") and _element(text, "exceptionCode") in ("", *BUSY)


def _element(text: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}>([^<]*)</(?:\w+:)?{name}>", text)
    return unescape(found[1]) if found else ""


def _refused(reply: Reply, code: str) -> OrgError:
    if code == "INVALID_OPERATION":
        return OrgAuthenticationError(
            f"This org has no login by user name and password any more ({code}).",
            "Set up an External Client App and log in with `workbench org login`.",
        )
    if len(code) <= LONGEST_CODE and ERROR_CODE.fullmatch(code) and code not in BUSY:
        return OrgAuthenticationError(
            f"Salesforce did not accept the user name, password and security token ({reply.status} {code}).",
            "Check WORKBENCH_USERNAME, WORKBENCH_PASSWORD and WORKBENCH_SECURITY_TOKEN; too many tries lock the user out.",
        )
    fault = fault_of(reply.status, None, readable=False)
    return error_of(fault, "logging in") if fault else OrgAuthenticationError("The login was answered without a session.")
