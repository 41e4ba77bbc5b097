"""What a cell says: yes or no, a moment, the source of an unsubscribe, an address, a Salesforce id.

Every function takes text and returns a value or raises ValueError with a reason that does not repeat the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workbench.errors import InputError
from workbench.person import LONGEST_ADDRESS, UNSUBSCRIBE_SOURCES, are_18_characters, normalize_address, salesforce_id_18

T = TypeVar("T")
LONGEST_LOCAL = 64  # RFC 5321 4.5.3.1.1
PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_'+-]+(?:\.[A-Za-z0-9_'+-]+)*", re.ASCII)
LONGEST_TEXT = 1_000  # characters of a name, a company, a title or an id
FIRST_YEAR, LAST_YEAR = 1990, 2200

YES = frozenset(("yes", "y", "true", "t", "1", "x", "on", "unsubscribed", "optedout", "optout", "ja", "oui", "si", "sí"))
NO = frozenset(("", "no", "n", "false", "f", "0", "off", "subscribed", "optedin", "optin", "nein", "non"))
BLANK = " -–—"
BESIDE_A_WORD = " -–—_./'\u2019\u00a0"
"""What may stand beside the letters of a plain no, as in "opted-in"."""
SOURCES = {
    **{source.replace("_", ""): source for source in UNSUBSCRIBE_SOURCES},
    "clickedlink": "clicked_link",
    "linkclick": "clicked_link",
    "unsubscribelink": "clicked_link",
    "link": "clicked_link",
    "user": "manual",
    "salesforce": "salesforce_sync",
    "sync": "salesforce_sync",
    "bounced": "bounce",
    "hardbounce": "bounce",
    "complaint": "spam_complaint",
    "spam": "spam_complaint",
}
DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]+(\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True)
class Moment:
    """A point in time as a file gives it: ``at`` has a zone; ``day`` says that there was no time, ``zoneless`` no zone."""

    at: datetime
    day: bool = False
    zoneless: bool = False


def yes_or_no(text: str) -> bool:
    """What a yes/no cell says; blank is no.

    Raises:
        ValueError: neither.
    """
    word = "".join(c for c in text.casefold() if c.isalnum())
    if word in YES:
        return True
    beside = "".join(c for c in text if not c.isalnum())
    if word in NO and (not beside.strip(BESIDE_A_WORD) if word else not text.strip(BLANK)):
        return False  # "no?" and "≠0" are no plain no
    raise ValueError("the value is neither yes nor no")


def moment(text: str, zone: tzinfo | None = None, *, latest: bool) -> Moment:
    """An ISO 8601 date, or date and time; a date or time that says no zone is read in ``zone``, else in UTC.

    Where the text leaves a choice (a date without a time, the hour that comes twice when the clocks change), ``latest`` takes
    the end of it and otherwise the beginning. Milliseconds, as the register keeps them.

    Raises:
        ValueError: not such a text, or a year that can't be meant.
    """
    text = text.strip()
    day = DAY.fullmatch(text)
    found = MOMENT.fullmatch(text)
    if not (day or found):
        raise ValueError("the date is not written as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS with its time zone")
    try:
        at = datetime.fromisoformat(_iso(found) if found else text)
    except ValueError:
        raise ValueError("there is no such date or time") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError("the year can't be meant")
    zoneless = at.tzinfo is None
    if zoneless:
        at = at.replace(tzinfo=zone or UTC, fold=1 if latest else 0)
    if day and latest:
        at = at.replace(hour=23, minute=59, second=59, microsecond=999_000)
    return Moment(to_millisecond(at), day=bool(day), zoneless=zoneless and zone is None)


def _iso(found: re.Match[str]) -> str:
    date, time, zone = found.group(1), found.group(2).replace(",", "."), (found.group(3) or "").upper()
    whole, _, fraction = time.partition(".")
    time = f"{whole}.{fraction[:6]:0<6}" if fraction else whole
    return f"{date}T{time}{'+00:00' if zone in ('Z', 'UTC', 'GMT') else zone}"


def to_millisecond(at: datetime) -> datetime:
    """A moment as the register keeps it; comparing finer ones with stored ones would find news where there is none."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def zone_named(name: str | None) -> tzinfo | None:
    """A time zone by its IANA name (``Europe/Berlin``); None for none.

    Raises:
        InputError: no zone has this name.
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError("no time zone has this name", "Use a name such as Europe/Berlin or UTC.") from None


def source(text: str) -> str | None:
    """The unsubscribe source that a text names, None where it names none that we know."""
    return SOURCES.get("".join(c for c in text.casefold() if c.isalnum()))


def address(text: str) -> str:
    """An e-mail address in its normalised form, checked for syntax only: nothing is looked up on the network.

    Raises:
        ValueError: not an address that mail can be sent to, with the reason.
    """
    if not text:
        raise ValueError("the row has no e-mail address")
    local, _, domain = text.rpartition("@")
    plain = len(local) <= LONGEST_LOCAL and PLAIN_LOCAL.fullmatch(local)
    # A file has far fewer domains than people: for plain local parts one check a domain is enough.
    if not (_deliverable(f"x@{domain}") if plain else _deliverable.__wrapped__(text)):
        raise ValueError(f"the e-mail address can't be one: {_what_is_wrong(text)}")
    found = normalize_address(text)
    if not found:
        raise ValueError("the e-mail address can't be one")
    return found


def undecorated(text: str) -> str:
    """An address without what mail programs and spreadsheets put around it, as in ``<jane@example.com>;``; "" for several addresses."""
    text = text.strip()
    if text.count("@") > 1 and re.search(r"[;,\s]", text):
        return ""
    text = re.sub(r"^mailto:", "", text.lstrip("<"), flags=re.IGNORECASE)
    domain = text.rpartition("@")[2]
    bare = text[: len(text) - len(domain)] + domain.rstrip("<>;,.\"'")
    for quote in "'\"":
        if len(bare) < len(text) and bare.startswith(quote) and bare.count(quote) == 1:
            bare = bare[1:]
    return bare


Refuse = Callable[[int, str], None]
"""Takes the place of a value in its column, and the reason why it is none."""

_PLAIN_LOCALS = re.compile(rf"(?:(?:{PLAIN_LOCAL.pattern})@\n)*", re.ASCII)


def addresses(column: Sequence[str], refuse: Refuse) -> Sequence[str]:
    """What `address` says of each, "" for those that are none."""
    parts = [text.rpartition("@") for text in column]
    locals_ = [local for local, _, _ in parts]
    domains = {domain: _plain_domain(domain) for domain in {domain for _, _, domain in parts}}
    fit = max(map(len, column), default=0) <= LONGEST_ADDRESS and max(map(len, locals_), default=0) <= LONGEST_LOCAL
    together = "@\n".join([*locals_, ""])
    if fit and all(domains.values()) and together.count("\n") == len(column) and _PLAIN_LOCALS.fullmatch(together):
        return "\n".join(column).lower().split("\n") if column else []
    found = []
    for place, (text, local, domain) in enumerate(zip(column, locals_, (domain for _, _, domain in parts), strict=True)):
        plain = domains[domain] and len(text) <= LONGEST_ADDRESS and len(local) <= LONGEST_LOCAL and PLAIN_LOCAL.fullmatch(local)
        found.append(text.lower() if plain else _or_refused(address, text, place, refuse, ""))
    return found


@lru_cache(maxsize=10_000)
def _plain_domain(domain: str) -> bool:
    """Whether everybody has an address there whose local part is plain, and only its case may have to be changed."""
    return domain.isascii() and normalize_address(f"X@{domain}") == f"x@{domain.lower()}" and _deliverable(f"x@{domain}")


def _or_refused(read: Callable[[str], T], text: str, place: int, refuse: Refuse, otherwise: T) -> T:
    try:
        return read(text)
    except ValueError as error:
        refuse(place, str(error))
        return otherwise


@lru_cache(maxsize=10_000)
def _deliverable(address: str) -> bool:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(address, check_deliverability=False, test_environment=False, globally_deliverable=False)
    except EmailNotValidError:
        return False
    return True


def _what_is_wrong(text: str) -> str:
    if text.count("@") != 1:
        return f"it has {text.count('@')} @ signs"
    if any(c.isspace() for c in text):
        return "it has a space in it"
    if not all(c.isprintable() for c in text):
        return "it has an invisible character in it"
    return "its parts before or after the @ are not allowed"


def record_ids(text: str) -> tuple[str, ...]:
    """The Salesforce ids of a cell (several are separated by ``;``) in their 18-character form.

    Raises:
        ValueError: one that is no Salesforce id.
    """
    return tuple(dict.fromkeys(salesforce_id_18(part) for part in text.split(";") if part.strip()))


def columns_of_record_ids(column: Sequence[str], refuse: Refuse) -> Sequence[tuple[str, ...]]:
    """What `record_ids` says of each, () for those that hold none."""
    given = [text for text in column if text]
    if are_18_characters(given):
        return [(text,) if text else () for text in column]
    return [_or_refused(record_ids, text, place, refuse, ()) if text else () for place, text in enumerate(column)]


def lines_of_text(column: Sequence[str], refuse: Refuse) -> Sequence[str]:
    """What `line_of_text` says of each, "" for those that are none. The column's texts have no space around them."""
    together = "".join(column)
    if together.isprintable() and "  " not in together and max(map(len, column), default=0) <= LONGEST_TEXT:
        return column
    return [_or_refused(line_of_text, text, place, refuse, "") for place, text in enumerate(column)]


def line_of_text(text: str) -> str:
    """A name as one line: control characters and line ends become spaces, direction marks go; nothing of this is printable.

    Raises:
        ValueError: longer than any name.
    """
    if text.isprintable() and "  " not in text and len(text) <= LONGEST_TEXT and text == text.strip():
        return text
    shown = text if text.isprintable() else "".join(_shown(c) for c in text)
    shown = " ".join(shown.split())
    if len(shown) > LONGEST_TEXT:
        raise ValueError(f"a name or an id has more than {LONGEST_TEXT:,} characters")
    return shown


def _shown(c: str) -> str:
    category = unicodedata.category(c)
    if category == "Cf" and c not in "\u200c\u200d":  # joiners that some scripts need
        return ""
    return " " if category in ("Cc", "Zl", "Zp") else c
