"""Reports: check the parameters, run a template notebook, make one self-contained page of it, seal the result.

The one door to papermill and nbconvert, which load only when a report is run. What a report shows is decided in the template
(`reports/*.ipynb`) and in the module of its name here; a template holds no logic. The names below load on first use, because the
command line takes its tables from this room too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.reports.catalogue import Parameter, Template, template, templates
    from workbench.reports.issuing import IssuedReport, ReportVerdict, check_paper, run, verify

__all__ = ["IssuedReport", "Parameter", "ReportVerdict", "Template", "check_paper", "run", "template", "templates", "verify"]

_HOMES = dict.fromkeys(("Parameter", "Template", "template", "templates"), "catalogue")
_HOMES |= dict.fromkeys(("IssuedReport", "ReportVerdict", "check_paper", "run", "verify"), "issuing")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench.reports' has no attribute {name!r}")
    return getattr(import_module(f"workbench.reports.{_HOMES[name]}"), name)
