"""What goes over the wire: a call, a reply, and the error that becomes one."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .results import Stretch

JSON_TYPE = "application/json;charset=UTF-8"
MOST_NESTED = 100


class OrgError(Exception):
    """An error as Salesforce answers it: HTTP status, errorCode, message, fields."""

    def __init__(
        self, status: int, code: str, message: str, fields: list[str] | None = None, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.headers = headers or {}

    def body(self) -> list[dict[str, Any]]:
        """The request-level form: ``[{"message", "errorCode"[, "fields"]}]``."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = self.fields
        return [error]

    def row_error(self) -> dict[str, Any]:
        """The row-level form used by collections: ``{"statusCode", "message", "fields"}``."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}


@dataclass(frozen=True)
class Reply:
    """A reply: JSON unless ``text`` or ``stretch`` is given; ``body=None`` and none of them is an empty reply."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    stretch: Stretch | None = None
    media_type: str = JSON_TYPE

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if self.stretch is not None:
            return self.stretch.first(len(self.stretch))
        if self.text is not None:
            return self.text.encode()
        if self.body is None:
            return b""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class Call:
    """One request, from the network or from inside a composite."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: str = ""
    user: str = ""
    locked: frozenset[str] | None = None
    writes: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    number: int | None = None
    is_inner: bool = False
    job_fails_after: int | None = None

    def inner(self, method: str, url: str, headers: dict[str, str], body: bytes) -> "Call":
        """A subrequest of this call: same user, locks and log."""
        parts = urlsplit(url)
        return Call(
            method=method,
            path=unquote(parts.path),
            params=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=headers,
            body=body,
            user=self.user,
            locked=self.locked,
            writes=self.writes,
            steps=self.steps,
            number=self.number,
            is_inner=True,
        )

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            OrgError: 400 JSON_PARSER_ERROR.
        """
        try:
            return parsed_json(self.body)
        except ValueError as error:
            raise OrgError(400, "JSON_PARSER_ERROR", "The HTTP entity body is required, but cannot be read as JSON.") from error

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            OrgError: 400 JSON_PARSER_ERROR.
        """
        body = self.json()
        if not isinstance(body, dict):
            raise OrgError(400, "JSON_PARSER_ERROR", "The HTTP entity body has to be a JSON object.")
        return body

    def is_locked(self, record_id: str) -> bool:
        """Whether an injected row lock covers the record; an empty set of locks covers all."""
        return self.locked is not None and (not self.locked or record_id in self.locked)


def parsed_json(body: bytes) -> Any:
    """JSON as Salesforce reads it: whole characters, finite numbers, not too deep.

    Raises:
        ValueError: it is no such JSON.
    """
    text = body.decode(json.detect_encoding(body))
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("Nested too deeply") from error
    if "\\ud" in text.lower():
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    level = [found]
    for _ in range(MOST_NESTED):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return found
    raise ValueError("Nested too deeply")


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def not_found() -> OrgError:
    """What an unknown path or object answers."""
    return OrgError(404, "NOT_FOUND", "The requested resource does not exist")
