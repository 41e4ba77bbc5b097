"""Checkpoints in a file elsewhere: only ever added to, and what they prove is said when the trail is compared with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import TrailError
from workbench.trail import Signer, split_notes


@pytest.fixture
def wb(tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench.init(tmp_path / "workspace", name="example.org/trail", url="http://127.0.0.1:9", controller="Example GmbH")
    yield made
    made.close()


def command(wb: Workbench, *words: str) -> int:
    return run([*words, "--workspace", str(wb.workspace)])


def test_checkpoints_are_added_to_a_file_and_prove_something_later(
    wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "elsewhere.txt"
    assert command(wb, "trail", "checkpoint", "--to", str(file)) == 0
    first = capsys.readouterr().out
    assert file.read_text() == first
    assert command(wb, "trail", "checkpoint", "--to", str(file)) == 0
    second = capsys.readouterr().out
    assert split_notes(file.read_text()) == (first, second)
    assert command(wb, "trail", "verify", "--known", str(file)) == 0
    sizes = [note.split("\n")[1] for note in (first, second)]
    said = capsys.readouterr().out
    for size in sizes:
        assert f"The known checkpoint of size {size} fits: none of the first {size} events was changed or removed" in said


def test_a_trail_that_was_cut_does_not_fit_the_file(wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "elsewhere.txt"
    command(wb, "trail", "checkpoint", "--to", str(file))
    wb.close()
    with sqlite3.connect(wb.workspace / "register.db") as database:
        for table in ("trail_event", "trail_checkpoint", "trail_payload"):
            database.execute(f"DROP TRIGGER {table}_no_delete")
            database.execute(f"DELETE FROM {table} WHERE {'size > 3' if table == 'trail_checkpoint' else 'seq > 2'}")
    database.close()
    assert command(wb, "trail", "verify") == 0
    capsys.readouterr()
    assert command(wb, "trail", "verify", "--known", str(file)) == 1
    assert "missing: the known checkpoint of size 4 covers more than the trail has" in capsys.readouterr().out


def test_the_file_lies_outside_of_the_workspace(wb: Workbench, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(wb.workspace)
    for inside in (wb.workspace / "kept.txt", tmp_path / "link" / "kept.txt"):
        with pytest.raises(TrailError, match="lies in the workspace"):
            wb.trail.keep_checkpoint(inside, wb.trail.newest_checkpoint())
    assert not (wb.workspace / "kept.txt").exists()


@pytest.mark.parametrize("content", ["a letter\n", Signer("other.example.org", bytes(32)).sign(1, bytes(32))])
def test_a_file_of_something_else_is_left_as_it_is(wb: Workbench, tmp_path: Path, content: str) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(content)
    with pytest.raises(TrailError, match=r"not a row of checkpoints|of another log"):
        wb.trail.keep_checkpoint(file, wb.trail.newest_checkpoint())
    assert file.read_text() == content


def test_the_same_checkpoint_is_not_added_twice(wb: Workbench, tmp_path: Path) -> None:
    file, note = tmp_path / "kept.txt", wb.trail.newest_checkpoint()
    assert wb.trail.keep_checkpoint(file, note) is True
    assert wb.trail.keep_checkpoint(file, note) is False
    assert file.read_text() == note


def test_a_file_that_can_not_be_written_is_said(wb: Workbench, tmp_path: Path) -> None:
    with pytest.raises(TrailError, match="can't be written"):
        wb.trail.keep_checkpoint(tmp_path / "nowhere" / "kept.txt", wb.trail.newest_checkpoint())
