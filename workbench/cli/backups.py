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
    app.command("restored")(restored)


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
    say(
        f"What was entered after {made.made_at:%Y-%m-%d %H:%M} UTC is not in it, so every open batch was given up. Now, in this order:"
    )
    say("  1. end batches with people on the way, who are opted out again: `workbench batch list`, `workbench batch resume ID`;")
    say("  2. enter the unsubscribes and withdrawals received since, and erase again who was erased since;")
    say("  3. read Salesforce whole with `workbench org pull --full`;")
    say("  4. confirm it with `workbench restored`. No batch can be approved before.")
    return code(made.problems)


def restored(ctx: typer.Context) -> int:
    """Confirm that a restored register is complete again. Batches can be approved from then on; for administrators."""
    with opened(ctx) as wb:
        made_at = wb.confirm_restored()
    say(f"Noted that what was received since {made_at:%Y-%m-%d %H:%M} UTC is in the register. Batches can be approved again.")
    return 0


def _tell(made: Backup) -> None:
    write(f"{made.path}\n")
    say(f"{made.files} files and {made.events} events of the trail, all read and compared; SHA-256 {made.sha256}.")
    for problem in made.problems:
        say(problem)
