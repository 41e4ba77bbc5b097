"""JupyterLab on a workspace: the shipped notebooks copied in, its settings, and the server as a process of its own.

An analyst's own changes to a notebook are never overwritten. Nothing is asked of the network: news, update checks and the extension
catalogue are off, and the server listens on 127.0.0.1 behind a token that Jupyter makes anew each time. The launcher
has cards that open the notebooks, by a small extension that lies below ``jupyter``. Where Voila is installed, the same server shows the
notebooks as pages without code (`workbench.lab.pages`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.errors import WorkspaceError
from workbench.lab import pages
from workbench.reports.catalogue import shipped

FIRST = "00-start-here.ipynb"
LARGEST_MESSAGE = 100 * 1024 * 1024  # uploads come through the kernel's web socket; the default of 10 MB drops them silently
DELETE_CELL = {
    "command": "notebook:delete-cell",
    "keys": ["D", "D"],
    "selector": ".jp-Notebook.jp-mod-commandMode:not(.jp-mod-readWrite) :focus",
    "disabled": True,
}
OVERRIDES: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": "disabled"},  # widget callbacks stay in one thread
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": False},  # widget state would carry people's data into the file
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # a panel scrolled out of sight stays as it is
    "@jupyterlab/shortcuts-extension:shortcuts": {"shortcuts": [DELETE_CELL]},  # d d on a focused checkbox deletes the panel
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


def command(workspace: Path, *, port: int = 0, open_browser: bool = False) -> tuple[list[str], dict[str, str]]:
    """The server's command line and environment; ``port`` 0 means Jupyter's own, or the next free one.

    The token is not among them: Jupyter makes one and prints it, or takes JUPYTER_TOKEN from the environment.
    """
    words = [
        sys.executable,
        "-P",  # no module of the folder in which somebody happens to stand
        "-m",
        "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        *([f"--ServerApp.port={port}", "--ServerApp.port_retries=0"] if port else []),
        f"--ServerApp.root_dir={workspace / 'notebooks'}",
        f"--ServerApp.tornado_settings={json.dumps({'websocket_max_message_size': LARGEST_MESSAGE})}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        "--LabApp.extension_manager=readonly",
        "--KernelManager.transport=ipc",
        f"--ServerApp.jpserver_extensions={pages.__name__}=True",
        *([] if open_browser else ["--no-browser"]),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # Jupyter refuses root otherwise; containers have no other user
    paths = [str(workspace / ".jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    own = {
        "WORKBENCH_HOME": str(workspace),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path),
        "JUPYTER_PATH": pages.searched(os.environ),  # the cards of the launcher
    }
    return words, {**os.environ, **own}


def serve(workspace: Path, *, port: int = 0, open_browser: bool = True) -> int:
    """Prepare the workspace and run JupyterLab on it until it ends (Ctrl-C); returns its exit code.

    Raises:
        WorkspaceError: the folder can't be written.
    """
    prepare(workspace)
    words, environment = command(workspace, port=port, open_browser=open_browser)
    with subprocess.Popen(words, env=environment) as server:  # noqa: S603 - our own interpreter, no shell
        while True:
            try:
                return server.wait()
            except KeyboardInterrupt:
                server.terminate()  # Ctrl-C reached the server too; it would ask on the terminal whether to end


def _trust(path: Path) -> None:
    import nbformat
    from nbformat.sign import NotebookNotary

    NotebookNotary().sign(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]  # nbformat has no types
