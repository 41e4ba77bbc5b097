"""A real JupyterLab on a workspace and a real Chromium in front of it; both end with the test. And what every test there asks of them."""

from __future__ import annotations

import ctypes
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

import pytest
from panel_workspace import NOW, opened
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from workbench import Workbench, lab
from workbench.scratch_org import ScratchOrg
from workbench.settings import FILE, rewrite

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60_000  # milliseconds; a limit, not a pause
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def browser_path() -> str | None:
    """The system's Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def end_with_parent() -> None:
    """Run in the child: a killed pytest leaves no server behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def lab_server(workspace: Path, *further: str, **environment: str) -> Iterator[str]:
    """JupyterLab on the workspace with a home of its own, started with these further words; yields its address with the token."""
    lab.prepare(workspace)
    home = Path(tempfile.mkdtemp(prefix="wb-"))  # short: Unix sockets of the kernels have paths of at most 107 bytes
    token = secrets.token_hex(16)
    own = {
        "HOME": str(home),
        "JUPYTER_TOKEN": token,
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    own |= {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    words, inherited = lab.command(workspace)
    log = (home / "lab.log").open("wb")
    server = subprocess.Popen(
        [*words, "--expose-app-in-browser", *further],
        env=inherited | own | environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no Python threads involved
    )
    try:
        yield f"{_address(server, home)}?token={token}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()
        shutil.rmtree(home, ignore_errors=True)


def _address(server: subprocess.Popen[bytes], home: Path) -> str:
    info = home / "runtime" / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        if info.exists() and info.stat().st_size:
            url = json.loads(info.read_text())["url"]
            with (
                suppress(URLError),
                urllib.request.urlopen(f"{url}api", timeout=30),
            ):  # the file is there before the server listens
                return f"{url}lab/tree/{lab.FIRST}"
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{(home / 'lab.log').read_text()[-3000:]}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium without any way out of this machine."""
    arguments = [
        OFFLINE,
        "--disable-dev-shm-usage",
        "--lang=en-GB",
        *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=arguments)
        yield browser
        browser.close()


def command(page: Page, name: str, **arguments: str) -> None:
    """Carry out one of JupyterLab's commands; its result stays in the browser."""
    page.evaluate("async ([name, given]) => { await window.jupyterapp.commands.execute(name, given); }", [name, arguments])


def open_notebook(page: Page, name: str) -> None:
    """Open a notebook in the running Lab, run all its cells, and wait until none is left to run."""
    command(page, "docmanager:open", path=name)
    shown = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-NotebookPanel-notebook"
    page.wait_for_selector(shown, timeout=PATIENCE)
    page.wait_for_function(
        """name => {
          const widget = window.jupyterapp.shell.currentWidget;
          return widget && widget.context && widget.context.path === name && widget.context.isReady && widget.sessionContext.session
            && widget.sessionContext.session.kernel && widget.sessionContext.session.kernel.status === 'idle';
        }""",
        arg=name,
        timeout=PATIENCE,
    )
    command(page, "notebook:run-all-cells")
    page.wait_for_function(
        """() => {
          const cells = [...window.jupyterapp.shell.currentWidget.content.widgets].filter(c => c.model.type === 'code');
          return cells.every(c => c.model.executionCount !== null)
            && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle';
        }""",
        timeout=PATIENCE,
    )
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .cw-panel", timeout=PATIENCE)
    failed = page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) [data-mime-type="application/vnd.jupyter.error"]')
    assert failed.count() == 0, failed.first.inner_text()


@contextmanager
def workspace_in_lab(
    folder: Path,
    *further: str,
    on_org: Callable[[ScratchOrg], None] = lambda _: None,
    settings: Callable[[str], str] = str,
    **given: Any,
) -> Iterator[tuple[Page, Workbench, str]]:
    """JupyterLab on a workspace of invented people (``given`` goes to `opened`) in Chromium: page, Workbench, address.

    ``further`` are words for JupyterLab's command line. ``on_org`` is handed the scratch org, for tests that make it misbehave;
    ``settings`` what workbench.toml says, to say it anew.
    Fails at its end when the page raised an error, opened a dialog, or asked anybody but this machine for anything.
    """
    complaints: list[str] = []

    def note_request(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            complaints.append(f"request: {url}")

    with pytest.MonkeyPatch.context() as env:
        env.setenv("WORKBENCH_CLOCK", NOW.isoformat())
        env.setenv("WORKBENCH_NO_KEYRING", "1")
        with opened(folder, **given) as (wb, org):
            on_org(org)
            wb.pull()
            rewrite(wb.workspace, settings((wb.workspace / FILE).read_text(encoding="utf-8")))
            with lab_server(wb.workspace, *further) as address, chromium() as browser:
                page = browser.new_page(viewport={"width": 1400, "height": 1000})
                page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
                page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
                page.context.on("request", lambda request: note_request(request.url))
                page.on("websocket", lambda socket: note_request(socket.url))
                page.goto(address)
                page.wait_for_selector(".jp-NotebookPanel", timeout=PATIENCE)
                yield page, wb, address
    assert not complaints


def panel_of(page: Page) -> Locator:
    """The panel of the notebook in front."""
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .cw-panel")


def status_is(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait until the panel's status line says this."""
    expect(panel_of(page).get_by_role("status")).to_contain_text(text, timeout=PATIENCE)


def keep(page: Page, name: str) -> None:
    """A picture for whoever looks at the build; the panel is brought into view first."""
    ARTIFACTS.mkdir(exist_ok=True)
    panel_of(page).evaluate("element => element.scrollIntoView({block: 'start'})")
    page.screenshot(path=ARTIFACTS / f"{name}.png")
