"""The life of consents: renewed, withdrawn, expired, covered, exchanged; what was recorded is never overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import CONSENTED, World, lead_id, org_line
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import Consent, Evidence, Workbench, exchange
from workbench.cli.app import run
from workbench.consent import AUTHORIZATION_TYPES, CONSENT_TYPES, EXPRESSED_BY, METHODS, STATES
from workbench.errors import InputError
from workbench.exchange.places import JSON_PLACES, LD_PLACES, LD_WORDS
from workbench.person import Person, new_id
from workbench.store import people
from workbench.views import COVERAGE

ANN = "ann@example.com"
GIVEN = datetime(2026, 6, 1, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one person and her consent with one file."""
    folder = tmp_path_factory.mktemp("consents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        with Workbench.init(folder / "workspace", name="test", controller="Example GmbH") as wb:
            with wb.store.write() as tx:
                people.add(tx, Person(person_id=new_id(), email=ANN, email_as_given=ANN, version=1), at=wb.clock())
            form = folder / "form.pdf"
            form.write_bytes(b"%PDF-1.7 signed")
            wb.record_consent(
                person=ANN, evidence=[Evidence.from_file(form)], given_at=GIVEN, purpose="sales_email", method="paper",
                valid_until=GIVEN + timedelta(days=30), recipients=("Partner AG",), jurisdiction="DE", notice_text="Ja, bitte \u2713",
            )  # fmt: skip
    return folder / "workspace"


@pytest.fixture
def wb(tmp_path: Path, prepared: Path) -> Iterator[Workbench]:
    with Workbench.open(shutil.copytree(prepared, tmp_path / "workspace")) as made:
        yield made


def first_id(wb: Workbench) -> str:
    return str(wb.consents(ANN)["consent_id"].iloc[-1])


def new_form(tmp_path: Path) -> list[Evidence]:
    form = tmp_path / "again.pdf"
    form.write_bytes(b"%PDF-1.7 signed again")
    return [Evidence.from_file(form)]


def test_a_renewal_is_a_consent_of_its_own_and_the_old_one_stays(wb: Workbench, tmp_path: Path) -> None:
    old, before = first_id(wb), json.loads(wb.export_consents(ANN))["records"][0]
    renewed = wb.renew_consent(old, evidence=new_form(tmp_path), given_at=GIVEN + timedelta(days=20))
    assert (renewed.state, renewed.purpose, renewed.recipients, renewed.valid_until) == (
        "renewed",
        "sales_email",
        ("Partner AG",),
        None,
    )
    records = {r["header"]["record_id"]: r for r in json.loads(wb.export_consents(ANN))["records"]}
    assert records[old] == before
    history = wb.consent_history(old)
    assert list(history["state"]) == ["given", "renewed"]
    assert history["detail"].iloc[1] == f"by the consent {renewed.consent_id}"
    assert list(wb.trail.events(newest=2).action) == ["consent_recorded", "consent_renewed"]
    assert wb.trail.verify().ok


def test_a_renewal_needs_a_later_act_and_a_consent_that_holds(wb: Workbench, tmp_path: Path) -> None:
    old = first_id(wb)
    with pytest.raises(InputError, match="can't be older than the consent that it renews"):
        wb.renew_consent(old, evidence=new_form(tmp_path), given_at=GIVEN)
    with pytest.raises(InputError, match="a renewal can't change state"):
        wb.renew_consent(old, evidence=new_form(tmp_path), given_at=GIVEN + timedelta(days=1), state="given")
    wb.withdraw_consent(old, method="email", at=GIVEN + timedelta(days=2))
    with pytest.raises(InputError, match="was withdrawn or refused and can't be renewed"):
        wb.renew_consent(old, evidence=new_form(tmp_path), given_at=GIVEN + timedelta(days=3))
    with pytest.raises(InputError, match="no consent has the id nothing"):
        wb.renew_consent("nothing", evidence=[], given_at=GIVEN)
    with pytest.raises(InputError, match="not later than now"):
        wb.withdraw_consent(old, method="email", at=wb.clock() + timedelta(days=1))


def test_each_state_is_a_row_of_its_own(wb: Workbench) -> None:
    old = first_id(wb)
    assert wb.note_expired_consents() == (old,)
    assert wb.note_expired_consents() == ()
    wb.withdraw_consent(old, method="email", at=GIVEN + timedelta(days=9))
    wb.withdraw_consent(old, method="telephone", at=GIVEN + timedelta(days=10))
    history = wb.consent_history(old)
    assert list(history["state"]) == ["given", "expired", "withdrawn", "withdrawn"]
    assert list(history["detail"]) == ["", "", "email", "telephone"]
    assert list(history["since"]) == [GIVEN, GIVEN + timedelta(days=30), GIVEN + timedelta(days=9), GIVEN + timedelta(days=10)]
    (record,) = json.loads(wb.export_consents(ANN))["records"]
    assert (record["event"]["state"], record["event"]["withdrawal_method"]) == ("withdrawn", "email")
    assert set(wb.people(unsubscribed=True)["email"]) == {ANN}


def test_verify_tells_how_far_it_is(wb: Workbench) -> None:
    told: list[str] = []
    assert list(wb.verify_consents(progress=lambda p: told.append(f"{p.done}/{p.total} {p.sentence}"))["state"]) == ["intact"]
    assert told == ["1/1 evidence files read."]


def test_coverage_says_whose_proof_ends_when(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    made = world(
        org_line("Lead", lead_id(1), ANN, opted_out=True), org_line("Lead", lead_id(2), "bob@example.com", opted_out=True)
    )
    ends = made.wb.clock() + timedelta(days=20)
    ids = [made.person(ANN), made.person("bob@example.com")]
    kept = [made.consent(ids[0], valid_until=ends), made.consent(ids[1])]
    empty = made.wb.coverage()
    made.wb.pull(full=True)
    plan = made.wb.propose(ids, reason="signed_form")
    made.wb.approve(plan.id, plan.digest)
    made.wb.run(plan.id)
    table = made.wb.coverage()
    assert tuple(table.columns) == tuple(empty.columns) == COVERAGE
    assert list(table.dtypes.astype(str)) == list(empty.dtypes.astype(str))
    assert str(table.dtypes["days_left"]) == "Int64"
    assert list(table["consent_id"]) == kept
    assert list(table["proof"]) == ["sound", "sound"]
    assert table["days_left"].iloc[0] == 19
    assert table["ends_at"].iloc[1] == CONSENTED + timedelta(days=made.wb.policy.refresh_interval_days)
    assert list(made.wb.coverage(expiring=19)["email"]) == [ANN]
    assert made.wb.coverage(expiring=18).empty
    made.wb.withdraw_consent(kept[0], method="email")  # unsubscribes her: no proof is needed any more
    file = next(p for p in (made.folder / "evidence").rglob("*") if p.is_file() and p.read_bytes().endswith(ids[1].encode()))
    file.unlink()
    assert list(made.wb.coverage(expiring=0)["proof"]) == ["evidence"]


# --- exchange

texts = st.text(st.characters(codec="utf-8"), max_size=20)
zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda d: timezone(timedelta(seconds=int(d.total_seconds())))
)
FIRST, LAST = datetime.fromisoformat("1000-01-01"), datetime.fromisoformat("9000-01-01")
times = st.datetimes(FIRST, LAST, timezones=zones)
ids = st.from_regex(r"[A-Za-z0-9._:-]{1,36}", fullmatch=True)
files = st.builds(
    Evidence,
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(1, 2**53 - 1),
    media_type=st.just("text/plain"),
    original_name=texts,
)
CHOICES: dict[str, Any] = {
    "authorization_type": AUTHORIZATION_TYPES, "state": STATES, "consent_type": CONSENT_TYPES, "expressed_by": EXPRESSED_BY,
    "method": ("", *METHODS), "given_at_precision": ("second", "day"), "schema_version": (1,),
}  # fmt: skip


def anything(name: str, kind: str) -> st.SearchStrategy[Any]:
    if name in CHOICES:
        return st.sampled_from(CHOICES[name])
    if name in ("consent_id", "person_id"):
        return ids
    if name == "email":
        return st.sampled_from([ANN, "j\u00f6rg@example.com"])
    if "datetime" in kind:
        return times if "None" not in kind else st.none() | times
    return {"bool": st.booleans(), "tuple[str, ...]": st.lists(texts, max_size=3).map(tuple)}.get(
        kind, st.lists(files, max_size=3).map(tuple) if "Evidence" in kind else texts
    )


consents_of_any_kind = st.builds(Consent, **{f.name: anything(f.name, str(f.type)) for f in fields(Consent)})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(consents_of_any_kind, max_size=3), st.sampled_from(["json", "jsonld"]))
def test_what_is_written_is_read_back_exactly(consents: list[Consent], form: Any) -> None:
    text = exchange.written(consents, form)
    assert exchange.read(text.encode()) == tuple(consents)
    assert exchange.written(exchange.read(text.encode()), form) == text


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(["json", "jsonld"]))
def test_whatever_comes_in_is_read_exactly_or_refused_in_a_sentence(data: Any, form: Any) -> None:
    text = exchange.written([data.draw(consents_of_any_kind)], form)
    value = json.loads(text)
    nodes = [value]
    for node in nodes:
        nodes += [n for n in (node.values() if isinstance(node, dict) else node) if isinstance(n, (dict, list)) and n]
    target = data.draw(st.sampled_from(nodes))
    key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    odd = st.sampled_from([None, "", "x" * 40, -1, 2**63, True, [], {}, "2026-13-01T00:00:00+00:00", [[]], {"@id": "x"}, "\x00"])
    target[key] = data.draw(odd)
    changed = json.dumps(value).encode()
    found, refused = read_or_refused(changed)
    if found is None:
        assert "file" in refused
        assert ANN not in refused
    else:
        assert json.loads(exchange.written(found, form)) == value


def read_or_refused(content: bytes) -> tuple[tuple[Consent, ...] | None, str]:
    try:
        return exchange.read(content), ""
    except InputError as error:
        return None, str(error)


HOSTILE = {
    "nothing": b"", "no json": b"{", "bytes": b"\xff\xfe\x00", "deep": b"[" * 100_000, "a float": b'{"version": 1.5}',
    "a repeated key": b'{"records": [], "records": []}', "not a number": b'{"version": NaN}', "half a character": b'{"format": "\\ud800"}',
    "a long number": b'{"version": ' + b"9" * 5000 + b"}", "another context": b'{"@context": "http://evil.example.com/", "@graph": []}',
    "a graph of junk": b'{"@context": {}, "@graph": 1}', "text": b'"text"', "none": b"null", "a list": b"[]",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(InputError, match=r"^the file is "):
        exchange.read(HOSTILE[name])


def test_places_words_and_schema_know_every_field_and_word() -> None:
    names = {f.name for f in fields(Consent)}
    assert set(JSON_PLACES) == set(LD_PLACES) == names
    assert {k: tuple(v) for k, v in LD_WORDS.items()} == {k: CHOICES[k] for k in LD_WORDS}
    assert all(len(set(words.values())) == len(words) for words in LD_WORDS.values())
    record = exchange.schema()["$defs"]["record"]["properties"]
    for name, path in JSON_PLACES.items():
        node = record
        for step in path[:-1]:
            node = node[step]["properties"]
        allowed = node[path[-1]].get("enum")
        assert allowed is None or tuple(allowed) == CHOICES[name]


def test_consents_move_to_another_workspace_with_their_files(wb: Workbench, tmp_path: Path) -> None:
    for form in ("json", "jsonld"):
        with Workbench.init(tmp_path / f"other-{form}", name="other", controller="Example GmbH") as other:
            text = wb.export_consents(None, form=form)  # type: ignore[arg-type]  # one of its words
            file = tmp_path / f"consents.{form}"
            file.write_text(text, encoding="utf-8")
            (verdict,) = other.import_consent_records(file)
            assert verdict.reason == "nobody in the register has its person id or address"
            with other.store.write() as tx:
                people.add(tx, Person(person_id=new_id(), email=ANN, email_as_given=ANN, version=1), at=other.clock())
            (verdict,) = other.import_consent_records(file)
            assert verdict.outcome == "rejected"
            assert "no folder with evidence was named" in verdict.reason
            assert wb.export_evidence(None, tmp_path / f"files-{form}") == 1
            (verdict,) = other.import_consent_records(file, evidence_dir=tmp_path / f"files-{form}")
            assert (verdict.outcome, verdict.reason) == ("recorded", "")
            assert [v.outcome for v in other.import_consent_records(file)] == ["unchanged"]
            mine, theirs = (json.loads(w.export_consents(ANN))["records"][0] for w in (wb, other))
            assert mine["header"].pop("pii_principal_id") != theirs["header"].pop("pii_principal_id")
            assert mine == theirs
            assert list(other.verify_consents()["state"]) == ["intact"]
            assert other.trail.verify().ok


def test_a_file_that_knows_of_a_withdrawal_ends_the_consent_and_none_brings_it_back(wb: Workbench, tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(wb.export_consents(ANN), encoding="utf-8")
    value = json.loads(before.read_text(encoding="utf-8"))
    value["records"][0]["event"] |= {
        "state": "withdrawn",
        "withdrawn_at": "2026-07-01T00:00:00+00:00",
        "withdrawal_method": "email",
    }
    after.write_text(json.dumps(value), encoding="utf-8")
    version = wb.person(ANN).person.version
    assert [v.outcome for v in wb.import_consent_records(after)] == ["withdrawn"]
    assert wb.person(ANN).person.version > version
    assert [v.outcome for v in wb.import_consent_records(before)] == ["unchanged"]
    assert list(wb.consents(ANN)["state"]) == ["withdrawn"]


def test_the_commands(wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def consent(*words: str | Path) -> tuple[int, str, str]:
        code = run(["--workspace", str(wb.workspace), "consent", *map(str, words)])
        return code, *capsys.readouterr()

    old, form = first_id(wb), tmp_path / "again.pdf"
    form.write_bytes(b"%PDF-1.7 signed again")
    code, renewed, said = consent("renew", old, "--given-at", "2026-06-20T08:00:00+00:00", "--evidence", form)
    assert (code, said) == (0, "The consent is renewed with 1 evidence file; the earlier one stays as it was.\n")
    code, data, _ = consent("history", old, "--format", "json")
    assert (code, [row["state"] for row in json.loads(data)]) == (0, ["given", "renewed"])
    assert consent("expire")[:2] == (0, f"{old}\n")
    assert consent("withdraw", renewed.strip(), "--method", "email")[0] == 0
    assert consent("coverage")[0] == 0
    code, data, said = consent("export", ANN, "--format", "jsonld", "--evidence", tmp_path / "files")
    assert (code, said, len(json.loads(data)["@graph"])) == (0, "2 evidence files copied.\n", 2)
    (tmp_path / "c.jsonld").write_text(data, encoding="utf-8")
    code, _, said = consent("import", tmp_path / "c.jsonld", "--evidence", tmp_path / "files")
    assert (code, said) == (0, "2 records, 0 rejected.\n")
    code, _, said = consent("export")
    assert (code, said.splitlines()[0]) == (2, "workbench: Consents of one person, or of all, are exported.")
    assert consent("verify")[0] == 0
