"""The pages of docs/ and those beside them: what is made from the code is the code's, and no link or anchor leads nowhere."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from generated_pages import PARTS, PICTURE, direct, pages, reasons, uses
from security import RULES, file_of
from test_layers import FLOORS

import workbench
from workbench.cli.talk import sentence

ROOT = Path(workbench.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the source tree is not at hand")


def site(source: Path, out: Path) -> tuple[int, list[str]]:
    """Make the site of a source tree; the exit code, and what Sphinx complained of, without the way to the file."""
    words = [
        sys.executable,
        "-m",
        "sphinx",
        "--no-color",
        "-q",
        "-W",
        "--keep-going",
        "-n",
        "-c",
        str(source / "docs"),
        str(source),
        str(out),
    ]
    english = os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": "en"}  # its words are looked at
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=english)
    return done.returncode, [line.removeprefix(f"{source}/") for line in done.stderr.splitlines() if "WARNING" in line]


def test_what_is_made_from_the_code_is_the_code_s() -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_every_room_is_in_the_picture_and_in_the_table() -> None:
    drawn, table = (ROOT / PICTURE).read_text(encoding="utf-8"), (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room in (room for floor in FLOORS for room in floor):
        assert f">{room}</text>" in drawn, room
        (said,) = re.findall(rf"^\| `{room}` \| (.*?) \|", table, re.MULTILINE)
        assert len(said) > 20, room


def test_the_picture_s_lines_lead_to_every_room_that_is_imported() -> None:
    """A line may be left out only where others lead to the same room."""
    lines: dict[str, set[str]] = {}
    for room, other in direct(uses()):
        lines.setdefault(room, set()).add(other)

    def reached(room: str, seen: frozenset[str] = frozenset()) -> set[str]:
        found = lines.get(room, set()) - seen
        return found | {far for other in found for far in reached(other, seen | found)}

    assert [(room, sorted(others - reached(room))) for room, others in uses().items() if others - reached(room)] == []


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    sections = ("dependencies", *tomllib.loads(text)["project"]["optional-dependencies"])
    assert {"postgres", "pdf", "voila", "engines"} <= set(sections)
    for section in sections:
        assert reasons(section), section
        assert [requirement for requirement, reason in reasons(section) if len(reason) < 10] == []
    project = text.partition("[dependency-groups]")[0]
    listed = re.findall(r'^  "[a-z0-9-]+(?:\[\w+\])?[>=]', project, re.MULTILINE)
    assert len(listed) == sum(len(reasons(section)) for section in sections)


def test_no_link_and_no_anchor_leads_nowhere(tmp_path: Path) -> None:
    assert site(ROOT, tmp_path / "site") == (0, [])
    assert (tmp_path / "site" / "docs" / "index.html").is_file()
    assert (tmp_path / "site" / "README.html").is_file()


PLANTED = {
    "[gone](gone.md)": "cross-reference target not found: 'gone.md'",
    "[gone](evidence.md#no-such-heading)": "'no-such-heading'",
    "[gone](../README.md#no-such-part)": "'no-such-part'",
    "![gone](img/gone.png)": "image file not readable: docs/img/gone.png",
}


def test_dead_links_and_lost_pages_are_found(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs", source / "docs")
    for page in ROOT.glob("*.md"):
        shutil.copy(page, source)
    (source / "docs" / "lost.md").write_text("# Lost\n", encoding="utf-8")
    with (source / "docs" / "nightly.md").open("a", encoding="utf-8") as page:
        page.write("\n\n".join(["", *PLANTED, ""]))
    code, complaints = site(source, tmp_path / "site")
    assert code != 0
    missed = [complaint for complaint in PLANTED.values() if not any(complaint in line for line in complaints)]
    assert missed == [], complaints
    lost = [line for line in complaints if "lost.md" in line and "document isn't included in any toctree" in line]
    assert len(lost) == 1, complaints
    assert len(complaints) == len(PLANTED) + 1


def test_parts_that_are_made_are_marked_once() -> None:
    for name, parts in PARTS.items():
        for mark in parts:
            assert (ROOT / name).read_text(encoding="utf-8").count(f"<!-- {mark}: made by") == 1


def said_by_the_code() -> set[str]:
    """Every text of the code, "\u2026" for what is filled in, as it is shown: with a capital and a full stop."""
    texts = set()
    for path in (ROOT / "workbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.add("".join(str(part.value) if isinstance(part, ast.Constant) else "\u2026" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("said", "kept", "said_of"):
                marked = (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
                texts.update(re.sub(r"\{\w+\}", "\u2026", text) for text in marked)
    return {sentence(text) for text in texts if text}


def test_every_message_of_the_troubleshooting_is_one_of_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) >= 25
    assert set(quoted) - said_by_the_code() == set()
    assert "This is a defect" in (ROOT / "workbench" / "cli" / "talk.py").read_text(encoding="utf-8")


def test_the_page_on_security_names_the_tests_of_every_rule() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| (`.+`) \|$", page, re.MULTILINE))
    assert {rule: tuple(re.findall(r"`(.+?)`", names)) for rule, names in rows.items()} == RULES
    assert [name for names in RULES.values() for name in names if not file_of(name).is_file()] == []
