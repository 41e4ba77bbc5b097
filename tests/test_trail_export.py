"""The export folder: exact bytes, whole or not there, and readable when the trail is damaged."""

import hashlib
import json
from random import Random

import pytest
from trail_samples import honest_trail

from workbench.errors import TrailError
from workbench.trail import TrailRow, read_export, verify_export, write_export


@pytest.fixture
def trail():
    return honest_trail(Random(21))


def test_an_export_holds_the_very_bytes(trail, tmp_path):
    export = read_export(trail.write(tmp_path / "export"))
    assert list(export.rows()) == trail.rows
    assert export.checkpoints == tuple(trail.notes)
    assert export.vkey_text == trail.signer.vkey.text
    for digest, content in trail.evidence.items():
        assert (export.folder / "evidence" / digest).read_bytes() == content


def test_the_manifest_names_every_file_with_its_digest(trail, tmp_path):
    folder = trail.write(tmp_path / "export")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert files.keys() == present
    assert {"verify_trail.py", "events.jsonl", "checkpoints.txt", "vkey.txt", "README.txt"} < present
    for name, entry in files.items():
        content = (folder / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def test_bytes_that_are_no_text_survive_the_export(trail, tmp_path):
    row = TrailRow(b"\xff\x00\xed\xa0\x80", bytes(32), bytes(16), b"\x80")
    folder = write_export(tmp_path / "e", rows=[row], checkpoints=[], vkey=trail.signer.vkey, evidence={})
    assert list(read_export(folder).rows()) == [row]


def test_an_export_never_overwrites(trail, tmp_path):
    trail.write(tmp_path / "export")
    with pytest.raises(TrailError, match="The folder export exists already"):
        write_export(tmp_path / "export", rows=[], checkpoints=[], vkey=trail.signer.vkey, evidence={})


def test_an_export_is_private(trail, tmp_path):
    folder = trail.write(tmp_path / "export")
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_an_export_says_how_to_verify_it_and_keeps_the_key_out_of_that_text(trail, tmp_path):
    text = (trail.write(tmp_path / "export") / "README.txt").read_text()
    assert "python3 verify_trail.py . --vkey KEY" in text
    assert "by another way than this folder" in text
    assert trail.signer.vkey.text not in text


def test_a_failed_export_leaves_nothing_behind(trail, tmp_path):
    def rows():
        yield trail.rows[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_export(tmp_path / "export", rows=rows(), checkpoints=[], vkey=trail.signer.vkey, evidence={})
    with pytest.raises(TrailError, match="goes by a SHA-256"):
        write_export(tmp_path / "export", rows=[], checkpoints=[], vkey=trail.signer.vkey, evidence={"../x": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_events_tells_nothing(trail, tmp_path):
    with pytest.raises(TrailError, match="is not an export of a trail"):
        verify_export(tmp_path, vkey=trail.signer.vkey)


@pytest.mark.parametrize("name", ["checkpoints.txt", "vkey.txt", "manifest.json", "README.txt", "verify_trail.py"])
def test_a_lost_or_altered_file_is_a_problem_not_a_crash(name, trail, tmp_path):
    folder = trail.write(tmp_path / "export")
    for content in (b"\xff\n\n", b"[]", None):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        verdict = verify_export(folder, vkey=trail.signer.vkey)
        assert not verdict.ok
        assert any(name in problem for problem in verdict.problems)


def test_a_line_that_is_no_event_is_named(trail, tmp_path):
    folder = trail.write(tmp_path / "export")
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    for line in (b"\n", b"[]\n", b'{"leaf":1}\n', trail.rows[5].leaf_bytes + b"\n", b"[" * 100_000 + b"\n"):
        (folder / "events.jsonl").write_bytes(b"".join([*lines[:5], line, *lines[6:]]))
        problems = verify_export(folder, vkey=trail.signer.vkey).problems
        assert any(problem.startswith("event 5 was changed: ") for problem in problems)


def test_a_manifest_that_points_outside_is_not_followed(trail, tmp_path):
    folder = trail.write(tmp_path / "export")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"sha256": "", "size": 0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    problems = verify_export(folder, vkey=trail.signer.vkey).problems
    assert problems == ("manifest.json names a file that an export does not have",)
