"""The right to erasure: nothing that names a person is left, the trail verifies, and who was erased stays out and opted out."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import postgresql_server
import pytest
import sqlalchemy as sa
from conftest import World, contact_id, lead_id, org_line
from invented_register import Invented, row_of

from workbench import Evidence, Workbench
from workbench.cli.app import run
from workbench.errors import InputError, NotAllowedError, StoreError
from workbench.person import salesforce_id_18
from workbench.store import batches, leases, records
from workbench.store import schema as s
from workbench.store.reports import ReportRow

PEOPLE, ERASED = 600, 200
OUT_AT = "2026-03-01T12:00:00+00:00"
MARK = "kanarie"


def address(number: int) -> str:
    """Of those to be erased every address holds the mark; some are not ASCII."""
    if number >= ERASED:
        return f"bleibt{number}@example.com"
    return f"j\u00f6rg.{MARK}{number}@example.com" if number % 10 == 7 else f"Ann.{MARK}{number}@Example.com"


def record(number: int) -> str:
    return salesforce_id_18(lead_id(number))


def own_form(number: int) -> str:
    """Some of those to be erased have a form of their own; it is a list that proves the consent of everybody."""
    return f"form{number}.txt;" if number < ERASED and number % 4 == 0 else ""


def csv(folder: Path, name: str, header: str, lines: list[str]) -> Path:
    file = folder / name
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return file


def people_csv(folder: Path, numbers: range, name: str = "people.csv") -> Path:
    header = (
        "Person ID,Salesforce ID,First Name,Last Name,Company,Email ID,Unsubscribed,Unsubscribed At,Unsubscribe Source,Detail"
    )
    lines = [
        f"SC-{n},{record(n)},First,Last{n},Company,{address(n)},Yes,{OUT_AT},Clicked Link,wrote from {address(n)}"
        for n in numbers
    ]
    return csv(folder, name, header, lines)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 600 people, their org records, consents and evidence, an issued report and a notebook."""
    folder = tmp_path_factory.mktemp("erasure")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        with Workbench.init(folder / "workspace", name="test", controller="Example GmbH") as wb:
            assert wb.import_people(people_csv(folder, range(PEOPLE))).imported == PEOPLE
            with wb.store.write() as tx:
                rows = [
                    row_of(n, address(n), opt_outs={"HasOptedOutOfEmail": True}, at=wb.clock(), record_id=record(n))
                    for n in range(PEOPLE)
                ]
                records.upsert_rows(tx, rows, snapshot_id="s", seen_at=wb.clock())
                records.relink(tx)
            shelf = folder / "shelf"
            shelf.mkdir()
            for n in range(0, ERASED, 4):
                (shelf / f"form{n}.txt").write_text(f"{address(n)} agrees", encoding="utf-8")
            (shelf / "list.txt").write_text("a list of all who signed", encoding="utf-8")
            lines = [
                f"SC-{n},{address(n)},2026-06-01T10:30:00+00:00,sales_email,paper,{own_form(n)}list.txt" for n in range(PEOPLE)
            ]
            consents = csv(folder, "consents.csv", "Person ID,Email,Given At,Purpose,Method,Evidence", lines)
            assert wb.import_consents(consents, shelf).imported == PEOPLE
            issue(wb, "mine", f"<td>{address(3)}</td>")
            issue(wb, "longer", f"<td>x{address(3)} is somebody else</td>")
            issue(wb, "yours", f"<td>{address(500)}</td>")
            (wb.workspace / "own.ipynb").write_text(json.dumps({"outputs": [f"seen: {address(7)}"]}), encoding="utf-8")
    return folder / "workspace"


def issue(wb: Workbench, name: str, body: str) -> None:
    """An issued report as the register keeps it."""
    folder = wb.workspace / "issued" / name
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(body, encoding="utf-8")
    row = ReportRow(
        report_id=name, name="audit", parameters={}, files={f"{name}/report.html": "0" * 64}, issued_at=wb.clock(), issued_by="ada", checkpoint_size=1
    )  # fmt: skip
    wb.seal_report(row)


@pytest.fixture
def wb(tmp_path: Path, prepared: Path) -> Iterator[Workbench]:
    with Workbench.open(shutil.copytree(prepared, tmp_path / "workspace")) as made:
        yield made


def traces(folder: Path, numbers: Iterable[int]) -> dict[int, set[str]]:
    """Files that hold the address of each of these people in any form; written apart from the product's own search."""
    found: dict[int, set[str]] = {}
    contents = {p: p.read_bytes().lower() for p in folder.rglob("*") if p.is_file()}
    for n in numbers:
        text = address(n).lower()
        encoded = [text.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]
        shapes = {shape.lower() for shape in (*encoded, quote(text).encode(), json.dumps(text)[1:-1].encode())}
        for path, content in contents.items():
            if any(shape in content for shape in shapes) or text in path.name.lower():
                found.setdefault(n, set()).add(path.name)
    return found


def test_of_200_among_600_nothing_is_left_and_the_trail_verifies(wb: Workbench, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text(wb.trail.checkpoint(), encoding="utf-8")
    looked_at = [*range(ERASED), *range(ERASED, PEOPLE, 40)]
    assert set(traces(wb.workspace, looked_at)) == set(looked_at)  # the search finds what is there

    done = wb.erase([address(n) for n in range(ERASED)])

    assert len(done.person_ids) == ERASED
    notebook = [line for line in done.remains if line.what == "file"]
    assert [line.detail for line in notebook] == ["own.ipynb still names one of them"]
    (wb.workspace / "own.ipynb").unlink()
    shared = [line.detail for line in done.remains if line.what == "evidence file"]
    assert len(shared) == 1
    assert "proves the consent of somebody else, too" in shared[0]
    assert [r.detail for r in done.lines if r.what == "issued report"] == ["mine"]

    assert set(traces(wb.workspace, looked_at)) == {3, *range(ERASED, PEOPLE, 40)}  # 3 is a part of somebody else's address
    left = b"".join(p.read_bytes().lower() for p in wb.workspace.rglob("*") if p.is_file() and p.parent.name != "longer")
    for text in (MARK, quote(MARK)):
        for code in ("utf-8", "utf-16-le", "utf-16-be"):
            assert text.encode(code) not in left

    verdict = wb.trail.verify(known=[known.read_text(encoding="utf-8")])
    assert (verdict.ok, verdict.problems) == (True, ())
    export = wb.trail.export(tmp_path / "export")
    words = [
        sys.executable,
        "-I",
        "-S",
        str(export / "verify_trail.py"),
        str(export),
        "--vkey",
        wb.trail.vkey,
        "--known",
        str(known),
    ]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.strip()) == (0, "VERIFIED: every event, checkpoint and file"), told.stdout

    again = wb.import_people(people_csv(tmp_path, range(3, 4), "again.csv"))
    assert (again.imported, again.updated, again.rejected) == (0, 0, 1)
    assert "this person was erased on request and stays out" in " ".join(again.problems)
    assert len(wb.people()) == PEOPLE - ERASED
    assert MARK not in " ".join(wb.people()["email"])


def test_a_dry_run_lists_the_same_and_changes_nothing(wb: Workbench) -> None:
    size = len(wb.trail.events(newest=None))
    would = wb.erase(address(3), dry_run=True)
    assert len(wb.trail.events(newest=None)) == size
    assert wb.person(address(3)).person.external_id == "SC-3"
    did = wb.erase(address(3))
    assert [(x.outcome, x.what, x.number) for x in did.lines] == [(x.outcome, x.what, x.number) for x in would.lines]
    assert wb.trail.events(newest=1).action[0] == "report_erased"


@pytest.mark.parametrize(
    "changed", [{"Email ID": "new@example.com"}, {"Person ID": "SC-x", "Salesforce ID": ""}], ids=["id", "address"]
)
def test_whoever_was_erased_comes_back_by_no_import(wb: Workbench, tmp_path: Path, changed: dict[str, str]) -> None:
    wb.erase(address(3))
    row = {"Person ID": "SC-3", "Salesforce ID": record(3), "Email ID": address(3).upper()} | changed
    file = csv(tmp_path, "again.csv", ",".join(row), [",".join(row.values())])
    result = wb.import_people(file)
    assert (result.imported, result.rejected) == (0, 1)
    consents = csv(tmp_path, "c.csv", "Email,Given At,Purpose", [f"{address(3)},2026-11-01T10:00:00+00:00,sales_email"])
    refused = wb.import_consents(consents, tmp_path)
    assert [v.reason for v in refused.verdicts] == ["this person was erased on request and stays out"]
    unsubscribes = wb.import_unsubscribes(csv(tmp_path, "u.csv", "Email", [address(3)]))
    assert (unsubscribes.imported, unsubscribes.unchanged) == (0, 1)
    assert "stays out and suppressed" in " ".join(unsubscribes.problems)
    batch = csv(tmp_path, "b.csv", "Email", [address(3), address(4)])
    assert wb.people_in_file(batch).unmatched == ("Line 2: this person was erased on request and stays out.",)
    for again in (
        lambda: wb.record_consent(person=address(3), evidence=[], purpose="x", given_at=wb.clock()),
        lambda: wb.person(address(3)),
    ):
        with pytest.raises(InputError, match=r"^this person was erased on request and stays out$"):
            again()


def test_without_its_secret_nobody_is_let_in(wb: Workbench, tmp_path: Path) -> None:
    wb.erase(address(3))
    assert (wb.workspace / "suppression.key").stat().st_mode & 0o777 == 0o600
    wb.close()
    kept = (wb.workspace / "suppression.key").read_text()
    again = people_csv(tmp_path, range(3, 4), "again.csv")
    for text, sentence in ((None, "in neither of its places"), ("0" * 64, "another one than it was"), ("junk", "was damaged")):
        (wb.workspace / "suppression.key").unlink(missing_ok=True)
        if text is not None:
            (wb.workspace / "suppression.key").write_text(text)
            (wb.workspace / "suppression.key").chmod(0o600)
        with Workbench.open(wb.workspace) as other, pytest.raises(StoreError, match=sentence):
            other.import_people(again)
    (wb.workspace / "suppression.key").write_text(kept)
    with Workbench.open(wb.workspace) as other:
        assert other.import_people(again).rejected == 1
    (wb.workspace / "suppression.key").chmod(0o644)
    with Workbench.open(wb.workspace) as other, pytest.raises(StoreError, match="others may read"):
        other.import_people(again)


def test_who_is_being_worked_on_or_shares_an_address_is_refused(wb: Workbench, tmp_path: Path) -> None:
    person_id = wb.person(address(3)).person.person_id
    with wb.store.write() as tx:
        leases.take(tx, [person_id], holder="sync:1", now=wb.clock(), lasting=timedelta(minutes=5))
    with pytest.raises(InputError, match=f"person {person_id} is being worked on by a batch or the sync"):
        wb.erase(address(3))
    wb.import_people(csv(tmp_path, "twin.csv", "Person ID,Salesforce ID,Email", [f"SC-twin,{record(999)},{address(4)}"]))
    one, two = sorted(wb.people(text=address(4).lower())["person_id"])
    with pytest.raises(InputError, match=rf"^person {one} shares an address or a Salesforce record with {two}$"):
        wb.erase(one)
    assert len(wb.erase([one, two]).person_ids) == 2
    with pytest.raises(InputError, match="nobody in the register"):
        wb.erase("nobody@example.com")


def test_who_is_in_an_open_batch_is_refused_and_a_closed_one_forgets_them(wb: Workbench) -> None:
    person_id = wb.person(address(3)).person.person_id
    with wb.store.write() as tx:
        Invented(tx).resubscribed(person_id, at=wb.clock(), given_at=None)
        tx.execute(sa.update(s.batch).values(state="approved"))
        batch_id = tx.execute(sa.select(s.batch.c.batch_id)).scalar_one()
    with pytest.raises(InputError, match=rf"^person {person_id} is in the batch {batch_id}, which is approved$"):
        wb.erase(person_id)
    with wb.store.write() as tx:
        tx.execute(sa.update(s.batch).values(state="finished"))
        tx.execute(sa.update(s.intent).values(planned_rows=[{"record_id": record(3)}], refusals=[{"sentence": address(3)}]))
    wb.erase(person_id)
    with wb.store.read() as tx:
        item = tx.execute(sa.select(s.intent)).mappings().one()
        assert batches.resubscribed(tx) == ()
    assert (item["state"], item["planned_rows"], item["refusals"]) == ("DONE", [], [])
    assert wb.coverage().empty


def test_only_an_administrator_erases(wb: Workbench) -> None:
    wb.grant("somebody", "admin")
    wb.revoke(wb.operator, "admin")
    with pytest.raises(NotAllowedError, match="only an administrator erases people"):
        wb.erase(address(3))
    with pytest.raises(NotAllowedError, match="only an administrator erases people"):
        wb.erase_due()


def test_evidence_that_must_be_kept_stays_until_its_time_is_over(
    wb: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = tmp_path / f"{address(201)}.txt"
    form.write_text("signed", encoding="utf-8")
    until = wb.clock() + timedelta(days=30)
    wb.record_consent(
        person=address(201), evidence=[Evidence.from_file(form)], given_at=wb.clock(), purpose="x", retain_until=until
    )
    digest = json.loads(wb.trail.events(action="evidence_stored", newest=1).payload[0])["sha256"]
    done = wb.erase(address(201))
    kept = [line.detail for line in done.remains if line.what == "evidence file" and digest in line.detail]
    assert kept == [f"{digest} must be kept until {until:%Y-%m-%d}; `workbench erase --due` deletes it then"]
    assert wb.erase_due() == ()
    assert wb.trail.verify().ok
    assert traces(wb.workspace, [201]) == {}  # the file's name, which was the address, is gone from the trail
    later = until + timedelta(days=1)
    monkeypatch.setattr(type(wb.settings), "clock", property(lambda _: lambda: later))  # a month can't be waited for
    with Workbench.open(wb.workspace) as then:
        assert then.erase_due() == (digest,)
        assert not then._desk.evidence.path(digest).exists()
        assert then.trail.verify().ok
        assert then.trail.events(newest=1).action[0] == "person_erased"


def test_an_erasure_that_was_broken_off_is_finished(wb: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    import workbench.erasure as erasure

    monkeypatch.setattr(erasure, "take_due", lambda _: 1 / 0)  # the process ends here, after the commit
    with pytest.raises(ZeroDivisionError):
        wb.erase(address(4))
    monkeypatch.undo()
    assert traces(wb.workspace, [4])
    assert len(wb.erase_due()) == 1
    assert traces(wb.workspace, [4]) == {}
    assert wb.trail.verify().ok
    assert wb.trail.verify().events == len(wb.trail.events(newest=None))


def test_what_another_process_holds_up_is_said_and_finished_later(wb: Workbench) -> None:
    def impatient(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=200")

    sa.event.listen(wb.store.engine, "connect", impatient)
    wb.store.close()
    reader = sqlite3.connect(wb.workspace / "register.db")  # as an open JupyterLab does
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM person WHERE erased_at IS NULL").fetchone() == (PEOPLE,)
    done = wb.erase(address(5))
    (line,) = [line.detail for line in done.remains if line.what == "register"]
    assert line.endswith("then run `workbench erase --due`.")
    with pytest.raises(StoreError):
        wb.erase_due()
    reader.close()
    wb.erase_due()
    assert traces(wb.workspace, [5]) == {}


def test_salesforce_is_told_and_told_about(world: Callable[..., World]) -> None:
    """The erased person's records stay opted out there, those that are not are opted out, new ones are found, nobody is cleared."""
    out, left = salesforce_id_18(lead_id(1)), salesforce_id_18(contact_id(2))
    made = world(
        org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
        org_line("Contact", contact_id(2), "ann@example.com", opted_out=False),
        org_line("Lead", lead_id(3), "bob@example.com", opted_out=True),
        org_line("Lead", lead_id(4), "neu@example.com", opted_out=False),
    )
    new = salesforce_id_18(lead_id(4))
    ann, _ = made.person("ann@example.com"), made.person("bob@example.com")
    made.wb.pull(full=True)
    done = made.wb.erase(ann)
    assert [line.detail for line in done.remains if line.what == "Salesforce record"] == [
        f"Contact {left} is not erased from here: it is not opted out, the next sync does that; erase it in Salesforce",
        f"Lead {out} is not erased from here: it is opted out; erase it in Salesforce",
    ]
    made.wb.pull(full=True)
    assert "ann@example.com" not in str(made.wb.mismatches().to_dict())
    found = made.wb.mismatches(kind="erased_in_register")
    assert list(found["record_id"]) == [left, out]
    made.wb.sync()
    assert made.flags(out, left) == {out: True, left: True}
    made.org.control("/write", {"object": "Lead", "id": lead_id(4), "values": {"Email": "Ann@Example.com"}})
    made.wb.sync()
    assert made.flags(new) == {new: True}  # the address came back in Salesforce under another record
    assert list(made.wb.people()["email"]) == ["bob@example.com"]
    if not postgresql_server.wanted():
        assert b"ann@example.com" not in (made.folder / "register.db").read_bytes().lower()
    assert made.wb.trail.verify().ok


def test_the_command_asks_first_and_lists_what_remains(wb: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    def erase(*words: str) -> tuple[int, str, str]:
        code = run(["--workspace", str(wb.workspace), "erase", *words])
        return code, *capsys.readouterr()

    code, _, said = erase(address(4))
    assert (code, said.splitlines()[0]) == (2, "workbench: Erasing asks first, and nobody is there to answer.")
    code, _, said = erase()
    assert (code, said.splitlines()[0]) == (2, "workbench: Erase takes people, or --due.")
    code, data, said = erase(address(4), "--dry-run", "--format", "json")
    assert (code, said.strip()) == (1, "This was a dry run; nothing was erased.")
    assert {"outcome": "erased", "what": "consent", "number": 1, "detail": ""} in json.loads(data)
    code, data, said = erase(address(4), "--yes")
    assert (code, said.strip()) == (1, "1 person is erased and kept out.")
    assert f"Lead {record(4)} is not erased from here: it is opted out; erase it in Salesforce" in data
    assert MARK not in data + said
    assert erase("--due") == (0, "", "0 evidence files deleted.\n")
