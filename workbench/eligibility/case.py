"""What a rule is asked and what it answers: the case, the finding, the verdict, and the form of a rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from workbench.consent import Consent
from workbench.org import FieldChange, OrgRow
from workbench.person import Person, Unsubscribe
from workbench.policy import Policy

Severity = Literal["refuse", "strengthen"]
Outcome = Literal["eligible", "refused", "stronger_evidence_needed"]
REFUSE: Severity = "refuse"
STRENGTHEN: Severity = "strengthen"


@dataclass(frozen=True, kw_only=True)
class EvidenceCheck:
    """How one evidence file was found when it was last re-hashed: intact, altered (another digest) or missing."""

    sha256: str
    state: Literal["intact", "altered", "missing"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything that decides about one person, as read just before.

    ``unsubscribes`` are all episodes, open and closed. ``rows`` are the linked org records, by id or equal address,
    ``missing_records`` the linked ids that the org no longer knows, ``history`` the opt-out changes of all of them, records
    merged or converted away included. ``unwritable`` names fields that our user may not edit, such as
    ``Lead.HasOptedOutOfEmail``. ``evidence`` is the check of every file of the consent. ``open_batch`` is the id of another open
    batch that holds the person, or "". ``withdrawn_at`` is when the person last took any consent back, or refused one.
    ``org_time`` is the time by Salesforce's clock when its records were read, None where it is not known.
    """

    person: Person
    unsubscribes: tuple[Unsubscribe, ...] = ()
    rows: tuple[OrgRow, ...] = ()
    missing_records: frozenset[str] = frozenset()
    history: tuple[FieldChange, ...] = ()
    unwritable: tuple[str, ...] = ()
    consent: Consent | None
    evidence: tuple[EvidenceCheck, ...] = ()
    reason: str
    other_people_with_address: int = 0
    open_batch: str = ""
    withdrawn_at: datetime | None = None
    org_time: datetime | None = None

    @property
    def open_episodes(self) -> tuple[Unsubscribe, ...]:
        """The episodes that keep the person unsubscribed in the register."""
        return tuple(episode for episode in self.unsubscribes if episode.closed_at is None)

    @property
    def opted_out_rows(self) -> tuple[OrgRow, ...]:
        """The org records that are opted out."""
        return tuple(row for row in self.rows if row.opted_out)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Why a person is kept out: a stable code, a sentence for the analyst (ids, never addresses) and the rule's source."""

    code: str
    severity: Severity
    sentence: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision on one person and consent under one policy, with every finding in the order of the rules."""

    person_id: str
    outcome: Outcome
    findings: tuple[Finding, ...]
    policy_digest: str

    @property
    def eligible(self) -> bool:
        """Whether the person may be resubscribed."""
        return self.outcome == "eligible"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings."""
        return tuple(finding.code for finding in self.findings)


@dataclass(frozen=True)
class Question:
    """What a rule looks at: the case, the policy and the time of the decision (UTC)."""

    case: Case
    policy: Policy
    now: datetime

    @property
    def consent(self) -> Consent:
        """The consent; only rules about a consent ask for it, and they are not asked without one."""
        if self.case.consent is None:
            raise RuntimeError("a rule about a consent was asked without one")
        return self.case.consent


Judge = Callable[[Question], str | None]
"""Returns the sentence to show, or None when there is nothing to object."""


@dataclass(frozen=True)
class Rule:
    """One rule of the domain; calling it judges a case. Without a consent only `no_consent` and the rules about people speak."""

    code: str
    severity: Severity
    source: str
    judge: Judge
    about_consent: bool

    def __call__(self, case: Case, policy: Policy, now: datetime) -> Finding | None:
        """The finding, or None."""
        if self.about_consent and case.consent is None:
            return None
        sentence = self.judge(Question(case, policy, instant(now)))
        if sentence is None:
            return None
        return Finding(code=self.code, severity=self.severity, sentence=sentence, source=self.source)


def rule(severity: Severity, source: str, *, about_consent: bool = True) -> Callable[[Judge], Rule]:
    """Make a rule of the function below: its name is the code that verdicts and exports carry, so it never changes."""
    return lambda judge: Rule(judge.__name__, severity, source, judge, about_consent)


def instant(moment: datetime) -> datetime:
    """A moment in UTC and whole seconds, as both systems stamp them, so that two compare as they happened.

    Raises:
        ValueError: without a time zone nobody knows which moment is meant.
    """
    if moment.utcoffset() is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


def readable(moment: datetime) -> str:
    """A moment as analysts read it everywhere: ``2026-03-14 09:30:05 UTC``."""
    return instant(moment).strftime("%Y-%m-%d %H:%M:%S UTC")
