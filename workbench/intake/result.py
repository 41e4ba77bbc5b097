"""What an import answers: counts, what an operator should look at, and for consents a verdict for every row."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from workbench.counted import counted

LINES_NAMED = 5
KINDS_NAMED = 100


@dataclass(frozen=True, kw_only=True)
class RowVerdict:
    """What became (in a dry run: would become) of one row: ``recorded``, ``unchanged`` or ``rejected``, and why."""

    line: int
    outcome: str
    person_id: str = ""
    reason: str = ""
    consent_id: str = ""


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What one import did (in a dry run: would do).

    ``rows`` is the sum of ``imported`` (new people; for consents: consents recorded), ``updated`` (people already in the
    register whom the row changed or opted out), ``unchanged`` and ``rejected``. ``unsubscribed`` counts the unsubscribes that
    were added. ``overlooked`` counts the columns that were not read and look as if they told of opt-outs. ``rejects_file`` holds
    the rejected rows as they were, with line and reason. ``recalled`` says which mapping of columns of an earlier import was used. ``problems`` are sentences with line numbers and without addresses.
    """

    rows: int
    imported: int
    updated: int
    unchanged: int
    rejected: int
    unsubscribed: int
    rejects_file: Path | None
    problems: tuple[str, ...]
    dry_run: bool
    file_sha256: str = ""
    verdicts: tuple[RowVerdict, ...] = field(default=(), repr=False)
    overlooked: int = 0
    recalled: str = ""

    @property
    def sentence(self) -> str:
        """The counts in one sentence."""
        would = "would be " if self.dry_run else ""
        return (
            f"{counted(self.rows, 'row')}: {self.imported:,} {would}imported, {self.updated:,} {would}updated, "
            f"{self.unchanged:,} unchanged, {self.rejected:,} rejected; {counted(self.unsubscribed, 'unsubscribe')} {would}added."
        )


@dataclass
class Tally:
    """The counts of an import under way, and the lines on which each kind of problem stood."""

    rows: int = 0
    imported: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    unsubscribed: int = 0
    overlooked: int = 0
    _lines: dict[str, list[int]] = field(default_factory=dict)
    _more: dict[str, int] = field(default_factory=dict)
    _warnings: list[str] = field(default_factory=list)

    def note(self, line: int, problem: str) -> None:
        """Remember that a problem stood on this line."""
        lines = self._lines.setdefault(problem, [])
        if len(lines) < LINES_NAMED:
            lines.append(line)
        else:
            self._more[problem] = self._more.get(problem, 0) + 1

    def warn(self, sentence: str) -> None:
        """Remember something about the file as a whole."""
        self._warnings.append(sentence)

    def problems(self) -> tuple[str, ...]:
        """One sentence for each kind of problem, in the order in which they turned up."""
        named = tuple(f"{_where(lines, self._more.get(problem, 0))}: {problem}." for problem, lines in self._lines.items())
        more = (f"{len(named) - KINDS_NAMED:,} more kinds of problem",) if len(named) > KINDS_NAMED else ()
        return (*named[:KINDS_NAMED], *more, *self._warnings)

    def counts(self) -> dict[str, int]:
        """The counts by name, as `import_run` keeps them."""
        names = ("rows", "imported", "updated", "unchanged", "rejected", "unsubscribed")
        return {name: getattr(self, name) for name in names}


def _where(lines: list[int], more: int) -> str:
    if len(lines) == 1:
        return f"line {lines[0]:,}"
    named = ", ".join(f"{line:,}" for line in lines)
    return f"lines {named} and {more:,} more" if more else f"lines {named}"
