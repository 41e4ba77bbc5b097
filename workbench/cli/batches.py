"""Commands on batches: propose, show, approve, run, resume, undo, cancel, list, and the work list for Sales Connect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.filters import WhereOption, filters
from workbench.cli.output import FormatOption, emit, emit_json, write
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import ProgressLine, say, sentence
from workbench.counted import counted
from workbench.errors import InputError
from workbench.reports.tables import records

if TYPE_CHECKING:
    from workbench.proposal import Plan
    from workbench.worker import Outcome

BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id, as `batch propose` printed it.")]
VERDICTS = ("email", "person", "outcome", "codes", "sentences", "records")
SHORT_ID = 8  # characters from an id's end, where two ids made in the same moment differ
LISTED = ("batch_id", "state", "reason", "proposed_by", "approved_by", "people", "done", "refused", "aborted", "open")
COULD_NOT, INTERRUPTED = 2, 130
WAITING = ("paused", "approved", "running")


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    group = typer.Typer(help="Resubscribe people in batches: propose, approve, run.", rich_markup_mode=None, no_args_is_help=True)
    for command in (propose, show, approve, run, resume, undo, cancel, worklist):
        group.command(command.__name__)(command)
    group.command("list")(list_batches)
    app.add_typer(group, name="batch")


def propose(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why: one of the reasons in policy.toml, such as asked_in_writing.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A CSV file with a column of addresses or person ids; or use --where.")
    ] = None,
    where: WhereOption = None,
    form: FormatOption = "table",
) -> int:
    """Plan a batch; nothing is written to Salesforce. Prints its id, its digest and every person's verdict. Exit code 1 when it refuses somebody."""
    if (file is None) == (not where):
        raise InputError(
            "a batch is proposed from a file or from --where, one of the two", "Name a CSV file, or give --where KEY=VALUE."
        )
    with opened(ctx) as wb:
        named = wb.people_in_file(file) if file is not None else None
        plan = wb.propose(named.person_ids if named else wb.people(**filters(where)), reason=reason)
    for line in named.unmatched if named else ():
        say(line)
    return code(_print_plan(plan, form) or (named and named.unmatched))


def show(ctx: typer.Context, batch: BatchArgument, form: FormatOption = "table") -> int:
    """Show a batch: its people, their states, and why."""
    with opened(ctx) as wb:
        items, digest = wb.batch_items(batch), wb.plan(batch).digest
        listed = next((row for row in records(wb.batches())[1] if row["batch_id"] == batch), {}) | {"digest": digest}
    if form == "json":
        emit_json({"batch": listed, "items": records(items)[1]})
    else:
        if form == "table":
            emit([listed], form, columns=LISTED)
            write(f"digest {digest}\n\n")
        emit(items, form)
    return FINE


def approve(
    ctx: typer.Context,
    batch: BatchArgument,
    digest: Annotated[
        str, typer.Option("--digest", help="The digest of the plan that is approved, as `batch propose` printed it.")
    ],
) -> int:
    """Approve the plan that a digest names. For administrators."""
    with opened(ctx) as wb:
        wb.approve(batch, digest)
    say(f"The batch is approved; `workbench batch run {batch}` starts it.")
    return FINE


def run(ctx: typer.Context, batch: BatchArgument) -> int:
    """Run an approved batch. Ctrl-C stops it after the people in hand; it can be resumed."""
    return _carried_out(ctx, lambda wb, **how: wb.run(batch, **how))


def resume(ctx: typer.Context, batch: BatchArgument) -> int:
    """Continue a paused or interrupted batch."""
    return _carried_out(ctx, lambda wb, **how: wb.resume(batch, **how))


def undo(ctx: typer.Context, batch: BatchArgument) -> int:
    """Opt its people out again on both sides. For administrators."""
    with opened(ctx) as wb:
        return _print_outcome(wb.undo(batch))


def cancel(ctx: typer.Context, batch: BatchArgument) -> int:
    """Give up a batch that has not been run."""
    with opened(ctx) as wb:
        wb.cancel(batch)
    say("The batch is cancelled; nobody in it was changed.")
    return FINE


def list_batches(ctx: typer.Context, form: FormatOption = "table") -> int:
    """List all batches."""
    with opened(ctx) as wb:
        found = wb.batches()
    emit(found, form, columns=LISTED)
    say(f"{counted(len(found), 'batch', 'batches')}.")
    return FINE


def worklist(ctx: typer.Context, batch: BatchArgument, form: FormatOption = "table") -> int:
    """Print what is to be done in Sales Connect. For its administrator, by hand, after a batch."""
    with opened(ctx) as wb:
        emit(wb.worklist(batch), form)
    return FINE


def _print_plan(plan: Plan, form: Any) -> int:
    if form == "json":
        names = ("id", "digest", "blockers", "eligible", "refused", "cost", "forecast_before", "forecast_after")
        emit_json({**{name: getattr(plan, name) for name in names}, "people": records(plan.table)[1]})
    elif form == "table":
        write(f"batch {plan.id}\ndigest {plan.digest}\n\n")
        rows = [row | {"person": f"…{row['person_id'][-SHORT_ID:]}"} for row in records(plan.table)[1]]
        emit(rows, form, columns=VERDICTS)
    else:
        emit(plan.table, form)
    say(f"{plan.eligible} eligible, {plan.refused} refused. The run would cost {counted(plan.cost, 'API call')}.")
    say(f"Tonight's sync would touch {plan.forecast_before} of these people without this batch, {plan.forecast_after} with it.")
    for blocker in plan.blockers:
        say(f"Blocked: {sentence(blocker)}")
    if not plan.blockers:
        say(f"Nothing was written. Approve it with `workbench batch approve {plan.id} --digest {plan.digest}`.")
    return code(plan.refused or plan.blockers)


def _carried_out(ctx: typer.Context, act: Callable[..., Outcome]) -> int:
    with opened(ctx) as wb, _stoppable() as stop:
        progress = ProgressLine()
        try:
            outcome = act(wb, progress=progress, stop=stop)
        finally:
            progress.end()
        exit_code = _print_outcome(outcome)
    return INTERRUPTED if stop.is_set() and outcome.state in WAITING else exit_code


def _print_outcome(outcome: Outcome) -> int:
    counts = ("batch_id", "state", "done", "refused", "aborted", "postponed", "remaining")
    emit([{name: getattr(outcome, name) for name in counts}], "table")
    say(outcome.sentence)
    if outcome.state in WAITING:
        say(f"Continue with `workbench batch resume {outcome.batch_id}`.")
        return COULD_NOT
    return code(outcome.refused or outcome.aborted or outcome.postponed)


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts at once (a batch survives that too)."""
    stop = threading.Event()

    def stop_soon(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of signal handlers
        signal.signal(signal.SIGINT, before)
        stop.set()
        say("Stopping after the people in hand; Ctrl-C again to stop at once.")

    before = signal.signal(signal.SIGINT, stop_soon)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
