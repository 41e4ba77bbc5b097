"""What every audit event is: a small frozen class whose fields are its payload, checked when written and when read.

Decides whether a payload has the form that its action prescribes. Which events there are is said in `trail.events`; how
one becomes bytes in the tree, in `trail.leaf`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import rfc8785

from workbench.errors import TrailError

LARGEST_INTEGER = 2**53 - 1  # what JSON carries exactly (RFC 8785 3.2.2.3, I-JSON)

Digest = Annotated[str, re.compile(r"[0-9a-f]{64}")]
"""SHA-256 in lower-case hexadecimal digits."""
Stamp = Annotated[str, re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)", re.ASCII)]
"""A moment with its zone, ISO 8601; Salesforce's ``+0000`` is one."""
Code = Annotated[str, re.compile(r"[a-z][a-z0-9_]*")]
"""A stable word of ours: a rule, a kind, a cause."""
Count = Annotated[int, range(LARGEST_INTEGER + 1)]
"""A number that can't be negative."""

EVENT_TYPES: dict[str, type[Event]] = {}
_AS_IT_IS = frozenset({str, int, bool, NoneType})
_HINTS: dict[type[Part], dict[str, Any]] = {}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a payload that has fields of its own."""

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            object.__setattr__(self, name, _conform(getattr(self, name), hint, f"{_label(type(self))}, field {name}"))

    def payload(self) -> dict[str, Any]:
        """The fields as JSON values: strings, integers, booleans, None, lists and dictionaries of those."""
        return {name: _plain(getattr(self, name)) for name in _hints(type(self))}


@dataclass(frozen=True, kw_only=True)
class Event(Part):
    """One thing that happened; its class says what, its fields are the payload.

    Raises:
        TrailError: a field does not have the type that the class gives it (the sentence never shows the value).
    """

    action: ClassVar[str]

    def __init_subclass__(cls, *, action: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if action in EVENT_TYPES:
            raise TypeError(f"two event classes for the action {action}")
        cls.action = action
        EVENT_TYPES[action] = cls

    def payload_bytes(self) -> bytes:
        """The payload as canonical JSON (RFC 8785).

        Raises:
            TrailError: text that is not Unicode (lone surrogates).
        """
        return canonical_checked(self.payload(), self.action)


def read_event(action: str, payload: bytes) -> Event:
    """The event that stored payload bytes stand for.

    Raises:
        TrailError: unknown action; not JSON; a field missing, unknown or of the wrong type.
    """
    kind = EVENT_TYPES.get(action)
    if kind is None:
        raise TrailError("This version knows no event of that action.", "Read the trail with the version that wrote it.")
    value = read_json(payload, action)
    if not isinstance(value, dict):
        raise TrailError(f"The payload of a {action} event is not a JSON object.")
    return _build(kind, value)


def canonical(value: Any, where: str) -> bytes:
    """Canonical JSON (RFC 8785) of a value; ``where`` names it in the sentence.

    Raises:
        TrailError: the value has no canonical form.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError):
        raise TrailError(f"A value in {where} can't be written as canonical JSON.") from None


def canonical_checked(value: Any, where: str) -> bytes:
    """As `canonical`, in a third of its time, for what was checked before: ASCII keys, integers that JSON carries exactly, no floats.

    Of such a value RFC 8785 asks for no more than sorted keys, no spaces, and the escapes that Python's own encoder writes.

    Raises:
        TrailError: text that is not Unicode (lone surrogates).
    """
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (ValueError, RecursionError):
        raise TrailError(f"A value in {where} can't be written as canonical JSON.") from None


def read_json(data: bytes, where: str) -> Any:
    """A JSON value without floats and without repeated keys; ``where`` names it in the sentence.

    Raises:
        TrailError: the bytes are not such a value.
    """
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise TrailError(f"The bytes of {where} are not JSON as the trail writes it.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is repeated")
    return value


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"a number of {len(text)} characters is no integer")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_no_float, parse_constant=_no_float)
_P = TypeVar("_P", bound=Part)


def _build(kind: type[_P], value: Mapping[str, Any]) -> _P:
    wanted = {field.name for field in fields(kind)}
    if missing := wanted - value.keys():
        raise TrailError(f"{_label(kind)}: the payload lacks {', '.join(sorted(missing))}.")
    if value.keys() - wanted:
        raise TrailError(f"{_label(kind)}: the payload has a field that this event does not have.")
    return kind(**value)


def _label(kind: type[Part]) -> str:
    return f"Event {kind.action}" if issubclass(kind, Event) else f"Event part {kind.__name__}"


def _hints(kind: type[Part]) -> dict[str, Any]:
    if kind not in _HINTS:
        hints = get_type_hints(kind, include_extras=True)
        _HINTS[kind] = {field.name: hints[field.name] for field in fields(kind)}
    return _HINTS[kind]


def _plain(value: Any) -> Any:
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, Part):
        return value.payload()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _conform(value: Any, hint: Any, where: str) -> Any:
    """The value in the form its hint asks for, or TrailError; lists become tuples, objects become parts."""
    if checker := _SCALARS.get(hint) or _COMPOUNDS.get(get_origin(hint)):
        return checker(value, get_args(hint), where)
    return value if isinstance(value, hint) else _build(hint, _expect(value, Mapping, "an object", where))


def _annotated(value: Any, arguments: Any, where: str) -> Any:
    return _narrowed(_conform(value, arguments[0], where), arguments[1], where)


def _optional(value: Any, arguments: Any, where: str) -> Any:
    return None if value is None else _conform(value, next(a for a in arguments if a is not NoneType), where)


def _items(value: Any, arguments: Any, where: str) -> tuple[Any, ...]:
    return tuple(_conform(item, arguments[0], where) for item in _expect(value, (list, tuple), "a list", where))


def _entries(value: Any, arguments: Any, where: str) -> dict[str, Any]:
    entries = _expect(value, Mapping, "an object", where).items()
    return {_key(key, where): _conform(item, arguments[1], where) for key, item in entries}


def _narrowed(value: Any, allowed: Any, where: str) -> Any:
    fits = allowed.fullmatch(value) is not None if isinstance(allowed, re.Pattern) else value in allowed
    if not fits:
        raise TrailError(f"{where}: the value is outside of what this field may hold.")
    return value


def _expect(value: Any, kinds: Any, name: str, where: str) -> Any:
    if not isinstance(value, kinds):
        raise TrailError(f"{where}: expected {name}, got {type(value).__name__}.")
    return value


def _key(key: Any, where: str) -> str:
    if not (isinstance(key, str) and key.isascii()):
        raise TrailError(f"{where}: keys are ASCII text.")
    return str(key)


def _text(value: Any, _: Any, where: str) -> str:
    return str(_expect(value, str, "text", where))


def _boolean(value: Any, _: Any, where: str) -> bool:
    return bool(_expect(value, bool, "true or false", where))


def _integer(value: Any, _: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_INTEGER:
        raise TrailError(f"{where}: expected an integer, got {type(value).__name__}.")
    return int(value)


def _free(value: Any, _: Any, where: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_free(item, (), where) for item in value]
    if isinstance(value, Mapping):
        return {_key(key, where): _free(item, (), where) for key, item in value.items()}
    if value is None or isinstance(value, (bool, str)):
        return value
    return _integer(value, (), where)


Checker = Callable[[Any, Any, str], Any]
_SCALARS: dict[Any, Checker] = {str: _text, bool: _boolean, int: _integer, Any: _free}
_COMPOUNDS: dict[Any, Checker] = {
    Annotated: _annotated,
    Union: _optional,
    UnionType: _optional,
    Literal: _narrowed,
    tuple: _items,
    dict: _entries,
}
