"""What all commands share: the global options, wherever they stand on the line, and the opened Workbench."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from workbench.cli.talk import say
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.bench import Workbench

FOUND = 1
FINE = 0


@dataclass(frozen=True)
class Session:
    """The global options of this run of the command."""

    workspace: Path | None = None
    debug: bool = False


def split(arguments: Sequence[str]) -> tuple[Session, list[str]]:
    """The global options, which may stand anywhere before ``--``, and the rest of the line.

    Raises:
        InputError: --workspace without a folder.
    """
    workspace: str | None = None
    debug = False
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--debug":
            debug = True
        elif word.startswith("--workspace="):
            workspace = word.partition("=")[2]
        elif word == "--workspace":
            workspace = next(words, "")
        else:
            rest.append(word)
    if workspace == "":
        raise InputError("--workspace names no folder", "Write it as --workspace DIR.")
    return Session(Path(workspace) if workspace else None, debug), rest


@contextmanager
def opened(ctx: typer.Context) -> Iterator[Workbench]:
    """The Workbench on this run's workspace, closed at the end; says so when it logged in the old way, or could not sign."""
    from workbench.bench import Workbench

    wb = Workbench.open(ctx.ensure_object(Session).workspace)
    try:
        yield wb
    finally:
        for warning in filter(None, (wb.login_warning, wb.trail_warning)):
            say(warning)
        wb.close()


def code(found: object) -> int:
    """The exit code of a command that looked: 1 when it found something, else 0."""
    return FOUND if found else FINE
