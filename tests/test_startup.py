"""What a command loads: only what it uses. Times are measured by tests/bench/startup.py; a test can't rely on a clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "altair", "IPython", "ipywidgets", "keyring", "nbclient", "nbconvert", "nbformat", "numpy", "pandas", "papermill", "pydantic",
    "requests", "rich", "simple_salesforce", "sqlalchemy", "starlette", "uvicorn", "vl_convert",
)  # fmt: skip


def loaded_by(*words: str) -> set[str]:
    """The outside libraries that one command loads, in a fresh interpreter."""
    program = (
        "import sys\n"
        "from workbench.cli.app import run\n"
        "code = run(sys.argv[1:])\n"
        "sys.stderr.write('\\nLOADED ' + ' '.join({name.partition('.')[0] for name in sys.modules}))\n"
        "raise SystemExit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 2), done.stderr
    return set(done.stderr.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("words", [["--help"], ["batch", "--help"], ["report", "run", "--help"], [], ["peple"]], ids=" ".join)
def test_help_loads_nothing_that_only_commands_need(words: list[str]) -> None:
    assert not loaded_by(*words) & set(HEAVY)


def test_listing_report_templates_opens_no_register() -> None:
    """pydantic is typer's own: it converts the values of a command's options."""
    assert not loaded_by("report", "list") & (set(HEAVY) - {"pydantic"})


def test_the_package_alone_loads_none_of_its_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, workbench, workbench.reports; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {name.partition(".")[0] for name in done.stdout.split()} & {*HEAVY, "typer"}
