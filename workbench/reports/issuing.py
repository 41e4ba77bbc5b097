"""Issuing a report: run, write beside, rename, put every file's digest on the trail; and telling later whether a file is that one.

A report that fails leaves its notebook in ``issued/failed`` and nothing else. The trail is what a file is verified against; the
register's row only helps to find it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import handed_in
from workbench.errors import ReportError
from workbench.person import new_id
from workbench.reports.catalogue import Template, template
from workbench.reports.page import PAPERS
from workbench.reports.tables import plain_text, records
from workbench.reports.workbook import Kept, write_workbook
from workbench.store.reports import ReportRow

if TYPE_CHECKING:
    from datetime import datetime

    from nbformat import NotebookNode

    from workbench.bench import Workbench

REPORT_ID = re.compile(rb'workbench-report"(?: content=|: )"([0-9a-f-]{36})"')
HEAD_BYTES = 65_536
NOTEBOOK, PAGE, PDF, TABLES, WORKBOOK = "report.ipynb", "report.html", "report.pdf", "tables", "tables.xlsx"


@dataclass(frozen=True, kw_only=True)
class IssuedReport:
    """A report that was issued: its page, its executed notebook, the page's SHA-256; ``folder`` holds these and the tables.

    ``xlsx`` is the workbook of all tables; None where the report has none.
    """

    name: str
    folder: Path
    html: Path
    notebook: Path
    sha256: str
    report_id: str
    pdf: Path | None = None
    xlsx: Path | None = None


@dataclass(frozen=True)
class ReportVerdict:
    """Whether a file is what was issued, in a sentence."""

    ok: bool
    sentence: str


def run(wb: Workbench, name: str, parameters: Mapping[str, Any], *, pdf: bool = False, paper: str = "a4") -> IssuedReport:
    """Issue a report on a workspace; printed, it is on ``paper``, which is a4 or letter.

    Raises:
        NotAllowedError: full personal data for somebody without a role.
        ReportError: no such report or paper, parameters that don't fit, a cell that failed (the sentence says which), no Chromium for a PDF.
    """
    chosen = template(name)
    values = chosen.checked(parameters, today=wb.clock().date())
    check_paper(paper)
    if values.get("personal_data") == "full":
        wb.require_any_role("a report with full personal data")
    if pdf:
        from workbench.reports.pdf import chromium

        chromium()
    issue = _Issue(wb, chosen, values, paper)
    return issue.issued(pdf=pdf)


def check_paper(paper: str) -> None:
    """Raises: ReportError for a size of paper that reports are not printed on."""
    if paper not in PAPERS:
        raise ReportError("there is no such size of paper", f"Write one of: {', '.join(PAPERS)}.")


def verify(wb: Workbench, file: str | Path) -> ReportVerdict:
    """Compare a file of an issued report with the digest on the trail.

    Raises:
        ReportError: the file can't be read, or belongs to no report of this workspace: nothing can be told.
    """
    path = Path(file)
    digest, head = _digest(path)
    entries = [_entry(row) for row in records(wb.trail.events(action="report_issued", newest=None))[1]]
    for entry in entries:
        if entry["file_sha256"] == digest:
            return ReportVerdict(
                ok=True,
                sentence=f"Unchanged: {entry['file_name']}, issued {entry['at']} UTC by {entry['by']}, trail event {entry['seq']}.",
            )
    known = _named_by(wb, path, head)
    same = [entry for entry in entries if known and entry["file_name"] == f"{known}/{_place(path)}"]
    if not same:
        raise ReportError(
            "this file belongs to no report that was issued in this workspace, or it was altered beyond recognition",
            "Name a file of an issued report, in the workspace that issued it; an altered PDF, workbook or table is recognised only where it"
            " lay: in its report's folder.",
        )
    entry = same[0]
    return ReportVerdict(
        ok=False,
        sentence=f"Altered: this is not {entry['file_name']} as issued {entry['at']} UTC by {entry['by']}; its SHA-256 is not the one of "
        f"trail event {entry['seq']}.",
    )


class _Issue:
    """One report being issued. Holds: `_beside`, where its files are made; `_folder`, where they appear when all is done."""

    def __init__(self, wb: Workbench, chosen: Template, values: dict[str, Any], paper: str) -> None:
        self._wb, self._template, self._values, self._paper = wb, chosen, values, paper
        self._report_id = new_id()
        self._at: datetime = wb.clock()
        home = wb.workspace / "issued"
        label = f"{chosen.name}-{self._at:%Y%m%dT%H%M%SZ}-{self._report_id[-8:]}"
        self._folder, self._failed = home / label, home / "failed" / f"{label}.ipynb"
        self._beside = home / f".making-{label}"

    def issued(self, *, pdf: bool) -> IssuedReport:
        """Run, write, rename, record."""
        self._make_room()
        try:
            notebook = self._executed()
            files = self._written(notebook, pdf=pdf)
            self._beside.rename(self._folder)
        except BaseException:
            shutil.rmtree(self._beside, ignore_errors=True)
            raise
        self._record(files, checkpoint_size=_checkpoint_size(notebook))
        return IssuedReport(
            name=self._template.name,
            folder=self._folder,
            html=self._folder / PAGE,
            notebook=self._folder / NOTEBOOK,
            sha256=files[PAGE],
            report_id=self._report_id,
            pdf=self._folder / PDF if pdf else None,
            xlsx=self._folder / WORKBOOK if WORKBOOK in files else None,
        )

    def _make_room(self) -> None:
        """Make the folder to write in before the run, which takes its time."""
        try:
            self._beside.mkdir(parents=True, mode=0o700)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ReportError(
                f"the folder issued can't be written ({error.strerror})",
                "Check who owns it in the workspace, and its permissions.",
            ) from None

    def _executed(self) -> NotebookNode:
        from workbench.reports.running import execute

        execution = execute(self._template, self._values, workspace=self._wb.workspace)
        if execution.failure is not None:
            if execution.notebook is not None:
                _write(self._failed, _notebook_text(execution.notebook, self._report_id))
            raise execution.failure
        assert execution.notebook is not None  # noqa: S101 - a run without failure has a notebook
        return execution.notebook

    def _written(self, notebook: NotebookNode, *, pdf: bool) -> dict[str, str]:
        """All files of the report; returns their digests by name."""
        from workbench.reports.page import html_page

        tables = _tables_taken_out(notebook)
        for name, kept in tables.items():
            _write(self._beside / TABLES / f"{name}.csv", kept.text)
        if tables:
            write_workbook(tables, self._beside / WORKBOOK, title=self._template.title, at=self._at)
        _write(self._beside / NOTEBOOK, _notebook_text(notebook, self._report_id))
        _write(self._beside / PAGE, html_page(notebook, self._facts()))
        if pdf:
            from workbench.reports.pdf import print_page

            print_page(self._beside / PAGE, self._beside / PDF)
        found = sorted(path for path in self._beside.rglob("*") if path.is_file())
        return {path.relative_to(self._beside).as_posix(): _digest(path)[0] for path in found}

    def _facts(self) -> Any:
        from workbench.reports.page import PageFacts

        return PageFacts(
            report_id=self._report_id,
            name=self._template.name,
            title=self._template.title,
            issued_at=f"{self._at:%Y-%m-%d %H:%M}",
            issued_by=self._wb.operator,
            workspace=self._wb.settings.name,
            parameters={key.replace("_", " "): plain_text(value) for key, value in self._values.items() if value is not None},
            paper=self._paper,
        )

    def _record(self, files: dict[str, str], *, checkpoint_size: int) -> None:
        row = ReportRow(
            report_id=self._report_id,
            name=self._template.name,
            parameters=self._values,
            files={f"{self._folder.name}/{name}": digest for name, digest in files.items()},
            issued_at=self._at,
            issued_by=self._wb.operator,
            checkpoint_size=checkpoint_size,
        )
        self._wb.seal_report(row)


def _tables_taken_out(notebook: NotebookNode) -> dict[str, Kept]:
    """The CSV form of every table, removed from the notebook: it goes into files of its own."""
    found: dict[str, Kept] = {}
    for output in _outputs(notebook):
        text = output.get("data", {}).pop("text/csv", None)
        named = output.get("metadata", {}).pop("text/csv", {})
        if text is not None and re.fullmatch(r"[a-z][a-z0-9-]{0,60}", str(named.get("name"))):
            found[named["name"]] = Kept("".join(text), tuple(named.get("numbers", ())))
    return found


def _checkpoint_size(notebook: NotebookNode) -> int:
    """The size of the checkpoint that the report printed; 0 when it printed none."""
    sizes = [o.get("metadata", {}).get("workbench", {}).get("checkpoint_size", 0) for o in _outputs(notebook)]
    return max([0, *(size for size in sizes if isinstance(size, int))])


def _outputs(notebook: NotebookNode) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def _notebook_text(notebook: NotebookNode, report_id: str) -> str:
    """The executed notebook as it is kept: without papermill's paths, widget state, and with the report's id."""
    import nbformat

    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    notebook.metadata["workbench-report"] = report_id
    writes: Any = nbformat.writes  # nbformat has no types
    return f"{writes(notebook, version=4)}\n"


def _write(path: Path, text: str) -> None:
    """Write a private file and make sure it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> tuple[str, bytes]:
    """SHA-256 of a file, and its first bytes."""
    try:
        handed_in.check(path)
    except OSError:
        raise ReportError("this is no file", "Name a file of an issued report.") from None
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest(), head
    except OSError as error:
        raise ReportError(f"the file can't be read ({error.strerror})", "Check the path.") from None


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    payload = json.loads(row["payload"]) if row["payload"] else {}
    at = row["at"]
    return {
        "file_sha256": payload.get("file_sha256"),
        "file_name": payload.get("file_name"),
        "at": f"{at:%Y-%m-%d %H:%M}",
        "by": row["operator"],
        "seq": row["seq"],
    }


def _named_by(wb: Workbench, path: Path, head: bytes) -> str | None:
    """The folder of the report that a file says it belongs to: by the id inside of it, else by the folder it lies in."""
    if match := REPORT_ID.search(head):
        known = {row["report_id"]: str(row["folder"]) for row in records(wb.reports())[1]}
        return known.get(match[1].decode())
    parent = path.resolve().parent
    return parent.parent.name if parent.name == TABLES else parent.name


def _place(path: Path) -> str:
    """Where a file of this kind lies in a report's folder."""
    if path.suffix == ".csv":
        return f"{TABLES}/{path.name}"
    return {".html": PAGE, ".ipynb": NOTEBOOK, ".pdf": PDF, ".xlsx": WORKBOOK}.get(path.suffix, path.name)
