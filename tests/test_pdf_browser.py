"""Which Chromium prints a PDF: the system's, else the newest whole one in the folder that Playwright downloads into."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from workbench.errors import ReportError
from workbench.reports import pdf

LINUX = "chrome-linux64/chrome"
SHELL = "chrome-headless-shell-linux64/chrome-headless-shell"


def kept(cache: Path, name: str, program: str, *, complete: bool = True, mode: int = 0o755, text: str = "") -> Path:
    """A browser as Playwright leaves it in its folder."""
    path = cache / name / program
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(mode)
    if complete:
        (cache / name / pdf.COMPLETE).touch()
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Playwright's folder on a computer without Chromium on its path."""
    monkeypatch.setattr(pdf, "NAMES", ())
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    return tmp_path / "browsers"


@pytest.mark.parametrize(
    "program",
    [
        LINUX,
        "chrome-linux-arm64/chrome",
        "chrome-linux/chrome",
        "chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
        "chrome-mac/Chromium.app/Contents/MacOS/Chromium",
        "chrome-win64/chrome.exe",
    ],
)
def test_a_downloaded_one_is_found_on_every_system(cache: Path, program: str) -> None:
    there = kept(cache, "chromium-1255", program)
    assert pdf.chromium() == str(there)


def test_the_headless_shell_alone_is_enough(cache: Path) -> None:
    there = kept(cache, "chromium_headless_shell-1255", SHELL)
    assert pdf.chromium() == str(there)


def test_the_newest_counts_and_of_one_revision_the_browser(cache: Path) -> None:
    kept(cache, "chromium-999", LINUX)
    kept(cache, "chromium_headless_shell-1255", SHELL)
    newest = kept(cache, "chromium-1255", LINUX)
    kept(cache, "firefox-2000", "firefox/firefox")
    assert pdf.chromium() == str(newest)


def test_what_is_not_whole_or_no_program_is_none(cache: Path) -> None:
    kept(cache, "chromium-1255", LINUX, complete=False)
    kept(cache, "chromium-tip-of-tree", LINUX)
    kept(cache, "chromium-1254", LINUX, mode=0o644)
    (cache / "chromium-1253").mkdir()
    with pytest.raises(ReportError, match="a PDF needs Chromium, and there is none on this computer") as refused:
        pdf.chromium()
    assert "`playwright install chromium`" in refused.value.advice


def test_without_the_folder_there_is_none(cache: Path) -> None:
    assert not cache.exists()
    assert pdf.downloaded(cache) is None


def test_the_systems_own_comes_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(cache, "chromium-1255", LINUX)
    own = kept(tmp_path, "bin", "chromium")
    monkeypatch.setattr(pdf, "NAMES", ("chromium",))
    monkeypatch.setenv("PATH", str(own.parent))
    assert pdf.chromium() == str(own)


@pytest.mark.parametrize(
    ("system", "environment", "place"),
    [
        ("linux", {}, ".cache/ms-playwright"),
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/ms-playwright"),
        ("darwin", {"XDG_CACHE_HOME": "/caches"}, "Library/Caches/ms-playwright"),
        ("win32", {}, "AppData/Local/ms-playwright"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/ms-playwright"),
        ("linux", {"PLAYWRIGHT_BROWSERS_PATH": "/browsers"}, "/browsers"),
    ],
)
def test_playwrights_folder_is_where_playwright_puts_it(
    monkeypatch: pytest.MonkeyPatch, system: str, environment: dict[str, str], place: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert pdf.browsers(environment) == Path.home() / place


def test_it_may_be_the_package_itself() -> None:
    playwright = pytest.importorskip("playwright")
    inside = pdf.browsers({"PLAYWRIGHT_BROWSERS_PATH": "0"})
    assert inside == Path(playwright.__file__).parent / "driver" / "package" / ".local-browsers"
    assert inside.parent.is_dir()


def test_a_downloaded_one_prints(cache: Path, tmp_path: Path) -> None:
    """The system's browser stands in for a downloaded one, which a test can't fetch."""
    real = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if real is None or os.name != "posix":
        pytest.skip("there is no Chromium here to print with")
    kept(cache, "chromium-1255", LINUX, text=f'exec "{real}" "$@"')
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><title>Page</title><h1>Printed</h1>", encoding="utf-8")
    pdf.print_page(page, tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
