"""Bring people back who unsubscribed from e-mail: with documented consent, on both systems, with proof.

The public names load on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.bench import Workbench
    from workbench.consent import Consent, Evidence
    from workbench.errors import WorkbenchError
    from workbench.mismatch import Mismatch
    from workbench.person import Person
    from workbench.resubscription import Batch

__version__ = "0.1.0"
__all__ = ["Batch", "Consent", "Evidence", "Mismatch", "Person", "Workbench", "WorkbenchError"]

_HOMES = {
    "Batch": "workbench.resubscription",
    "Consent": "workbench.consent",
    "Evidence": "workbench.consent",
    "Mismatch": "workbench.mismatch",
    "Person": "workbench.person",
    "Workbench": "workbench.bench",
    "WorkbenchError": "workbench.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
