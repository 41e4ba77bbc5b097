"""What is sent and what comes back, as values; and what an answer means: fine, try again, or which error.

Pure. A reply body is looked at for Salesforce's error codes and never leaves in an error: only status and code do.

| kind | an answer such as | a read | a write of rows |
|---|---|---|---|
| AUTH | 401 | one new login, once; then the batch pauses | the same: a 401 wrote nothing |
| QUOTA_DAILY | 403 TotalRequests | the batch pauses | the batch pauses |
| QUOTA_CONCURRENT | 403 ConcurrentRequests, 429 | again, later | the batch pauses; inside an answer: unknown |
| TRANSIENT | 5xx, a gateway's page, unreadable | again, later | unknown: read back |
| LOCK | UNABLE_TO_LOCK_ROW | again, later | locked: read back, and again |
| CONFLICT | 412 | the batch pauses | conflict: read back, decided anew |
| GONE | 404, ENTITY_IS_DELETED | the batch pauses | gone: read back |
| IMMUTABLE | CANNOT_UPDATE_CONVERTED_LEAD | the batch pauses | refuses the person |
| PERMISSION | INSUFFICIENT_..., INVALID_FIELD | the batch pauses | refuses the person |
| RULE | validation, duplicates, a trigger | the batch pauses | refuses the person |
| REQUEST | MALFORMED_..., 414, 431, 410 | the batch pauses | refuses the person |
| AMBIGUOUS | sent, no answer | again, later | unknown: read back |
| UNKNOWN | a code of a later release | the batch pauses | unknown: read back |

Later is by `connection.Patience`: full jitter, a few tries, ``Retry-After`` honoured; after the last one the batch pauses. Whatever is
unknown is read back and sent again at most as often as `resubscription.MOST_ATTEMPTS` says, each time under the same condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from workbench.org import (
    OrgAuthenticationError,
    OrgError,
    OrgPermissionError,
    OrgQuotaError,
    OrgRefusedError,
    OrgUnreachableError,
)
from workbench.said import kept, said

ERROR_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
LONGEST_CODE = 64


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. ``path`` is below ``/services/data/vNN.0/``, or absolute on the host when it begins with a slash.

    ``what`` names the step in an error: "reading people". It holds no personal data. ``csv`` is sent instead of a JSON body.
    """

    what: str
    path: str
    method: str = "GET"
    params: dict[str, str] | None = field(default=None, repr=False)
    body: object = field(default=None, repr=False)
    csv: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer: ``status`` 0 when none came. ``body`` is decoded JSON; ``readable`` is False for anything else.

    ``headers`` have lower-case names.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    readable: bool = True


NO_ANSWER = Reply(status=0, readable=False)


class Kind(StrEnum):
    """What an answer that isn't fine means for whoever asked."""

    AUTH = "auth"
    QUOTA_DAILY = "quota_daily"
    QUOTA_CONCURRENT = "quota_concurrent"
    TRANSIENT = "transient"
    LOCK = "lock"
    CONFLICT = "conflict"
    GONE = "gone"
    IMMUTABLE = "immutable"
    PERMISSION = "permission"
    RULE = "rule"
    REQUEST = "request"
    AMBIGUOUS = "ambiguous"
    UNKNOWN = "unknown"


RETRIED = frozenset({Kind.TRANSIENT, Kind.LOCK, Kind.QUOTA_CONCURRENT, Kind.AMBIGUOUS})
"""What a read is sent again for: it changes nothing, so that no answer may be asked for once more. A write never is."""
PERHAPS_DONE = frozenset({Kind.TRANSIENT, Kind.LOCK, Kind.CONFLICT, Kind.AMBIGUOUS, Kind.UNKNOWN})
"""What leaves open whether any of a write was done."""

# Source: https://developer.salesforce.com/docs/platform/api-rest/guide/errorcodes.html
_CODES = {
    Kind.LOCK: "UNABLE_TO_LOCK_ROW",
    Kind.CONFLICT: "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE",
    Kind.GONE: "ENTITY_IS_DELETED NOT_FOUND INVALID_CROSS_REFERENCE_KEY",
    Kind.TRANSIENT: "SERVER_UNAVAILABLE UNKNOWN_EXCEPTION QUERY_TIMEOUT REQUEST_RUNNING_TOO_LONG",
    Kind.PERMISSION: "INVALID_FIELD INVALID_TYPE INVALID_FIELD_FOR_INSERT_UPDATE INSUFFICIENT_ACCESS INSUFFICIENT_ACCESS_OR_READONLY"
    " INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY API_DISABLED_FOR_ORG API_CURRENTLY_DISABLED FUNCTIONALITY_NOT_ENABLED"
    " INVALIDENTITY",
    Kind.AUTH: "INVALID_SESSION_ID INVALID_AUTH_HEADER",
    Kind.IMMUTABLE: "CANNOT_UPDATE_CONVERTED_LEAD",
    Kind.RULE: "FIELD_CUSTOM_VALIDATION_EXCEPTION CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY CANNOT_EXECUTE_FLOW_TRIGGER DUPLICATES_DETECTED"
    " DUPLICATE_VALUE FIELD_INTEGRITY_EXCEPTION FIELD_FILTER_VALIDATION_EXCEPTION INVALID_EMAIL_ADDRESS REQUIRED_FIELD_MISSING"
    " STRING_TOO_LONG INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST ALL_OR_NONE_OPERATION_ROLLED_BACK",
    Kind.REQUEST: "MALFORMED_QUERY MALFORMED_ID JSON_PARSER_ERROR INVALID_QUERY_LOCATOR INVALID_REPLICATION_DATE EXCEEDED_ID_LIMIT"
    " EXCEEDED_MAX_SIZE_REQUEST INVALID_HEADER INVALID_INPUT INVALID_TYPE_ON_FIELD_IN_RECORD MISSING_ARGUMENT METHOD_NOT_ALLOWED"
    " UNSUPPORTED_API_VERSION INVALIDJOB INVALIDJOBSTATE INVALIDBATCH INVALIDCONTENTTYPE INVALIDVERSION",
}
KIND_OF_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}
_ALWAYS = {
    0: Kind.AMBIGUOUS,
    401: Kind.AUTH,
    412: Kind.CONFLICT,
    414: Kind.REQUEST,  # too long for Salesforce's web server, which gives no code
    429: Kind.QUOTA_CONCURRENT,
    431: Kind.REQUEST,
}
_BY_STATUS = {403: Kind.PERMISSION, 404: Kind.GONE, **dict.fromkeys((405, 409, 410, 415), Kind.REQUEST)}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An answer that isn't fine: its kind, status, and Salesforce's error code ("" where the answer has none)."""

    kind: Kind
    status: int
    code: str = ""


def error_entry(body: Any) -> tuple[str, str]:
    """(code, message) of a Salesforce error body, ``("", "")`` for anything else. The message is never to be shown."""
    entry = body[0] if isinstance(body, list) and body else body
    if not isinstance(entry, dict):
        return "", ""
    code = entry.get("errorCode") or entry.get("statusCode") or ""
    if not isinstance(code, str) or len(code) > LONGEST_CODE or not ERROR_CODE.fullmatch(code):
        return "", ""  # whatever stands there is not a code of Salesforce's and may be anything
    return code, str(entry.get("message", ""))


def fault_of(status: int, body: Any, *, readable: bool = True) -> Fault | None:
    """What is wrong with an answer; None when it is fine.

    An error without a Salesforce code comes from something in between (a gateway's HTML page) and says as little as none.
    """
    if 200 <= status < 300:
        return None if readable else Fault(kind=Kind.TRANSIENT, status=status)
    code, message = error_entry(body)
    return Fault(kind=_kind(status, code, message), status=status, code=code)


def _kind(status: int, code: str, message: str) -> Kind:
    if status in _ALWAYS:
        return _ALWAYS[status]
    if not code or status >= 500:
        return Kind.TRANSIENT
    if code == "REQUEST_LIMIT_EXCEEDED":  # one code for two limits, only the message tells them apart
        return Kind.QUOTA_CONCURRENT if "concurrent" in message.lower() else Kind.QUOTA_DAILY
    return KIND_OF_CODE.get(code) or _BY_STATUS.get(status, Kind.UNKNOWN)


def composite_parts(reply: Reply) -> Iterator[dict[str, Any]]:
    """The answers inside a composite answer; none when it isn't one."""
    parts = reply.body.get("compositeResponse") if isinstance(reply.body, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            yield part


def status_of(part: Mapping[str, Any]) -> int:
    """The status of one answer inside a composite; 0 when it has none."""
    status = part.get("httpStatusCode")
    return status if isinstance(status, int) else 0


def first_fault(reply: Reply) -> Fault | None:
    """What is wrong with an answer or, for a composite one, with the first of its parts that isn't fine."""
    fault = fault_of(reply.status, reply.body, readable=reply.readable)
    if fault:
        return fault
    return next(filter(None, (fault_of(status_of(part), part.get("body")) for part in composite_parts(reply))), None)


def login_expired(reply: Reply) -> bool:
    """Whether an answer says that the login isn't valid any more and nothing at all was done."""
    if reply.status == 401:
        return True
    statuses = [status_of(part) for part in composite_parts(reply)]
    return bool(statuses) and all(status == 401 for status in statuses)


def rejected_whole(reply: Reply) -> Fault | None:
    """What is wrong with a request that Salesforce itself turned down before doing any of it; None for all other answers.

    A gateway's page, a timeout (408), a conflict (409, 412) and a 5xx leave open whether something was done.
    """
    fault = fault_of(reply.status, reply.body, readable=reply.readable)
    if fault is None or fault.kind in PERHAPS_DONE or fault.status in (408, 409):
        return None
    return fault


_ERRORS: dict[Kind, tuple[type[OrgError], str]] = {
    Kind.AUTH: (OrgAuthenticationError, kept("Salesforce did not accept the login")),
    Kind.QUOTA_DAILY: (OrgQuotaError, kept("The org's daily API calls are used up")),
    Kind.QUOTA_CONCURRENT: (OrgQuotaError, kept("The org has too many long API calls running")),
    Kind.TRANSIENT: (OrgUnreachableError, kept("Salesforce gave no usable answer")),
    Kind.AMBIGUOUS: (OrgUnreachableError, kept("Salesforce gave no usable answer")),
    Kind.LOCK: (OrgUnreachableError, kept("Salesforce kept a row locked")),
    Kind.PERMISSION: (OrgPermissionError, kept("Salesforce denied access to an object or field")),
}


def error_of(fault: Fault, what: str) -> OrgError:
    """The error to raise for a fault; its text holds the step, status and code."""
    family, sentence = _ERRORS.get(fault.kind, (OrgRefusedError, said("Salesforce refused the request")))
    answer = " ".join(filter(None, (str(fault.status) if fault.status else "no answer", fault.code)))
    return family(said("{sentence} ({step}: {answer}).", sentence=sentence, step=what, answer=answer))


def unreadable(what: str) -> OrgUnreachableError:
    """The error for an answer that isn't of the form that Salesforce documents."""
    return OrgUnreachableError(said("The answer is not of the form that Salesforce documents ({step}).", step=what))


def date_of(reply: Reply) -> datetime:
    """The server's own time of an answer (HTTP ``Date``), UTC. Raises: ValueError when there is none."""
    return _http_moment(reply.headers.get("date", ""))


def _http_moment(text: str) -> datetime:
    """A date of a header, UTC. Raises: ValueError when it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a date beyond all dates") from None


def retry_after(reply: Reply, now: datetime) -> float:
    """How many seconds the server asks to wait (``Retry-After``: seconds or a date); 0 when it doesn't."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:6])
    try:
        return max(0.0, (_http_moment(value) - now).total_seconds())
    except ValueError:
        return 0.0
