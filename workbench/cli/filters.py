"""Words of the command line as values: ``--where key=value`` filters, moments, ``key=value`` pairs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import handed_in
from workbench.errors import InputError

FLAGS = ("unsubscribed", "consent")
MOMENTS = ("since", "until")
TEXTS = ("source", "text", "domain", "salesforce", "mismatch")
YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

WHERE_HELP = (
    "A filter KEY=VALUE; several are combined. Keys: source, text, domain, salesforce (opted_out, opted_in, no_record), "
    "mismatch (a kind), consent (yes, no), unsubscribed (yes, no), since, until (when unsubscribed)."
)
WhereOption = Annotated[list[str] | None, typer.Option("--where", metavar="KEY=VALUE", help=WHERE_HELP)]


def filters(where: Sequence[str] | None) -> dict[str, Any]:
    """The filters of `Workbench.people` that ``--where`` words stand for.

    Raises:
        InputError: a word without ``=``, an unknown or repeated key, a value that its key can't have.
    """
    found = {key: _value(key, text) for key, text in pairs(where or (), option="--where").items()}
    if all(name in found for name in MOMENTS) and found["since"] >= found["until"]:
        raise InputError("the filters leave no time between since and until", "Give an until that is later than since.")
    return found


def pairs(words: Sequence[str], *, option: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a dictionary.

    Raises:
        InputError: a word without ``=``, or a key that is given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{option} takes KEY=VALUE", f"Write it as {option} key=value.")
        if key.strip() in found:
            raise InputError(f"{option} names {key.strip()} twice")
        found[key.strip()] = value.strip()
    return found


def moment(text: str, *, name: str) -> datetime:
    """A moment, UTC-aware: ISO 8601 with zone, or a day, which is its first moment in UTC.

    Raises:
        InputError: anything else; a time without a zone is refused, because nobody should guess it.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{name} is not a date or moment", "Write 2026-11-02 or 2026-11-02T09:00:00+01:00.") from None
    if value.tzinfo is None and value.time() != time(0):
        raise InputError(f"{name} has a time but no time zone", "Write it as 2026-11-02T09:00:00+01:00.")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


LARGEST_TEXT = 64 << 20  # bytes


def text_file(path: Path, *, what: str) -> str:
    """A small text file in UTF-8.

    Raises:
        InputError: it can't be read, or is not UTF-8.
    """
    try:
        return handed_in.read(path, most=LARGEST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8 text", "Save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{what} can't be read ({error.strerror})", "Check the path and its permissions.") from None


def _value(key: str, text: str) -> Any:
    if key in FLAGS:
        if text.lower() not in YES_NO:
            raise InputError(f"the filter {key} is yes or no")
        return YES_NO[text.lower()]
    if key in MOMENTS:
        return moment(text, name=f"the filter {key}")
    if key not in TEXTS:
        known = ", ".join(sorted((*FLAGS, *MOMENTS, *TEXTS)))
        raise InputError("--where names a filter that does not exist", f"Filters: {known}.")
    return text
