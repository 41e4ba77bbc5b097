"""Run the shipped notebooks on the seeded workspace and keep their outputs: ``python tests/refresh_notebooks.py``.

Counts and outputs are kept together; widget views, timings and other metadata of the run are not. Look at the difference before
committing it: every changed number is a changed behaviour.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from notebook_run import NOTEBOOKS, seeded

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def cleaned(notebook: Any) -> Any:
    """The notebook as it is kept: outputs and counts, without what belongs to one run only."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return notebook


def main() -> None:
    """Refresh every notebook in place."""
    with tempfile.TemporaryDirectory(prefix="wb-") as folder, seeded(Path(folder)) as environment:
        for path in NOTEBOOKS:
            notebook = nbformat.read(path, as_version=4)
            client = NotebookClient(notebook, timeout=120, kernel_name="python3", store_widget_state=False)
            client.execute(env=environment)
            nbformat.write(cleaned(notebook), path)


if __name__ == "__main__":
    main()
