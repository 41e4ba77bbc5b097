"""The page of a report as PDF, printed by Chromium without network: tagged, with an outline.

The system's Chromium, else the one that ``playwright install chromium`` downloads; Playwright itself is not used.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from workbench.environment import without_secrets
from workbench.errors import ReportError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120
DOWNLOADED = (
    ("chromium", "chrome-linux*/chrome"),
    ("chromium", "chrome-mac*/*.app/Contents/MacOS/*"),
    ("chromium", "chrome-win*/chrome.exe"),
    ("chromium_headless_shell", "chrome-headless-shell-*/chrome-headless-shell*"),
)
"""Where Playwright unpacks a browser, below a folder with the browser's name and revision."""
COMPLETE = "INSTALLATION_COMPLETE"  # Playwright's mark that a download ended


def chromium() -> str:
    """The path of Chromium: the system's, else the newest that Playwright downloaded.

    Raises:
        ReportError: there is none.
    """
    found = next((path for name in NAMES if (path := shutil.which(name))), None) or downloaded(browsers(os.environ))
    if found is None:
        raise ReportError(
            "a PDF needs Chromium, and there is none on this computer",
            "Install it from your system, or `pip install 'compliance-workbench[pdf]'` and then `playwright install chromium`;"
            " or issue the report without a PDF.",
        )
    return found


def browsers(environment: Mapping[str, str]) -> Path:
    """The folder that Playwright downloads browsers into. Source: playwright.dev/python/docs/browsers, "Managing browser binaries"."""
    named = environment.get("PLAYWRIGHT_BROWSERS_PATH", "")
    if named == "0":
        package = find_spec("playwright")
        return Path(package.origin if package and package.origin else "").parent / "driver" / "package" / ".local-browsers"
    if named:
        return Path(named)
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "ms-playwright"
    if sys.platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ms-playwright"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "ms-playwright"


def downloaded(folder: Path) -> str | None:
    """The newest whole Chromium in Playwright's folder; of one revision the browser rather than its headless shell."""
    found = [
        (int(kept.name.rpartition("-")[2]), -rank, program)
        for rank, (name, inside) in enumerate(DOWNLOADED)
        for kept in folder.glob(f"{name}-*")
        if re.fullmatch(r"\d{1,9}", kept.name.rpartition("-")[2]) and (kept / COMPLETE).is_file()
        for program in kept.glob(inside)
        if program.is_file() and os.access(program, os.X_OK)
    ]
    return str(max(found)[2]) if found else None


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
