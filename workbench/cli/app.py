"""One run of the command line, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

import typer

from workbench.cli.output import write
from workbench.cli.session import Session, split
from workbench.cli.talk import say, say_defect, say_error, sentence
from workbench.cli.tree import help_asked_for, root
from workbench.errors import WorkbenchError

COULD_NOT = 2
INTERRUPTED = 130  # 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE: whoever read our output stopped reading
INTERRUPTION = "workbench: Interrupted. Nothing is lost: run the same command again"
OR_RESUME = ", or go on with the batch by `workbench batch resume ID`"
RUNS_A_BATCH = (["batch", "run"], ["batch", "resume"], ["batch", "undo"])
NOT_YOURS = (
    "workbench: A file or folder may not be opened by this user.\n"
    "  A workspace is one user's: see who owns it, or name another one with --workspace. Nothing was changed."
)
DISK_FULL = "workbench: The disk is full.\n  Free some space, then run the same command again; nothing was half-written."


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    session, words = Session(), list[str]()
    try:
        session, words = split(arguments)
        if words == ["--version"]:
            write(f"workbench {version('compliance-workbench')}\n")
            return 0
        return _invoke(session, words)
    except SystemExit:
        raise  # a program that we hand the line to, such as the scratch org, has its own
    except BaseException as error:  # noqa: BLE001 - the last door: only sentences leave, unless --debug asks for more
        if session.debug:
            import traceback

            traceback.print_exc()
        return _explained(error, batch=words[:2] in RUNS_A_BATCH)


def _invoke(session: Session, words: list[str]) -> int:
    command = root()
    if (text := help_asked_for(command, words)) is not None:
        write(f"{text}\n")
        return 0
    try:
        with command.make_context("workbench", words, obj=session) as ctx:
            result = command.invoke(ctx)
    except typer.Exit as done:
        return done.exit_code
    return result if isinstance(result, int) else 0


def _explained(error: BaseException, *, batch: bool) -> int:
    """Say what ended a command, and how to go on with the ``batch`` where it ran one; returns its exit code."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        say(f"{INTERRUPTION}{OR_RESUME if batch else ''}.")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads: the interpreter's own flush at exit must not complain
        return PIPE_CLOSED
    if isinstance(error, WorkbenchError):
        say_error(error)
    elif isinstance(error, typer.TyperException):
        _say_usage(error)
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        say(DISK_FULL)
    elif isinstance(error, PermissionError):
        say(NOT_YOURS)
    else:
        say_defect(error, batch=batch)
    return COULD_NOT


def _say_usage(error: typer.TyperException) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":  # typer keeps the class to itself; its message is the help text
        say(error.format_message())
        return
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "workbench"
    say(f"workbench: {sentence(error.format_message())}\n  `{path} --help` shows what it takes.")
