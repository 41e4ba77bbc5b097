"""Every command that a page shows in a block is run as it stands there, or is listed here with what it needs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import workbench
from workbench.demo import prepare

ROOT = Path(workbench.__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))

REAL_ORG = "a real org, and somebody who enters its secret"
SERVER = (
    "a PostgreSQL server at an address of one's own; tests/test_postgresql.py and test_postgresql_roles.py run these on theirs"
)
MACHINE = "the computer's cron or systemd; tests/test_readme.py compares the commands in it with the command line"
NEEDS = {
    "make demo     #": "an environment of its own; what it runs begins the tour, and tests/test_readme.py compares both",
    "make test     #": "is what runs this test",
    "workbench org login --client-id KEY": REAL_ORG,
    "workbench org check": REAL_ORG,
    "workbench org pull --full": REAL_ORG,
    "pip install 'compliance-workbench[postgres]'": SERVER,
    "createdb register": SERVER,
    'workbench init my-workspace --controller "Your Company" --database': SERVER,
    "workbench store roles": SERVER,
    "psql register": SERVER,
    "workbench store snapshot DIR": "a workspace with records; tests/test_engines.py runs these",
    "workbench mismatches --engine duckdb://": "the same",
    "workbench mismatches --engine spark://local[2]": "the same, and Spark and Java",
    "workbench mismatches --engine spark://HOST:7077": "a cluster",
    "# /etc/": MACHINE,
    "uv pip compile": "uv and a package index; tests/test_packaging.py looks at the lock",
    "export SOURCE_DATE_EPOCH=": "a checkout with its history; tests/test_packaging.py builds with a moment of its own",
    "python -m hatchling build": "the same",
    "python tests/sbom.py dist/": "tests/test_sbom.py makes it, and writes it nowhere",
    "sha256sum dist/*": "the same",
}
"""How a line, or the first line of a file that is shown, begins, and why it is not run here."""


@dataclass(frozen=True)
class Block:
    """Lines that a page shows together."""

    page: str
    heading: str
    language: str
    lines: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    found, heading = [], ""
    tokens = MarkdownIt().enable("table").parse((ROOT / page).read_text(encoding="utf-8"))
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before is not None and before.type == "heading_open":
            heading = token.content
        if token.type in ("code_block", "fence") and token.info.strip() != "{toctree}":
            lines = tuple(line for line in re.sub(r"\\\n\s*", "", token.content).splitlines() if line.strip())
            found.append(Block(page, heading, token.info.strip(), lines))
    return found


def of(page: str, heading: str) -> list[str]:
    """The command lines below a heading, without those that need what is not here."""
    shown = [line for block in blocks(page) if block.heading == heading and not block.language for line in block.lines]
    return [line for line in shown if not line.startswith(tuple(NEEDS))]


RUN = {
    ("README.md", "Ten minutes"),
    ("README.md", "The working day"),
    ("README.md", "Connect a real Salesforce"),
    ("README.md", "Back up, restore, upgrade"),
    ("docs/auditor.md", "What you run"),
    ("docs/salesforce.md", "The workspace"),
}
"""What the tests below run."""


def test_every_line_that_is_shown_is_run_or_listed() -> None:
    lost, used = [], set[str]()
    for page in PAGES:
        for block in blocks(page):
            whole_file = block.lines[0].startswith("# /etc/")
            for line in block.lines[:1] if whole_file else block.lines:
                reasons = [start for start in NEEDS if line.startswith(start)]
                used |= set(reasons)
                if not reasons and (page, block.heading) not in RUN and block.language != "python":
                    lost.append((page, block.heading, line))
    assert lost == []
    assert set(NEEDS) - used == set(), "listed, and shown nowhere"
    assert [place for place in sorted(RUN) if not of(*place)] == []


@dataclass(frozen=True)
class Done:
    """What became of one line."""

    line: str
    code: int
    out: str
    err: str


def typed(folder: Path, lines: list[str], **environment: str) -> list[Done]:
    """Type lines into one shell, as a reader would: BATCH and DIGEST are what the last proposal printed."""
    script = ["set +e", "here=$PWD"]
    for number, line in enumerate(lines):
        filled = re.sub(r"\b(BATCH|DIGEST)\b", r"$\1", line)
        script += ["{", filled, f"}} >$here/{number}.out 2>$here/{number}.err </dev/null", f"echo $? >$here/{number}.code"]
        if line.endswith("&"):  # a person would see that it is ready
            script.append(f"for i in $(seq 100); do grep -q access_token $here/{number}.out && break; sleep 0.2; done")
        if "batch propose" in line:
            script += [f"{word.upper()}=$(sed -n 's/^{word} //p' $here/{number}.out)" for word in ("batch", "digest")]
    script.append('[ -z "$(jobs -p)" ] || { kill $(jobs -p); wait; }')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WORKBENCH", "VIRTUAL"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    environment = kept | {"WORKBENCH_NO_KEYRING": "1", "PATH": path} | environment
    subprocess.run(["bash", "-c", "\n".join(script)], cwd=folder, env=environment, check=True)

    def told(number: int, what: str) -> str:
        return (folder / f"{number}.{what}").read_text(encoding="utf-8")

    return [Done(line, int(told(n, "code")), told(n, "out"), told(n, "err")) for n, line in enumerate(lines)]


def one(done: list[Done], start: str) -> Done:
    """What became of the last line that begins so."""
    return [each for each in done if each.line.startswith(start)][-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_tour_goes_as_it_is_told(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    port = str(free_port())
    (code,) = [block for block in blocks("README.md") if block.language == "python"]
    (tmp_path / "snippet.py").write_text("\n".join(code.lines) + "\n", encoding="utf-8")
    tour = [line.replace("8123", port) for line in of("README.md", "Ten minutes")]
    done = typed(tmp_path, ["workbench demo demo", *tour, "python snippet.py"])
    proposals = [each for each in done if each.line.startswith("workbench batch propose")]
    found = {each.line: each.code for each in done if each.code}
    assert found == {"workbench mismatches --kind address_changed": 1, proposals[0].line: 1}, [d for d in done if d.code]
    assert [("no_consent" in each.out, "1 eligible, 0 refused." in each.err) for each in proposals] == [
        (True, False),
        (False, True),
    ]
    assert "emma.parker273.268@oulu-bearings.example.net" in one(done, "workbench person").out
    assert "1 of 1 people resubscribed; 0 refused." in one(done, "workbench batch run").err
    assert re.search(r"resubscribed +batch .* subscribed +not opted out +trail entry", one(done, "workbench person").out)
    assert "1 Salesforce record opted out." in one(done, "workbench unsubscribe").err
    assert "The trail is intact" in one(done, "workbench trail verify").out
    assert one(done, "python3 for-the-auditor").out == "VERIFIED: every event, checkpoint and file\n"
    assert "all read and compared" in one(done, "workbench backup").err
    assert re.search(r"\b[0-9a-f]{64}$", one(done, "python snippet").out.strip())


def test_the_working_day_goes_as_it_is_told(tmp_path: Path) -> None:
    with prepare(tmp_path / "demo") as stage:
        stage.wb.close()
        given = tmp_path / "demo" / "input"
        for name, source in {"export.csv": "people.csv", "consents.csv": "consents.csv", "people.csv": "batch.csv"}.items():
            shutil.copy(given / source, tmp_path / name)
        shutil.copytree(given / "evidence", tmp_path / "scans")
        lines = of("README.md", "The working day")
        done = typed(tmp_path, lines, WORKBENCH_HOME=str(tmp_path / "demo" / "workspace"))
    codes = {each.line: each.code for each in done if each.code}
    refusing = [
        line for line in lines if line.startswith(("workbench import people", "workbench batch propose", "workbench batch run"))
    ]
    assert codes == dict.fromkeys(refusing, 1), [(each.line, each.err) for each in done if each.code == 2]
    assert "80 of 120 people resubscribed; 40 refused." in one(done, "workbench batch run").err
    assert "The trail is intact" in one(done, "workbench trail verify").out


def test_backup_restore_upgrade_and_what_an_auditor_runs(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    first = [f"workbench init {workspace} --controller 'Example GmbH'", f"export WORKBENCH_HOME={workspace}"]
    between = ["workbench trail checkpoint > checkpoint.txt", "workbench trail export for-the-auditor"]
    kept = ["cd for-the-auditor", "cp ../checkpoint.txt ."]
    lines = [*first, *of("README.md", "Back up, restore, upgrade"), *between, *kept]
    shown = [line.replace("KEY", '"$(cat vkey.txt)"') for line in of("docs/auditor.md", "What you run")]
    done = typed(tmp_path, [*lines, *shown])
    assert [(each.line, each.err) for each in done if each.code] == []
    assert (tmp_path / "new-folder" / "workbench.toml").is_file()
    assert "The register has this version's schema." in one(done, "workbench store upgrade").err
    assert done[-1].out == "VERIFIED: every event, checkpoint and file\n"


@pytest.mark.parametrize("place", [("README.md", "Connect a real Salesforce"), ("docs/salesforce.md", "The workspace")])
def test_what_of_a_real_org_can_be_done_without_one(tmp_path: Path, place: tuple[str, str]) -> None:
    done = typed(tmp_path, of(*place))
    assert [(each.line, each.err) for each in done if each.code] == []
    assert "fill in policy.toml, then in that folder `workbench org login`" in done[0].err
