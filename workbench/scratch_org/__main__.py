"""``python -m workbench.scratch_org``: serve a Salesforce org on localhost."""

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    found = argparse.ArgumentParser(
        prog="python -m workbench.scratch_org",
        description="A Salesforce org on localhost with invented people. Prints one JSON line when it is ready.",
    )
    found.add_argument("--port", type=int, default=0, help="port of the API (0: any free one)")
    found.add_argument("--control-port", type=int, default=0, help="port of the control (0: any free one)")
    found.add_argument("--data", type=Path, metavar="FILE", help="records to load, one JSON object a line")
    found.add_argument("--people", type=int, default=0, metavar="N", help="invented people to make")
    found.add_argument("--seed", type=int, default=0, metavar="S", help="which invented people")
    found.add_argument("--database", type=Path, metavar="FILE", help="keep the org in this file across restarts")
    found.add_argument("--clock", metavar="INSTANT", help="the org's present, e.g. 2026-11-02T08:00:00Z")
    found.add_argument("--user", default="Workbench Integration", metavar="NAME", help="the user the API works as")
    found.add_argument("--until-stdin-closes", action="store_true", help="end when standard input ends")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; 2 when the org can't start."""
    given = vars(parser().parse_args(arguments))
    from .clock import instant
    from .serve import Options, serve

    try:
        given["clock"] = instant(given["clock"]) if given["clock"] else None
        serve(Options(**given))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"The scratch org can't start: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
