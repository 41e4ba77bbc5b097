"""Who a record is about: e-mail addresses, Salesforce ids, ids of our own, and the forms that are safe to print.

Decides when two spellings are the same address or the same Salesforce record. Knows nothing of registers or orgs.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import string
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

_ID_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
ID_CAPITALS = {ord(c): "01"[c.isupper()] for c in string.ascii_letters + string.digits}
"""For `str.translate`: "1" for each capital of an id, "0" for everything else in it."""
SALESFORCE_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
LONGEST_ADDRESS = 254  # RFC 5321 4.5.3.1.3, less the angle brackets


_PLAIN_ADDRESS = re.compile(r"[!-~]+@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*")
"""What nearly every address looks like: nothing but its case can differ from its normal form."""


def normalize_address(text: str) -> str:
    """The form under which two spellings of one mailbox are compared: NFC, no surrounding space, lower case, ASCII domain.

    The local part is lower-cased too: RFC 5321 allows mailboxes that differ by case only, no provider in use has them, and
    treating two spellings as one person keeps more people opted out. It is not case-folded, which would make one mailbox of
    ``straße`` and ``strasse``. Returns "" for what can't be an address.
    """
    if len(text) <= LONGEST_ADDRESS and _PLAIN_ADDRESS.fullmatch(text):
        return text.lower()
    address = unicodedata.normalize("NFC", text).strip()
    if len(address) > LONGEST_ADDRESS or " " in address or not address.isprintable():
        return ""
    local, _, domain = address.rpartition("@")
    domain = ascii_domain(domain)
    if not local or not all(domain.split(".")):
        return ""
    normalized = f"{unicodedata.normalize('NFC', local.lower())}@{domain}"
    return normalized if len(normalized) <= LONGEST_ADDRESS else ""


def ascii_domain(domain: str) -> str:
    """A domain in lower-case ASCII, or lower-cased as it is where it has no such form.

    By IDNA 2008 (with the mapping of UTS 46): Python's own codec knows IDNA 2003 only, to which ``straße.example`` and
    ``strasse.example`` are one domain, while they may belong to two people.
    """
    domain = domain.rstrip(".").lower()
    if domain.isascii():
        return domain
    import idna

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        return unicodedata.normalize("NFC", domain)


def spellings(address: str) -> frozenset[str]:
    """An address as given, normalised, with its domain in Unicode and its accents apart: systems keep each of these forms."""
    import idna

    normal = normalize_address(address)
    found = {address.strip(), normal}
    local, _, domain = normal.rpartition("@")
    if "xn--" in domain:
        with contextlib.suppress(idna.IDNAError):
            found.add(f"{local}@{idna.decode(domain)}")
    found |= {unicodedata.normalize("NFD", one) for one in found}
    return frozenset(found - {""})


def domain_of(address: str) -> str:
    """What stands behind the last @ of a normalised address; "" where there is none."""
    return address.rpartition("@")[2] if "@" in address else ""


def redact(address: str) -> str:
    """A form for screens that must not show the address: first letter and domain's last label, ``j…@….org``."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@….{domain.rpartition('.')[2]}" if local else "…"


def salesforce_id_18(text: str) -> str:
    """A Salesforce id in its 18-character, case-safe form.

    Source: Salesforce help "How to convert 15-character ids"; each block of five characters yields one suffix character.

    Raises:
        ValueError: not 15 or 18 letters and digits, or an 18-character id whose suffix does not fit.
    """
    text = text.strip()
    if not SALESFORCE_ID.fullmatch(text):
        raise ValueError("a Salesforce id has 15 or 18 letters and digits")
    stem = text[:15]
    suffix = id_suffix(stem.translate(ID_CAPITALS))
    if len(text) == 18 and text[15:].upper() != suffix:
        raise ValueError("the last three characters of this Salesforce id do not fit the first fifteen")
    return stem + suffix


_PLAIN_IDS = re.compile(r"(?:[A-Za-z0-9]{18}\n)*")


def are_18_characters(ids: Sequence[str]) -> bool:
    """Whether all of them are Salesforce ids in their 18-character form already; asked of all at once, as imports and pulls bring many."""
    text = "\n".join([*ids, ""])  # one that holds a line feed makes two lines, and the text too long
    if len(text) != 19 * len(ids) or not _PLAIN_IDS.fullmatch(text):
        return False
    capitals = text.translate(ID_CAPITALS)
    return [id_suffix(capitals[at : at + 15]) for at in range(0, len(capitals), 19)] == [text[15:] for text in ids]


@cache  # 32,768 of them at most
def id_suffix(capitals: str) -> str:
    """The last three characters of an id, by where its first fifteen are capitals ("1") and where not ("0"): see `ID_CAPITALS`.

    Each is for five characters, the first of which counts least.
    """
    return "".join(_ID_SUFFIX[int(capitals[at : at + 5][::-1], 2)] for at in (0, 5, 10))


def new_id() -> str:
    """A new UUIDv7 (RFC 9562 5.7): sorts by time of creation, 32 hexadecimal digits with dashes."""
    value = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_ids(number: int) -> list[str]:
    """So many new ids as `new_id` makes them, in order; many at once cost a third."""
    time_part = f"{int(time.time() * 1000):012x}"
    head = f"{time_part[:8]}-{time_part[8:]}-7"
    rest = secrets.token_bytes(10 * number).hex()
    return sorted(
        f"{head}{rest[at : at + 3]}-{_VARIANT[rest[at + 3]]}{rest[at + 4 : at + 7]}-{rest[at + 7 : at + 19]}"
        for at in range(0, 20 * number, 20)
    )


_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


@dataclass(frozen=True, kw_only=True)
class Person:
    """One human in the register, as it stands now.

    ``email`` is normalised (see `normalize_address`), ``email_as_given`` the spelling that came in. ``version`` grows with
    every change of the person or its unsubscribes; a decision taken on one version does not hold on another. ``former_emails``
    are the normalised addresses that the person had before.
    """

    person_id: str
    email: str
    email_as_given: str
    version: int
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    title: str = ""
    salesforce_ids: tuple[str, ...] = ()
    external_id: str = ""
    former_emails: tuple[str, ...] = ()

    @property
    def spellings(self) -> frozenset[str]:
        """Every way in which this person's addresses, present and former, may stand in another system."""
        return frozenset(s for address in (self.email, self.email_as_given, *self.former_emails) for s in spellings(address))

    def __repr__(self) -> str:
        return f"Person({self.person_id})"  # logs and notebooks must not carry the address


@dataclass(frozen=True, kw_only=True)
class Unsubscribe:
    """One episode of a person being opted out in the register; open until ``closed_at`` is set, never deleted.

    ``opted_out_at`` is when the person (or the system named by ``source``) acted, ``recorded_at`` when we learnt of it.
    """

    unsubscribe_id: str
    person_id: str
    opted_out_at: datetime
    source: str
    detail: str = field(default="", repr=False)
    recorded_at: datetime
    closed_at: datetime | None = None


def unsubscribed(episodes: Iterable[Unsubscribe]) -> bool:
    """Whether a person of these episodes is unsubscribed: while any of them is open."""
    return any(episode.closed_at is None for episode in episodes)


UNSUBSCRIBE_SOURCES = ("clicked_link", "manual", "salesforce_sync", "bounce", "spam_complaint", "import")
