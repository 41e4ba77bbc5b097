"""The trail for its users: verified, looked up, signed, handed to an auditor whose own tool agrees, proved for one person."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from workbench import Evidence, Workbench
from workbench.audit import COLUMNS
from workbench.errors import InputError, TrailError
from workbench.person import Person, new_id
from workbench.store import people
from workbench.trail import inclusion_holds, leaf_hash, open_checkpoint, payload_digest, read_leaf
from workbench.trail.checkpoint import VerifierKey


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without an org: two people, a consent with evidence, an unsubscribe, an operator."""
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        with Workbench.init(folder / "workspace", name="test", controller="Example GmbH") as made:
            with made.store.write() as tx:
                for name in ("ann", "bob"):
                    address = f"{name}@example.com"
                    people.add(tx, Person(person_id=new_id(), email=address, email_as_given=address, version=1), at=made.clock())
            (folder / "form.pdf").write_bytes(b"%PDF-1.7 signed")
            made.record_consent(
                person="ann@example.com",
                evidence=[Evidence.from_file(folder / "form.pdf")],
                given_at=made.clock() - timedelta(days=1),
                purpose="sales_email",
            )
            made.unsubscribe("bob@example.com", detail="by telephone")
            made.grant("cem", "auditor")
    return folder / "workspace"


@pytest.fixture
def wb(tmp_path: Path, prepared: Path) -> Iterator[Workbench]:
    with Workbench.open(shutil.copytree(prepared, tmp_path / "workspace")) as made:
        yield made


def test_an_untouched_trail_is_intact(wb: Workbench) -> None:
    verdict = wb.trail.verify()
    assert (verdict.ok, verdict.problems) == (True, ())
    assert verdict.size == verdict.events == 7


def test_events_are_a_table_that_can_be_asked(wb: Workbench) -> None:
    table = wb.trail.events()
    assert tuple(table.columns) == COLUMNS
    assert list(table.seq) == list(range(7))
    assert list(wb.trail.events(person="bob@example.com").action) == ["unsubscribe_recorded"]
    assert json.loads(wb.trail.events(action="unsubscribe_recorded").payload[0])["detail"] == "by telephone"
    assert list(wb.trail.events(newest=2).seq) == [5, 6]
    assert list(wb.trail.events(operator=wb.operator).seq) == list(range(7))
    assert wb.trail.events(since=wb.clock() + timedelta(days=1)).empty


def test_an_empty_table_has_the_same_columns_and_kinds(wb: Workbench) -> None:
    full, empty = wb.trail.events(), wb.trail.events(operator="nobody")
    assert empty.empty
    assert list(empty.columns) == list(full.columns)
    assert isinstance(empty["at"].dtype, pd.DatetimeTZDtype)
    assert str(empty["seq"].dtype) == "int64"


def test_nobody_s_events_are_one_sentence(wb: Workbench) -> None:
    with pytest.raises(InputError, match="nobody in the register"):
        wb.trail.events(person="dan@example.com")


def test_every_checkpoint_covers_what_was_there(wb: Workbench) -> None:
    table = wb.trail.checkpoints()
    assert list(table["size"]) == sorted(set(table["size"]))
    assert table["size"].iloc[-1] == 7
    assert wb.trail.newest_checkpoint() == table["note"].iloc[-1]
    assert isinstance(table["made_at"].dtype, pd.DatetimeTZDtype)


def test_a_checkpoint_of_an_idle_trail_is_a_sign_of_life(wb: Workbench) -> None:
    first, second = wb.trail.checkpoint(), wb.trail.checkpoint()
    assert first != second
    assert wb.trail.events(action="checkpoint_idle").shape[0] == 2
    assert wb.trail.verify(known=[first, second]).ok


def test_a_checkpoint_kept_elsewhere_finds_a_cut_tail(wb: Workbench) -> None:
    known = wb.trail.checkpoint()
    wb.store.close()
    tamper(
        wb,
        "DELETE FROM trail_event WHERE seq >= 5",
        "DELETE FROM trail_payload WHERE seq >= 5",
        "DELETE FROM trail_checkpoint WHERE size > 5",
    )
    verdict = wb.trail.verify(known=[known])
    assert not verdict.ok
    assert any("5 to 7 are missing" in p for p in verdict.problems)


def test_a_known_checkpoint_that_is_none_is_one_sentence(wb: Workbench) -> None:
    with pytest.raises(TrailError):
        wb.trail.verify(known=["nonsense"])


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE trail_payload SET payload = replace(payload, 'telephone', 'letter') WHERE seq = 5",
        "UPDATE trail_event SET leaf_bytes = replace(leaf_bytes, 'unsubscribe_recorded', 'consent_recorded') WHERE seq = 5",
        "UPDATE trail_payload SET payload = CAST(replace(payload, 'telephone', 'letter') AS BLOB) WHERE seq = 5",
        "UPDATE trail_payload SET payload = 5 WHERE seq = 5",
        "UPDATE trail_event SET leaf_bytes = 'nonsense' WHERE seq = 5",
        "DELETE FROM trail_event WHERE seq = 5",
        "UPDATE trail_payload SET payload = NULL, salt = NULL WHERE seq = 5",
    ],
)
def test_a_changed_trail_is_found_and_named(wb: Workbench, sql: str) -> None:
    tamper(wb, sql)
    verdict = wb.trail.verify()
    assert not verdict.ok
    assert "5" in verdict.problems[0]


def tamper(wb: Workbench, *statements: str) -> None:
    """What whoever may write the file can do: take the guards off first."""
    wb.store.close()
    connection = sqlite3.connect(str(wb.store.url.database))
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


def auditor(export: Path, vkey: str, *more: str) -> subprocess.CompletedProcess[str]:
    """The export's own verifier in an interpreter that has nothing of ours."""
    words = [sys.executable, "-I", "-S", str(export / "verify_trail.py"), str(export), "--vkey", vkey, *more]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_auditor_s_tool_agrees(wb: Workbench, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text(wb.trail.checkpoint(), encoding="utf-8")
    export = wb.trail.export(tmp_path / "export")
    done = auditor(export, wb.trail.vkey, "--known", str(known))
    assert (done.returncode, done.stdout.strip()) == (0, "VERIFIED: every event, checkpoint and file"), done.stderr
    assert len(list((export / "evidence").iterdir())) == 1
    assert wb.trail.events(newest=1).action[0] == "trail_exported"
    assert wb.trail.verify().ok


@pytest.mark.parametrize("file", ["events.jsonl", "checkpoints.txt", "evidence"])
def test_the_auditor_s_tool_finds_what_was_changed(wb: Workbench, tmp_path: Path, file: str) -> None:
    export = wb.trail.export(tmp_path / "export")
    path = next((export / file).iterdir()) if file == "evidence" else export / file
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = auditor(export, wb.trail.vkey)
    assert (done.returncode, done.stdout.split()[0]) == (1, "TAMPERED")


def test_a_trail_under_another_key_is_not_verified(wb: Workbench, tmp_path: Path) -> None:
    export = wb.trail.export(tmp_path / "export")
    with Workbench.init(tmp_path / "other", name="test") as other:
        assert auditor(export, other.trail.vkey).returncode == 1


def test_an_export_never_writes_into_a_folder_that_is_there(wb: Workbench, tmp_path: Path) -> None:
    before = wb.trail.events().shape[0]
    with pytest.raises(TrailError, match=r"^the folder .* exists already$"):
        wb.trail.export(tmp_path)
    assert wb.trail.events().shape[0] == before


def test_an_export_without_its_evidence_is_found_by_the_auditor(wb: Workbench, tmp_path: Path) -> None:
    for file in (wb.workspace / "evidence").rglob("*"):
        if file.is_file():
            file.unlink()
    done = auditor(wb.trail.export(tmp_path / "export"), wb.trail.vkey)
    assert done.returncode == 1
    assert "is missing, or not the file that was exported; event " in done.stdout


def test_one_person_s_events_are_proved_and_nobody_else_s_shown(wb: Workbench) -> None:
    proof = wb.trail.proof("bob@example.com")
    signed = open_checkpoint(proof["checkpoint"], VerifierKey.parse(proof["vkey"]))
    assert [e["payload"]["detail"] for e in proof["events"]] == ["by telephone"]
    for event in proof["events"]:
        leaf = event["leaf"].encode()
        path = [bytes.fromhex(h) for h in event["proof"]]
        assert inclusion_holds(leaf_hash(leaf), event["seq"], size=signed.size, proof=path, root=signed.root)
        payload = json.dumps(event["payload"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert read_leaf(leaf).payload_sha256 == payload_digest(bytes.fromhex(event["salt"]), payload)
    assert "ann@example.com" not in json.dumps(proof)


def test_a_proof_of_nobody_is_one_sentence(wb: Workbench) -> None:
    with pytest.raises(InputError, match="nobody in the register"):
        wb.trail.proof("dan@example.com")


def test_the_workspace_s_key_is_announced_once_and_stays(wb: Workbench) -> None:
    key = wb.trail.vkey
    wb.close()
    with Workbench.open(wb.workspace) as again:
        assert again.trail.vkey == key
    (wb.workspace / "trail.key").unlink()
    with Workbench.open(wb.workspace) as again, pytest.raises(TrailError, match="key that signs this trail"):
        again.trail.checkpoint()
