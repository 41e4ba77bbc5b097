"""Time stamps of checkpoints, by an authority that `openssl ts` plays: what holds is filed, all else is refused and files nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import TrailError
from workbench.trail import parse_checkpoint

CONFIG = """\
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
"""


def openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Authority:
    """An authority: its root certificate, and its answers to requests."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "ca.pem"

    def answer(self, request: Path, name: str = "answer.tsr") -> Path:
        response = request.with_name(name)
        openssl(self.folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", str(request), "-out", str(response))
        return response


def authority(folder: Path) -> Authority:
    """Make an authority: a root, and a key for stamps that it signed."""
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    (folder / "usage").write_text("extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n")
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIG)
    ca = ("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Example Root", "-addext", "keyUsage=critical,keyCertSign")
    openssl(folder, "req", "-x509", *key, *ca, "-days", "30")
    openssl(folder, "req", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Example Stamps")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tsa.pem", "-days", "30", "-extfile", "usage")
    openssl(folder, "x509", "-req", "-in", "tsa.csr", *signed)
    return Authority(folder)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: nobody plays the time stamping authority")
    return authority(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture
def wb(tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench.init(tmp_path / "workspace", name="example.org/trail", url="http://127.0.0.1:9", controller="Example GmbH")
    yield made
    made.close()


def filed(wb: Workbench) -> list[dict[str, str]]:
    return [json.loads(payload) for payload in wb.trail.events(action="timestamp_received").payload]


def test_a_stamp_is_asked_for_verified_and_filed_once(
    wb: Workbench, tsa: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request, place = tmp_path / "checkpoint.tsq", ["--workspace", str(wb.workspace)]
    assert run(["trail", "timestamp", "request", "--to", str(request), *place]) == 0
    note = capsys.readouterr().out
    response = tsa.answer(request)
    for _ in range(2):
        assert run(["trail", "timestamp", "add", str(response), "--ca", str(tsa.root), *place]) == 0
        size = parse_checkpoint(note).size
        assert re.fullmatch(
            rf"The checkpoint of size {size} was stamped at 20[-0-9]{{8}} [:0-9]{{8}} UTC: its events existed by then.\n",
            capsys.readouterr().out,
        )
    (one,) = filed(wb)
    assert base64.b64decode(one["response"]) == response.read_bytes()
    assert one["note_sha256"] == hashlib.sha256(note.encode()).hexdigest()
    assert one["ca_sha256"] == hashlib.sha256(tsa.root.read_bytes()).hexdigest()
    assert wb.trail.verify().ok
    kept, seal = tmp_path / "note.txt", tmp_path / "from_the_trail.tsr"
    kept.write_text(note)
    seal.write_bytes(base64.b64decode(one["response"]))
    openssl(tmp_path, "ts", "-verify", "-data", str(kept), "-in", str(seal), "-CAfile", str(tsa.root))


def refused(wb: Workbench, response: Path, root: Path, sentence: str) -> None:
    with pytest.raises(TrailError, match=sentence):
        wb.trail.add_timestamp(response, ca=root)
    assert filed(wb) == []


def test_a_stamp_under_another_root_is_refused(wb: Workbench, tsa: Authority, tmp_path: Path) -> None:
    wb.trail.request_timestamp(tmp_path / "a.tsq")
    response = tsa.answer(tmp_path / "a.tsq")
    refused(wb, response, authority(tmp_path / "other").root, "the time stamp does not hold")
    refused(wb, response, tsa.folder / "tsa.pem", "the time stamp does not hold")
    refused(wb, response, tmp_path / "a.tsq", "holds no certificate")


def test_a_stamp_that_nobody_here_asked_for_is_refused(wb: Workbench, tsa: Authority, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text(wb.trail.checkpoint())
    openssl(tmp_path, "ts", "-query", "-data", str(note), "-sha256", "-cert", "-out", "own.tsq")
    refused(wb, tsa.answer(tmp_path / "own.tsq"), tsa.root, "no checkpoint of this trail was sent")
    with Workbench.init(tmp_path / "other", name="other") as other:
        other.trail.request_timestamp(tmp_path / "other.tsq")
    refused(wb, tsa.answer(tmp_path / "other.tsq"), tsa.root, "no checkpoint of this trail was sent")


def test_a_stamp_over_other_bytes_with_the_same_number_is_refused(wb: Workbench, tsa: Authority, tmp_path: Path) -> None:
    wb.trail.request_timestamp(tmp_path / "a.tsq")
    note = wb.trail.checkpoints().note.iloc[-2]
    request = (tmp_path / "a.tsq").read_bytes()
    digest = hashlib.sha256(note.encode()).digest()
    assert request.count(digest) == 1
    (tmp_path / "b.tsq").write_bytes(request.replace(digest, hashlib.sha256(b"another trail").digest()))
    refused(wb, tsa.answer(tmp_path / "b.tsq"), tsa.root, "does not hold")


@pytest.mark.parametrize("place", [3, 0.5, -1])
def test_a_damaged_answer_is_refused(wb: Workbench, tsa: Authority, tmp_path: Path, place: float) -> None:
    wb.trail.request_timestamp(tmp_path / "a.tsq")
    answer = bytearray(tsa.answer(tmp_path / "a.tsq").read_bytes())
    answer[int(len(answer) * place) if place == 0.5 else int(place)] ^= 1
    (tmp_path / "bad.tsr").write_bytes(answer)
    refused(wb, tmp_path / "bad.tsr", tsa.root, "holds no time stamp|does not hold|was sent for this")


def test_a_refusal_and_an_empty_file_hold_no_stamp(wb: Workbench, tsa: Authority, tmp_path: Path) -> None:
    (tmp_path / "letter.tsq").write_text("a letter")
    refused(wb, tsa.answer(tmp_path / "letter.tsq"), tsa.root, "holds no time stamp, or the authority's refusal")
    (tmp_path / "empty.tsr").touch()
    refused(wb, tmp_path / "empty.tsr", tsa.root, "holds no time stamp")
    refused(wb, tmp_path / "nowhere.tsr", tsa.root, "can't be read")
    with (tmp_path / "large.tsr").open("wb") as large:
        large.truncate(1_000_001)
    refused(wb, tmp_path / "large.tsr", tsa.root, "more than 1,000,000 bytes")


def test_a_request_never_overwrites_a_file(wb: Workbench, tmp_path: Path) -> None:
    (tmp_path / "letter.tsq").write_text("a letter")
    with pytest.raises(TrailError, match="exists already"):
        wb.trail.request_timestamp(tmp_path / "letter.tsq")
    with pytest.raises(TrailError, match="can't be written"):
        wb.trail.request_timestamp(tmp_path / "nowhere" / "a.tsq")
    assert (tmp_path / "letter.tsq").read_text() == "a letter"
    assert wb.trail.events(action="timestamp_requested").empty
