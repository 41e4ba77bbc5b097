"""The right to erasure on the command line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workbench.cli.imports import DryRunOption
from workbench.cli.output import FormatOption, emit, write
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import say
from workbench.counted import counted
from workbench.errors import InputError

ANSWER = "erase"


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    app.command("erase")(erase)


def erase(
    ctx: typer.Context,
    *,
    named: Annotated[list[str] | None, typer.Argument(metavar="PERSON...", help="E-mail addresses or person ids.")] = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first; for scripts.")] = False,
    due: Annotated[bool, typer.Option("--due", help="Delete evidence of erased people that no longer has to be kept.")] = False,
    form: FormatOption = "table",
) -> int:
    """Erase people on request. For administrators; lists what went and what remains (then exit code 1). Can't be undone."""
    if due == bool(named):
        raise InputError("erase takes people, or --due", "Name people by address or id, or give --due alone.")
    with opened(ctx) as wb:
        if due:
            gone = wb.erase_due()
            write("".join(f"{digest}\n" for digest in gone))
            say(f"{counted(len(gone), 'evidence file')} deleted.")
            return FINE
        if not dry_run and not yes:
            _ask(len(named or ()))
        done = wb.erase(named or [], dry_run=dry_run)
    emit([vars(line) for line in done.lines], form)
    say(
        "This was a dry run; nothing was erased."
        if dry_run
        else f"{len(done.person_ids)} {'person is' if len(done.person_ids) == 1 else 'people are'} erased and kept out."
    )
    return code([line for line in done.remains if line.number and line.what != "suppression"])


def _ask(number: int) -> None:
    """Ask whoever sits there; nobody does where the input is no terminal."""
    if not sys.stdin.isatty():
        raise InputError("erasing asks first, and nobody is there to answer", "Look with --dry-run, then give --yes.")
    sys.stderr.write(f"Erase {number} {'person' if number == 1 else 'people'} for good? Type {ANSWER} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != ANSWER:
        raise InputError("nothing was erased", "See with --dry-run what would go and what would remain.")
