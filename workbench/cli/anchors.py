"""Commands that anchor the trail outside the workspace: checkpoints, and time stamps of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.output import write
from workbench.cli.session import FINE, opened
from workbench.cli.talk import say


def add_to(trail: typer.Typer) -> None:
    """Hang these commands below `trail`."""
    trail.command("checkpoint")(trail_checkpoint)
    stamps = typer.Typer(help="Time stamps of checkpoints (RFC 3161).", rich_markup_mode=None, no_args_is_help=True)
    stamps.command("request")(timestamp_request)
    stamps.command("add")(timestamp_add)
    trail.add_typer(stamps, name="timestamp")


def trail_checkpoint(
    ctx: typer.Context,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Add it to a file outside the workspace as well; nothing is overwritten."),
    ] = None,
    to_salesforce: Annotated[
        bool, typer.Option("--to-salesforce", help="Insert it as a record of checkpoint_object (workbench.toml) as well.")
    ] = False,
) -> int:
    """Sign the trail and print the checkpoint. Keep it where nobody here can change it."""
    with opened(ctx) as wb:
        note = wb.trail.checkpoint()
        if to is not None and wb.trail.keep_checkpoint(to, note):
            say(
                f"The checkpoint was added to {to}; workbench trail verify --known {shlex.quote(str(to))} compares the trail with it."
            )
        if to_salesforce:
            say(f"The checkpoint is kept in Salesforce as record {wb.trail.keep_in_salesforce(note)}.")
    write(note)
    return FINE


def timestamp_request(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A new file for the request, such as checkpoint.tsq.")],
) -> int:
    """Write a request for a time stamp. Of a new checkpoint, which is printed; send the file to an authority yourself."""
    with opened(ctx) as wb:
        note = wb.trail.request_timestamp(to)
    write(note)
    say(f"The request is in {to}. An authority takes it by HTTP POST as application/timestamp-query; nothing was sent from here.")
    say("File its answer with: workbench trail timestamp add FILE.tsr --ca ROOT.pem")
    return FINE


def timestamp_add(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The authority's answer, a .tsr file.")],
    ca: Annotated[Path, typer.Option("--ca", metavar="FILE", help="The authority's root certificate, PEM.")],
) -> int:
    """Verify an authority's time stamp and file it. It goes on the trail, with the whole answer."""
    with opened(ctx) as wb:
        size, moment = wb.trail.add_timestamp(file, ca=ca)
    write(f"The checkpoint of size {size} was stamped at {moment:%Y-%m-%d %H:%M:%S} UTC: its events existed by then.\n")
    return FINE
