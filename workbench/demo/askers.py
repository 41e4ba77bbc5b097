"""The 120 people who asked to be mailed again: most on sound consents of several kinds, some on consents that don't hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from workbench.demo.cast import Cast, Member
from workbench.demo.evidence import call_wav, email_eml, form_pdf, signup_log

REASON = "asked_in_writing"
SOUND = 80
CONSENT_COLUMNS = (
    "Person ID", "Email", "Given At", "Purpose", "Method", "Collection Point", "Notice Text", "Notice Version", "Language",
    "Jurisdiction", "Authorization Type", "Consent Type", "State", "Double Opt In At", "Valid Until", "Expressed By", "Pre Ticked",
    "Solicited By Email", "Recording Kept", "Given To", "Evidence",
)  # fmt: skip
NOTICE = "Yes, please send me your newsletter by e-mail again. I can unsubscribe at any time."


@dataclass
class Askers:
    """What the batch needs: who, their consents as an export, the evidence files, and who changes their mind meanwhile."""

    people: list[Member] = field(default_factory=list)
    consents: list[dict[str, str]] = field(default_factory=list)
    evidence: dict[str, bytes] = field(default_factory=dict)
    changes_mind: Member | None = None


def gather(cast: Cast) -> Askers:
    """Everybody of the batch, in the register, in the org, and with what they signed."""
    asked = Askers()
    for i in range(SOUND):
        _ask(cast, asked, i, _sound(i))
    asked.changes_mind = asked.people[40]
    for problem, count in PROBLEMS:
        for i in range(count):
            problem(cast, asked, i)
    log = [
        f"{c['Given At']},newsletter,{bool(c['Double Opt In At'])},{n}"
        for n, c in enumerate(asked.consents)
        if "signups.csv" in c["Evidence"]
    ]
    asked.evidence["signups.csv"] = signup_log(log)
    return asked


def _ask(cast: Cast, asked: Askers, i: int, consent: dict[str, str] | None, *, source: str = "", **org: Any) -> Member:
    """Somebody unsubscribed on both sides, who gave this consent a month or more later."""
    member = cast.in_org(cast.member(), opted_out=True, times=1 + (i % 5 == 0) + (i % 11 == 0), **org)
    cast.in_register(member, source=source or ("clicked_link", "manual")[i % 2])
    asked.people.append(member)
    if consent is not None:
        _sign(cast, asked, member, consent)
    return member


def _sign(cast: Cast, asked: Askers, member: Member, consent: dict[str, str]) -> None:
    number = len(asked.consents) + 1
    given = cast.opt_out(member) + timedelta(days=30, seconds=number)
    row = dict.fromkeys(CONSENT_COLUMNS, "") | {
        "Person ID": member.person_id,
        "Email": member.email,
        "Given At": given.isoformat(),
        "Purpose": "sales_email",
        "Notice Text": NOTICE,
        "Notice Version": "2025-03",
        "Language": "en",
        "Authorization Type": "consent",
        "Consent Type": "explicitly_expressed",
        "State": "given",
        "Expressed By": "person",
    }
    row |= consent
    if row["Double Opt In At"]:
        row["Double Opt In At"] = (given + timedelta(minutes=7)).isoformat()
    form = f"form-{number:03d}.pdf"
    files = {"paper": form, "in_person": form, "email": f"mail-{number:03d}.eml", "telephone": f"call-{number:03d}.wav"}
    name = files.get(row["Method"], "signups.csv")
    if row["Evidence"] != "none":
        row["Evidence"] = name
        asked.evidence.setdefault(name, _file(name, number, member, format_datetime(given)))
    else:
        row["Evidence"] = ""
    asked.consents.append(row)


def _file(name: str, number: int, member: Member, when: str) -> bytes:
    if name.endswith(".pdf"):
        return form_pdf(number)
    if name.endswith(".eml"):
        return email_eml(member.email, when, number)
    return call_wav(number) if name.endswith(".wav") else b""


def _sound(i: int) -> dict[str, str]:
    kinds: tuple[dict[str, str], ...] = (
        {"Method": "paper", "Jurisdiction": "GB"},
        {
            "Method": "web_form",
            "Jurisdiction": "DE",
            "Double Opt In At": "yes",
            "Collection Point": "https://www.example.com/newsletter",
            "Language": "de",
        },
        {"Method": "email", "Jurisdiction": "FR", "Language": "fr"},
        {"Method": "telephone", "Jurisdiction": "US", "Recording Kept": "yes"},
        {"Method": "in_person", "Jurisdiction": "NL", "Collection Point": "trade fair, Utrecht", "Recording Kept": "yes"},
    )
    return kinds[i % len(kinds)]


def _with(**changes: str) -> Callable[[Cast, Askers, int], None]:
    """A problem that lies in the consent: a sound one with these cells."""
    cells = {key.replace("_", " "): value for key, value in changes.items()}

    def problem(cast: Cast, asked: Askers, i: int) -> None:
        _ask(cast, asked, i, _sound(0) | cells)

    return problem


def _no_consent(cast: Cast, asked: Askers, i: int) -> None:
    _ask(cast, asked, i, None)


def _too_early(cast: Cast, asked: Askers, i: int) -> None:
    member = _ask(cast, asked, i, None)
    _sign(cast, asked, member, _sound(0) | {"Given At": (cast.opt_out(member) - timedelta(days=10)).isoformat()})


def _other_address(cast: Cast, asked: Askers, i: int) -> None:
    _ask(cast, asked, i, _sound(2) | {"Email": f"another.mailbox.{i}@example.net"})


def _ended(cast: Cast, asked: Askers, i: int) -> None:
    _ask(cast, asked, i, _sound(0) | {"Valid Until": (cast.now - timedelta(days=3)).isoformat()})


def _bounced(cast: Cast, asked: Askers, i: int) -> None:
    at = (cast.now - timedelta(days=15)).isoformat()
    _ask(cast, asked, i, _sound(0), EmailBouncedDate=at, EmailBouncedReason="550 5.1.1 User unknown")


def _complained(cast: Cast, asked: Askers, i: int) -> None:
    _ask(cast, asked, i, _sound(3), source="spam_complaint")


def _shared(cast: Cast, asked: Askers, i: int) -> None:
    member = _ask(cast, asked, i, _sound(0))
    cast.in_register(cast.member(email=member.email), salesforce_id="")


PROBLEMS: tuple[tuple[Callable[[Cast, Askers, int], None], int], ...] = (
    (_no_consent, 4),
    (_too_early, 4),
    (_other_address, 3),
    (_with(State="withdrawn"), 3),
    (_ended, 3),
    (_with(Pre_Ticked="yes"), 3),
    (_with(Authorization_Type="legitimate_interest"), 3),
    (_with(Evidence="none"), 3),
    (_with(Solicited_By_Email="yes"), 3),
    (_bounced, 3),
    (_with(Purpose="event_invitations"), 2),
    (_with(Method="web_form", Jurisdiction="DE", Collection_Point="https://www.example.com/newsletter"), 2),
    (_with(Method="telephone", Jurisdiction="US"), 2),
    (_complained, 1),
    (_shared, 1),
)
"""40 people who must be refused, each kind for a reason of its own."""
