"""``python -m workbench`` and the ``workbench`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command and end the process with its exit code."""
    from workbench.cli.app import run

    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
