"""The page of a report as PDF, printed by the system's Chromium without network: tagged, with an outline."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from workbench.environment import without_secrets
from workbench.errors import ReportError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120


def chromium() -> str:
    """The path of the system's Chromium.

    Raises:
        ReportError: there is none.
    """
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise ReportError(
            "a PDF needs Chromium, and there is none on this computer", "Install Chromium, or issue the report without a PDF."
        )
    return found


def print_page(page: Path, target: Path) -> None:
    """Print a page to ``target``.

    Raises:
        ReportError: Chromium is missing or did not print.
    """
    with tempfile.TemporaryDirectory(prefix="wb-pdf-") as profile:
        arguments = [
            "--headless",
            f"--user-data-dir={profile}",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-pdf-header-footer",
            "--export-tagged-pdf",
            "--generate-pdf-document-outline",
            f"--print-to-pdf={target.resolve()}",
            page.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            arguments.insert(0, "--no-sandbox")  # Chromium refuses to start for root otherwise; the page holds no script
        try:
            done = subprocess.run(  # noqa: S603 - a program found on the path, with our own arguments
                [chromium(), *arguments], check=False, capture_output=True, timeout=SECONDS, env=without_secrets(os.environ)
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise ReportError(
                f"Chromium did not print the page ({type(error).__name__})", "Issue the report without a PDF."
            ) from None
    if done.returncode or not target.is_file():
        raise ReportError(f"Chromium did not print the page (exit code {done.returncode})", "Issue the report without a PDF.")
    target.chmod(0o600)
