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


def html_page(notebook: NotebookNode, facts: PageFacts) -> str:
    """The page of an executed notebook."""
    style = (HERE / TEMPLATE / "report.css").read_text(encoding="utf-8")
    exporter = _exporter()
    text, _ = exporter.from_notebook_node(notebook, {"report": {**vars(facts), "style": style, "policy": _policy(style)}})
    return str(text)


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
