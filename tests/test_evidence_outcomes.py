"""What becomes of every odd evidence file: the table that docs/evidence.md shows, each row tried."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import workbench
from workbench.errors import EvidenceError
from workbench.evidence import EvidenceStore

DOCS = Path(workbench.__file__).parents[1] / "docs" / "evidence.md"
BEGIN, END = "<!-- outcomes: kept equal to tests/test_evidence_outcomes.py -->\n", "<!-- end -->"
LIMIT = 20_000
FORM = b"%PDF-1.7 signed form"


class Declared(io.BytesIO):
    """A file that says how large it is, truly or not."""

    def __init__(self, content: bytes, says: int) -> None:
        super().__init__(content)
        self.size, self.says = says, says

    def __len__(self) -> int:
        return self.says


def stored(store: EvidenceStore) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.is_file()]


def called(store: EvidenceStore, given: str, kept: str) -> None:
    found = store.put(io.BytesIO(FORM), given)
    assert found.original_name == kept
    assert stored(store) == [store.path(found.sha256)]


def refused(store: EvidenceStore, source: object, sentence: str) -> None:
    with pytest.raises(EvidenceError, match=sentence) as caught:
        store.put(source, "Jane Doe.pdf")  # type: ignore[arg-type]  # what comes in is the question
    assert "Jane" not in str(caught.value)
    assert stored(store) == []


def path_in_name(store: EvidenceStore, folder: Path) -> None:
    called(store, "/home/jane/forms/form.pdf", "form.pdf")
    called(store, "C:\\Users\\jane\\..\\form.pdf", "form.pdf")


def upwards(store: EvidenceStore, folder: Path) -> None:
    called(store, "../../..", "unnamed")
    assert sorted(path.name for path in folder.iterdir()) == ["evidence"]


def control_characters(store: EvidenceStore, folder: Path) -> None:
    called(store, "fo\x00r\nm\x1b\u202efdp.exe", "formfdp.exe")


def long_name(store: EvidenceStore, folder: Path) -> None:
    called(store, "x" * 300, "x" * 255)


def claims_more(store: EvidenceStore, folder: Path) -> None:
    content = FORM.ljust(1024)
    assert store.put(Declared(content, 10 * 1024**3), "form.pdf").size == 1024
    assert [path.read_bytes() for path in stored(store)] == [content]


def claims_less(store: EvidenceStore, folder: Path) -> None:
    refused(store, Declared(b"x" * (LIMIT + 1), 1024), "is larger than 20,000 bytes")


def zip_bomb(store: EvidenceStore, folder: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1000 * LIMIT // 2))
    assert len(packed.getvalue()) < LIMIT
    found = store.put(io.BytesIO(packed.getvalue()), "forms.zip")
    assert (found.media_type, found.size) == ("application/zip", len(packed.getvalue()))
    assert [path.read_bytes() for path in stored(store)] == [packed.getvalue()]


def no_bytes(store: EvidenceStore, folder: Path) -> None:
    refused(store, io.BytesIO(b""), "is empty")


def twice(store: EvidenceStore, folder: Path) -> None:
    first, second = store.put(io.BytesIO(FORM), "a.pdf"), store.put(io.BytesIO(FORM), "b.pdf")
    assert (first.original_name, second.original_name) == ("a.pdf", "b.pdf")
    assert stored(store) == [store.path(first.sha256)] == [store.path(second.sha256)]


def unreadable(store: EvidenceStore, folder: Path) -> None:
    (folder / "form.pdf").symlink_to(folder / "form.pdf")  # a circle: nobody can read it, not even root
    refused(store, folder / "form.pdf", "can't be read or stored \\(ELOOP\\)")
    refused(store, folder / "nowhere.pdf", "can't be read or stored \\(ENOENT\\)")


def no_file(store: EvidenceStore, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for source in (folder, folder / "pipe", Path("/dev/zero")):
        refused(store, source, "has to be a file")


def script_as_picture(store: EvidenceStore, folder: Path) -> None:
    assert store.put(io.BytesIO(b"<html><script>alert(1)</script>"), "photo.png").media_type == "text/html"


def changed(store: EvidenceStore, folder: Path) -> None:
    digest = store.put(io.BytesIO(FORM), "a.pdf").sha256
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(FORM[:-1] + b"!")
    unusable(store, digest, "altered")


def gone(store: EvidenceStore, folder: Path) -> None:
    digest = store.put(io.BytesIO(FORM), "a.pdf").sha256
    store.path(digest).unlink()
    unusable(store, digest, "missing")


def linked(store: EvidenceStore, folder: Path) -> None:
    digest = store.put(io.BytesIO(FORM), "a.pdf").sha256
    store.path(digest).rename(folder / "elsewhere")
    store.path(digest).symlink_to(folder / "elsewhere")
    unusable(store, digest, "altered")


def unusable(store: EvidenceStore, digest: str, state: str) -> None:
    assert store.check(digest) == state
    with pytest.raises(EvidenceError, match=f"is {state}"):
        store.open(digest)
    assert store.put(io.BytesIO(FORM), "a.pdf").sha256 == digest
    assert store.check(digest) == "intact"


Try = Callable[[EvidenceStore, Path], None]
OUTCOMES: dict[str, tuple[str, Try]] = {
    "a name with a path": ("stored; only the last part of the name is kept, as text", path_in_name),
    "a name of dots that leads upwards": ('stored by its digest like any other; called "unnamed"', upwards),
    "a name with control and direction characters": ("stored; the characters are left out of the name", control_characters),
    "a name of 300 characters": ("stored; the name is cut at 255", long_name),
    "a declared size of 10 GB with 1 KB behind it": ("stored; only what came is counted", claims_more),
    "a declared size of 1 KB with more than the limit behind it": (
        "refused when the limit is passed; nothing is left behind",
        claims_less,
    ),
    "a bomb of zipped zeros": ("stored packed, as application/zip; nothing is unpacked", zip_bomb),
    "0 bytes": ("refused: empty; nothing is left behind", no_bytes),
    "the same file twice": ("one file on disk; each consent keeps its own name for it", twice),
    "a file that can't be read": ("refused; nothing is left behind", unreadable),
    "a folder, a pipe or a device": ("refused; nothing is left behind", no_file),
    "a script that calls itself a picture": ("stored; the type is what its bytes show", script_as_picture),
    "a stored file that was changed on disk": (
        "`altered` at every use; handed in again, the true bytes put it right",
        changed,
    ),
    "a stored file that is gone from the disk": ("`missing` at every use; handed in again, it is there", gone),
    "a stored file replaced by a link": ("`altered` at every use, wherever the link leads", linked),
}


@pytest.mark.parametrize("comes_in", OUTCOMES)
def test_what_becomes_of_it(comes_in: str, tmp_path: Path) -> None:
    OUTCOMES[comes_in][1](EvidenceStore(tmp_path / "evidence", largest_bytes=LIMIT), tmp_path)


def test_the_document_says_the_same() -> None:
    rows = [f"| {comes_in} | {outcome} |" for comes_in, (outcome, _) in OUTCOMES.items()]
    table = "\n".join(["| what comes in | what becomes of it |", "|---|---|", *rows, ""])
    assert DOCS.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0] == table
