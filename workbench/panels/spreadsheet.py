"""Writing people into a CSV file of the workspace that a spreadsheet shows as typed and runs no formula from."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pandas as pd

from workbench.reports.tables import csv_text, records

ENCODING = "utf-8-sig"  # Excel reads UTF-8 only behind this mark


def exports(workspace: Path) -> Path:
    """Where exports go: beside the notebooks, so that JupyterLab's file list shows them."""
    folder = workspace / "notebooks" / "exports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def write(frame: pd.DataFrame, folder: Path, *, name: str, at: datetime) -> Path:
    """Write a DataFrame into a new file of its own, readable by its owner only; returns the path."""
    stem = f"{name}-{at:%Y%m%d-%H%M%S}"
    path, number = folder / f"{stem}.csv", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.csv"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding=ENCODING, newline="") as file:
        file.write(csv_text(*records(frame)))
    return path
