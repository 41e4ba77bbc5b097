"""The organisation's own rules as values: who may rely on a consent, what proof it takes, how much a run may write.

Reads TOML text and says which line is wrong; decides nothing about a person (that is `eligibility`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from workbench.errors import SettingsError
from workbench.person import ascii_domain

LONGEST_POLICY = 65_536  # characters; far beyond any policy, and it keeps the search for a mistake's line short

DEFAULT_POLICY = """\
# The organisation's own rules for mailing people again who had opted out. Every verdict names this file's digest,
# so a change shows on the record. A key that is left out has the value shown here.

# Who may rely on a consent. Nobody is eligible while this is empty.
# Source: GDPR Art. 4(7) and Art. 7(1); ISO/IEC TS 27560 (controller)
controller = ""

# The mail that a consent may be for, word for word as in the consent.
# Source: GDPR Art. 6(1)(a) "one or more specific purposes"; Sales Connect asks for a purpose with "Consent"
purposes = ["sales_email"]

# A consent older than this many days needs to be renewed first.
# Source: EDPB Guidelines 05/2020, paras 110-111: refresh at appropriate intervals, no period given; two years is our choice
refresh_interval_days = 730

# Domains that are never mailed again, their subdomains included.
# Source: our choice; for a domain whose owner objected as a whole (GDPR Art. 21(2)-(3)), competitors, role accounts
blocked_domains = []

# Whether a batch has to be approved by somebody else than the operator who proposed it. Set it to true once two people work here.
# Source: ISO/IEC 27001:2022, Annex A 5.3 (segregation of duties)
approval_by_second_person = false

# Salesforce records that were changed this recently are left for a later run.
# Source: If-Unmodified-Since compares whole seconds, and long transactions commit late
quiet_period_seconds = 60

# A plan older than this is planned again before anybody may run it.
# Source: our choice: never older than the last nightly sync
plan_valid_hours = 24

# The most people that one run may resubscribe, and the most opt-outs that one nightly sync may write.
# Source: our choice: a mistake (a wrong filter, a wiped field) must not become a disaster
write_cap = 5000
sync_cap = 1000

# How many business days an opt-out may stand open before it counts as late.
# Source: 15 USC 7704(a)(4)(A)(i) (CAN-SPAM); CASL s. 11(3)
honour_within_business_days = 10

# The country whose rules apply to a consent that names none, or none that can be told.
# Source: our choice: the strictest of those below
unnamed_jurisdiction = "DE"

# By ISO 3166-1 country code. Countries that are not named here do not require a double opt-in.
# Source: BGH, 10 February 2011, I ZR 164/09, on the proof of consent under section 7 UWG
[jurisdictions.DE]
double_opt_in_required = true

# Source: Datenschutzbehoerde, 9 October 2019, DSB-D130.073/0008-DSB/2019, on GDPR Art. 32
[jurisdictions.AT]
double_opt_in_required = true

# Why people may be resubscribed: code = sentence.
# Source: our choice; Adobe publishes no list. EDPB Guidelines 05/2020, para 108: show how consent was obtained
[reasons]
confirmed_double_opt_in = "The person signed up again and confirmed it by double opt-in."
asked_in_writing = "The person asked in writing to be mailed again."
signed_form = "The person signed a form."
asked_by_phone_recorded = "The person asked by telephone, and the call was recorded."
link_scanner_or_forwarded_mail = "A machine or another person had used the unsubscribe link."
recorded_by_mistake = "The opt-out had been recorded by mistake, and the error is proven."
"""
"""The policy of a new workspace, each default with its source; loads to the same values as ``Policy()``."""

EMPTY_CONTROLLER = 'controller = ""'

DEFAULT_REASONS = (
    ("confirmed_double_opt_in", "The person signed up again and confirmed it by double opt-in."),
    ("asked_in_writing", "The person asked in writing to be mailed again."),
    ("signed_form", "The person signed a form."),
    ("asked_by_phone_recorded", "The person asked by telephone, and the call was recorded."),
    ("link_scanner_or_forwarded_mail", "A machine or another person had used the unsubscribe link."),
    ("recorded_by_mistake", "The opt-out had been recorded by mistake, and the error is proven."),
)


@dataclass(frozen=True, kw_only=True)
class Jurisdiction:
    """What one country's law asks of a consent beyond the rules that hold everywhere."""

    double_opt_in_required: bool = False


STRICT_JURISDICTIONS = (("DE", Jurisdiction(double_opt_in_required=True)), ("AT", Jurisdiction(double_opt_in_required=True)))
NOT_COUNTRIES = ("EU", "XX", "ZZ")
COUNTRY = re.compile(r"([A-Z]{2})(?:-[A-Z0-9]{1,3})?")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The organisation's rules, validated; see `DEFAULT_POLICY` for what each means and where its default comes from.

    ``jurisdictions`` is keyed by upper-case ISO 3166-1 code, ``reasons`` maps a code to its sentence, ``blocked_domains`` are
    in lower-case ASCII. Days, hours and seconds are whole numbers.
    """

    controller: str = ""
    purposes: tuple[str, ...] = ("sales_email",)
    refresh_interval_days: int = 730
    blocked_domains: tuple[str, ...] = ()
    approval_by_second_person: bool = False
    quiet_period_seconds: int = 60
    plan_valid_hours: int = 24
    write_cap: int = 5000
    sync_cap: int = 1000
    honour_within_business_days: int = 10
    unnamed_jurisdiction: str = "DE"
    jurisdictions: Mapping[str, Jurisdiction] = field(
        default_factory=lambda: MappingProxyType(dict(STRICT_JURISDICTIONS)), hash=False
    )
    reasons: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict(DEFAULT_REASONS)), hash=False)

    def country(self, jurisdiction: str) -> str:
        """The ISO code of a consent's jurisdiction; the policy's own choice where it names no country."""
        match = COUNTRY.fullmatch(jurisdiction.strip().upper())
        return match[1] if match and match[1] not in NOT_COUNTRIES else self.unnamed_jurisdiction

    def jurisdiction(self, jurisdiction: str) -> Jurisdiction:
        """What the law that a consent names asks for; ``DE-BY`` is looked up as ``DE``."""
        return self.jurisdictions.get(self.country(jurisdiction), Jurisdiction())

    def blocks(self, domain: str) -> bool:
        """Whether a normalised domain, or one it is part of, is never mailed again."""
        return any(domain == blocked or domain.endswith(f".{blocked}") for blocked in self.blocked_domains)

    def values(self) -> dict[str, object]:
        """Every value in plain types, as the digest covers them."""
        plain: dict[str, object] = {key: getattr(self, key) for key in self.__dataclass_fields__}
        plain["purposes"], plain["blocked_domains"] = list(self.purposes), list(self.blocked_domains)
        plain["jurisdictions"] = {code: vars(rules) for code, rules in self.jurisdictions.items()}
        plain["reasons"] = dict(self.reasons)
        return plain

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the values as canonical JSON: comments and order of the file don't matter, every value does."""
        import hashlib
        import json

        text = json.dumps(self.values(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def starting_policy(controller: str) -> str:
    """`DEFAULT_POLICY` with the controller filled in: the policy file of a new workspace."""
    import json

    return DEFAULT_POLICY.replace(EMPTY_CONTROLLER, f"controller = {json.dumps(controller.strip(), ensure_ascii=False)}", 1)


def load_policy(text: str, *, name: str) -> Policy:
    """The policy that a TOML text describes; ``name`` is what errors call the file.

    Jurisdictions are added to the default ones: leaving Germany out does not lift its rule, saying so does.

    Raises:
        SettingsError: not TOML, an unknown key, a wrong type or a value out of range; names the line and the key.
    """
    if len(text) > LONGEST_POLICY:
        raise SettingsError(f"{name} is longer than {LONGEST_POLICY} characters, too long for a policy.")
    text = text.removeprefix("\ufeff")  # Windows editors put it there
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise SettingsError(f"{name}{not_toml(error, text)}.", MisfitError.advice) from None
    try:
        return Policy(**{key: checked(READERS, key, value) for key, value in document.items()})
    except MisfitError as misfit:
        raise SettingsError(f"{name}, line {line_of(text, misfit.path)}: {misfit}.", misfit.advice) from None


def not_toml(error: Exception, text: str) -> str:
    """Where the parser stopped and why, as the end of a sentence; it tells the place in its message only."""
    told = re.fullmatch(r"(.+) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
    if not isinstance(error, tomllib.TOMLDecodeError) or told is None:
        return " is not valid TOML: a value is too long or nested too deep"
    return f", line {told[2] or len(text.splitlines())}: not valid TOML ({told[1][:1].lower()}{told[1][1:]})"


class MisfitError(Exception):
    """A value that can't be taken over; ``path`` are the keys that lead to it. Never leaves this module."""

    advice = "Correct that line and run the same command again."

    def __init__(self, path: tuple[str, ...], complaint: str) -> None:
        super().__init__(f"`{'.'.join(path)}` {complaint}")
        self.path = path

    def below(self, key: str) -> MisfitError:
        """The same complaint, seen from the table that holds it under ``key``."""
        return MisfitError((key, *self.path), str(self).split("` ", 1)[1])


Reader = Callable[[Any], object]
"""Takes a value as TOML gave it and returns it as the policy holds it, or raises `MisfitError` with the path below it."""


def checked(readers: Mapping[str, Reader], key: str, value: object) -> Any:
    """One value of a table, read by the reader of its key."""
    if key not in readers:
        raise MisfitError((key,), f"is not a key that the policy knows{suggestion(key, readers)}")
    try:
        return readers[key](value)
    except MisfitError as misfit:
        raise misfit.below(key) from None


def suggestion(key: str, known: Mapping[str, Reader]) -> str:
    """The known key that was probably meant, as an aside."""
    from difflib import get_close_matches

    close = get_close_matches(key, known, n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def whole(least: int, most: int) -> Reader:
    """A reader of whole numbers from ``least`` to ``most``."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise MisfitError((), f"must be a whole number from {least} to {most}")
        return value

    return read


def yes_or_no(value: object) -> bool:
    """A TOML boolean."""
    if not isinstance(value, bool):
        raise MisfitError((), "must be true or false")
    return value


def line_of_text(value: object) -> str:
    """One line of text without surrounding space; may be empty."""
    if not isinstance(value, str) or not value.strip().isprintable():
        raise MisfitError((), "must be one line of text in quotation marks")
    return value.strip()


def texts(value: object) -> tuple[str, ...]:
    """A list of lines of text, none of them empty or twice."""
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry.strip() for entry in value):
        raise MisfitError((), "must be a list of texts, none of them empty")
    entries = tuple(line_of_text(entry) for entry in value)
    if len(set(entries)) < len(entries):
        raise MisfitError((), "names the same entry twice")
    return entries


def purposes(value: object) -> tuple[str, ...]:
    """The purposes that a consent may be for, at least one."""
    return texts(value) or complain("must name at least one purpose")


def domains(value: object) -> tuple[str, ...]:
    """Domains in the form that addresses are normalised to."""
    entries = texts(value)
    if any("@" in entry or "*" in entry or "." not in entry.strip(".") for entry in entries):
        raise MisfitError((), "must list domains such as example.com, without @ or *")
    return tuple(sorted({ascii_domain(entry.lstrip(".")) for entry in entries}))


def country(value: object) -> str:
    """One ISO 3166-1 alpha-2 code."""
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{2}", value) or value in NOT_COUNTRIES:
        raise MisfitError((), 'must be a country code of two capital letters, such as "DE"')
    return value


def jurisdictions(value: object) -> Mapping[str, Jurisdiction]:
    """Rules by country, on top of the default ones."""
    table = dict(STRICT_JURISDICTIONS)
    for code, rules in as_table(value).items():
        try:
            country(code)
            table[code] = Jurisdiction(**{key: checked(JURISDICTION_READERS, key, rule) for key, rule in as_table(rules).items()})
        except MisfitError as misfit:
            raise misfit.below(code) from None
    return MappingProxyType(table)


def reasons(value: object) -> Mapping[str, str]:
    """Reason codes with their sentences, at least one."""
    table = as_table(value) or complain("must name at least one reason")
    for code, sentence in table.items():
        if not re.fullmatch("[a-z][a-z0-9_]{0,63}", code):
            raise MisfitError((code,), "must be a code of small letters, digits and underscores")
        if not isinstance(sentence, str) or not sentence.strip():
            raise MisfitError((code,), "must be a sentence in quotation marks")
    return MappingProxyType({code: sentence.strip() for code, sentence in table.items()})


def as_table(value: object) -> dict[str, Any]:
    """A TOML table."""
    return value if isinstance(value, dict) else complain("must be a table")


def complain(complaint: str) -> Any:
    """Raise the complaint about the value at hand, where an expression is wanted."""
    raise MisfitError((), complaint)


JURISDICTION_READERS: Mapping[str, Reader] = {"double_opt_in_required": yes_or_no}
READERS: Mapping[str, Reader] = {
    "controller": line_of_text,
    "purposes": purposes,
    "refresh_interval_days": whole(1, 3650),
    "blocked_domains": domains,
    "approval_by_second_person": yes_or_no,
    "quiet_period_seconds": whole(1, 86_400),
    "plan_valid_hours": whole(1, 168),
    "write_cap": whole(1, 1_000_000),
    "sync_cap": whole(1, 1_000_000),
    "honour_within_business_days": whole(1, 10),
    "unnamed_jurisdiction": country,
    "jurisdictions": jurisdictions,
    "reasons": reasons,
}


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line on which a key of a valid TOML text begins.

    The parser keeps no positions, so the text is parsed line by line more until the key is there; what could be parsed
    before it ends just above the key's first line.
    """
    lines, readable = text.split("\n"), 0
    for count in range(1, len(lines) + 1):
        try:
            found: Any = tomllib.loads("\n".join(lines[:count]) + "\n")
        except tomllib.TOMLDecodeError:
            continue
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return readable + 1
        readable = count
    return readable
