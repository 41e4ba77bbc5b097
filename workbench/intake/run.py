"""One import from its first byte to its rejects file: one transaction with its trail event, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import InputError, StoreError
from workbench.intake import columns, values
from workbench.intake.files import Row, Rows, SourceFile, together
from workbench.intake.mappings import Mappings
from workbench.intake.rejects import Rejects, blocks_of
from workbench.intake.result import ImportResult, RowVerdict, Tally
from workbench.store import imports
from workbench.store.database import Store, Transaction

ROWS_AT_ONCE = 5_000
Item = TypeVar("Item")

Told = Callable[[int, int], None]
"""Takes how many lines of the file are taken in, and how many it has."""


@dataclass(frozen=True)
class Import:
    """What every row of one import is taken in with."""

    tx: Transaction
    source: SourceFile
    tally: Tally
    rejects: Rejects
    _: KW_ONLY
    operator: str
    now: datetime  # to the millisecond, as the register keeps it
    known_since: datetime
    dry_run: bool
    told: Told | None

    def rows(self) -> Iterator[Row]:
        """Every row, counted; one that can't be read has its reason.

        Raises:
            InputError: see `blocks`.
        """
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[Rows]:
        """The same, some thousands at once.

        Raises:
            InputError: see `SourceFile.blocks`; or there is no row at all.
        """
        for rows in self.blocks_again():
            self.tally.rows += len(rows)
            yield rows
            if self.told is not None:
                self.told(rows.lines[-1], max(self.source.lines, rows.lines[-1]))
        if not self.tally.rows:
            raise InputError("the file holds no rows", "It has a line of column names and nothing below; export it again.")

    def blocks_again(self) -> Iterator[Rows]:
        """All rows of the file, uncounted.

        Raises:
            InputError: see `SourceFile.blocks`.
        """
        waiting: list[Rows] = []
        for block in blocks_of(self.source):
            waiting.append(block)
            if sum(map(len, waiting)) >= ROWS_AT_ONCE:
                yield together(waiting)
                waiting = []
        if waiting:
            yield together(waiting)

    def reject(self, row: Row, reason: str) -> None:
        """Keep a row out, and say why."""
        self.tally.rejected += 1
        self.tally.note(row.line, f"rejected: {reason}")
        self.rejects.add(row, reason)


class _RolledBack(Exception):  # noqa: N818 - not an error: it ends a dry run's transaction
    pass


def opened(file: Path | str, names: columns.Names, encoding: str | None) -> SourceFile:
    """The file, its header read.

    Raises:
        InputError: see `SourceFile`.
    """
    known = columns.known(names)
    return SourceFile(Path(file), encoding=encoding, known=lambda name: columns.key(name) in known)


@dataclass(frozen=True)
class Given:
    """The mapping that a file is read with: given now, or given for a file with the same columns before."""

    kind: str
    header: Sequence[str]
    given: Mapping[str, str] | None
    mappings: Mappings | None
    mapping: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """What is read otherwise than the columns' names say because it was so last time; "" where nothing is."""
        if self.given is not None or not self.mapping:
            return ""
        pairs = ", ".join(f"{field}={column}" for field, column in self.mapping.items())
        return (
            f"A file with these columns was imported before; it is read with the mapping of then: {pairs}. --map names another."
        )

    def keep(self) -> None:
        """Remember a mapping that was given now."""
        if self.mappings is not None and self.given is not None:
            self.mappings.remember(self.kind, self.header, self.given)


def given_for(source: SourceFile, kind: str, mapping: Mapping[str, str] | None, mappings: Mappings | None) -> Given:
    """The mapping to read a file with; without one the workspace's mappings are asked.

    Raises:
        InputError: see `Mappings.recall`.
    """
    recalled = mappings.recall(kind, source.header) if mapping is None and mappings is not None else {}
    return Given(kind, source.header, mapping, mappings, mapping or recalled)


def carried_out(
    store: Store,
    source: SourceFile,
    work: Callable[[Import], tuple[RowVerdict, ...]],
    *,
    kind: str,
    operator: str,
    now: datetime,
    dry_run: bool,
    told: Told | None,
    given: Given,
    closing: Callable[[Transaction, Tally], object],
) -> ImportResult:
    """Do the work and its closing (the trail event) in one transaction; a dry run does the same and takes it back.

    Raises:
        InputError: the file can't be read to its end, or its rejects can't be written.
        StoreError: the register is locked, full or damaged. Whatever is raised, nothing was taken in.
    """
    tally, now = Tally(), values.to_millisecond(now)
    verdicts: tuple[RowVerdict, ...] = ()

    def everything(tx: Transaction) -> None:
        nonlocal verdicts
        known_since = min(imports.known_since(tx, source.sha256, kind) or now, now)
        kept: Any = {"operator": operator, "now": now, "known_since": known_since, "dry_run": dry_run, "told": told}
        verdicts = work(Import(tx, source, tally, rejects, **kept))
        imports.add_run(tx, kind=kind, file_sha256=source.sha256, operator=operator, at=now, counts=tally.counts())
        closing(tx, tally)
        if dry_run:
            raise _RolledBack

    with Rejects(source, wanted=not dry_run) as rejects:
        with suppress(_RolledBack), store.write() as tx:
            everything(tx)
        published = _published(rejects, tally)
    if not dry_run:
        given.keep()
    return ImportResult(
        **tally.counts(),
        rejects_file=published,
        problems=tally.problems(),
        dry_run=dry_run,
        file_sha256=source.sha256,
        verdicts=verdicts,
        overlooked=tally.overlooked,
        recalled=given.sentence,
    )


def _published(rejects: Rejects, tally: Tally) -> Path | None:
    try:
        return rejects.publish()
    except OSError:
        raise StoreError(
            f"the import is committed, but its {tally.rejected:,} rejected rows could not be written to a file",
            "Free some space, or make the folder writable, and import the file again: it changes nothing but writes the rejects.",
        ) from None


def in_chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items, some thousands at once."""
    while some := list(islice(items, ROWS_AT_ONCE)):
        yield some
