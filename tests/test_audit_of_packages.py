"""What is said of pip-audit's findings: nothing audited never reads as nothing found."""

from __future__ import annotations

import json

import pytest
from audit import verdict

FINE = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (3)"}


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([FINE, FINE], 0, "none known of 2 packages."),
        ([FINE, UNKNOWN], 0, "none known of 1 packages; 1 could not be audited."),
        ([FINE, KNOWN, UNKNOWN], 1, "1 known: b 2 (PYSEC-1)."),
        ([UNKNOWN], 0, "SKIPPED, nothing was audited: the database can't be asked from here."),
        ([], 0, "SKIPPED, nothing was audited: the database can't be asked from here."),
    ],
)
def test_the_line_and_the_exit_code(packages: list[object], code: int, line: str) -> None:
    assert verdict(json.dumps({"dependencies": packages, "fixes": []}), "") == (code, f"Vulnerabilities: {line}")


@pytest.mark.parametrize("broken", ["", "{}", "[]", "not JSON"])
def test_an_answer_that_can_not_be_read_is_no_pass(broken: str) -> None:
    assert verdict(broken, "Traceback: TypeError: no") == (1, "Vulnerabilities: pip-audit broke down, nothing was audited.")
    unreached = verdict(broken, "requests.exceptions.ConnectionError: unreachable")
    assert unreached == (0, "Vulnerabilities: SKIPPED, nothing was audited: the database can't be asked from here.")
