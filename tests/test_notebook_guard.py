"""What keeps personal data out of the repository's notebooks: the same script as a hook before a commit, and here in CI."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GUARD = ROOT / ".ci" / "notebooks"
BOOKS = sorted(path for folder in ("notebooks", "reports") for path in (ROOT / folder).glob("*.ipynb"))
QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
WHO = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")


def book(*cells: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def said(text: str, *, mime: str = "text/plain") -> dict[str, Any]:
    return {"cell_type": "code", "source": "1", "outputs": [{"output_type": "display_data", "data": {mime: text}}]}


FINE = book(said("12 people"), {"cell_type": "markdown", "source": "# Who?"})
PLANTED = {
    "cell 1 holds an e-mail address": book(said("anna@example.com wants mail again")),
    "cell 2 holds an e-mail address": book(said("fine"), {"cell_type": "raw", "source": "Anna <anna.b+x@mail.example.co.uk>"}),
    "cell 1 holds a canary": book(said("the CANARY-7f sang")),
    "cell 1 holds widget state": book(said("{}", mime="application/vnd.jupyter.widget-view+json")),
    "widget state is kept in it": book(said("1"), widgets={"application/vnd.jupyter.widget-state+json": {}}),
    "it is no notebook": "{",
}


def guard(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([GUARD, *files], check=False, capture_output=True, text=True)


def test_no_notebook_of_this_repository_holds_any() -> None:
    assert len(BOOKS) >= 11, "it looked at something"
    checked = guard(*BOOKS)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("finding", PLANTED)
def test_what_is_planted_is_found_and_not_repeated(finding: str, tmp_path: Path) -> None:
    (tmp_path / "one.ipynb").write_text(PLANTED[finding], encoding="utf-8")
    checked = guard(tmp_path / "one.ipynb")
    assert checked.returncode == 1
    assert f"one.ipynb: {finding}\n" in checked.stderr
    assert "anna" not in checked.stderr


def test_as_a_hook_it_stops_the_commit_by_what_is_staged(tmp_path: Path) -> None:
    def git(*words: str) -> subprocess.CompletedProcess[str]:
        done = ["git", *WHO, *words]
        return subprocess.run(done, cwd=tmp_path, check=False, capture_output=True, text=True, env=os.environ | QUIET)

    file = tmp_path / "deep" / "one.ipynb"
    file.parent.mkdir()
    git("init", "--quiet")
    (tmp_path / ".git" / "hooks").mkdir(exist_ok=True)
    (tmp_path / ".git" / "hooks" / "pre-commit").symlink_to(GUARD)
    file.write_text(PLANTED["cell 1 holds an e-mail address"], encoding="utf-8")
    git("add", ".")
    file.write_text(FINE, encoding="utf-8")  # mended in the folder only: what would be committed is what was staged
    stopped = git("commit", "--message", "planted")
    assert stopped.returncode == 1
    assert "deep/one.ipynb: cell 1 holds an e-mail address" in stopped.stderr
    git("add", ".")
    assert git("commit", "--message", "fine").returncode == 0


def test_pre_commit_runs_the_same_script() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    (hook,) = local["hooks"]
    assert (hook["entry"], hook["language"], hook["files"]) == (".ci/notebooks", "script", r"\.ipynb$")
    assert os.access(GUARD, os.X_OK)
