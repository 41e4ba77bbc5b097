"""Commands on the Salesforce org: credentials, permissions, snapshot."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import FormatOption, emit
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import ProgressLine, say
from workbench.counted import counted

if TYPE_CHECKING:
    from workbench.salesforce import CheckLine, SalesforceOrg

LONGEST_INPUT = 100_000  # characters


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    group = typer.Typer(help="The Salesforce org: log in, check, read.", rich_markup_mode=None, no_args_is_help=True)
    for command in (login, check, pull):
        group.command(command.__name__)(command)
    app.add_typer(group, name="org")


def login(
    ctx: typer.Context,
    client_id: Annotated[str, typer.Option("--client-id", help="The connected app's consumer key; asked for where needed.")] = "",
    token: Annotated[
        bool, typer.Option("--token", help="Read an access token from stdin: `sf org display --json | ...`")
    ] = False,
) -> int:
    """Keep credentials in the system's keyring. The secret is asked for, or read from stdin."""
    from workbench.credentials import keep_token

    with opened(ctx) as wb:
        if token:
            identity = keep_token(wb.settings.org, sys.stdin.read(LONGEST_INPUT))
        else:
            client_id = client_id or typer.prompt("Client id")
            identity = wb.login(client_id=client_id, client_secret=_secret())
    say(f"Logged in to {identity.name} ({identity.kind}); the credentials are in the keyring.")
    return FINE


def check(
    ctx: typer.Context,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also try conditional writes, on a lead made and deleted for it.")
    ] = False,
    probe_record: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Also try conditional writes on this opted-out record: its opt-out is written again, as it is."
        ),
    ] = "",
    form: FormatOption = "table",
) -> int:
    """Check what the org lets us do. Exit code 1 when something is missing."""
    with opened(ctx) as wb:
        wb.org.identity()  # an org that can't be asked is no finding: nothing can be told
        lines = [(line.ok, line.level, line.sentence) for line in wb.org_check()]
        tried = _probed(wb.org, on_a_lead=probe, on_record=probe_record) if probe or probe_record else ()
        lines += [(line.ok, "ok" if line.ok else "bad", line.sentence) for line in tried]
    emit([dict(zip(("ok", "level", "finding"), line, strict=True)) for line in lines], form)
    missing = [level for _, level, _ in lines if level == "bad"]
    say(f"{counted(len(missing), 'problem')} found." if missing else "Everything that is needed is there.")
    return code(missing)


def _probed(org: SalesforceOrg, *, on_a_lead: bool, on_record: str) -> tuple[CheckLine, ...]:
    from workbench import salesforce

    own = salesforce.probe_org(org) if on_a_lead else ()
    return own + (salesforce.probe_record(org, on_record) if on_record else ())


def pull(
    ctx: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Read everything, not only what changed.")] = False,
) -> int:
    """Read the org's people and opt-outs. Only what changed since the last time, or everything."""
    progress = ProgressLine()
    with opened(ctx) as wb:
        try:
            result = wb.pull(full=full, progress=progress)
        finally:
            progress.end()
    counts = ("kind", "rows", "changed", "deleted", "history")
    emit([{name: getattr(result, name) for name in counts}], "table")
    return FINE


def _secret() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    import getpass

    return getpass.getpass("Client secret (not shown): ")
