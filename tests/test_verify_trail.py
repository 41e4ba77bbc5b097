"""The auditor's one-file verifier: run as a program without our packages, it finds what the library finds."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trail_samples import FORGERIES, ORIGIN, forged, honest_trail, root_of

from workbench import verify_trail
from workbench.trail import export

PROGRAM = Path(verify_trail.__file__)
TIMES = 1  # as a program; tests/test_tampering.py makes a hundred of each in one process


def run(folder, vkey, *known, program=None):
    command = [sys.executable, "-I", str(program or verify_trail.__file__), str(folder), "--vkey", str(vkey)]
    for path in known:
        command += ["--known", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "" or done.returncode == 2, done.stderr
    return done.returncode, done.stdout


@pytest.fixture
def trail():
    return honest_trail(Random(11))


@pytest.fixture
def folder(trail, tmp_path):
    return trail.write(tmp_path / "export")


def known_file(trail, tmp_path):
    path = tmp_path / "known.txt"
    path.write_text(trail.known, encoding="utf-8")
    return path


def test_it_is_short_and_imports_only_the_standard_library():
    text = PROGRAM.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 250
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Name):
            assert node.id not in {"__import__", "eval", "exec", "compile", "importlib"}
    assert imported <= set(sys.stdlib_module_names)


def test_an_honest_export_is_verified_with_and_without_a_known_checkpoint(trail, folder, tmp_path):
    assert run(folder, trail.signer.vkey.text)[0] == 0
    assert run(folder, folder / "vkey.txt", known_file(trail, tmp_path)) == (0, "VERIFIED: every event, checkpoint and file\n")
    assert run(folder, trail.signer.vkey.text, program=folder / "verify_trail.py")[0] == 0


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_export_is_found_and_the_event_named(kind, tmp_path):
    for number in range(TIMES):
        trail = forged(kind, number)
        folder = trail.write(tmp_path / str(number))
        known = [known_file(trail, tmp_path)] if trail.needs_known else []
        code, said = run(folder, trail.signer.vkey.text, *known)
        assert (code, said.partition(":")[0].split("\n")[0]) == ((2, "COULD NOT TELL") if trail.unclear else (1, "TAMPERED"))
        assert trail.named in said


@pytest.mark.parametrize("name", ["events.jsonl", "checkpoints.txt", "vkey.txt", "manifest.json", "verify_trail.py"])
def test_a_file_that_was_changed_or_lost_is_found(name, trail, folder):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole + b" ")
    assert run(folder, trail.signer.vkey.text)[0] == (0 if name == "manifest.json" else 1)
    (folder / name).unlink()
    assert run(folder, trail.signer.vkey.text)[0] == (1 if name == "verify_trail.py" else 2)


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n", b'{"leaf":1}\n', b"9" * 5000])
def test_a_line_that_is_no_event_is_tampering_not_a_crash(line, trail, folder):
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join([*lines[:5], line, *lines[6:]]))
    code, said = run(folder, trail.signer.vkey.text)
    assert code == 1
    assert "event 5 was changed" in said


def test_a_manifest_that_points_outside_is_not_followed(trail, folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"sha256": "missing", "size": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "'../secret' is missing, or not the file that was exported" in run(folder, trail.signer.vkey.text)[1]


def test_what_it_can_not_use_it_can_not_tell(trail, folder, tmp_path):
    other = honest_trail(Random(12))
    for vkey in ("nonsense+00000000+AAAA", trail.signer.vkey.text[:-2], f"x{trail.signer.vkey.text}", tmp_path / "none"):
        code, said = run(folder, vkey)
        assert (code, said[:15]) == (2, "COULD NOT TELL:")
    assert run(tmp_path / "nowhere", trail.signer.vkey.text)[0] == 2
    assert run(folder, trail.signer.vkey.text, known_file(other, tmp_path))[0] == 2
    (tmp_path / "empty").write_text("")
    assert run(folder, trail.signer.vkey.text, tmp_path / "empty")[0] == 2


def test_a_known_checkpoint_survives_copying_out_of_a_report(trail, folder, tmp_path):
    path = tmp_path / "pasted.txt"
    path.write_bytes(b"\r\n" + trail.known.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    assert run(folder, trail.signer.vkey.text, path)[0] == 0


def test_another_key_verifies_nothing(folder):
    code, said = run(folder, honest_trail(Random(13)).signer.vkey.text)
    assert code == 1
    assert "vkey.txt does not hold the key you verify with" in said


def test_it_says_so_when_evidence_is_not_what_its_name_says(trail, folder):
    digest = next(iter(trail.evidence))
    shutil.copy(folder / "vkey.txt", folder / "evidence" / digest)
    said = run(folder, trail.signer.vkey.text)[1]
    assert f"'evidence/{digest}' is missing, or not the file that was exported; event 2 names it" in said


# --- its own cryptography


def test_its_roots_are_the_librarys():
    rows = honest_trail(Random(14)).rows
    found = verify_trail.Found()
    lines = [export._line(row) for row in rows]
    assert list(verify_trail.check_events(lines, ORIGIN, set(range(len(rows) + 1)), found)) == []
    assert found.roots == {size: root_of(rows[:size]) for size in range(1, len(rows) + 1)}


def test_its_ed25519_accepts_what_cryptography_signs_and_nothing_near_it():
    random = Random(15)
    for length in (0, 1, 31, 200):
        key, message = Ed25519PrivateKey.from_private_bytes(random.randbytes(32)), random.randbytes(length)
        public, signature = key.public_key().public_bytes_raw(), key.sign(message)
        assert verify_trail.is_signed(public, message, signature)
        assert not verify_trail.is_signed(public, message + b"x", signature)
        assert not verify_trail.is_signed(public, message, signature[:-1])
        assert not verify_trail.is_signed(public, message, signature + b"\0")
        for bit in random.sample(range(512), 8):
            flipped = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
            assert not verify_trail.is_signed(public, message, flipped)
        s = int.from_bytes(signature[32:], "little") + verify_trail.L
        assert not verify_trail.is_signed(public, message, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("y", [0, 1, verify_trail.P - 1, verify_trail.P, verify_trail.P + 1, 2**255 - 1])
def test_a_key_of_small_order_or_of_another_spelling_signs_nothing(y):
    for sign in (0, 1 << 255):
        public = (y | sign).to_bytes(32, "little")
        for r in (bytes(32), b"\1" + bytes(31)):
            assert not verify_trail.is_signed(public, b"anything", r + bytes(32))


def test_the_151_published_ed25519_signatures():
    folder = os.environ.get("WORKBENCH_CORPORA")
    if not folder:
        pytest.skip("WORKBENCH_CORPORA is not set: the Wycheproof vectors are not here")
    groups = json.loads((Path(folder) / "ed25519-wycheproof.json").read_text())["testGroups"]
    seen = 0
    for group in groups:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            signed = verify_trail.is_signed(public, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert signed is (case["result"] == "valid"), case["tcId"]
            seen += 1
    assert seen == 151
