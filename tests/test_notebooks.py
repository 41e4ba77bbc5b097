"""The shipped notebooks: what may stand in their files, and that every kept output is what a run gives today."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from notebook_run import NOTEBOOKS, ROOT, compare, seeded

from workbench import Workbench, lab
from workbench.errors import WorkspaceError

NAMES = ["00-start-here", "01-review-unsubscribed", "02-batch-resubscribe", "03-mismatches", "04-audit-trail"]
LARGEST = 60_000  # bytes
PERSONAL = re.compile(r"[\w.+-]+@[\w-]+\.\w+|00[Q3]\w{12,15}|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def test_the_notebooks_are_all_there():
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_counts_and_outputs_are_kept_together(path):
    """nbval silently skips a cell without a count, so every code cell has its own, 1 to n."""
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(o.get("execution_count", cell["execution_count"]) == cell["execution_count"] for o in cell["outputs"])
        assert all(o["output_type"] != "error" for o in cell["outputs"])
    assert sum(bool(cell["outputs"]) for cell in cells) == len(cells) - 1, "all but the import cell say something"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_widget_state_and_nobody_in_the_file(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert "widget-state" not in text
    assert "widget-view" not in text
    assert "widgets" not in read(path)["metadata"]
    assert not PERSONAL.search(text)
    assert "Traceback" not in text
    assert str(ROOT) not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_question_a_panel_a_line_and_a_free_cell(path):
    cells = read(path)["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    assert re.match(r"# .+\?\n", sources[0])
    assert "Run All Cells" in sources[0]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code", "code", "markdown", "code"]
    hidden = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in cells[1:4]]
    assert hidden == [True, True, True]
    assert not cells[5]["metadata"].get("jupyter", {}).get("source_hidden", False)
    assert all(cell["metadata"]["deletable"] is False for cell in cells[1:4])
    assert re.fullmatch(r"panel = \w+Panel\(wb\)\npanel", sources[2])
    (output,) = cells[2]["outputs"]
    assert len("".join(output["data"]["text/plain"]).splitlines()) == 1
    assert "import" not in "".join(sources[2:4]), "one import cell"


def test_every_kept_output_is_what_a_run_gives_today(tmp_path):
    """nbval, strict, on a fixed clock: a changed number fails."""
    changed = tmp_path / NOTEBOOKS[3].name
    changed.write_text(re.sub(r"(\d+) mismatches are open", r"1\1 mismatches are open", NOTEBOOKS[3].read_text()))
    with seeded(tmp_path / "seeded") as environment:
        result = compare(environment)
        wrong = compare(environment, [changed])
    assert "1 failed" in wrong.stdout, "a changed number has to fail"
    assert result.returncode == 0, result.stdout[-6000:]
    cells = sum(len(code_cells(path)) for path in NOTEBOOKS)
    assert re.search(rf"\b{cells} passed", result.stdout), result.stdout[-2000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_new_workspace_too(path, tmp_path, monkeypatch):
    """Nobody in the register, no batch, no org yet: panels and free cells still say so instead of failing."""
    monkeypatch.setenv("WORKBENCH_NO_KEYRING", "1")
    with Workbench.init(tmp_path / "new") as wb:
        monkeypatch.setenv("WORKBENCH_HOME", str(wb.workspace))
        names: dict[str, object] = {}
        for cell in code_cells(path):
            exec("".join(cell["source"]), names)
        assert repr(names["panel"]).endswith("Run all cells to open it.")
        names["wb"].close()


def test_a_workspace_that_cant_be_opened_is_two_sentences_in_a_notebook_too(tmp_path):
    cell = f"from workbench import Workbench; wb = Workbench.open({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", cell],
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        check=False,
    )
    with pytest.raises(WorkspaceError) as raised:
        Workbench.open(tmp_path)
    shown = (done.stdout + done.stderr).strip().splitlines()
    assert shown[-2:] == [f"{str(raised.value)[0].upper()}{str(raised.value)[1:]}.", raised.value.advice]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace, with a home of its own so that nobody's list of trusted notebooks is touched."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def test_notebooks_are_copied_once_and_never_over_an_analysts_changes(workspace):
    lab.prepare(workspace)
    copies = sorted((workspace / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in copies] == NAMES
    copies[1].write_text("{}")
    copies[2].unlink()
    lab.prepare(workspace)
    assert copies[1].read_text() == "{}"
    assert copies[2].read_bytes() == NOTEBOOKS[2].read_bytes()


def test_only_notebooks_as_shipped_are_trusted(workspace):
    lab.prepare(workspace)
    changed = workspace / "notebooks" / "01-review-unsubscribed.ipynb"
    notebook = nbformat.read(changed, as_version=4)
    notebook.cells[-1].source = "print('something of the analyst')"
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"text/html": "<script>1</script>"})]
    nbformat.write(notebook, changed)
    lab.prepare(workspace)
    notary = NotebookNotary()
    assert not notary.check_signature(nbformat.read(changed, as_version=4))
    assert notary.check_signature(nbformat.read(workspace / "notebooks" / "00-start-here.ipynb", as_version=4))


def test_the_server_listens_here_only_and_keeps_its_token_out_of_the_process_list(workspace, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/somewhere")
    words, environment = lab.command(workspace)
    assert "--ServerApp.ip=127.0.0.1" in words
    assert "--KernelManager.transport=ipc" in words
    assert not any("token" in word or "port" in word.partition("=")[0] for word in words if "transport" not in word)
    assert "--LabApp.default_url=/lab/tree/00-start-here.ipynb" in words
    assert environment["WORKBENCH_HOME"] == str(workspace)
    assert environment["JUPYTER_CONFIG_PATH"] == f"{workspace / '.jupyter'}{os.pathsep}/somewhere"
    assert "--ServerApp.port=8890" in lab.command(workspace, port=8890)[0]


def test_the_settings_name_things_that_this_jupyterlab_has(workspace):
    """A setting under a name that Lab does not know is ignored without a word."""
    lab.prepare(workspace)
    written = json.loads((workspace / ".jupyter" / "labconfig" / "default_setting_overrides.json").read_text())
    shared = Path(sys.prefix) / "share" / "jupyter"
    for plugin, values in written.items():
        package, _, name = plugin.partition(":")
        schemas = [
            *shared.glob(f"lab/schemas/{package}/{name}.json"),
            *shared.glob(f"labextensions/*/*/schemas/{package}/{name}.json"),
        ]
        assert schemas, plugin
        known = json.loads(schemas[0].read_text())["properties"]
        assert set(values) <= set(known), plugin
    (shortcut,) = written["@jupyterlab/shortcuts-extension:shortcuts"]["shortcuts"]
    tracker = json.loads((shared / "lab/schemas/@jupyterlab/notebook-extension/tracker.json").read_text())
    assert {k: v for k, v in shortcut.items() if k != "disabled"} in tracker["jupyter.lab.shortcuts"]
