"""Commands that read files into the register: people, unsubscribes, consents. Rejected rows go to a file of their own."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.filters import pairs
from workbench.cli.output import FormatOption, emit
from workbench.cli.session import code, opened
from workbench.cli.talk import ProgressLine, say
from workbench.cli.talk import sentence as as_sentence
from workbench.counted import counted
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.bench import Workbench

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file with a header line.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field, where the header says otherwise."),
]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", metavar="NAME", help="How the file is encoded, such as cp1252 (else UTF-8).")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Read and check everything, change nothing.")]
PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Only show how the columns are read, and the first rows with their problems.")
]
COUNTS = ("rows", "imported", "updated", "unchanged", "unsubscribed", "rejected")


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    group = typer.Typer(help="Import people, unsubscribes, consents.", rich_markup_mode=None, no_args_is_help=True)
    group.command("people")(people)
    group.command("unsubscribes")(unsubscribes)
    group.command("consents")(consents)
    app.add_typer(group, name="import")


def people(
    ctx: typer.Context,
    *,
    file: FileArgument,
    mapping: MapOption = None,
    encoding: EncodingOption = None,
    dry_run: DryRunOption = False,
    preview: PreviewOption = False,
    form: FormatOption = "table",
) -> int:
    """Import people. Idempotent, and never erases an opt-out."""
    given: Any = {"mapping": _mapping(mapping), "encoding": encoding}
    if preview:
        return _previewed(ctx, lambda wb: wb.preview_import(file, "people", **given), form)
    given["dry_run"] = dry_run
    return _imported(ctx, lambda wb, **more: wb.import_people(file, **given, **more), form)


def unsubscribes(
    ctx: typer.Context,
    *,
    file: FileArgument,
    mapping: MapOption = None,
    encoding: EncodingOption = None,
    dry_run: DryRunOption = False,
    preview: PreviewOption = False,
    form: FormatOption = "table",
) -> int:
    """Import unsubscribes. Who, when, by which source; only ever adds."""
    given: Any = {"mapping": _mapping(mapping), "encoding": encoding}
    if preview:
        return _previewed(ctx, lambda wb: wb.preview_import(file, "unsubscribes", **given), form)
    given["dry_run"] = dry_run
    return _imported(ctx, lambda wb, **more: wb.import_unsubscribes(file, **given, **more), form)


def consents(
    ctx: typer.Context,
    *,
    file: FileArgument,
    evidence: Annotated[
        Path, typer.Option("--evidence", metavar="DIR", help="The folder with the evidence files that the CSV names.")
    ],
    mapping: MapOption = None,
    encoding: EncodingOption = None,
    dry_run: DryRunOption = False,
    preview: PreviewOption = False,
    form: FormatOption = "table",
) -> int:
    """Import consents with their evidence files."""
    given: Any = {"mapping": _mapping(mapping), "encoding": encoding}
    if preview:
        return _previewed(ctx, lambda wb: wb.preview_import(file, "consents", **given), form)
    given["dry_run"] = dry_run
    return _imported(ctx, lambda wb, **more: wb.import_consents(file, evidence, **given, **more), form)


@contextmanager
def advised() -> Iterator[None]:
    """The advice about a file in the words of this command line, where it names arguments of Python."""
    try:
        yield
    except InputError as error:
        advice = re.sub(r" \(mapping=\{[^}]*\}\)", "", error.advice)
        error.advice = re.sub(r"\bencoding='(\w+)'", r"--encoding \1", advice)
        raise


def _imported(ctx: typer.Context, read: Callable[..., Any], form: Any) -> int:
    progress = ProgressLine()
    with opened(ctx) as wb, advised():
        try:
            result = read(wb, **({"told": _told(progress)} if sys.stderr.isatty() else {}))
        finally:
            progress.end()
    if result.recalled:
        say(result.recalled)
    emit([{name: getattr(result, name) for name in COUNTS}], form)
    say(result.sentence)
    for problem in result.problems:
        say(problem)
    if result.rejects_file is not None:
        say(
            f"{counted(result.rejected, 'rejected row')} with {'its reason' if result.rejected == 1 else 'their reasons'}: {result.rejects_file}"
        )
    if result.dry_run:
        say("This was a dry run; nothing was changed.")
    return code(result.rejected or result.overlooked)


def _previewed(ctx: typer.Context, look: Callable[[Workbench], Any], form: Any) -> int:
    with opened(ctx) as wb, advised():
        found = look(wb)
    emit(list(found.rows), form)
    for column, field in found.fields:
        say(f"Column {column!r}: {f'read as {field}' if field else 'not read'}.")
    for sentence in filter(None, (found.recalled, *map(as_sentence, found.problems))):
        say(sentence)
    delimiter = {"\t": "a tab"}.get(found.delimiter, repr(found.delimiter))
    say(f"The file was read as {found.encoding}, its columns divided by {delimiter}. This was a preview; nothing was changed.")
    return code(found.problems or any(row["problem"] for row in found.rows))


def _told(line: ProgressLine) -> Callable[[int, int], None]:
    """How far an import is, and how long it will take at the speed of so far."""
    from workbench.worker import Progress

    begun = time.monotonic()

    def tell(done: int, total: int) -> None:
        left = math.ceil((time.monotonic() - begun) * (total - done) / done)
        about = f"about {left} s left" if left < 120 else f"about {math.ceil(left / 60)} min left"
        line(Progress(done, total, f"lines read, {about if done < total else 'now looking for mismatches'}"))

    return tell


def _mapping(words: list[str] | None) -> dict[str, str] | None:
    return pairs(words, option="--map") if words else None
