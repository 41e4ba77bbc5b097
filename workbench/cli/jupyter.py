"""JupyterLab on a workspace: the shipped notebooks copied in, its settings, and the process.

An analyst's own changes to a notebook are never overwritten. Nothing is asked of the network: news and update checks are off, and
the server listens on 127.0.0.1 behind a token.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from workbench.errors import WorkspaceError
from workbench.reports.catalogue import shipped

FIRST = "00-start-here.ipynb"
LARGEST_MESSAGE = 100 * 1024 * 1024  # uploads come through the kernel's web socket; the default of 10 MB drops them silently
OVERRIDES: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": "disabled"},  # widget callbacks stay in one thread
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": False},  # widget state would carry people's data into the file
}


def prepare(workspace: Path) -> None:
    """Copy the notebooks that are not there yet, trust those that are as shipped, and write JupyterLab's settings.

    Raises:
        WorkspaceError: the folder can't be written.
    """
    try:
        notebooks = workspace / "notebooks"
        notebooks.mkdir(exist_ok=True, mode=0o700)
        for source in sorted(shipped("notebooks").glob("*.ipynb")):
            target = notebooks / source.name
            if not target.exists():
                shutil.copyfile(source, target)
            if target.read_bytes() == source.read_bytes():
                _trust(target)
        folder = workspace / ".jupyter" / "labconfig"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "default_setting_overrides.json").write_text(json.dumps(OVERRIDES, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(f"the workspace can't be prepared ({error.strerror})", "Check the folder's permissions.") from None


def command(workspace: Path, *, port: int, browser: bool) -> tuple[list[str], dict[str, str]]:
    """The server's command line and environment."""
    words = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={workspace / 'notebooks'}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        f"--ServerApp.tornado_settings={json.dumps({'websocket_max_message_size': LARGEST_MESSAGE})}",
        "--KernelManager.transport=ipc",
        *([] if browser else ["--no-browser"]),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # Jupyter refuses root otherwise; containers have no other user
    paths = [str(workspace / ".jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    own = {"WORKBENCH_HOME": str(workspace), "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path)}
    return words, {**os.environ, **own}


def start(workspace: Path, *, port: int, browser: bool) -> None:
    """Become the JupyterLab server; returns only where the system can't replace a process."""
    words, environment = command(workspace, port=port, browser=browser)
    if os.name == "posix":
        os.execve(words[0], words, environment)  # noqa: S606 - our own interpreter, no shell
    import subprocess

    subprocess.run(words, env=environment, check=False)  # noqa: S603 - our own interpreter


def _trust(path: Path) -> None:
    import nbformat
    from nbformat import sign

    read: Any = nbformat.read  # nbformat has no types
    notary: Any = sign.NotebookNotary
    notary().sign(read(path, as_version=4))
