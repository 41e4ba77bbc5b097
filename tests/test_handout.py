"""What is handed to a person: the receipt of a consent, and the report on all that is known, with proofs that anybody can check."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from workbench import Evidence, Workbench
from workbench.access import check_proof
from workbench.cli.app import run
from workbench.errors import InputError, NotAllowedError, ReportError, TrailError
from workbench.handout import POLICY, STYLE
from workbench.person import Person, new_id
from workbench.reports.pdf import chromium
from workbench.store import people

ANN, BOB = "ann@example.com", "bob@example.com"
EVIL = "<script>alert(1)</script>\"'&\x00\u202e"
GIVEN = datetime(2026, 6, 1, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whose every text would be a script if it were not escaped, one with a consent."""
    folder = tmp_path_factory.mktemp("handout")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        with Workbench.init(folder / "workspace", name="test", controller="Example GmbH") as wb:
            with wb.store.write() as tx:
                for email in (ANN, BOB):
                    who = Person(person_id=new_id(), email=email, email_as_given=email, version=1, first_name=EVIL, company=EVIL)
                    people.add(tx, who, at=wb.clock())
            form = folder / "<form>.pdf"
            form.write_bytes(b"%PDF-1.7 signed")
            wb.record_consent(
                person=ANN, evidence=[Evidence.from_file(form)], given_at=GIVEN, purpose=EVIL, notice_text=EVIL, collection_point=EVIL
            )  # fmt: skip
            for email in (ANN, BOB):
                wb.unsubscribe(email, detail=EVIL)
    return folder / "workspace"


@pytest.fixture
def wb(tmp_path: Path, prepared: Path) -> Iterator[Workbench]:
    with Workbench.open(shutil.copytree(prepared, tmp_path / "workspace")) as made:
        yield made


class Page(HTMLParser):
    """Which elements a page has, with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def is_harmless(source: str) -> Page:
    """A page of plain elements, under its own rule, without anything that loads, runs or leads elsewhere."""
    page = Page(source)
    allowed = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "table", "tr", "th", "td"}
    assert {tag for tag, _ in page.elements} <= allowed
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on") or a in ("src", "href", "style")]
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in [
        attributes for tag, attributes in page.elements if tag == "meta"
    ]
    assert f"<style>{STYLE}</style>" in source
    assert "\x00" not in source
    return page


def test_a_receipt_says_all_and_runs_nothing(wb: Workbench) -> None:
    consent_id = str(wb.consents(ANN)["consent_id"].iloc[0])
    page = is_harmless(wb.consent_receipt(consent_id))
    assert "Consent receipt" in page.text
    assert "<script>alert(1)</script>" in page.text  # shown, not run
    for said in (
        ANN,
        "Example GmbH",
        "2026-06-01 10:30:00+00:00",
        consent_id,
        "<form>.pdf",
        wb.trail.newest_checkpoint().splitlines()[2],
    ):
        assert said in page.text
    wb.withdraw_consent(consent_id, method="email")
    assert "withdrawn" in Page(wb.consent_receipt(consent_id)).text
    with pytest.raises(InputError, match="no consent has this id"):
        wb.consent_receipt("nothing")


def test_a_receipt_as_a_file_and_as_pdf(wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--workspace", str(wb.workspace), "consent", "receipt", str(wb.consents(ANN)["consent_id"].iloc[0])]
    try:
        chromium()
        pdf = ["--pdf"]
    except ReportError:
        pdf = []
    assert run([*words, "--to", str(tmp_path / "r.html"), *pdf]) == 0
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o600
    assert not pdf or (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    assert run([*words, "--to", str(tmp_path / "r.html")]) == 2
    assert "The receipt can't be written (File exists)" in capsys.readouterr().err


def test_an_access_report_holds_everything_about_one_and_nothing_of_another(wb: Workbench, tmp_path: Path) -> None:
    folder = wb.access_report(ANN, tmp_path / "report")
    assert sorted(p.name for p in folder.iterdir()) == ["consents.json", "evidence", "person.json", "report.html", "trail.json"]
    assert [p.read_bytes() for p in (folder / "evidence").iterdir()] == [b"%PDF-1.7 signed"]
    assert not [p for p in folder.rglob("*") if p.is_file() and BOB.encode() in p.read_bytes()]
    page = is_harmless((folder / "report.html").read_text(encoding="utf-8"))
    assert ANN in page.text
    known = json.loads((folder / "person.json").read_text(encoding="utf-8"))
    assert known["person"]["email"] == ANN
    assert [event["what"] for event in known["trail"]] == ["consent_recorded", "unsubscribe_recorded", "access_reported"]
    assert len(known["unsubscribes"]) == len(known["consents"]) == 1
    with pytest.raises(InputError, match="exists already"):
        wb.access_report(ANN, folder)


def test_its_proofs_are_checked_anywhere_and_a_changed_one_is_found(
    wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, vkey = wb.access_report(ANN, tmp_path / "report") / "trail.json", wb.trail.vkey
    assert run(["trail", "check", str(file), "--vkey", vkey]) == 0
    assert capsys.readouterr().out == "All 3 events are in the tree that the checkpoint signs.\n"
    proof = json.loads(file.read_text(encoding="utf-8"))
    forged = json.loads(json.dumps(proof))
    forged["events"][1]["payload"]["detail"] = "something else"
    assert check_proof(forged, vkey) == (f"the payload of event {proof['events'][1]['seq']} is not the one that was written",)
    forged = json.loads(json.dumps(proof))
    forged["events"][1]["leaf"] = forged["events"][1]["leaf"].replace(
        '"action":"unsubscribe_recorded"', '"action":"person_resubscribed"'
    )
    assert check_proof(forged, vkey) == (f"event {proof['events'][1]['seq']} is not in the tree that the checkpoint signs",)
    file.write_text(json.dumps(forged), encoding="utf-8")
    assert run(["trail", "check", str(file), "--vkey", vkey]) == 1
    for junk in (
        {},
        [],
        None,
        proof | {"events": [{"leaf": 1}]},
        proof | {"events": [{"leaf": "x", "salt": "y", "payload": 1, "proof": []}]},
    ):
        with pytest.raises(TrailError):
            check_proof(junk, vkey)
    with Workbench.init(tmp_path / "other", name="test") as other, pytest.raises(TrailError):
        check_proof(proof, other.trail.vkey)


def test_without_a_role_nobody_is_told(wb: Workbench, tmp_path: Path) -> None:
    wb.grant("somebody", "admin")
    for role in ("analyst", "admin"):
        wb.revoke(wb.operator, role)
    for asked in (
        lambda: wb.access_report(ANN, tmp_path / "report"),
        lambda: wb.consent_receipt("x"),
        lambda: wb.export_consents(None),
    ):
        with pytest.raises(NotAllowedError, match="needs a role"):
            asked()
