"""A consent recorded by hand: checked, stored with its evidence and on the trail together, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from workbench import Consent, Evidence, Workbench
from workbench.errors import EvidenceError, InputError
from workbench.person import Person, new_id
from workbench.store import people

ANN = "ann@example.com"
GIVEN = datetime(2026, 6, 1, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        with Workbench.init(folder, name="test", controller="Example GmbH") as made, made.store.write() as tx:
            people.add(tx, Person(person_id=new_id(), email=ANN, email_as_given=ANN, version=1), at=made.clock())
    return folder


@pytest.fixture
def wb(tmp_path: Path, prepared: Path) -> Iterator[Workbench]:
    with Workbench.open(shutil.copytree(prepared, tmp_path / "workspace")) as made:
        yield made


@pytest.fixture
def form(tmp_path: Path) -> Path:
    path = tmp_path / "Zustimmung für José.pdf"
    path.write_bytes(b"%PDF-1.7 signed")
    return path


def record(wb: Workbench, *evidence: Evidence, **fields: Any) -> Consent:
    return wb.record_consent(person=ANN, evidence=evidence, **({"purpose": "sales_email", "given_at": GIVEN} | fields))


def test_a_consent_is_stored_with_its_evidence_and_on_the_trail(wb: Workbench, form: Path) -> None:
    consent = record(wb, Evidence.from_file(form), method="paper", notice_text="Please mail me.")
    assert (consent.email, consent.controller, consent.recorded_by) == (ANN, "Example GmbH", wb.operator)
    (kept,) = wb.consents(ANN).itertuples()
    assert (kept.consent_id, kept.given_at, kept.method, kept.evidence) == (consent.consent_id, GIVEN, "paper", 1)
    events = wb.trail.events(newest=2)
    assert list(events.action) == ["evidence_stored", "consent_recorded"]
    assert json.loads(events.payload[0])["original_name"] == form.name
    assert json.loads(events.payload[1])["evidence"] == [consent.evidence[0].sha256]
    assert list(wb.verify_consents().state) == ["intact"]
    assert wb.trail.verify().ok


def test_one_file_may_serve_many_consents(wb: Workbench, form: Path) -> None:
    first = record(wb, Evidence.from_file(form))
    second = record(wb, Evidence.from_file(form), given_at=GIVEN + timedelta(days=1))
    again = record(wb, first.evidence[0], given_at=GIVEN + timedelta(days=2))
    assert len({c.evidence[0].sha256 for c in (first, second, again)}) == 1
    assert list(wb.trail.events().action).count("evidence_stored") == 1
    assert list(wb.consents(ANN).consent_id) == [again.consent_id, second.consent_id, first.consent_id]


def test_a_consent_with_gaps_is_recorded_all_the_same(wb: Workbench) -> None:
    consent = record(wb, given_at=None)
    assert (consent.given_at, consent.evidence) == (None, ())


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"colour": "red"}, "a consent has no field colour"),
    "a field of ours": ({"recorded_by": "somebody"}, "a consent has no field recorded_by"),
    "another id": ({"consent_id": "1"}, "a consent has no field consent_id"),
    "an unknown method": ({"method": "telepathy"}, "the consent's method can't be that"),
    "an unknown authorization": ({"authorization_type": "love"}, "the consent's authorization_type can't be that"),
    "a text as moment": ({"given_at": "2026-06-01"}, "the consent's given_at needs a moment with its time zone"),
    "no time zone": ({"given_at": datetime(2026, 6, 1)}, "the consent's given_at needs a moment with its time zone"),  # noqa: DTZ001
    "no address": ({"email": "ann at home"}, "the consent's email is not an address"),
    "an end without zone": ({"valid_until": datetime(2027, 6, 1)}, "the consent's valid_until needs a moment"),  # noqa: DTZ001
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_nothing_is_recorded(wb: Workbench, form: Path, mistake: str) -> None:
    fields, sentence = MISTAKES[mistake]
    before = wb.trail.verify().events
    with pytest.raises(InputError, match=f"^{sentence}"):
        record(wb, Evidence.from_file(form), **fields)
    assert wb.trail.verify().events == before
    assert wb.consents().empty


@pytest.mark.parametrize("missing", ["purpose", "given_at"])
def test_what_every_consent_needs(wb: Workbench, missing: str) -> None:
    fields = {"purpose": "sales_email", "given_at": GIVEN}
    del fields[missing]
    with pytest.raises(InputError, match=f"^a consent needs {missing}$"):
        wb.record_consent(person=ANN, evidence=[], **fields)


def test_nobody_is_one_sentence(wb: Workbench) -> None:
    with pytest.raises(InputError, match="nobody in the register"):
        wb.record_consent(person="dan@example.com", evidence=[], purpose="sales_email", given_at=GIVEN)


def test_evidence_that_is_gone_or_altered_is_not_taken_again(wb: Workbench, form: Path) -> None:
    kept = record(wb, Evidence.from_file(form)).evidence[0]
    (stored,) = [p for p in (wb.workspace / "evidence").rglob("*") if p.is_file()]
    stored.chmod(0o600)
    stored.write_bytes(b"%PDF-1.7 altered")
    assert list(wb.verify_consents().state) == ["altered"]
    with pytest.raises(EvidenceError, match=f"the evidence {kept.sha256[:12]} is not stored"):
        record(wb, kept)


def test_an_empty_or_missing_file_is_one_sentence_and_nothing_is_recorded(wb: Workbench, tmp_path: Path) -> None:
    (tmp_path / "empty.pdf").touch()
    with pytest.raises(EvidenceError):
        record(wb, Evidence.from_file(tmp_path / "empty.pdf"))
    with pytest.raises(EvidenceError):
        record(wb, Evidence.from_file(tmp_path / "nowhere.pdf"))
    assert wb.consents().empty


def test_the_address_consented_for_is_kept_in_one_spelling(wb: Workbench) -> None:
    assert record(wb, email=" Ann@EXAMPLE.com").email == ANN


def test_a_withdrawn_consent_says_when_and_how(wb: Workbench) -> None:
    consent = record(wb)
    wb.withdraw_consent(consent.consent_id, method="telephone")
    assert list(wb.consents(ANN).state) == ["withdrawn"]
    assert list(wb.trail.events(newest=2).action) == ["consent_withdrawn", "unsubscribe_recorded"]
    with pytest.raises(InputError):
        wb.withdraw_consent("nothing", method="telephone")
