"""Checkpoints as records of the org: inserted only, read back for a verification, and told on the trail whatever came of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import World

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import SettingsError, TrailError
from workbench.org import OrgPermissionError, OrgUnreachableError
from workbench.trail import Signer, parse_checkpoint

PLACE = 'checkpoint_object = "Trail_Checkpoint__c"\ncheckpoint_field = "Note__c"\n'


@pytest.fixture
def w(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A workspace whose settings name a place in the org for checkpoints."""
    made = world()
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", made.org.client_id)
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", made.org.client_secret)
    settings = made.folder / "workbench.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[org]\n", f"[org]\n{PLACE}"), encoding="utf-8")
    made.wb = Workbench.open(made.folder)
    return made


def events(w: World, action: str) -> list[dict[str, object]]:
    return [json.loads(payload) for payload in w.wb.trail.events(action=action).payload]


def texts(w: World) -> list[str]:
    return list(w.wb.org.kept_texts("Trail_Checkpoint__c", "Note__c"))


def test_a_checkpoint_is_kept_and_proves_something_later(w: World, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--workspace", str(w.folder)]
    for _ in range(2):
        assert run(["trail", "checkpoint", "--to-salesforce", *place]) == 0
    said = capsys.readouterr()
    notes = w.wb.trail.kept_in_salesforce()
    assert "".join(notes) == said.out
    (first, second) = (parse_checkpoint(note).size for note in notes)
    assert [e["size"] for e in events(w, "checkpoint_intended")] == [first, second]
    answered = events(w, "checkpoint_answered")
    assert [e["outcome"] for e in answered] == ["kept", "kept"]
    assert f"kept in Salesforce as record {answered[0]['record_id']}." in said.err
    assert run(["trail", "verify", "--from-salesforce", *place]) == 0
    assert f"The known checkpoint of size {first} fits" in capsys.readouterr().out
    w.wb.close()
    with sqlite3.connect(w.folder / "register.db") as database:
        for table in ("trail_event", "trail_checkpoint", "trail_payload"):
            database.execute(f"DROP TRIGGER {table}_no_delete")
            database.execute(f"DELETE FROM {table} WHERE {'size > 1' if table == 'trail_checkpoint' else 'seq > 0'}")
    database.close()
    assert run(["trail", "verify", "--from-salesforce", *place]) == 1
    assert f"missing: the known checkpoint of size {second} covers more than the trail has" in capsys.readouterr().out


def test_a_lost_answer_is_told_and_doing_it_again_is_harmless(w: World) -> None:
    note = w.wb.trail.checkpoint()
    w.org.control("/faults", {"plan": [{"kind": "reset_after", "on": "POST /sobjects/Trail_Checkpoint__c"}]})
    with pytest.raises(OrgUnreachableError) as found:
        w.wb.trail.keep_in_salesforce(note)
    assert "kept twice does no harm" in found.value.advice
    assert [e["outcome"] for e in events(w, "checkpoint_answered")] == ["unknown"]
    assert len(texts(w)) == 1
    w.wb.trail.keep_in_salesforce(note)
    assert len(texts(w)) == 2
    assert w.wb.trail.kept_in_salesforce() == (note,)
    assert w.wb.trail.verify(known=w.wb.trail.kept_in_salesforce()).ok


def test_a_refusal_is_told(w: World) -> None:
    error = {"kind": "error", "on": "POST /sobjects/Trail_Checkpoint__c", "status": 403, "code": "INSUFFICIENT_ACCESS"}
    w.org.control("/faults", {"plan": [error]})
    with pytest.raises(OrgPermissionError) as found:
        w.wb.trail.keep_in_salesforce(w.wb.trail.checkpoint())
    assert "checkpoint_object" in found.value.advice
    assert [e["outcome"] for e in events(w, "checkpoint_answered")] == ["refused"]
    assert texts(w) == []
    assert w.wb.trail.verify().ok


def test_what_else_lies_there_is_left_out(w: World) -> None:
    other = Signer("other.example.org", bytes(32)).sign(1, bytes(32))
    for text in (other, "a letter", "a letter\n\nto somebody\n"):
        w.wb.org.keep_text("Trail_Checkpoint__c", "Note__c", text=text)
    with pytest.raises(TrailError, match="keeps no checkpoint of this trail"):
        w.wb.trail.kept_in_salesforce()
    note = w.wb.trail.checkpoint()
    w.wb.trail.keep_in_salesforce(note)
    assert w.wb.trail.kept_in_salesforce() == (note,)


def test_without_a_place_nothing_is_sent(world: Callable[..., World]) -> None:
    made = world()
    with pytest.raises(SettingsError, match="names no object that keeps checkpoints"):
        made.wb.trail.keep_in_salesforce(made.wb.trail.checkpoint())
    assert made.wb.trail.events(action="checkpoint_intended").empty


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('checkpoint_object = "Trail_Checkpoint__c"\n', "named both, or neither"),
        ('checkpoint_object = "Lead"\ncheckpoint_field = "Note__c"\n', "checkpoint_object"),
        ('checkpoint_object = "A__c"\ncheckpoint_field = "Id FROM Lead__c"\n', "checkpoint_field"),
    ],
)
def test_only_a_custom_object_and_field_are_a_place(tmp_path: Path, text: str, sentence: str) -> None:
    Workbench.init(tmp_path / "workspace", name="test").close()
    settings = tmp_path / "workspace" / "workbench.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("[org]\n", f"[org]\n{text}"), encoding="utf-8")
    with pytest.raises(SettingsError, match=sentence):
        Workbench.open(tmp_path / "workspace")
