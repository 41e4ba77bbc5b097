"""What pip-audit found, in a line: `.ci/audit` runs it and asks this. A package that its database does not know counts as not audited."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def verdict(found: str) -> tuple[int, str]:
    """(exit code, line): 1 for a known vulnerability; 0 for none, and where nothing could be audited, which the line says."""
    try:
        packages = json.loads(found)["dependencies"]
    except (ValueError, KeyError, TypeError):
        packages = []
    audited = [one for one in packages if "vulns" in one and "skip_reason" not in one]
    known = [f"{one['name']} {one['version']} ({vuln['id']})" for one in audited for vuln in one["vulns"]]
    if known:
        return 1, f"Vulnerabilities: {len(known)} known: {', '.join(known)}."
    if not audited:
        return 0, "Vulnerabilities: SKIPPED, nothing was audited: the database can't be asked from here."
    left = len(packages) - len(audited)
    return 0, f"Vulnerabilities: none known of {len(audited)} packages{f'; {left} could not be audited' if left else ''}."


def main() -> int:
    """Print the line."""
    code, line = verdict(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(f"{line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
