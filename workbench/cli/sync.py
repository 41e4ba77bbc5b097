"""Commands on what register and Salesforce disagree about: mismatches, forecast, the nightly sync, the follow-up check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.output import Form, FormatOption, emit
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import say, sentence
from workbench.counted import counted
from workbench.errors import InputError
from workbench.reports.tables import records

LISTED = ("kind", "email", "person_id", "record_id", "detail", "forecast", "age_business_days")


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    for command in (mismatches, forecast, sync, followup):
        app.command(command.__name__)(command)


def mismatches(  # noqa: PLR0917 - the options of one command
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask Salesforce first for what changed.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that were resolved, instead.")] = False,
    engine: Annotated[
        str | None, typer.Option("--engine", help="Compare a snapshot there: duckdb://, spark://local[2], spark://HOST:PORT.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", help="The folder that `store snapshot` wrote; for --engine.")
    ] = None,
    form: FormatOption = "table",
) -> int:
    """List where both sides disagree. Exit code 1 when they do."""
    from workbench.mismatch import KINDS

    if kind is not None and kind not in KINDS:
        raise InputError("there is no such kind of mismatch", f"Kinds: {', '.join(KINDS)}.")
    if engine is not None or snapshot is not None:
        if engine is None or snapshot is None or refresh or resolved:
            raise InputError(
                "an engine compares a snapshot, as it was written",
                "Give --engine and --snapshot, without --refresh and --resolved.",
            )
        return _elsewhere(engine, snapshot, kind, form)
    with opened(ctx) as wb:
        found = wb.mismatches(kind, refresh=refresh, resolved=resolved)
    emit(found, form, columns=LISTED)
    if resolved:
        say(f"{counted(len(found), 'resolved mismatch', 'resolved mismatches')}.")
        return FINE
    none = "Nothing of this kind is open" if kind else "Register and Salesforce agree"
    open_ones = f"{counted(len(found), 'open mismatch', 'open mismatches')}."
    say(open_ones if len(found) else f"{none}, as far as the last snapshot tells.")
    return code(len(found))


def _elsewhere(engine: str, snapshot: Path, kind: str | None, form: Form) -> int:
    """What an engine finds in a snapshot: how many of each kind, or who and what of one. Needs no workspace."""
    from workbench import engines

    at = engines.read(snapshot).at
    if kind is None:
        counts = engines.counts(engine, snapshot)
        number = sum(counts.values())
        emit([{"kind": name, "found": count} for name, count in counts.items()], form)
    else:
        rows = engines.findings(engine, snapshot, [kind])[kind]
        number = len(rows)
        emit([{"kind": kind, "person_id": person_id, "record_id": record_id} for person_id, record_id in rows], form)
    say(f"{counted(number, 'mismatch', 'mismatches')} in the snapshot of {at:%Y-%m-%d %H:%M} UTC.")
    return code(number)


def forecast(ctx: typer.Context, form: FormatOption = "table") -> int:
    """List what tonight's sync would do, and why."""
    with opened(ctx) as wb:
        found = wb.forecast()
    emit(found, form)
    say(f"The next sync would make {counted(len(found), 'change')}.")
    return FINE


def sync(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
    cap: Annotated[
        int | None, typer.Option("--cap", min=0, help="Refuse to write more opt-outs than this (else the policy's).")
    ] = None,
) -> int:
    """Run the unsubscribe sync. Whoever is opted out on either side is opted out on both; no opt-out is ever cleared."""
    with opened(ctx) as wb:
        result = wb.sync(dry_run=dry_run, cap=cap)
    counts = ("unsubscribed", "opted_out", "skipped_leased", "failed", "dry_run")
    emit([{name: getattr(result, name) for name in counts}], "table")
    say(sentence(result.sentence))
    return code(result.failed)


def followup(ctx: typer.Context, form: FormatOption = "table") -> int:
    """Check whether resubscriptions held. Exit code 1 on a relapse."""
    with opened(ctx) as wb:
        found = wb.follow_up()
    relapsed = [row for row in records(found)[1] if row["outcome"] == "relapsed"]
    emit(found, form)
    say(f"{counted(len(found), 'resubscription')} checked, {len(relapsed)} relapsed.")
    return code(relapsed)
