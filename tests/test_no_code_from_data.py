"""No pickle, no eval, no shell: read in every module, and watched by an audit hook while the whole demonstration runs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

import workbench

HOUSE = Path(workbench.__file__).parent
NOTEBOOKS = [*(HOUSE.parent / "notebooks").glob("*.ipynb"), *(HOUSE.parent / "reports").glob("*.ipynb")]

MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "code",
    "codeop",
    "pty",
    "commands",
}
CALLS = {"eval", "exec", "compile", "__import__"}
MEMBERS = {
    ("os", name)
    for name in (
        "system",
        "popen",
        "execv",
        "execve",
        "execvp",
        "execl",
        "spawnl",
        "spawnv",
        "spawnvp",
        "posix_spawn",
        "startfile",
    )
} | {("subprocess", "getoutput"), ("subprocess", "getstatusoutput"), ("asyncio", "create_subprocess_shell"), ("yaml", "load")}
METHODS = {"read_pickle", "to_pickle", "eval"}


def ways_in(source: str) -> Iterator[str]:
    """Everything in a module by which data could become code, or a command of a shell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in CALLS:
            yield f"calls {called.id}"
        if isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if (owner, called.attr) in MEMBERS or called.attr in METHODS:
                yield f"calls {owner}.{called.attr}"
        for keyword in node.keywords:
            if (keyword.arg == "shell" and ast.unparse(keyword.value) != "False") or (
                keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
            ):
                yield f"gives {keyword.arg}"


@pytest.mark.parametrize("file", sorted(HOUSE.rglob("*.py")), ids=lambda file: file.relative_to(HOUSE).as_posix())
def test_a_module_has_no_way_in(file: Path) -> None:
    assert list(ways_in(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_has_no_way_in(file: Path) -> None:
    for cell in nbformat.read(file, as_version=4).cells:
        if cell.cell_type == "code":
            assert not any(line.lstrip().startswith(("!", "%")) for line in cell.source.splitlines())
            assert list(ways_in(cell.source)) == []


PLANTED = [
    "import pickle",
    "from pickle import loads",
    "import pandas as pd; pd.read_pickle('x')",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "__import__('os')",
    "import os; os.system('ls')",
    "import subprocess; subprocess.run('ls', shell=True)",
    "import numpy; numpy.load('x', allow_pickle=True)",
    "frame.eval('a + b')",
    "import marshal",
]


@pytest.mark.parametrize("source", PLANTED)
def test_a_planted_way_in_is_found(source: str) -> None:
    assert list(ways_in(source)) != []


WATCH = """
import json, os, sys
from pathlib import Path

house, seen = sys.argv[1] + os.sep, []

def ours():  # whoever evaluates is the caller; an import's code is run by the interpreter's own importer
    return sys._getframe(2).f_code.co_filename.startswith(house)

def watch(event, args):
    if event in ("os.system", "os.exec", "pickle.find_class"):
        seen.append(event)
    elif event == "subprocess.Popen":
        program, words = args[0], args[1]
        name = Path(os.fsdecode(program)).name
        if isinstance(words, (str, bytes)) or name in ("sh", "bash", "dash", "zsh", "cmd.exe"):
            seen.append(f"{event} {name}")
    elif event in ("exec", "compile") and ours():
        seen.append(event)

sys.addaudithook(watch)
"""


def watched(*lines: str, house: Path = HOUSE) -> list[str]:
    """What the hook saw while these lines ran in an interpreter of their own."""
    code = WATCH + "\n".join(lines) + "\nprint('seen', json.dumps(seen))"
    command = [sys.executable, "-c", code, str(house)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[str] = json.loads(done.stdout.rpartition("seen ")[2])
    return found


def test_the_whole_demonstration_runs_no_code_from_data(tmp_path: Path) -> None:
    assert watched("from workbench.cli.app import run", f"assert run(['demo', {str(tmp_path / 'demo')!r}]) == 0") == []
    assert (tmp_path / "demo" / "workspace" / "workbench.toml").exists()


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("os.system('true')", "os.system"),
        ("import subprocess; subprocess.run('true', shell=True)", "subprocess.Popen sh"),
        ("import pickle, decimal; pickle.loads(pickle.dumps(decimal.Decimal(1)))", "pickle.find_class"),
    ],
)
def test_the_hook_sees_what_is_planted(line: str, event: str) -> None:
    assert event in watched(line)


@pytest.mark.parametrize("line", ["eval('1')", "exec('x = 1')", "compile('1', '', 'eval')"])
def test_the_hook_sees_code_that_is_made_in_the_house(tmp_path: Path, line: str) -> None:
    (tmp_path / "planted.py").write_text(f"def f():\n    {line}\n", encoding="utf-8")
    assert watched(f"sys.path.insert(0, {str(tmp_path)!r}); import planted; seen.clear(); planted.f()", house=tmp_path) != []
