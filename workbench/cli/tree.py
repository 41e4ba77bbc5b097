"""The tree of commands, loaded branch by branch: building forty commands to show one of them would cost more than running it.

Help is found by the words alone, without parsing them: typer converts the value of every option by pydantic, which takes six
times as long as starting Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "init": ("workspace", "Create a workspace."),
    "demo": ("workspace", "Run the whole job on a scratch org."),
    "lab": ("workspace", "Open JupyterLab on the workspace."),
    "import": ("imports", "Import people, unsubscribes, consents."),
    "people": ("people", "List people with their state on both sides."),
    "person": ("people", "Show one person's history card."),
    "unsubscribe": ("people", "Unsubscribe one person."),
    "access-report": ("people", "Write all that is known about a person."),
    "erase": ("erasing", "Erase people on request."),
    "consent": ("consents", "Record, show and verify documented consents."),
    "batch": ("batches", "Resubscribe people in batches: propose, approve, run."),
    "mismatches": ("sync", "List where both sides disagree."),
    "forecast": ("sync", "List what tonight's sync would do, and why."),
    "sync": ("sync", "Run the unsubscribe sync."),
    "followup": ("sync", "Check whether resubscriptions held."),
    "org": ("org", "The Salesforce org: log in, check, read."),
    "report": ("audit", "Issue reports and verify issued ones."),
    "trail": ("audit", "The audit trail: verify, export, prove."),
    "operator": ("audit", "Who may do what."),
    "scratch-org": ("workspace", "A Salesforce org on this computer, for trials."),
    "backup": ("backups", "Write the whole workspace to one file."),
    "restore": ("backups", "Unpack a backup into a new folder."),
    "restored": ("backups", "Confirm that a restored register is complete again."),
    "store": ("workspace", "The register's database."),
}
"""Every command and group, the room it is in, and its short help; a test keeps the latter equal to the command's own."""

ABOUT = "Bring people back who unsubscribed from e-mail: with documented consent, on both systems, with proof."
EPILOG = """\
\b
Everywhere on the line:
  --workspace DIR  the workspace (else WORKBENCH_HOME, else upwards from here)
  --debug          show tracebacks; they may hold personal data
  --help           show this, or what a command takes
  --version        show which version this is

Exit codes: 0 fine; 1 found something; 2 could not do or tell.
"""


class Branches(TyperGroup):
    """The root command: knows all names, loads the room of the one that is asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands.update(dict.fromkeys(COMMANDS))  # type: ignore[arg-type]  # the names are for suggestions only

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's signature
        """The command of this name, None when there is none."""
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's signature
        """The list of commands in the help, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


def root() -> Any:
    """The root command."""
    app = typer.Typer(name="workbench", cls=Branches, add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    app.callback(help=ABOUT, epilog=EPILOG, add_help_option=False, options_metavar="")(_nothing)
    return typer.main.get_command(app)


def help_asked_for(command: Any, words: Sequence[str]) -> str | None:
    """The help text that a line ending in --help asks for; None when it does not, or when the command has a help of its own."""
    if words[-1:] != ["--help"]:
        return None
    ctx = typer.Context(command, info_name="workbench")
    for word in words[:-1]:
        below = command.get_command(ctx, word) if hasattr(command, "get_command") else None
        if below is None and hasattr(command, "get_command") and not word.startswith("-"):
            return None  # a command that does not exist is said to be missing, whatever follows
        if below is None:
            break
        command, ctx = below, typer.Context(below, info_name=word, parent=ctx)
    return None if command.context_settings.get("help_option_names") == [] else str(command.get_help(ctx))


def _nothing() -> None:
    """The root has no options of its own: the global ones are taken off the line before (`session.split`)."""


def _command(name: str) -> Any:
    room = typer.Typer(rich_markup_mode=None, add_completion=False)
    room.callback()(_nothing)  # keeps a room of one command a group
    import_module(f"workbench.cli.{COMMANDS[name][0]}").add_to(room)
    return typer.main.get_group(room).commands[name]
