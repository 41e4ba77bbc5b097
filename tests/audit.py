"""What pip-audit found, in a line: `.ci/audit` runs it and asks this. A package that its database does not know counts as not audited."""

from __future__ import annotations

import json
import sys
from pathlib import Path

UNREACHED = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "HTTPError", "connect")
"""What pip-audit's messages name when its database can't be asked."""


def verdict(found: str, said: str) -> tuple[int, str]:
    """(exit code, line): 1 for a known vulnerability, and where pip-audit broke down for another reason than the network; 0 for none,
    and where nothing could be audited, which the line says. ``found`` is its JSON, ``said`` its messages.
    """
    try:
        packages = json.loads(found)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if not any(word in said for word in UNREACHED):
            return 1, "Vulnerabilities: pip-audit broke down, nothing was audited."
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
    code, line = verdict(*(Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3]))
    sys.stdout.write(f"{line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
