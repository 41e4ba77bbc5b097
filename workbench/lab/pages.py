"""The workspace's notebooks as pages without code: Voila on JupyterLab's own server, behind its login.

A Jupyter server extension, which shows none where Voila is not installed. `workbench lab` switches it on; under JupyterHub an
administrator does (``c.ServerApp.jpserver_extensions = {"workbench.lab.pages": True}``). Kernels learn from WORKBENCH_PAGES where the
pages are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SHARE = Path(__file__).parent / "jupyter"
"""What Jupyter looks for templates and extensions in, laid out as ``share/jupyter`` is."""
PLACE = "WORKBENCH_PAGES"
MOST = 10  # kernels at a time; each is a process of about 200 MB
LEFT_FOR = timedelta(minutes=30)
LOOK_EVERY = timedelta(minutes=1)
HINT = "Run all cells"
BY_HAND = "## Going on by hand"
OF_A_RUN = (
    "A run goes on when you close the browser; open this notebook again and choose the batch.",
    "A run stops when this page is closed or left; open it again, choose the batch, and press Resume.",
)
"""In JupyterLab, and on a page, which takes its kernel along."""
SETTINGS: dict[str, dict[str, Any]] = {
    "VoilaConfiguration": {
        "template": "workbench",
        "allow_template_override": "NO",
        "allow_theme_override": "NO",
        "classic_tree": True,
        "strip_sources": True,
        "show_tracebacks": False,
        "file_allowlist": [],  # Voila hands these out without a login
        "file_denylist": [".*"],
        "extension_allowlist": ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"],
    },
    "VoilaExecutor": {"cell_error_instruction": "Open this notebook in JupyterLab to see what happened."},
}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _link_jupyter_server_extension(server: Any) -> None:
    """Before any extension is loaded: where our template is, and what Voila may show."""
    os.environ.pop(PLACE, None)
    os.environ["JUPYTER_PATH"] = searched(os.environ)
    for section, values in SETTINGS.items():
        server.config[section].update(values)
    server.config["VoilaConfiguration"].update({"prelaunch_hook": before_a_page, "page_config_hook": of_this_machine})


def _load_jupyter_server_extension(server: Any) -> None:
    """Extensions are loaded in the order of their names, so Voila is there by now or won't be."""
    if "voila_jinja2_env" in server.web_app.settings:
        os.environ[PLACE] = server.web_app.settings["base_url"].rstrip("/") + "/voila/render/"


async def _start_jupyter_server_extension(server: Any) -> None:
    from tornado.ioloop import PeriodicCallback

    if PLACE in os.environ:
        PeriodicCallback(lambda: _end_left_ones(server), LOOK_EVERY).start()


def searched(environment: Mapping[str, str]) -> str:
    """JUPYTER_PATH of an environment with our own folder in front."""
    others = [path for path in environment.get("JUPYTER_PATH", "").split(os.pathsep) if path and path != str(SHARE)]
    return os.pathsep.join([str(SHARE), *others])


def before_a_page(handler: Any, notebook: Any, cwd: str) -> Any:  # noqa: ARG001 - Voila calls it so
    """Refuse a page when there are too many kernels already; else what of a notebook belongs on a page.

    Raises:
        HTTPError: 503, with the sentence that the page shows.
    """
    from tornado.web import HTTPError

    if len(handler.kernel_manager.list_kernel_ids()) >= MOST:
        raise HTTPError(503, f"{MOST} notebooks and pages are open already. Close one, then load this page again.")
    notebook.cells = cells_of_a_page(notebook.cells)
    return notebook


def of_this_machine(page_config: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A page's configuration without the address of a formula renderer on another host, which Voila asks whatever a page shows."""
    page_config["fullMathjaxUrl"] = ""
    return page_config


def cells_of_a_page(cells: list[Any]) -> list[Any]:
    """A notebook's cells as a page has them.

    Without what speaks of cells: how to run them, and the part in which they are changed by hand. Of a run it says what is true there.
    """
    kept = []
    for cell in cells:
        if cell["cell_type"] == "markdown":
            if cell["source"].startswith(BY_HAND):
                break
            paragraphs = cell["source"].split("\n\n")
            cell["source"] = "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.startswith(HINT)).replace(
                *OF_A_RUN
            )
        kept.append(cell)
    return kept


def left_ones(kernels: Iterable[dict[str, Any]], in_lab: set[str], now: datetime) -> list[str]:
    """Ids of kernels whose page is gone and that have said nothing for `LEFT_FOR`.

    ``kernels`` are Jupyter's models of all kernels, ``in_lab`` the ids of those that belong to a notebook or console of JupyterLab, which
    are never ended here. A page ends its kernel itself when it is closed; this is for browsers that crashed.
    """
    return [
        kernel["id"]
        for kernel in kernels
        if kernel["id"] not in in_lab
        and not kernel["connections"]
        and kernel["execution_state"] != "busy"
        and now - datetime.fromisoformat(kernel["last_activity"]) > LEFT_FOR
    ]


async def _end_left_ones(server: Any) -> None:
    in_lab = {session["kernel"]["id"] for session in await server.session_manager.list_sessions() if session["kernel"]}
    for kernel_id in left_ones(server.kernel_manager.list_kernels(), in_lab, datetime.now(UTC)):
        with suppress(KeyError):  # it ended meanwhile
            await server.kernel_manager.shutdown_kernel(kernel_id)
