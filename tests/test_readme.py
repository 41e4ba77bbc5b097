"""The README says what is: its commands are the command line's, its targets the Makefile's, its files there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import workbench
from workbench.cli.tree import root
from workbench.intake import columns
from workbench.scratch_org.__main__ import parser

ROOT = Path(workbench.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
)
SCHEDULED = re.compile(r"(?:ExecStart=|&& )(workbench [^&\n]+)")
"""Commands in examples of cron and systemd."""
BEGIN, END = "<!-- commands: kept equal to the command line by tests/test_readme.py -->\n", "<!-- end of commands -->"


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its full name, in the order of the help."""
    if hasattr(command, "commands"):
        for name in command.commands:
            yield from commands(command.get_command(None, name), (*path, name))
    else:
        yield " ".join(path), command


def table() -> str:
    """The table of commands as it has to stand in the README."""
    rows = [f"| `{name}` | {command.get_short_help_str(200)} |" for name, command in commands(root())]
    return "\n".join(["| command | does |", "|---|---|", *rows, ""])


def test_the_table_of_commands_is_the_command_line_s() -> None:
    assert README.partition(BEGIN)[2].partition(END)[0] == table()


def test_the_table_of_columns_is_the_one_that_imports_read() -> None:
    begin, end = (
        "<!-- columns: kept equal to workbench/intake/columns.py by tests/test_readme.py -->\n",
        "<!-- end of columns -->",
    )
    read = {"people": columns.PEOPLE, "unsubscribes": columns.UNSUBSCRIBES, "consents": columns.CONSENTS}
    rows = [f"| {name} | {', '.join(fields)} |" for name, fields in read.items()]
    page = (ROOT / "docs" / "analyst.md").read_text(encoding="utf-8")
    assert page.partition(begin)[2].partition(end)[0] == "\n".join(["| file | columns |", "|---|---|", *rows, ""])


def lines_of(*words: str) -> list[list[str]]:
    """Command lines in the documents that begin with these words: indented ones, and those in backticks."""
    found = []
    for document in DOCUMENTS:
        text = re.sub(r"\\\n\s*", "", (ROOT / document).read_text(encoding="utf-8"))  # a command over several lines is one
        for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text) + SCHEDULED.findall(text):
            if line.split()[: len(words)] == list(words) and line.strip() != "workbench":
                found.append(shlex.split(line.partition("#")[0]))
    return found


@pytest.mark.parametrize("words", lines_of("workbench"), ids=" ".join)
def test_every_command_that_is_shown_exists_with_its_options(words: list[str]) -> None:
    known = dict(commands(root()))
    groups = {name.split()[0] for name in known}
    if words[1:] and words[1] in groups:
        name = next((" ".join(words[1:end]) for end in (4, 3, 2) if " ".join(words[1:end]) in known), " ".join(words[1:3]))
        assert name in known, words
        options = {option for parameter in known[name].params for option in parameter.opts}
        if name == "scratch-org serve":  # hands its words on to a program of its own
            options |= set(parser()._option_string_actions)
        assert {word for word in words if word.startswith("-")} <= options | {"--help", "--workspace"}
    else:
        assert words[1:2] == ["COMMAND"], words


def test_every_target_that_is_shown_exists_and_every_target_is_shown() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)) - {"help"}
    shown = {words[1] for words in lines_of("make") if len(words) > 1}
    assert shown == targets


@pytest.mark.parametrize("lab", ["0", "1"])
def test_what_make_runs_is_what_the_command_line_takes(lab: str) -> None:
    """make's own word for word: an option that the command line does not have would end the demo before it begins."""
    known = dict(commands(root()))
    dry = subprocess.run(
        ["make", "-n", "-o", ".venv/installed", "demo", f"LAB={lab}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in dry.stdout.splitlines() if "bin/workbench" in line]
    words = shlex.split(line)
    options = {option for parameter in known[words[1]].params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word for word in words if word.startswith("-")}
    assert given <= options
    assert given == (set() if lab == "0" else {"--lab"})


def test_the_test_command_of_the_readme_is_what_continuous_integration_runs() -> None:
    assert "make test" in README
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("exec make test")


def test_every_file_that_is_linked_or_shown_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)|<img[^>]* src=\"([^\"]+)\"", README):
        path = "".join(target)
        assert "://" in path or (ROOT / path).is_file(), path


def test_the_python_of_the_readme_uses_what_there_is() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(code, "README.md", "exec")
    for method in re.findall(r"\bwb\.(\w+)", code):
        assert hasattr(workbench.Workbench, method), method


def test_the_version_is_in_the_changes() -> None:
    assert f"\n## {workbench.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_document_speaks_of_the_machine_it_was_written_on() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|work|tmp|Users)/", text), document
