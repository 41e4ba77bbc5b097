"""Consents on file: kept to the last field, imported with their evidence, refused with reasons."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from workbench.consent import Consent, Evidence
from workbench.errors import EvidenceError, InputError
from workbench.evidence import EvidenceStore
from workbench.intake import ImportResult, import_consents
from workbench.person import Person, new_id
from workbench.store import consents, people
from workbench.store.database import Store, Transaction
from workbench.trail.event import Event
from workbench.trail.events import ConsentRecorded, EvidenceStored

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CEST = timezone(timedelta(hours=2))
BERLIN = "Europe/Berlin"


class Desk:
    """A register with three people, an evidence store and a folder of scanned forms."""

    def __init__(self, folder: Path, template: Path) -> None:
        shutil.copy(template, folder / "register.db")
        self.folder, self.scans = folder, folder / "scans"
        self.scans.mkdir()
        self.store = Store(f"sqlite:///{folder / 'register.db'}")
        self.evidence = EvidenceStore(folder / "evidence", largest_bytes=1000)
        self.events: list[tuple[Event, str]] = []
        with self.store.write() as tx:
            for number, email in ((1, "jane@example.com"), (2, "joe@example.com"), (3, "joe@example.com")):
                person = Person(person_id=f"id-{number}", external_id=f"p{number}", email=email, email_as_given=email, version=1)
                people.add(tx, person, at=NOW)

    def scan(self, name: str, content: bytes = b"%PDF-1.7 form") -> str:
        (self.scans / name).write_bytes(content)
        return name

    def file(self, *rows: dict[str, str]) -> Path:
        path = self.folder / "consents.csv"
        header = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, header)
            writer.writeheader()
            writer.writerows(rows)
        return path

    def take(self, *rows: dict[str, str], now: datetime = NOW, **other: Any) -> ImportResult:
        def append(tx: Transaction, event: Event, person_id: str) -> None:
            self.events.append((event, person_id))

        path = self.file(*rows)
        options: dict[str, Any] = {"evidence_dir": self.scans, "operator": "ana", "now": now, "append_event": append} | other
        return import_consents(self.store, self.evidence, path, **options)

    def of(self, person_id: str) -> tuple[Consent, ...]:
        with self.store.read() as tx:
            return consents.of_people(tx, [person_id]).get(person_id, ())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "register.db"
    store = Store(f"sqlite:///{path}")
    store.upgrade()
    store.close()
    return path


@pytest.fixture
def desk(tmp_path: Path, template: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, template)
    yield desk
    desk.store.close()


def row(**other: str) -> dict[str, str]:
    given = {"Person": "p1", "Given At": "2026-11-01T10:00:00+01:00", "Purpose": "sales_email", "Method": "Web form"}
    return given | {key.replace("_", " "): value for key, value in other.items()}


def a_consent(number: int = 1, **other: Any) -> Consent:
    given: dict[str, Any] = {
        "consent_id": f"c{number}", "person_id": "id-1", "email": "jane@example.com", "controller": "Example Ltd", "purpose": "sales_email",
        "given_at": NOW - timedelta(days=number), "recorded_at": NOW, "recorded_by": "ana",
    }  # fmt: skip
    return Consent(**(given | other))


# The store


def test_every_field_comes_back_as_it_was(desk: Desk) -> None:
    """No field may keep its default here, so that a field that is not stored is noticed."""
    found = desk.evidence.put(io.BytesIO(b"%PDF-1.7 form"), "Jane Doe – Einwilligung.pdf")
    consent = Consent(
        consent_id=new_id(), person_id="id-1", email="jané@example.com", controller="Example Ltd", purpose="newsletter",
        given_at=datetime(2026, 10, 1, 8, 30, 15, 123456, tzinfo=CEST), recorded_at=datetime(2026, 10, 2, 1, 2, 3, 999999, tzinfo=UTC),
        recorded_by="ana", schema_version=2, recipients=("Example Sales", "Example Events"), channel="email+post",
        authorization_type="legitimate_interest", state="renewed", consent_type="implied", given_at_precision="day", method="paper",
        collection_point="https://example.com/form", expressed_by="representative", notice_text='Ja,\n"ich" möchte\t…', notice_version="7",
        language="de", double_opt_in_at=datetime(2026, 10, 1, 9, 0, 0, 1, tzinfo=CEST), jurisdiction="DE",
        valid_until=datetime(2027, 10, 1, tzinfo=UTC), retain_until=datetime(2030, 10, 1, tzinfo=UTC),
        withdrawn_at=datetime(2026, 11, 1, 0, 0, 0, 5, tzinfo=CEST), withdrawal_method="by phone", pre_ticked=True, solicited_by_email=True,
        given_to="Example Partner", transfer_notice_at=datetime(2026, 10, 3, 7, 7, tzinfo=UTC), recording_kept=True, error_proven=True,
        evidence=(found,),
    )  # fmt: skip
    for field in fields(Consent):
        assert field.default is MISSING or getattr(consent, field.name) != field.default, field.name
    with desk.store.write() as tx:
        assert consents.add_evidence(tx, found, at=NOW, by="ana")
        consents.add(tx, consent)
    with desk.store.read() as tx:
        stored = consents.by_ids(tx, [consent.consent_id])[consent.consent_id]
    for field in fields(Consent):
        assert getattr(stored, field.name) == getattr(consent, field.name), field.name
    assert stored.given_at is not None
    assert stored.given_at.utcoffset() == timedelta(hours=2)
    for part in fields(Evidence):
        assert part.name == "source" or getattr(stored.evidence[0], part.name) == getattr(found, part.name)


def test_newest_first_and_those_without_a_date_last(desk: Desk) -> None:
    with desk.store.write() as tx:
        for consent in (a_consent(2), a_consent(1), a_consent(9, given_at=None), a_consent(3, person_id="id-2")):
            consents.add(tx, consent)
        assert [c.consent_id for c in consents.of_people(tx, ["id-1"])["id-1"]] == ["c1", "c2", "c9"]
        assert {k: c.consent_id for k, c in consents.latest(tx, ["id-1", "id-2", "id-3"]).items()} == {"id-1": "c1", "id-2": "c3"}
        assert [c.consent_id for c in consents.everyones(tx)] == ["c9", "c3", "c2", "c1"]
        assert consents.by_ids(tx, ["nobody"]) == {}


def test_more_people_than_one_query_takes(desk: Desk) -> None:
    with desk.store.write() as tx:
        consents.add(tx, a_consent())
        assert list(consents.latest(tx, [*map(str, range(40_000)), "id-1"])) == ["id-1"]


def test_a_withdrawal_is_kept_and_the_earlier_one_counts(desk: Desk) -> None:
    with desk.store.write() as tx:
        consents.add(tx, a_consent())
        consents.withdraw(tx, "c1", at=NOW, method="email", recorded_at=NOW, by="ada")
        later = consents.withdraw(tx, "c1", at=NOW + timedelta(days=1), method="phone", recorded_at=NOW, by="ada")
        assert later == replace(a_consent(), state="withdrawn", withdrawn_at=NOW, withdrawal_method="email")
        assert consents.by_ids(tx, ["c1"])["c1"] == later
        assert tx.exec_driver_sql("SELECT state FROM consent").scalar_one() == "withdrawn"
        with pytest.raises(InputError, match="no consent has the id c7"):
            consents.withdraw(tx, "c7", at=NOW, method="", recorded_at=NOW, by="ada")


def test_evidence_is_noted_once_and_before_its_consent(desk: Desk) -> None:
    found = desk.evidence.put(io.BytesIO(b"form"), "a.pdf")
    with desk.store.write() as tx:
        assert [consents.add_evidence(tx, found, at=NOW, by="ana") for _ in range(2)] == [True, False]
        assert consents.all_digests(tx, now=NOW) == (found.sha256,)
        consents.add(tx, a_consent(evidence=(found, replace(found, original_name="b.pdf"))))
        assert len(consents.by_ids(tx, ["c1"])["c1"].evidence) == 2
        with pytest.raises(RuntimeError, match="evidence is stored and added before"):
            consents.add(tx, a_consent(2, evidence=(Evidence.from_file("a.pdf"),)))


# Imports


def test_a_consent_comes_in_with_all_it_says(desk: Desk) -> None:
    desk.scan("form.pdf"), desk.scan("mail.eml", b"From: jane@example.com\n\nyes")
    result = desk.take(
        row(
            Email="Jane@Example.com", Controller="Example Ltd", Recipients="Sales; Events", Collection_Point="https://example.com",
            Notice_Text="Yes,\nplease", Notice_Version="3", Language="en", Jurisdiction="DE", Double_Opt_In_At="2026-11-01 11:00 +0100",
            Valid_Until="2027-11-01", Consent_Type="explicitly expressed", Authorization_Type="Consent", Expressed_By="person",
            Evidence="form.pdf; mail.eml", Recording_Kept="yes", Pre_Ticked="no", Solicited_By_Email="", Given_To="", Error_Proven="1",
        ),
        timezone=BERLIN,
    )  # fmt: skip
    assert (result.rows, result.imported, result.rejected, result.problems) == (1, 1, 0, ())
    (consent,) = desk.of("id-1")
    assert consent.given_at == datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
    assert (consent.given_at_precision, consent.method, consent.consent_type) == ("second", "web_form", "explicitly_expressed")
    assert (consent.email, consent.recipients, consent.notice_text) == ("jane@example.com", ("Sales", "Events"), "Yes,\nplease")
    assert consent.valid_until == datetime(2027, 11, 1, 22, 59, 59, 999000, tzinfo=UTC), "a last day counts to its end"
    assert (consent.recording_kept, consent.pre_ticked, consent.error_proven) == (True, False, True)
    assert [(e.original_name, e.media_type) for e in consent.evidence] == [
        ("form.pdf", "application/pdf"),
        ("mail.eml", "message/rfc822"),
    ]
    assert all(desk.evidence.check(e.sha256) == "intact" for e in consent.evidence)
    assert [(type(event), person) for event, person in desk.events] == [
        (EvidenceStored, ""),
        (EvidenceStored, ""),
        (ConsentRecorded, "id-1"),
    ]
    assert result.verdicts[0].consent_id == consent.consent_id


def test_the_same_row_again_is_unchanged(desk: Desk) -> None:
    desk.scan("form.pdf")
    first = row(Evidence="form.pdf")
    assert desk.take(first, first).imported == 1
    again = desk.take(first, row(Evidence="form.pdf", Method="Paper"), row(), now=NOW + timedelta(days=1))
    assert (again.imported, again.unchanged) == (2, 1)
    assert [v.outcome for v in again.verdicts] == ["unchanged", "recorded", "recorded"]
    same_moment = desk.take(row(Evidence="form.pdf", Given_At="2026-11-01 09:00:00Z"))
    assert same_moment.unchanged == 1


def test_one_file_may_prove_many_consents(desk: Desk) -> None:
    desk.scan("export.csv", b"many people")
    result = desk.take(row(Evidence="export.csv"), row(Person="p2", Evidence="export.csv"))
    assert result.imported == 2
    assert [type(event) for event, _ in desk.events].count(EvidenceStored) == 1


def test_what_is_missing_is_for_the_rules_to_refuse(desk: Desk) -> None:
    assert desk.take({"Person": "p1"}, defaults={"controller": "Example Ltd"}).imported == 1
    (consent,) = desk.of("id-1")
    assert (consent.given_at, consent.purpose, consent.method, consent.evidence) == (None, "", "", ())
    assert (consent.controller, consent.email) == ("Example Ltd", "jane@example.com")


def test_a_date_without_a_time_is_marked_as_such(desk: Desk) -> None:
    desk.take(row(Given_At="2026-11-01"), timezone=BERLIN)
    (consent,) = desk.of("id-1")
    assert consent.given_at_precision == "day"
    assert consent.given_at == datetime(2026, 10, 31, 23, 0, tzinfo=UTC)
    assert consent.counts_from == consent.given_at


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"Given_At": "2026-11-01 10:00"}, "given_at: the time has no time zone"),
        ({"Given_At": "yesterday"}, "given_at: the date is not written as"),
        ({"Given_At": "01.11.2026"}, "given_at: the date is not written as"),
        ({"Method": "carrier pigeon"}, "method: the value is none of web_form, email, paper"),
        ({"Pre_Ticked": "perhaps"}, "pre_ticked: the value is neither yes nor no"),
        ({"Double_Opt_In_At": "2026-11-01"}, "double_opt_in_at: a confirmation needs its time"),
        ({"Email": "not an address"}, "this can't be an e-mail address"),
        ({"Person": "p9"}, "nobody in the register"),
        ({"Person": "p9", "Email": "jane@example.com"}, "nobody in the register"),
        ({"Person": "joe@example.com"}, "several people in the register"),
        ({"Person": ""}, "nobody in the register"),
        ({"Evidence": "missing.pdf"}, "not in the evidence folder"),
        ({"Evidence": "form.pdf;missing.pdf"}, "not in the evidence folder"),
        ({"Evidence": "../consents.csv"}, "named by a path"),
        ({"Evidence": "/etc/passwd"}, "named by a path"),
        ({"Evidence": "..\\consents.csv"}, "named by a path"),
        ({"Evidence": ".."}, "named by a path"),
        ({"Evidence": "out.pdf"}, "a link that leads out"),
        ({"Evidence": "empty.pdf"}, "is empty"),
        ({"Evidence": "large.pdf"}, "is larger than 1,000 bytes"),
        ({"Evidence": "folder"}, "has to be a file"),
    ],
)
def test_rows_that_cant_be_understood_are_rejected_with_the_reason(desk: Desk, given: dict[str, str], reason: str) -> None:
    desk.scan("form.pdf"), desk.scan("empty.pdf", b""), desk.scan("large.pdf", b"x" * 1001)
    (desk.scans / "out.pdf").symlink_to(desk.folder / "register.db")
    (desk.scans / "folder").mkdir()
    result = desk.take(row(**given), row(Person="p2"))
    assert (result.imported, result.rejected) == (1, 1)
    assert reason in result.verdicts[0].reason
    assert (result.verdicts[0].outcome, result.verdicts[1].outcome) == ("rejected", "recorded")
    assert result.rejects_file is not None
    assert reason in result.rejects_file.read_text("utf-8-sig").replace('""', '"')


def test_unreadable_rows_have_a_verdict_too(desk: Desk) -> None:
    path = desk.folder / "raw.csv"
    path.write_text("Person,Purpose\np1\np1,sales_email\n")
    options: dict[str, Any] = {"evidence_dir": desk.scans, "operator": "ana", "now": NOW, "append_event": lambda *_: None}
    result = import_consents(desk.store, desk.evidence, path, **options)
    assert [(v.line, v.outcome) for v in result.verdicts] == [(2, "rejected"), (3, "recorded")]


def test_a_dry_run_answers_the_same_verdicts_and_keeps_nothing(desk: Desk) -> None:
    desk.scan("form.pdf")
    rows = [row(Evidence="form.pdf"), row(Evidence="missing.pdf"), row(Evidence="form.pdf")]
    dry = desk.take(*rows, dry_run=True)
    assert (dry.imported, dry.unchanged, dry.rejected, dry.rejects_file) == (1, 1, 1, None)
    assert desk.of("id-1") == ()
    assert not desk.evidence.folder.exists()
    real = desk.take(*rows)
    assert [(v.line, v.outcome, v.reason) for v in real.verdicts] == [(v.line, v.outcome, v.reason) for v in dry.verdicts]


def test_when_evidence_cant_be_stored_no_consent_is(desk: Desk) -> None:
    desk.scan("form.pdf")
    desk.evidence.folder.write_text("a file where the folder should be")
    with pytest.raises(EvidenceError, match="can't be read or stored"):
        desk.take(row(), row(Person="p2", Evidence="form.pdf"))
    assert desk.of("id-1") == ()


def test_mistakes_in_the_call_are_said_before_anything_is_read(desk: Desk) -> None:
    for options, sentence in (
        ({"timezone": "Berlin"}, "no time zone"),
        ({"defaults": {"colour": "red"}}, "no field is called colour"),
        ({"mapping": {"given_at": "When"}}, "does not exist"),
    ):
        with pytest.raises(InputError, match=sentence):
            desk.take(row(), **options)
    with pytest.raises(InputError, match="no column Person or Email"):
        desk.take({"Name": "Jane"})
