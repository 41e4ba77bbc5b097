"""An executed report as one HTML page that loads nothing and runs nothing: own template, strict policy, no code cells."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

HERE = Path(__file__).parent
TEMPLATE = "paper"
PAPERS = {"a4": "A4", "letter": "letter"}
"""Sizes of paper that a page is printed on, with their names in a style sheet."""
ONE_PAGE = frozenset({"monthly-compliance"})
"""Reports that are one sheet of paper, upright and set small; the others have wide tables and lie across."""


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """What stands in a page's head."""

    report_id: str
    name: str
    title: str
    issued_at: str
    issued_by: str
    workspace: str
    parameters: Mapping[str, Any]
    paper: str = "a4"


def html_page(notebook: NotebookNode, facts: PageFacts) -> str:
    """The page of an executed notebook."""
    one_page = facts.name in ONE_PAGE
    style = (HERE / TEMPLATE / "report.css").read_text(encoding="utf-8") + _sheet(PAPERS[facts.paper], one_page=one_page)
    form = "one-page" if one_page else "pages"
    exporter = _exporter()
    given = {**vars(facts), "style": style, "policy": _policy(style), "form": form}
    text, _ = exporter.from_notebook_node(notebook, {"report": given})
    return str(text)


def _sheet(size: str, *, one_page: bool) -> str:
    """The paper, its margins, how it lies, and the pages' numbers where there are several."""
    if one_page:
        return f"@page {{ size: {size} portrait; margin: 10mm 12mm; }}\n"
    number = '@bottom-right { content: "Page " counter(page) " of " counter(pages); font: 7pt sans-serif; color: #57606a; }'
    return f"@page {{ size: {size} landscape; margin: 14mm 14mm 16mm; {number} }}\n"


def _policy(style: str) -> str:
    """The page's Content-Security-Policy: this one style sheet and inline pictures, nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _exporter() -> Any:
    from nbconvert.exporters.templateexporter import TemplateExporter

    class PageExporter(TemplateExporter):
        """nbconvert on our template alone, with everything escaped that the template does not say is safe."""

        def _create_environment(self) -> Any:
            environment = super()._create_environment()  # type: ignore[no-untyped-call]  # nbconvert has no types
            environment.autoescape = True
            return environment

    exporter: Any = PageExporter  # nbconvert has no types
    return exporter(extra_template_basedirs=[str(HERE)], template_name=TEMPLATE, file_extension=".html")
