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
Checker = Callable[[Any, str], Any]
"""Gives a value in the form that a hint asks for, or raises TrailError naming where it stands; lists become tuples, objects parts."""
_FIELDS: dict[type[Part], tuple[tuple[str, str, Checker], ...]] = {}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a payload that has fields of its own."""

    def __post_init__(self) -> None:
        for name, where, checked in _fields(type(self)):
            object.__setattr__(self, name, checked(getattr(self, name), where))

    def payload(self) -> dict[str, Any]:
        """The fields as JSON values: strings, integers, booleans, None, lists and dictionaries of those."""
        return {name: _plain(getattr(self, name)) for name, *_ in _fields(type(self))}


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


def _fields(kind: type[Part]) -> tuple[tuple[str, str, Checker], ...]:
    """Of each field its name, where it stands, and what checks it: worked out once a class, since a batch makes events by the thousand."""
    if kind not in _FIELDS:
        hints = get_type_hints(kind, include_extras=True)
        _FIELDS[kind] = tuple((f.name, f"{_label(kind)}, field {f.name}", _checker(hints[f.name])) for f in fields(kind))
    return _FIELDS[kind]


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


def _checker(hint: Any) -> Checker:
    """What checks a value against a hint."""
    if scalar := _SCALARS.get(hint):
        return scalar
    compound = _COMPOUNDS.get(get_origin(hint))
    return compound(*get_args(hint)) if compound else _part(hint)


def _part(kind: type[Part]) -> Checker:
    def check(value: Any, where: str) -> Any:
        return value if isinstance(value, kind) else _build(kind, _expect(value, Mapping, "an object", where))

    return check


def _annotated(base: Any, allowed: Any) -> Checker:
    checked, narrowed = _checker(base), _fits(allowed)
    return lambda value, where: narrowed(checked(value, where), where)


def _optional(*hints: Any) -> Checker:
    checked = _checker(next(hint for hint in hints if hint is not NoneType))
    return lambda value, where: None if value is None else checked(value, where)


def _items(hint: Any, *_: Any) -> Checker:
    checked = _checker(hint)
    return lambda value, where: tuple([checked(item, where) for item in _expect(value, (list, tuple), "a list", where)])


def _entries(_: Any, hint: Any) -> Checker:
    checked = _checker(hint)

    def check(value: Any, where: str) -> dict[str, Any]:
        entries = _expect(value, Mapping, "an object", where).items()
        return {_key(key, where): checked(item, where) for key, item in entries}

    return check


def _literal(*values: Any) -> Checker:
    return _fits(values)


def _fits(allowed: Any) -> Checker:
    """What checks that a value matches a pattern, or is among some."""

    def check(value: Any, where: str) -> Any:
        fits = allowed.fullmatch(value) is not None if isinstance(allowed, re.Pattern) else value in allowed
        if not fits:
            raise TrailError(f"{where}: the value is outside of what this field may hold.")
        return value

    return check


def _expect(value: Any, kinds: Any, name: str, where: str) -> Any:
    if not isinstance(value, kinds):
        raise TrailError(f"{where}: expected {name}, got {type(value).__name__}.")
    return value


def _key(key: Any, where: str) -> str:
    if not (isinstance(key, str) and key.isascii()):
        raise TrailError(f"{where}: keys are ASCII text.")
    return str(key)


def _text(value: Any, where: str) -> str:
    return str(_expect(value, str, "text", where))


def _boolean(value: Any, where: str) -> bool:
    return bool(_expect(value, bool, "true or false", where))


def _integer(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_INTEGER:
        raise TrailError(f"{where}: expected an integer, got {type(value).__name__}.")
    return int(value)


def _free(value: Any, where: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_free(item, where) for item in value]
    if isinstance(value, Mapping):
        return {_key(key, where): _free(item, where) for key, item in value.items()}
    if value is None or isinstance(value, (bool, str)):
        return value
    return _integer(value, where)


_SCALARS: dict[Any, Checker] = {str: _text, bool: _boolean, int: _integer, Any: _free}
_COMPOUNDS: dict[Any, Callable[..., Checker]] = {
    Annotated: _annotated,
    Union: _optional,
    UnionType: _optional,
    Literal: _literal,
    tuple: _items,
    dict: _entries,
}
