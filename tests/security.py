"""`make security`: the tests of the rules in SECURITY.md, and how many attacks and payloads they made."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

RULES = {
    "the server holds every role to its work": ("postgresql_roles", "postgresql"),
    "data stays data: SQL, SOQL, paths, markup, formulas": ("injection", "report_injection", "salesforce_soql", "spreadsheet"),
    "no pickle, no eval, no shell": ("no_code_from_data",),
    "personal data stays where it belongs": ("privacy", "reports", "notebook_guard"),
    "nobody gets past an opt-out": ("attacks", "attacks_intake", "attacks_sync", "withdrawal", "key_trouble"),
    "whatever fails, the opt-out stays: an exception in every function that decides": ("fail_closed",),
    "nothing but Salesforce is spoken to, and its answers are doubted": ("salesforce_transport", "salesforce_replies", "bounds"),
    "files are counted, sniffed and never unpacked": ("evidence", "evidence_outcomes", "intake_files", "backup"),
    "a restored register resubscribes nobody on what it knew before": ("restoring",),
    "the trail shows what was changed": ("tampering", "verify_trail", "verify_trail_checks"),
    "every dependency has its reason and a licence that was looked at": ("docs", "licences", "sbom", "audit_of_packages"),
    "no input breaks a reader, an import, the verifier or the connection": ("fuzz", "fuzz_whole", "scratch_org/fuzz"),
    "who is at work is never a parameter, and who may do what never a screen's question": (
        "settings",
        "store_operators",
        "two_operators",
    ),
    "servers are for this computer only, behind a token, under their own name": (
        "scratch_org/scratch_rows",
        "scratch_org/doors",
        "e2e/lab",
    ),
    "practice is never taken for the real thing, nor one org for another": ("another_org", "scratch_org/logins"),
    "secrets are kept apart": ("credentials", "signing", "canaries"),
}
"""Each rule, and the modules of tests that fail without it."""


def file_of(name: str) -> Path:
    """The file of a module of tests, as `RULES` names it."""
    return TESTS / Path(name).with_name(f"test_{Path(name).name}.py")


def named(file: Path) -> str:
    """How `RULES` names a file of tests."""
    return (file.relative_to(TESTS).parent / file.stem.removeprefix("test_")).as_posix()


class Count:
    """Counts the tests of each module by outcome."""

    def __init__(self) -> None:
        self.of: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Once a test: its call, or why it never came to it."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            file = TESTS.parent / report.nodeid.partition("::")[0]
            self.of.setdefault(named(file), Counter())[report.outcome] += 1


def payloads() -> dict[str, int]:
    """How many attacks and payloads the tests hold, by what they are."""
    import test_injection
    import test_no_code_from_data
    import test_postgresql_roles as roles
    import test_report_injection

    every = Counter(role for role, _, _ in roles.ATTACKS)
    found = {f"SQL attacks with the login of the role {role}": number for role, number in every.items()}
    found["forged events times roles"] = len(roles.FORGED) * len(roles.ROLES)
    found |= test_injection.PAYLOADS | test_report_injection.PAYLOADS
    found["ways from data to code that are searched for"] = len(test_no_code_from_data.PLANTED)
    return found


def main() -> int:
    """Run the rules' tests; print a line a rule and the counts; pytest's exit code."""
    began, count = time.monotonic(), Count()
    files = [str(file_of(name)) for names in RULES.values() for name in names]
    code = int(pytest.main(["-q", "-m", "not slow", "-n", "2", "--dist", "loadfile", *files], plugins=[count]))
    print()
    for rule, names in RULES.items():
        tests: Counter[str] = sum((count.of.get(name, Counter()) for name in names), Counter())
        print(f"{tests['passed']:6,} passed {tests['failed']:4} failed {tests['skipped']:4} skipped  {rule}")
    for what, number in payloads().items():
        print(f"{number:6,} {what}")
    print(f"{time.monotonic() - began:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
