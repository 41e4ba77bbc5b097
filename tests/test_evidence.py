"""The evidence store: kept once, under its digest, and never half."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import pytest

from workbench.bench import Workbench
from workbench.errors import EvidenceError
from workbench.evidence import EvidenceStore, media_type, plain_name

PDF = b"%PDF-1.7\n" + b"signed form" * 100


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence", largest_bytes=10_000)


def left_in(store: EvidenceStore) -> list[str]:
    return sorted(str(p.relative_to(store.folder)) for p in store.folder.rglob("*") if p.is_file())


def test_a_file_is_kept_under_its_digest_and_read_back(store: EvidenceStore, tmp_path: Path) -> None:
    form = tmp_path / "form.pdf"
    form.write_bytes(PDF)
    evidence = store.put(form, "form.pdf")
    digest = hashlib.sha256(PDF).hexdigest()
    assert (evidence.sha256, evidence.size, evidence.media_type) == (digest, len(PDF), "application/pdf")
    assert left_in(store) == [f"{digest[:2]}/{digest}"]
    assert store.check(digest) == "intact"
    with store.open(digest) as stored:
        assert stored.read() == PDF


def test_the_same_bytes_are_kept_once_whatever_their_names(store: EvidenceStore) -> None:
    first, second = store.put(io.BytesIO(PDF), "a.pdf"), store.put(io.BytesIO(PDF), "b.pdf")
    assert first.sha256 == second.sha256
    assert (first.original_name, second.original_name) == ("a.pdf", "b.pdf")
    assert len(left_in(store)) == 1


def test_describing_answers_the_same_and_keeps_nothing(store: EvidenceStore) -> None:
    assert store.describe(io.BytesIO(PDF), "a.pdf") == store.put(io.BytesIO(PDF), "a.pdf")
    other = EvidenceStore(store.folder / "never-made")
    other.describe(io.BytesIO(PDF), "a.pdf")
    assert not other.folder.exists()


@pytest.mark.parametrize(("data", "sentence"), [(b"", "is empty"), (b"x" * 10_001, "is larger than 10,000 bytes")])
def test_empty_and_too_large_files_leave_nothing_behind(store: EvidenceStore, data: bytes, sentence: str) -> None:
    with pytest.raises(EvidenceError, match=sentence):
        store.put(io.BytesIO(data), "Jane Doe.pdf")
    assert left_in(store) == []


def test_the_largest_allowed_file_is_allowed(store: EvidenceStore) -> None:
    assert store.put(io.BytesIO(b"x" * 10_000), "a").size == 10_000


def test_folders_missing_files_pipes_and_text_are_refused(store: EvidenceStore, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in (tmp_path, tmp_path / "missing.pdf", pipe, Path("/dev/zero")):
        with pytest.raises(EvidenceError) as caught:
            store.put(source, "Jane Doe.pdf")
        assert "Jane" not in str(caught.value)
        assert "Jane Doe.pdf" in caught.value.advice
    with pytest.raises(EvidenceError, match="as bytes"):
        store.put(io.StringIO("text"), "a.txt")  # type: ignore[arg-type]  # what a mistaken caller does
    assert not store.folder.exists() or left_in(store) == []


def test_a_reader_that_breaks_off_leaves_nothing_behind(store: EvidenceStore) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "gone")
            return super().read(10)

    with pytest.raises(EvidenceError, match=r"EIO"):
        store.put(Broken(PDF), "a.pdf")
    assert left_in(store) == []


def test_a_full_disk_is_said_plainly(store: EvidenceStore) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EvidenceError, match="disk is full"):
        store.put(Full(), "a.pdf")


def test_altered_and_missing_files_are_told_from_intact_ones(store: EvidenceStore) -> None:
    digest = store.put(io.BytesIO(PDF), "a.pdf").sha256
    path = store.folder / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(PDF[:-1] + b"!")
    assert store.check(digest) == "altered"
    with pytest.raises(EvidenceError, match=f"{digest} is altered"):
        store.open(digest)
    assert store.put(io.BytesIO(PDF), "a.pdf").sha256 == digest, "the true bytes put it right again"
    assert store.check(digest) == "intact"
    path.unlink()
    assert store.check(digest) == "missing"
    with pytest.raises(EvidenceError, match="is missing"):
        store.open(digest)


def test_a_link_in_place_of_a_file_is_not_intact(store: EvidenceStore, tmp_path: Path) -> None:
    digest = store.put(io.BytesIO(PDF), "a.pdf").sha256
    path = store.folder / digest[:2] / digest
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert store.check(digest) == "altered"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_digests_name_files(store: EvidenceStore, name: str) -> None:
    with pytest.raises(EvidenceError, match="64 hexadecimal digits"):
        store.check(name)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"%PDF-1.4", "application/pdf"),
        (b"\n\n%PDF-1.4", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"II*\x00", "image/tiff"),
        (b"MM\x00*", "image/tiff"),
        (b"PK\x03\x04....notes.txt", "application/zip"),
        (
            b"PK\x03\x04....[Content_Types].xml....word/document.xml",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"Received: from mx.example.com", "message/rfc822"),
        (b"From: jane@example.com\r\nSubject: yes", "message/rfc822"),
        ("Bitte wieder schreiben, schöne Grüße".encode(), "text/plain"),
        (b"<!DOCTYPE html><p>", "text/html"),
        (b"\x00\x01\x02\x03", "application/octet-stream"),
        (b"\xc3\x28 not text", "application/octet-stream"),
        (("ä" * 4095).encode()[:4096], "text/plain"),
    ],
)
def test_the_type_comes_from_the_first_bytes(head: bytes, found: str) -> None:
    assert media_type(head) == found


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("form.pdf", "form.pdf"),
        ("/home/jane/form.pdf", "form.pdf"),
        ("C:\\Users\\jane\\form.pdf", "form.pdf"),
        ("../../../etc/passwd", "passwd"),
        ("a\x00b\n\x1b[31mc.pdf", "ab[31mc.pdf"),
        ("form\u202efdp.exe", "formfdp.exe"),
        ("Einwilligung Ä.pdf", "Einwilligung Ä.pdf"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("x" * 300, "x" * 255),
    ],
)
def test_names_are_text_and_never_paths(given: str, kept: str) -> None:
    assert plain_name(given) == kept


def test_the_limit_stands_in_the_workspace_s_settings(tmp_path: Path) -> None:
    made = Workbench.init(tmp_path / "workspace", name="test", url="http://127.0.0.1:9", controller="Example GmbH")
    made.close()
    settings = made.workspace / "workbench.toml"
    settings.write_text(settings.read_text() + "\n[evidence]\nlargest_bytes = 1000\n")
    with Workbench.open(made.workspace) as wb, pytest.raises(EvidenceError, match="is larger than 1,000 bytes") as caught:
        wb._desk.evidence.put(io.BytesIO(b"x" * 1001), "form.txt")
    assert "largest_bytes in [evidence] of workbench.toml" in caught.value.advice
