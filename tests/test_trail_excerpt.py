"""The trail goes on from a checkpoint that somebody holds: proved in files, without the data, and checked by the one-file verifier."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import TrailError
from workbench.trail import Signer, parse_checkpoint


@pytest.fixture
def wb(tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench.init(tmp_path / "workspace", name="example.org/trail", url="http://127.0.0.1:9", controller="Example GmbH")
    yield made
    made.close()


def grown(wb: Workbench, times: int) -> str:
    """The checkpoint after so many more events."""
    for number in range(times):
        wb.grant(f"person{number}", "analyst")
    return wb.trail.checkpoint()


def auditor(folder: Path, vkey: str, known: str, *words: str) -> tuple[int, str]:
    held = folder.with_name("held.txt")
    held.write_text(known, encoding="utf-8")
    verifier = [sys.executable, "-I", str(folder / "verify_trail.py"), str(folder), "--vkey", vkey, "--known", str(held), *words]
    done = subprocess.run(verifier, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (3, 7), (12, 5), (20, 13)])
def test_a_later_tree_continues_an_earlier_one_and_nothing_is_shown(
    wb: Workbench, tmp_path: Path, before: int, after: int
) -> None:
    held = grown(wb, before)
    grown(wb, after)
    folder = wb.trail.excerpt(tmp_path / "excerpt", known=[held])
    assert auditor(folder, wb.trail.vkey, held, "--excerpt") == (0, "VERIFIED: every event that is shown, checkpoint and file\n")
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert all(set(line) == {"hidden", "root"} for line in lines)
    newest = parse_checkpoint(wb.trail.newest_checkpoint()).size
    assert sum(line["hidden"] for line in lines) == newest
    assert len(lines) <= 2 * newest.bit_length()
    code, said = auditor(folder, wb.trail.vkey, held)
    assert (code, "events are hidden" in said) == (1, True)


def test_it_leads_over_a_change_of_keys(wb: Workbench, tmp_path: Path) -> None:
    held = grown(wb, 4)
    wb.trail.rotate_key(cause="a year is over")
    later = grown(wb, 4)
    folder = wb.trail.excerpt(tmp_path / "excerpt", known=[held, later])
    assert auditor(folder, wb.trail.vkey, f"{held}\n{later}", "--excerpt")[0] == 0
    shown = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines() if "leaf" in line]
    assert [line["leaf"]["action"] for line in shown] == ["key_rotated"]


def test_another_history_is_found(wb: Workbench, tmp_path: Path) -> None:
    held = grown(wb, 6)
    grown(wb, 5)
    folder = wb.trail.excerpt(tmp_path / "excerpt", known=[held])
    events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    for place, line in enumerate(events):
        value = json.loads(line)
        changed = f'{{"hidden":{value["hidden"]},"root":"{"0" * 64}"}}\n'
        (folder / "events.jsonl").write_text("".join([*events[:place], changed, *events[place + 1 :]]))
        assert auditor(folder, wb.trail.vkey, held, "--excerpt")[0] == 1


def test_a_checkpoint_of_an_own_past_that_was_rewritten_does_not_fit(wb: Workbench, tmp_path: Path) -> None:
    """Whoever holds the signing key can sign another tree of the same size; the excerpt of this trail does not continue that one."""
    held = parse_checkpoint(grown(wb, 3))
    grown(wb, 3)
    folder = wb.trail.excerpt(tmp_path / "excerpt", known=[held.note])
    forged = wb._desk.trail.signer.sign(held.size, bytes(32))
    code, said = auditor(folder, wb.trail.vkey, forged, "--excerpt")
    assert (code, "the trail was rewritten" in said) == (1, True)


def test_the_command_writes_it_and_names_what_verifies_it(
    wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = tmp_path / "known.txt"
    held.write_text(grown(wb, 2), encoding="utf-8")
    words = ["trail", "excerpt", str(tmp_path / "out"), "--known", str(held), "--workspace", str(wb.workspace)]
    assert run(words) == 0
    assert "--known FILE --excerpt" in capsys.readouterr().err
    assert run(words) == 2  # the folder is there now
    assert "exists already" in capsys.readouterr().err


def test_it_begins_at_a_checkpoint_of_this_trail(wb: Workbench, tmp_path: Path) -> None:
    foreign = Signer("other.example.org", bytes(32)).sign(1, bytes(32))
    beyond = wb._desk.trail.signer.sign(1_000, bytes(32))
    for known in ([foreign], [beyond], []):
        with pytest.raises(TrailError, match="no checkpoint of this trail to begin at"):
            wb.trail.excerpt(tmp_path / "excerpt", known=known)
    assert not (tmp_path / "excerpt").exists()
