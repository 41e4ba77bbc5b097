"""A backup holds the whole workspace, is read again before it counts, and comes back only to a folder of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import postgresql_server
import pytest
from conftest import World, lead_id, org_line
from test_worker import REASON, open_episodes

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import InputError, NotAllowedError, StoreError
from workbench.store import restores, trail_log

ANN = "ann@example.com"
pytestmark = pytest.mark.skipif(postgresql_server.wanted(), reason="a backup of the workspace is of a register in a file")


@pytest.fixture
def used(world: Callable[..., World]) -> World:
    """A workspace in which somebody was resubscribed on a consent with evidence, and somebody else was not."""
    made = world(
        org_line("Lead", lead_id(1), ANN, opted_out=True), org_line("Lead", lead_id(2), "bea@example.com", opted_out=True)
    )
    ann = made.person(ANN)
    made.person("bea@example.com")
    made.consent(ann)
    plan = made.wb.propose([ann], reason=REASON)
    made.wb.approve(plan.id, plan.digest)
    assert made.wb.run(plan.id).done == 1
    return made


def everything(wb: Workbench) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the trail's, which says that it was backed up and restored."""
    with wb.store.read() as tx:
        names = (
            tx.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'").scalars().all()
        )
        kept = [name for name in names if not name.startswith(("trail", "checkpoint"))]
        return {name: sorted(map(tuple, tx.exec_driver_sql(f"SELECT * FROM {name}")), key=repr) for name in kept}


def files(folder: Path) -> dict[str, str]:
    """Digests of the files of a workspace, but for the register and locks."""
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("register.db") and "locks" not in p.parts)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def test_what_comes_back_is_what_was_there(used: World, tmp_path: Path) -> None:
    before = everything(used.wb)
    made = used.wb.backup(tmp_path / "backup.zip")
    assert made.problems == ()
    assert made.sha256 == hashlib.sha256((tmp_path / "backup.zip").read_bytes()).hexdigest()
    assert (tmp_path / "backup.zip").stat().st_mode & 0o077 == 0
    restored = Workbench.restore(tmp_path / "backup.zip", tmp_path / "back")
    assert (restored.problems, restored.sha256, restored.files) == ((), made.sha256, made.files)
    assert files(tmp_path / "back") == files(used.folder)
    with Workbench.open(tmp_path / "back") as again:
        came_back = everything(again)
        came_back["setting"] = [row for row in came_back["setting"] if row[0] != restores.PENDING]
        assert came_back == before
        assert again.trail.verify().ok
        with again.store.read() as tx:
            said = [json.loads(event.leaf_bytes)["action"] for event in trail_log.events(tx)]
    assert said[-2:] == ["backup_made", "backup_restored"]


def test_it_is_taken_of_one_moment_while_others_write(used: World, tmp_path: Path) -> None:
    stop, failures = threading.Event(), list[Exception]()

    def writing() -> None:
        number = 0
        with Workbench.open(used.folder) as other:
            while not stop.is_set():
                number += 1
                try:
                    other.grant(f"person{number}", "analyst")
                except Exception as error:  # noqa: BLE001 - it is looked at below
                    failures.append(error)
        assert number > 1

    writer = threading.Thread(target=writing)
    writer.start()
    try:
        made = used.wb.backup(tmp_path / "backup.zip")
    finally:
        stop.set()
        writer.join()
    assert (made.problems, failures) == ((), [])
    assert Workbench.restore(tmp_path / "backup.zip", tmp_path / "back").problems == ()


def test_an_opt_out_of_later_is_not_overwritten_by_a_restore(used: World, tmp_path: Path) -> None:
    """Not over a workspace that is there: it may know opt-outs that the backup does not."""
    used.wb.backup(tmp_path / "backup.zip")
    used.wb.unsubscribe(ANN)
    with pytest.raises(InputError, match="exists already"):
        Workbench.restore(tmp_path / "backup.zip", used.folder)
    ann = used.wb.people(unsubscribed=True).person_id
    assert any(open_episodes(used, person) for person in ann)


@pytest.mark.parametrize("where", ["there", "in the workspace"])
def test_where_it_can_not_be_written_it_says_so(where: str, used: World, tmp_path: Path) -> None:
    target = {"there": tmp_path / "backup.zip", "in the workspace": used.folder / "backup.zip"}[where]
    (tmp_path / "backup.zip").write_text("mine")
    with pytest.raises(InputError):
        used.wb.backup(target)
    assert (tmp_path / "backup.zip").read_text() == "mine"
    assert not list(tmp_path.glob(".*partial"))
    assert not list(tmp_path.glob(".backup-*"))


def test_an_analyst_takes_none(used: World, tmp_path: Path) -> None:
    used.wb.grant("somebody", "admin")
    used.wb.revoke(used.wb.operator, "admin")
    with pytest.raises(NotAllowedError):
        used.wb.backup(tmp_path / "backup.zip")
    assert not (tmp_path / "backup.zip").exists()


def test_evidence_that_is_missing_is_said_and_the_rest_is_saved(used: World, tmp_path: Path) -> None:
    gone = next(p for p in (used.folder / "evidence").rglob("*") if p.is_file())
    gone.chmod(0o600)
    gone.unlink()
    made = used.wb.backup(tmp_path / "backup.zip")
    assert made.problems == (f"The evidence file {gone.name} is missing.",)
    assert Workbench.restore(tmp_path / "backup.zip", tmp_path / "back").problems == made.problems


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The backup with other content, put together again."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def _listed(content: dict[str, bytes], name: str, data: bytes) -> None:
    """Add a file and name it in the manifest, as somebody who knows the format would."""
    manifest = json.loads(content["manifest.json"])
    manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    content[name], content["manifest.json"] = data, json.dumps(manifest).encode()


ALTERED: dict[str, Callable[[dict[str, bytes]], None]] = {
    "another policy": lambda c: c.update({"policy.toml": c["policy.toml"] + b"\n"}),
    "a file left out": lambda c: c.pop("policy.toml") and None,
    "a file added": lambda c: c.update({"notebooks/new.ipynb": b"{}"}),
    "no register": lambda c: c.pop("register.db") and None,
    "no manifest": lambda c: c.pop("manifest.json") and None,
    "another form": lambda c: c.update({"manifest.json": c["manifest.json"].replace(b"backup/1", b"backup/9")}),
    "a manifest of nothing": lambda c: c.update({"manifest.json": b"[]"}),
    "out of the folder": lambda c: _listed(c, "../outside.txt", b"outside"),
    "an absolute name": lambda c: _listed(c, "/tmp/outside.txt", b"outside"),
    "a name written otherwise": lambda c: _listed(c, "notebooks/./policy.toml", b"x"),
    "a file below a file": lambda c: _listed(c, "policy.toml/below", b"x"),
    "a register that is none": lambda c: _listed(c, "register.db", b"no database"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_backup_is_refused_and_nothing_is_written(what: str, used: World, tmp_path: Path) -> None:
    used.wb.backup(tmp_path / "backup.zip")
    (tmp_path / "room").mkdir()
    rewritten(tmp_path / "backup.zip", tmp_path / "altered.zip", ALTERED[what])
    with pytest.raises((InputError, StoreError)):
        Workbench.restore(tmp_path / "altered.zip", tmp_path / "room" / "back")
    assert list((tmp_path / "room").iterdir()) == []
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("how", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_part_packed_as_we_never_do_is_refused_however_it_reads(how: int, used: World, tmp_path: Path) -> None:
    used.wb.backup(tmp_path / "backup.zip")
    with zipfile.ZipFile(tmp_path / "backup.zip") as archive, zipfile.ZipFile(tmp_path / "odd.zip", "w") as odd:
        for name in archive.namelist():
            odd.writestr(name, archive.read(name), compress_type=how if name == "policy.toml" else None)
    with zipfile.ZipFile(tmp_path / "odd.zip") as odd:
        begin = odd.getinfo("policy.toml").header_offset + 60
    whole = bytearray((tmp_path / "odd.zip").read_bytes())
    for spoilt in (False, True):
        whole[begin] ^= 0xFF if spoilt else 0
        (tmp_path / "odd.zip").write_bytes(whole)
        with pytest.raises(InputError, match="is no backup, or it is damaged"):
            Workbench.restore(tmp_path / "odd.zip", tmp_path / "back")
        assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("at", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_or_spoilt_backup_is_refused(at: float, used: World, tmp_path: Path) -> None:
    used.wb.backup(tmp_path / "backup.zip")
    whole = (tmp_path / "backup.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * at)])
    with pytest.raises(InputError):
        Workbench.restore(tmp_path / "cut.zip", tmp_path / "back")
    place = int(len(whole) * at)
    (tmp_path / "spoilt.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    try:  # a byte may be one that says nothing, as a date of the archive does
        Workbench.restore(tmp_path / "spoilt.zip", tmp_path / "spoilt")
    except InputError:
        assert not (tmp_path / "spoilt").exists()
    else:
        assert files(tmp_path / "spoilt") == files(used.folder)


def test_what_the_disk_can_not_hold_is_refused_before_it_is_unpacked(used: World, tmp_path: Path) -> None:
    """An archive of some kilobytes that says, truthfully, that it unpacks to more than there is room for."""
    used.wb.backup(tmp_path / "backup.zip")
    vast = 2**60
    with zipfile.ZipFile(tmp_path / "backup.zip") as source, zipfile.ZipFile(tmp_path / "bomb.zip", "w") as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == "manifest.json":
                manifest = json.loads(content)
                manifest["files"]["evidence/vast"] = {"size": vast, "sha256": "0" * 64}
                with target.open("evidence/vast", "w", force_zip64=True) as entry:
                    entry.write(b"little")
                target.getinfo("evidence/vast").file_size = vast
                content = json.dumps(manifest).encode()
            target.writestr(info, content)
    with pytest.raises(InputError, match=r"unpacks to .* MB, and the disk has .* MB left"):
        Workbench.restore(tmp_path / "bomb.zip", tmp_path / "back")
    assert not list(tmp_path.glob("*back*.partial"))
    assert not (tmp_path / "back").exists()


def test_the_commands_say_what_they_did_and_end_accordingly(
    used: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(used.folder))
    assert run(["backup", str(tmp_path / "backup.zip")]) == 0
    told = capsys.readouterr()
    assert str(tmp_path / "backup.zip") in told.out
    assert "SHA-256" in told.err
    assert run(["backup", str(tmp_path / "backup.zip")]) == 2
    assert run(["restore", str(tmp_path / "backup.zip"), str(used.folder)]) == 2
    assert run(["restore", str(tmp_path / "none.zip"), str(tmp_path / "back")]) == 2
    assert "exists already" in (told := capsys.readouterr()).err
    assert "Traceback" not in told.err
    assert run(["restore", str(tmp_path / "backup.zip"), str(tmp_path / "back")]) == 0
    assert "is not in it" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "back")


def test_whatever_a_folder_is_called_its_register_is_in_it(tmp_path: Path) -> None:
    """A ? begins options in a database's address and a % an escape: two workspaces shared a register, outside of both."""
    names = ("e?1", "e?2", "p%41", "pA", "a#b?c=d", "with blank & ü", "q?mode=memory")
    for n, name in enumerate(names):
        with Workbench.init(tmp_path / name, name="test", controller="Example GmbH") as made:
            (tmp_path / "people.csv").write_text(f"Person ID,Email ID\np{n},person{n}@example.com\n", encoding="utf-8")
            made.import_people(tmp_path / "people.csv")
    (tmp_path / "people.csv").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for n, name in enumerate(names):
        assert (tmp_path / name / "register.db").is_file()
        with Workbench.open(tmp_path / name) as opened:
            assert list(opened.people()["email"]) == [f"person{n}@example.com"]
            opened.backup(tmp_path / f"{n}.zip")
        Workbench.restore(tmp_path / f"{n}.zip", tmp_path / f"again {name}")
        with Workbench.open(tmp_path / f"again {name}") as again:
            assert list(again.people()["email"]) == [f"person{n}@example.com"]


@pytest.mark.parametrize("folder", [".jupyter", ".JUPYTER", ".jupyter."])
def test_settings_of_jupyter_are_neither_packed_nor_unpacked(folder: str, used: World, tmp_path: Path) -> None:
    """Jupyter runs the programs that lie there; an archive made elsewhere may hold one."""
    program = used.folder / ".jupyter" / "jupyter_server_config.py"
    program.parent.mkdir(exist_ok=True)
    program.write_text("raise SystemExit", encoding="utf-8")
    used.wb.backup(tmp_path / "backup.zip")
    shutil.rmtree(program.parent)
    with zipfile.ZipFile(tmp_path / "backup.zip") as source, zipfile.ZipFile(tmp_path / "odd.zip", "w") as target:
        assert not any(name.startswith(".jupyter") for name in source.namelist())
        for info in source.infolist():
            content = source.read(info)
            if info.filename == "manifest.json":
                manifest = json.loads(content)
                digest = hashlib.sha256(b"raise SystemExit").hexdigest()
                manifest["files"][f"{folder}/jupyter_server_config.py"] = {"size": 16, "sha256": digest}
                target.writestr(f"{folder}/jupyter_server_config.py", "raise SystemExit")
                content = json.dumps(manifest).encode()
            target.writestr(info, content)
    Workbench.restore(tmp_path / "odd.zip", tmp_path / "back")
    assert (tmp_path / "back" / "workbench.toml").is_file()
    assert not (tmp_path / "back" / folder).exists()
