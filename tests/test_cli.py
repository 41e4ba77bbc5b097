"""The command line: its words, what goes to stdout and what to stderr, and the exit codes of commands that work."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import CONSENTED, World, contact_id, lead_id, org_line

from workbench.cli import app, batches, tree
from workbench.cli.app import run
from workbench.cli.output import table_text
from workbench.cli.session import split
from workbench.cli.talk import sentence
from workbench.errors import InputError
from workbench.store import people

ADA, BEA = "ada@example.org", "bea@example.net"
CONTRACT = {
    "init": (), "demo": (), "lab": (), "people": (), "person": (), "mismatches": (), "forecast": (), "sync": (), "followup": (),
    "unsubscribe": (), "scratch-org": ("serve",), "org": ("login", "check", "pull"), "import": ("people", "unsubscribes", "consents"),
    "consent": ("add", "show", "verify", "renew", "withdraw", "expire", "history", "coverage", "export", "import", "receipt"),
    "access-report": (), "erase": (), "backup": (), "restore": (), "restored": (),
    "batch": ("propose", "show", "approve", "run", "resume", "undo", "list", "cancel", "worklist"),
    "report": ("list", "run", "verify", "schedule", "schedules", "unschedule"), "trail": ("verify", "export", "excerpt", "checkpoint", "timestamp", "proof", "check", "rotate-key"),
    "operator": ("list", "grant", "revoke"), "store": ("upgrade", "copy", "roles", "snapshot"),
}  # fmt: skip


@pytest.fixture
def ada(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """Two people, opted out on both sides; Ada has a consent. The command line finds the workspace by WORKBENCH_HOME."""
    made = world(org_line("Lead", lead_id(1), ADA, opted_out=True), org_line("Contact", contact_id(2), BEA, opted_out=True))
    made.consent(made.person(ADA))
    made.person(BEA)
    monkeypatch.setenv("WORKBENCH_HOME", str(made.folder))
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", made.org.client_id)
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", made.org.client_secret)
    return made


def test_every_command_of_the_contract_exists_and_no_other() -> None:
    assert set(tree.COMMANDS) == set(CONTRACT)
    for name, below in CONTRACT.items():
        command = tree._command(name)
        assert set(getattr(command, "commands", {})) == set(below)


@pytest.mark.parametrize("name", tree.COMMANDS)
def test_the_short_help_at_the_root_is_the_commands_own(name: str) -> None:
    assert tree._command(name).get_short_help_str(100) == tree.COMMANDS[name][1].rstrip(".") + "."


def test_help_goes_to_stdout_and_no_command_at_all_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    helped = capsys.readouterr()
    assert "Resubscribe people in batches" in helped.out
    assert helped.err == ""
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"workbench \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_somebody_elses_workspace_is_no_defect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied", "/somewhere/anna@example.com")

    monkeypatch.setattr(app, "_invoke", refuse)  # a mock: whoever runs the tests as root may open every file
    assert run(["people"]) == 2
    said = capsys.readouterr().err
    assert "may not be opened by this user" in said
    assert "anna" not in said


@pytest.mark.parametrize(
    ("words", "workspace", "debug", "rest"),
    [
        (["people", "--workspace", "w", "--limit", "1"], "w", False, ["people", "--limit", "1"]),
        (["--debug", "people", "--workspace=w"], "w", True, ["people"]),
        (["person", "--", "--debug"], None, False, ["person", "--", "--debug"]),
    ],
)
def test_global_options_stand_anywhere_before_two_dashes(
    words: list[str], workspace: str | None, debug: bool, rest: list[str]
) -> None:
    session, found = split(words)
    assert (session.workspace, session.debug, found) == (Path(workspace) if workspace else None, debug, rest)


def test_workspace_without_a_folder_is_a_mistake() -> None:
    with pytest.raises(InputError, match="names no folder"):
        split(["people", "--workspace"])


def test_there_is_no_option_that_names_the_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["people", "--operator", "root"]) == 2
    assert "No such option: --operator" in capsys.readouterr().err


def test_people_are_data_on_stdout_and_talk_on_stderr(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["people", "--unsubscribed", "--format", "json"]) == 0
    said = capsys.readouterr()
    assert {row["email"] for row in json.loads(said.out)} == {ADA, BEA}
    assert said.err == "2 people.\n"
    assert run(["people", "--where", "consent=yes", "--format", "csv"]) == 0
    assert [row["email"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [ADA]


def test_an_empty_list_is_an_empty_json_list_and_a_csv_with_its_header(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["people", "--where", "text=nobody", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["people", "--where", "text=nobody", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("person_id,email,")


def test_a_kind_without_mismatches_does_not_say_that_both_sides_agree(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    ada.person("elsewhere@example.org")  # unsubscribed without a Salesforce id: never_syncs
    assert run(["mismatches", "--refresh"]) == 1
    capsys.readouterr()
    assert run(["mismatches", "--kind", "relapse"]) == 0
    assert capsys.readouterr().err == "Nothing of this kind is open, as far as the last snapshot tells.\n"


def test_a_person_is_shown_with_the_history_of_both_sides(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["person", ADA, "--format", "json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["person"]["email"] == ADA
    assert [line["what"] for line in card["history"]][-1] == "consent recorded"


def test_a_batch_goes_through_its_life(ada: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = tmp_path / "asked.csv"
    chosen.write_text(f"Email\n{ADA}\n{BEA}\n", encoding="utf-8")
    assert run(["batch", "propose", str(chosen), "--reason", "signed_form", "--format", "json"]) == 1  # Bea has no consent
    said = capsys.readouterr()
    plan = json.loads(said.out)
    assert (plan["eligible"], plan["refused"]) == (1, 1)
    assert "1 eligible, 1 refused" in said.err
    assert run(["batch", "approve", plan["id"], "--digest", "0" * 64]) == 2
    assert run(["batch", "approve", plan["id"], "--digest", plan["digest"]]) == 0
    assert run(["batch", "run", plan["id"]]) == 1  # a refusal is a finding
    assert sorted(ada.flags(lead_id(1), contact_id(2)).values()) == [False, True]
    capsys.readouterr()
    assert run(["batch", "show", plan["id"], "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert sorted(item["state"] for item in shown["items"]) == ["DONE", "REFUSED"]
    assert shown["batch"]["digest"] == plan["digest"]
    assert run(["batch", "show", plan["id"]]) == 0
    assert f"digest {plan['digest']}" in capsys.readouterr().out
    assert run(["batch", "worklist", plan["id"], "--format", "csv"]) == 0
    assert ADA in capsys.readouterr().out
    assert run(["batch", "undo", plan["id"]]) in (0, 1)
    assert run(["batch", "list"]) == 0
    assert "undone" in capsys.readouterr().out


def test_talk_never_shows_an_address(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["person", "nobody@example.com"],
        ["person", ADA, "extra@example.com"],
        ["unsubscribe", ADA, "--source", "x@example.com"],
    ):
        assert run(words) == 2
        said = capsys.readouterr()
        assert "@" not in said.err
        assert said.out == ""


def test_a_consent_is_recorded_from_the_command_line(ada: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = tmp_path / "letter.pdf"
    proof.write_bytes(b"%PDF-1.7 please write to me again")
    words = ["consent", "add", BEA, "--given-at", CONSENTED.isoformat(), "--purpose", "sales_email", "--method", "paper"]
    words += ["--jurisdiction", "GB", "--notice", "Please mail me.", "--evidence", str(proof), "--language", "en"]
    assert run(words) == 0
    assert len(capsys.readouterr().out.strip()) == 36
    assert run(["consent", "verify"]) == 0
    stored = next(
        path for path in (ada.folder / "evidence").rglob("*") if path.is_file() and path.read_bytes() == proof.read_bytes()
    )
    stored.chmod(0o600)
    stored.write_bytes(b"something else")
    assert run(["consent", "verify"]) == 1


def test_unsubscribing_wins_over_everything(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["unsubscribe", ADA, "--source", "manual", "--detail", "by telephone"]) == 0
    assert run(["unsubscribe", BEA, "--source", "manual", "--at", "2026-01-02"]) == 0
    assert run(["unsubscribe", BEA, "--source", "manual", "--at", "2199-01-02"]) == 2
    assert "can't be later than now" in capsys.readouterr().err
    assert run(["unsubscribe", ADA, "--source", "whim"]) == 2
    assert "clicked_link" in capsys.readouterr().err  # the sources that there are


def test_a_file_in_another_encoding_is_imported_as_the_advice_says(
    ada: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes("Mail;First Name\nzoe@example.org;Zo\u00eb\n".encode("cp1252"))
    assert run(["import", "people", str(file)]) == 2
    assert "--encoding cp1252" in capsys.readouterr().err
    assert run(["import", "people", str(file), "--encoding", "cp1252"]) == 2
    said = capsys.readouterr().err
    assert "--map email=COLUMN" in said
    assert "mapping=" not in said
    assert run(["import", "people", str(file), "--encoding", "cp1252", "--map", "email=Mail"]) == 0


def test_the_trail_is_verified_exported_and_proven(ada: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trail", "checkpoint"]) == 0
    known = tmp_path / "checkpoint.txt"
    known.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(["trail", "verify", "--known", str(known)]) == 0
    assert "The trail is intact" in capsys.readouterr().out
    assert run(["trail", "export", str(tmp_path / "export")]) == 0
    vkey = (tmp_path / "export" / "vkey.txt").read_text().strip()
    verifier = [sys.executable, str(tmp_path / "export" / "verify_trail.py"), str(tmp_path / "export"), "--vkey", vkey]
    assert subprocess.run(verifier, capture_output=True, check=False).returncode == 0
    said = capsys.readouterr().err
    assert "by another way than the folder" in said
    (command,) = re.findall(r"^  (cd .*)$", said, re.MULTILINE)
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=False).returncode == 0
    assert run(["trail", "proof", ADA]) == 0
    assert json.loads(capsys.readouterr().out)["events"]
    assert run(["trail", "verify", "--known", __file__]) == 2  # not a checkpoint: nothing can be told


def test_roles_are_granted_and_revoked(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["operator", "grant", "hopper", "auditor"]) == 0
    assert run(["operator", "grant", "hopper", "emperor"]) == 2
    assert run(["operator", "revoke", "hopper", "auditor"]) == 0
    capsys.readouterr()
    assert run(["operator", "list", "--format", "json"]) == 0
    assert "hopper" in {row["operator"] for row in json.loads(capsys.readouterr().out)}


def test_csv_is_harmless_in_a_spreadsheet(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    ada.person("=cmd|'/c calc'!a0@example.org".replace(" ", ""))
    assert run(["people", "--format", "csv"]) == 0
    emails = [row["email"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert any(email.startswith("'=cmd") for email in emails)


def test_a_table_can_not_steer_the_terminal() -> None:
    shown = table_text(["name"], [{"name": "\x1b]0;owned\x07 \u202eevil \x9b31m"}])
    assert not any(c in shown for c in "\x1b\x07\u202e\x9b")


def test_sentences_have_a_capital_and_a_full_stop() -> None:
    assert sentence("the register is locked") == "The register is locked."
    assert sentence("Is it?") == "Is it?"


@pytest.mark.parametrize(
    ("words", "step"),
    [
        ([], "`workbench scratch-org serve`"),
        (["--org-url", "http://127.0.0.1:9"], "`workbench org pull --full`; no login is needed"),
        (["--org-kind", "sandbox", "--org-url", "https://example--dev.sandbox.my.salesforce.com"], "`workbench org login`"),
        (["--org-kind", "production"], "write the org's address"),
    ],
    ids=["no org", "scratch", "sandbox", "unnamed"],
)
def test_init_says_the_next_step_for_its_kind_of_org(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], step: str
) -> None:
    assert run(["init", str(tmp_path / "new"), *words]) == 0
    assert step in capsys.readouterr().err


def test_init_makes_a_workspace_and_refuses_to_make_it_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "new"), "--controller", "Example GmbH"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "new")
    assert "The key that signs the trail is kept in the file trail.key of the workspace." in said.err
    assert run(["init", str(tmp_path / "new")]) == 2
    assert "already is a workspace" in capsys.readouterr().err
    assert run(["store", "upgrade", "--workspace", str(tmp_path / "new")]) == 0


def test_the_scratch_org_prints_one_json_line_when_it_is_ready() -> None:
    words = [sys.executable, "-m", "workbench", "scratch-org", "serve", "--people", "3", "--seed", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        process.terminate()
    assert {"url", "control_url", "client_id", "client_secret", "access_token", "api_version"} <= facts.keys()


def test_a_reader_that_stops_reading_causes_no_complaint(ada: World) -> None:
    words = f"{sys.executable} -m workbench people --format json | head -c 1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, env=os.environ, check=False)
    assert done.stdout == "["
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


def test_the_first_ctrl_c_stops_a_batch_softly_and_the_second_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with batches._stoppable() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
        assert "Stopping after the people in hand" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_withdrawal_tells_salesforce_at_once_or_says_that_the_sync_will(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    from test_worker import approved

    with ada.wb.store.read() as tx:
        (person,) = people.by_address(tx, ADA)
    assert ada.wb.run(approved(ada, person.person_id)).done == 1
    consent = ada.wb.consents(ADA).consent_id[0]
    assert run(["consent", "withdraw", consent, "--method", "email"]) == 0
    assert "unsubscribed in the register. 1 Salesforce record opted out." in capsys.readouterr().err
    assert all(ada.flags(lead_id(1)).values())


def test_a_withdrawal_that_a_later_consent_outlives_says_so(ada: World, capsys: pytest.CaptureFixture[str]) -> None:
    from test_worker import approved

    with ada.wb.store.read() as tx:
        (person,) = people.by_address(tx, ADA)
    assert ada.wb.run(approved(ada, person.person_id)).done == 1
    earlier = ada.consent(person.person_id, given_at=CONSENTED - timedelta(days=60))
    at = (CONSENTED - timedelta(days=30)).isoformat()
    assert run(["consent", "withdraw", earlier, "--method", "email", "--at", at]) == 0
    assert "a consent that was given later stands" in capsys.readouterr().err
    assert not any(ada.flags(lead_id(1)).values())
