"""Running a template: papermill with this interpreter's own kernel, whatever kernels or IPython settings the operator has.

The kernel talks over sockets in a private folder, not over TCP: what it sends is people's data. Nothing is written by papermill;
the caller gets the executed notebook and decides where it goes.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.environment import with_the_register_only
from workbench.said import said
from workbench.errors import ReportError
from workbench.reports.catalogue import Template

if TYPE_CHECKING:
    from nbformat import NotebookNode

ENGINE = "workbench"
CELL_SECONDS = 1800
START_SECONDS = 120
LONGEST_SOCKET_PATH = 80  # of the 107 bytes that Linux allows; jupyter adds its own suffixes


@dataclass
class Execution:
    """A notebook on its way through the kernel; ``failure`` is set when a cell failed."""

    notebook: NotebookNode | None = None
    failure: ReportError | None = None


def execute(template: Template, parameters: dict[str, Any], *, workspace: Path) -> Execution:
    """Run a template on a workspace.

    Raises:
        ReportError: no kernel could be started.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    _register()
    execution = Execution()
    read: Any = nbformat.read  # nbformat has no types
    source = read(template.path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="wb-") as private:
        try:
            papermill.execute_notebook(
                source,
                None,
                parameters=parameters,
                engine_name=ENGINE,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                start_timeout=START_SECONDS,
                execution=execution,
                private=Path(private),
                workspace=workspace,
            )
        except PapermillExecutionError as error:
            execution.failure = _failure(template, error)
        except (DeadKernelError, CellTimeoutError, RuntimeError) as error:
            execution.failure = ReportError(
                said("the report {name} was not finished ({kind})", name=template.name, kind=type(error).__name__), said("Run it again; nothing was issued.")
            )
    return execution


def _failure(template: Template, error: Any) -> ReportError:
    """Which cell failed; the error's own text may hold people's data, so only its kind is named."""
    what = str(error.ename).rpartition(".")[2]
    first_line = str(error.source).strip().partition("\n")[0][:80]
    return ReportError(
        said("the report {name} failed at its cell {exec_count} (`{first_line}`): {what}", name=template.name, exec_count=error.exec_count, first_line=first_line, what=what),
        said("The notebook with the whole error is kept in issued/failed; nothing was issued."),
    )


@cache
def _register() -> None:
    """Make our engine known to papermill, once."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class ThisPython(KernelSpecManager):
        """Knows one kernel: the interpreter that runs us."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python", name=kernel_name)

    class Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
        """papermill's engine with our kernel, and without the widget state that would carry people's data into the file."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **given: Any) -> Any:
            execution: Execution = given["execution"]
            execution.notebook = nb_man.nb
            private: Path = given["private"]
            manager = AsyncKernelManager(
                kernel_name=kernel_name, kernel_spec_manager=ThisPython(), connection_file=str(private / "kernel.json")
            )
            if os.name == "posix" and len(str(private)) < LONGEST_SOCKET_PATH:
                manager.transport = "ipc"
                manager.ip = str(private / "k")
            client = PapermillNotebookClient(
                nb_man,
                km=manager,
                kernel_name=kernel_name,
                timeout=CELL_SECONDS,
                startup_timeout=given["start_timeout"],
                store_widget_state=False,
                log_output=False,
            )
            # What a dying kernel prints may hold people's data, and says nothing that the notebook does not.
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return client.execute(cleanup_kc=True, cwd=str(private), env=_environment(private, given["workspace"]), **quiet)

    papermill_engines.register(ENGINE, Engine)
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of parameters that it can't parse; ours are checked before


def _environment(private: Path, workspace: Path) -> dict[str, str]:
    """The kernel's environment: ours without secrets but the register's, the workspace by name, and no IPython start-up files of the operator's."""
    own = {"WORKBENCH_HOME": str(workspace), "IPYTHONDIR": str(private / "ipython"), "PYTHONSAFEPATH": "1"}
    return with_the_register_only(os.environ) | own
