"""Backup and restore on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import write
from workbench.cli.session import code, opened
from workbench.cli.talk import say

if TYPE_CHECKING:
    from workbench.backup import Backup


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet, outside of the workspace.")],
) -> int:
    """Write the whole workspace to one file. While it is in use; every part is read again. For administrators."""
    with opened(ctx) as wb:
        made = wb.backup(file)
        kept_in = wb.trail.key_kept_in
    _tell(made)
    say("It is as secret as the workspace: it holds people's data, and every key that lies in the workspace as a file.")
    say(f"The key that signs the trail is kept in {kept_in}.")
    return code(made.problems)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the backup wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet.")],
) -> int:
    """Unpack a backup into a new folder. Never over a workspace that is there; every part is compared."""
    from workbench.bench import Workbench

    made = Workbench.restore(file, folder)
    _tell(made)
    say(f"What was entered after {made.made_at:%Y-%m-%d %H:%M} UTC is not in it. Before anybody is resubscribed from it:")
    say("  enter the unsubscribes and withdrawals received since, erase again who was erased since,")
    say("  cancel batches that are open, and read Salesforce whole with `workbench org pull --full`.")
    return code(made.problems)


def _tell(made: Backup) -> None:
    write(f"{made.path}\n")
    say(f"{made.files} files and {made.events} events of the trail, all read and compared; SHA-256 {made.sha256}.")
    for problem in made.problems:
        say(problem)
