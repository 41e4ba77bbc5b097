"""What the second import of a kind of file knows from the first, and what a killed one leaves: nothing that counts twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.bench import Workbench
from workbench.errors import InputError
from workbench.intake.mappings import FILE, Mappings

ROWS = 20_000


def workspace(folder: Path) -> Path:
    Workbench.init(folder, name="test", url="http://127.0.0.1:9", controller="Example GmbH").close()
    return folder


def people_file(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def command(here: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench", "--workspace", str(here), *words], capture_output=True, text=True, check=False
    )


def test_a_mapping_is_remembered_for_files_with_the_same_columns(tmp_path: Path) -> None:
    here = workspace(tmp_path / "here")
    first = people_file(tmp_path / "first.csv", "Kontakt,Weg damit", "jane@example.com,yes")
    second = people_file(tmp_path / "second.csv", "Weg damit,Kontakt", "yes,joe@example.com")
    other = people_file(tmp_path / "other.csv", "Weg damit,Kontakt,Firma", "yes,ann@example.com,ACME")
    mapped = command(here, "import", "people", str(first), "--map", "email=Kontakt", "--map", "unsubscribed=Weg damit")
    assert mapped.returncode == 0, mapped.stderr
    assert "mapping of then" not in mapped.stderr
    again = command(here, "import", "people", str(second))
    assert again.returncode == 0, again.stderr
    assert "read with the mapping of then: email=Kontakt, unsubscribed=Weg damit." in again.stderr
    with Workbench.open(here) as wb:
        assert wb.people(unsubscribed=True)["email"].tolist() == ["jane@example.com", "joe@example.com"]
        with pytest.raises(InputError, match="no column"):
            wb.import_people(other)
        with pytest.raises(InputError, match="no column"):  # of another kind
            wb.import_unsubscribes(second)
        with pytest.raises(InputError, match="no column"):  # none is one, too
            wb.import_people(second, mapping={})
        assert wb.import_people(second).recalled


def test_only_an_import_that_was_carried_out_is_remembered(tmp_path: Path) -> None:
    here = workspace(tmp_path / "here")
    file = people_file(tmp_path / "first.csv", "Kontakt", "jane@example.com")
    empty = people_file(tmp_path / "empty.csv", "Kontakt")
    with Workbench.open(here) as wb:
        wb.import_people(file, mapping={"email": "Kontakt"}, dry_run=True)
        with pytest.raises(InputError, match="holds no rows"):
            wb.import_people(empty, mapping={"email": "Kontakt"})
        assert not (here / FILE).exists()


def test_what_is_remembered_holds_nothing_of_a_person(tmp_path: Path) -> None:
    mappings = Mappings(tmp_path)
    mappings.remember("people", ["jane@example.com", "Jane"], {"email": "jane@example.com"})
    assert not (tmp_path / FILE).exists()
    mappings.remember("people", ["Kontakt", "Name"], {"email": "Kontakt"})
    kept = json.loads((tmp_path / FILE).read_text())
    assert [re.fullmatch("[0-9a-f]{64}", key) is not None for key in kept] == [True]
    assert list(kept.values()) == [{"email": "Kontakt"}]
    mappings.remember("people", ["Name", "Kontakt"], {})
    assert mappings.recall("people", ["Kontakt", "Name"]) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"email": 1}}', "\xff"])
def test_mappings_that_cant_be_read_stop_an_import_that_asks_for_them(tmp_path: Path, text: str) -> None:
    """Read without its mapping, a file could lose the column that tells of opt-outs."""
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="can't be read"):
        Mappings(tmp_path).recall("people", ["Kontakt"])


KILLED = """
import os, signal, sys
from workbench.bench import Workbench
def told(done, total):
    sys.stdout.write(f"{done}\\n"); sys.stdout.flush()
    if done >= int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)
with Workbench.open(sys.argv[1]) as wb:
    wb.import_people(sys.argv[2], told=told)
    if not int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_import_that_is_killed_and_run_again_counts_nothing_twice(tmp_path: Path) -> None:
    """Killed after each of its blocks, then behind its end; the same command then takes in every row and opt-out once."""
    here = workspace(tmp_path / "here")
    rows = [f"p{n},person{n}@example.com,{'yes' if n % 4 == 0 else 'no'}" for n in range(ROWS)]
    file = people_file(tmp_path / "people.csv", "Person ID,Email,Unsubscribed", *rows)
    exits, reached = [], []
    for at in (1, ROWS // 2, ROWS):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(here), str(file), str(at)], capture_output=True, text=True, check=False
        )
        exits.append(done.returncode)
        reached.append(int(done.stdout.split()[-1]))
        with Workbench.open(here) as wb:
            assert wb.numbers()["people"] == 0
    assert exits == [-signal.SIGKILL] * 3
    assert 0 < reached[0] < reached[1] < reached[2] == ROWS + 1
    assert not list(tmp_path.glob("*.rejected*"))
    last = command(here, "import", "people", str(file), "--format", "json")
    assert last.returncode == 0, last.stderr
    assert json.loads(last.stdout)[0] == {
        "rows": ROWS, "imported": ROWS, "updated": 0, "unchanged": 0, "unsubscribed": ROWS // 4, "rejected": 0,
    }  # fmt: skip
    after = command(here, "import", "people", str(file), "--format", "json")
    assert json.loads(after.stdout)[0]["unchanged"] == ROWS
    with Workbench.open(here) as wb:
        assert (wb.numbers()["people"], wb.numbers()["unsubscribed"]) == (ROWS, ROWS // 4)
        assert [e for e in wb.trail.events(newest=None)["action"] if e == "people_imported"] == ["people_imported"] * 2


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    here = workspace(tmp_path / "here")
    file = people_file(tmp_path / "people.csv", "Email", *(f"person{n}@example.com" for n in range(ROWS)))
    assert "lines read" not in command(here, "import", "people", str(file), "--dry-run").stderr
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "workbench", "--workspace", str(here), "import", "people", str(file)]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=theirs, check=False)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert re.search(r"\d+/20001 lines read, about \d+ s left", shown)
    assert "20001/20001 lines read, now looking for mismatches" in shown


PREVIEWED = {
    "people": ("Email ID,Unsubscribed,Fax,Opted Out Why", "jane@example.com,perhaps,1,x", "nonsense,no,1,x", "a@b.example,no"),
    "unsubscribes": ("Email,Date", "jane@example.com,yesterday", ",2026-10-01", "a@b.example"),
    "consents": ("Email,Given At,Method", "jane@example.com,2026-10-01,fax", "joe@example.com,yesterday,email", "a@b.example"),
}


@pytest.mark.parametrize("kind", PREVIEWED)
def test_a_preview_shows_columns_and_problems_and_writes_nothing(tmp_path: Path, kind: str) -> None:
    here = workspace(tmp_path / "here")
    file = people_file(tmp_path / "file.csv", *PREVIEWED[kind], *PREVIEWED[kind][1:] * 10)
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    evidence = ["--evidence", str(tmp_path)] if kind == "consents" else []
    done = command(here, "import", kind, str(file), *evidence, "--preview", "--format", "json")
    assert done.returncode == 1, done.stderr
    rows = json.loads(done.stdout)
    assert [row["line"] for row in rows] == list(range(2, 12))
    assert all(row["problem"] for row in rows[:3])
    assert rows[0]["email"] == "jane@example.com"
    assert "This was a preview; nothing was changed." in done.stderr
    assert "@" not in done.stderr
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before
    if kind == "people":
        assert "Column 'Email ID': read as email." in done.stderr
        assert "Column 'Fax': not read." in done.stderr
        assert "looks as if it told of opt-outs" in done.stderr
        assert "neither yes nor no" in rows[0]["problem"]
        assert rows[1]["problem"].startswith("rejected: the e-mail address can't be one")
        assert rows[2]["problem"] == "rejected: the row has 2 cells, the header has 4"


def test_a_preview_uses_the_mapping_of_last_time_and_names_odd_files(tmp_path: Path) -> None:
    here = workspace(tmp_path / "here")
    file = people_file(tmp_path / "file.csv", "Kontakt", "jane@example.com")
    with Workbench.open(here) as wb:
        with pytest.raises(InputError, match="no column"):
            wb.preview_import(file, "people")
        wb.import_people(file, mapping={"email": "Kontakt"})
        found = wb.preview_import(file, "people")
        assert found.recalled
        assert found.fields == (("Kontakt", "email"),)
        with pytest.raises(InputError, match="no such import"):
            wb.preview_import(file, "cats")
        with pytest.raises(InputError, match="holds no rows"):
            wb.preview_import(people_file(tmp_path / "empty.csv", "Email"), "people")
