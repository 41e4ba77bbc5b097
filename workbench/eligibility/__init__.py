"""May this person be resubscribed on this consent? Pure rules with stable codes; a verdict says why not.

One rule above all: an opt-out wins. A rule that can't be judged refuses. Reads nothing and writes nothing: whoever asks
brings the case, fresh, and the time.
"""

from __future__ import annotations

from datetime import datetime

from workbench.eligibility.case import REFUSE, STRENGTHEN, Case, EvidenceCheck, Finding, Outcome, Rule, Verdict, instant, readable
from workbench.eligibility.opt_outs import OptOut, opt_outs
from workbench.eligibility.refusals import REFUSALS
from workbench.eligibility.strengthenings import STRENGTHENINGS
from workbench.policy import Policy
from workbench.said import said

__all__ = [
    "REFUSE",
    "RULES",
    "STRENGTHEN",
    "Case",
    "EvidenceCheck",
    "Finding",
    "OptOut",
    "Rule",
    "Verdict",
    "assess",
    "instant",
    "opt_outs",
    "readable",
]

RULES: tuple[Rule, ...] = (*REFUSALS, *STRENGTHENINGS)
"""Every rule, in the order in which findings are shown."""


def assess(case: Case, policy: Policy, *, now: datetime) -> Verdict:
    """Whether the person of ``case`` may be resubscribed at ``now`` (with zone), with every finding. Never raises."""
    findings = tuple(finding for rule in RULES if (finding := judged(rule, case, policy, now=now)))
    severities = {finding.severity for finding in findings}
    outcome: Outcome = "refused" if REFUSE in severities else "stronger_evidence_needed" if severities else "eligible"
    return Verdict(person_id=case.person.person_id, outcome=outcome, findings=findings, policy_digest=policy.digest)


def judged(rule: Rule, case: Case, policy: Policy, *, now: datetime) -> Finding | None:
    """What one rule finds; a rule that breaks refuses, because nobody knows what it would have found."""
    try:
        return rule(case, policy, now)
    except Exception as error:  # noqa: BLE001 - whatever breaks inside a rule must keep the person opted out
        sentence = said(
            "The rule {rule} could not be judged ({kind}), so the person stays opted out; "
            "correct the record it reads, or report the fault with this person's id.",
            rule=rule.code,
            kind=type(error).__name__,
        )
        return Finding(
            code="rule_failed", severity=REFUSE, sentence=sentence, source="an opt-out wins: in doubt nothing is cleared"
        )
