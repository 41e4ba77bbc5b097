"""Every bad input ends in one sentence, one piece of advice and exit code 2; nothing is half-done, no traceback without --debug."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import World, contact_id, lead_id, org_line

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.store import database

ADA, BEA = "ada@example.org", "bea@example.net"


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose org nobody needs."""
    folder = tmp_path / "workspace"
    Workbench.init(folder, name="test", url="http://127.0.0.1:9", controller="Example GmbH").close()
    monkeypatch.setenv("WORKBENCH_HOME", str(folder))
    return folder


@pytest.fixture
def bound(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A workspace bound to a running scratch org with one person."""
    made = world(org_line("Lead", lead_id(1), ADA, opted_out=True), org_line("Contact", contact_id(2), BEA, opted_out=True))
    monkeypatch.setenv("WORKBENCH_HOME", str(made.folder))
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", made.org.client_id)
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", made.org.client_secret)
    return made


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that can't be done; returns what it said, after checking its form."""
    assert run(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, advice, *rest = said.err.splitlines()
    assert first.startswith("workbench: ")
    assert first.endswith((".", "!"))
    assert advice.startswith("  ")
    assert not rest
    assert "Traceback" not in said.err
    return first.removeprefix("workbench: ")


def test_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "people") == "There is no workspace here or in any folder above."
    assert "holds no workbench.toml" in refused(capsys, "people", "--workspace", str(tmp_path))


def test_settings_that_are_no_settings(register: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (register / "workbench.toml").write_text("[workspace\n", encoding="utf-8")
    assert "workbench.toml is not valid TOML" in refused(capsys, "people")


FILES = {
    "nothing there": None,
    "empty": b"",
    "wrong columns": b"Colour,Taste\nred,sweet\n",
    "broken UTF-8": b"Email\nada\xff\xfe@example.org\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize(
    "command", [["import", "people"], ["import", "unsubscribes"], ["batch", "propose", "--reason", "signed_form"]], ids=" ".join
)
def test_files_that_can_not_be_read(
    register: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], what: str
) -> None:
    file = tmp_path / "people.csv"
    content = FILES[what]
    if content is not None:
        file.write_bytes(content)
    sentence = refused(capsys, *command, str(file))
    assert ADA not in sentence
    with Workbench.open(register) as wb:
        assert wb.people().empty


def test_consents_without_their_folder(register: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "consents.csv"
    file.write_text("Email,Given At\n", encoding="utf-8")
    assert refused(capsys, "import", "consents", str(file), "--evidence", str(tmp_path / "nowhere")).startswith(
        "There is no such folder of evidence."
    )


def test_salesforce_down(register: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (register / "workbench.toml").read_text(encoding="utf-8").replace("http://127.0.0.1:9", f"http://127.0.0.1:{port}")
    (register / "workbench.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", "id")
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", "secret")
    said = refused(capsys, "org", "check")
    assert "secret" not in said
    refused(capsys, "org", "pull")
    assert run(["people"]) == 0  # the register does not need Salesforce


def test_wrong_credentials(bound: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", "not-the-secret")
    said = refused(capsys, "org", "check")
    assert "did not accept" in said
    assert "not-the-secret" not in said


def test_a_missing_field_permission_is_a_finding(bound: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["org", "check"]) == 0
    bound.org.control("/permissions", {"object": "Lead", "field": "HasOptedOutOfEmail", "updateable": False})
    capsys.readouterr()
    assert run(["org", "check"]) == 1
    assert "Lead" in capsys.readouterr().out


def test_locked_database(register: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(database.Store.__init__, "__kwdefaults__", {"lock_wait": 0.05})
    holder = sqlite3.connect(register / "register.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        assert refused(capsys, "operator", "grant", "hopper", "auditor") == "The register is locked by another process."
    finally:
        holder.close()
    assert run(["operator", "grant", "hopper", "auditor"]) == 0


def test_full_disk(register: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "people.csv"
    file.write_text("Email\n" + "".join(f"person{n}@example.org\n" for n in range(3000)), encoding="utf-8")

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    sa.event.listen(sa.engine.Engine, "connect", limit)
    try:
        assert refused(capsys, "import", "people", str(file)) == "The disk is full."
    finally:
        sa.event.remove(sa.engine.Engine, "connect", limit)
    with Workbench.open(register) as wb:
        assert wb.people().empty
        assert wb.trail.verify().ok


def test_output_to_a_full_disk(register: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "workbench", "operator", "list"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "The disk is full." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_register_of_another_version(register: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(register / "register.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '0000'")
    assert "schema version 0000" in refused(capsys, "people")


@pytest.mark.parametrize("words", [["people"], ["store", "upgrade"]], ids=" ".join)
def test_a_register_that_is_gone(register: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    for path in register.glob("register.db*"):
        path.unlink()
    assert refused(capsys, *words) == "register.db is missing."
    assert not list(register.glob("register.db*"))


def test_a_file_that_is_no_database(register: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in register.glob("register.db*"):
        path.write_bytes(b"this is not a database" * 100)
    refused(capsys, "people")


@pytest.mark.parametrize(
    "words", [["run"], ["resume"], ["show"], ["undo"], ["cancel"], ["worklist"], ["approve", "--digest", "0" * 64]], ids=" ".join
)
def test_unknown_batch(register: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert refused(capsys, "batch", words[0], "no-such-batch", *words[1:]) == "No batch has this id."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["people", "--where", "colour=red"], "--where names a filter that does not exist."),
        (["people", "--where", "text"], "--where takes KEY=VALUE."),
        (["people", "--where", "since=tomorrow"], "The filter since is not a date or moment."),
        (["people", "--where", "since=2026-11-02T09:00"], "The filter since has a time but no time zone."),
        (["people", "--where", "consent=perhaps"], "The filter consent is yes or no."),
        (
            ["people", "--where", "since=2026-11-02", "--where", "until=2026-11-01"],
            "The filters leave no time between since and until.",
        ),
        (["people", "--limit", "many"], None),
        (["people", "--format", "xml"], None),
        (["mismatches", "--kind", "boredom"], "There is no such kind of mismatch."),
        (["batch", "propose", "--reason", "signed_form"], "A batch is proposed from a file or from --where, one of the two."),
        (["batch", "propose", "--where", "unsubscribed=yes", "--reason", "whim"], None),
        (["person", "nobody@example.org"], "Nobody in the register has this address or id."),
        (["report", "run", "horoscope"], "There is no report of this name."),
        (["report", "run", "../../etc/passwd"], "There is no report of this name."),
        (["report", "run", "mismatch-review", "-p", "colour=red"], "The report mismatch-review has no parameter colour."),
        (["report", "verify", __file__], None),
        (["report", "verify", "/nowhere/report.html"], "The file can't be read (No such file or directory)."),
        (["trail", "verify", "--known", "/nowhere/checkpoint"], "The checkpoint file can't be read (No such file or directory)."),
        (["erase", "ada"], None),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_bad_words(register: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str | None) -> None:
    found = refused(capsys, *words)
    assert sentence is None or found == sentence


def test_a_report_that_has_nowhere_to_go(register: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for made in (register / "issued").glob("*"):
        made.unlink()
    (register / "issued").rmdir()
    (register / "issued").write_text("a file where the folder was")
    assert refused(capsys, "report", "run", "mismatch-review").startswith("The folder issued can't be written (")


def test_a_scratch_org_that_can_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scratch-org", "serve", "--port", "99999"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("The scratch org can't start: a port is a number from 0 to 65535.\n  Correct that option")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["scratch-org", "serve", "--port", str(taken.getsockname()[1])]) == 2
    said = capsys.readouterr().err
    assert said.startswith("The scratch org can't start: Address already in use.\n  Name another port")


def test_a_defect_is_named_without_what_it_says(
    register: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, **_: object) -> None:
        raise ZeroDivisionError(f"division by {ADA}")

    monkeypatch.setattr(Workbench, "people", broken)
    said = refused(capsys, "people")
    assert said.startswith("This is a defect: ZeroDivisionError in workbench.cli.people, line ")
    assert run(["people"]) == 2
    assert "batch" not in capsys.readouterr().err
    monkeypatch.setattr(Workbench, "run", lambda self, batch, **_: broken(self))
    assert run(["batch", "run", "some-id"]) == 2
    assert "workbench batch resume" in capsys.readouterr().err
    assert run(["people", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupted_command_says_how_to_go_on(register: Path) -> None:
    holder = sqlite3.connect(register / "register.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")  # the command waits for the lock until it is interrupted
    program = (
        "import sys, workbench.store.database as d\n"
        "real = d.Store.write\n"
        "def write(self):\n    print('waiting', flush=True)\n    return real(self)\n"
        "d.Store.write = write\n"
        "from workbench.cli.app import run\n"
        "raise SystemExit(run(['operator', 'grant', 'hopper', 'auditor']))\n"
    )
    try:
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            holder.rollback()
            _, said = process.communicate(timeout=30)
    finally:
        holder.close()
    assert process.returncode == 130
    assert said.endswith("Interrupted. Nothing is lost: run the same command again.\n")
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [["reports", "--help"], ["report", "isue", "--help"]])
def test_the_help_of_a_command_that_does_not_exist_says_that_it_does_not(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["restore", "FILE", "back"],
        ["consent", "import", "FILE"],
        ["trail", "check", "FILE", "--vkey", "x"],
        ["trail", "timestamp", "add", "FILE", "--ca", "FILE"],
        ["import", "people", "FILE"],
        ["import", "unsubscribes", "FILE"],
        ["report", "verify", "FILE"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_what_may_never_end_is_not_read(
    words: list[str],
    kind: str,
    world: Callable[..., World],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(world().folder))
    if kind == "pipe":
        kind = str(tmp_path / "pipe")
        os.mkfifo(kind)
    assert run([kind if word == "FILE" else str(tmp_path / word) if word == "back" else word for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("workbench: ")
    assert "defect" not in said
