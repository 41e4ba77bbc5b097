"""What comes in from outside as CSV files: people, unsubscribes, consents with their evidence.

An import only ever adds opt-outs. It is one transaction with its trail events, or nothing; the same file again changes nothing;
what can't be taken in comes back as ``FILE.rejected.csv`` with line and reason.
"""

from __future__ import annotations

from workbench.intake.consents import import_consents
from workbench.intake.named import Named, people_in_file
from workbench.intake.people import import_people
from workbench.intake.result import ImportResult, RowVerdict
from workbench.intake.unsubscribes import import_unsubscribes

__all__ = ["ImportResult", "Named", "RowVerdict", "import_consents", "import_people", "import_unsubscribes", "people_in_file"]
