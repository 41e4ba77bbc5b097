"""The cards of JupyterLab's launcher: they name the notebooks that are shipped, and JupyterLab finds the extension that adds them."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from jupyterlab_server.config import get_federated_extensions
from notebook_run import NOTEBOOKS

import workbench
from workbench import lab
from workbench.lab import pages
from workbench.panels.start import NOTEBOOKS as QUESTIONS

NAME = "compliance-workbench"
FOLDER = pages.SHARE / "labextensions" / NAME
SCRIPT = (FOLDER / "static" / "cards.js").read_text(encoding="utf-8")


def test_each_notebook_has_a_card_with_its_own_question() -> None:
    cards = re.findall(r'^    \["([^"]+)", "[^"]+", "([^"]+)"\],$', SCRIPT, re.MULTILINE)
    assert [name for name, _ in cards] == [path.stem for path in NOTEBOOKS]
    assert cards[1:] == list(QUESTIONS)
    start = nbformat.read(NOTEBOOKS[0], as_version=4).cells[0].source
    assert start.startswith(f"# {cards[0][1]}\n")
    assert f'"{lab.FIRST}"' in SCRIPT


def test_jupyterlab_finds_the_extension_in_the_environment_that_the_server_gets(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "/somewhere")
    _, environment = lab.command(tmp_path)
    place, *others = environment["JUPYTER_PATH"].split(":")
    assert others == ["/somewhere"]
    found = get_federated_extensions([f"{place}/labextensions"])
    assert list(found) == [NAME]
    assert found[NAME]["version"] == workbench.__version__
    assert (FOLDER / found[NAME]["jupyterlab"]["_build"]["load"]).is_file()
    assert json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["name"] == NAME
    assert f'_JUPYTERLAB["{NAME}"]' in SCRIPT


def test_its_script_asks_nobody_for_anything() -> None:
    assert [word for word in ("fetch(", "XMLHttpRequest", "import(", "://", "sendBeacon") if word in SCRIPT] == []
