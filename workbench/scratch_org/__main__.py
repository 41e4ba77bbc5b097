"""``python -m workbench.scratch_org``: serve a Salesforce org on localhost."""

import argparse
import errno
import sys
from pathlib import Path

HIGHEST_PORT = 65_535


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
    """Serve until stopped; 2 when the org can't start, with a sentence and what to do."""
    given = vars(parser().parse_args(arguments))
    from .clock import instant
    from .serve import Options, serve

    try:
        _check_ports(given["port"], given["control_port"])
        given["clock"] = instant(given["clock"]) if given["clock"] else None
        serve(Options(**given))
    except (ValueError, OSError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        sys.stderr.write(f"The scratch org can't start: {reason.rstrip('.')}.\n  {_advice(error)}\n")
        return 2
    return 0


def _check_ports(*ports: int) -> None:
    if not all(0 <= port <= HIGHEST_PORT for port in ports):
        raise ValueError(f"a port is a number from 0 to {HIGHEST_PORT}")


def _advice(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES) and not error.filename:
        return "Name another port with --port, or leave --port out for any free one."
    return "Correct that option and start it again; --help shows what it takes."


if __name__ == "__main__":
    raise SystemExit(main())
