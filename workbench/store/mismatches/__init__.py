"""Mismatches in sets: finding every kind, keeping since when each is known, and what tonight's sync would write."""

from workbench.store.mismatches.forecast import excluded, forecast, left_with_former_address
from workbench.store.mismatches.ledger import AppendEvent, Refreshed, ages, counts, list_, refresh
from workbench.store.mismatches.status import relapses

__all__ = [
    "AppendEvent",
    "Refreshed",
    "ages",
    "counts",
    "excluded",
    "forecast",
    "left_with_former_address",
    "list_",
    "refresh",
    "relapses",
]
