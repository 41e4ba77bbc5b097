"""Every template on the demo's workspace and on an empty register: page, PDF, tables twice the same, and what each form shows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from workbench import demo, reports
from workbench.bench import Workbench
from workbench.errors import NotAllowedError, ReportError
from workbench.mismatch import KINDS
from workbench.reports import pdf
from workbench.reports.consent_register import ConsentRegister
from workbench.reports.monthly_compliance import MonthlyCompliance
from workbench.reports.person_history import PersonHistory
from workbench.reports.presentation import Facts, Note, Shown, Table
from workbench.reports.trail_verification import TrailVerification
from workbench.settings import Operator

NOBODY = "00000000-0000-7000-8000-000000000000"
NAMES = [template.name for template in reports.templates()]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The demo's workspace after its whole job."""
    with demo.prepare(tmp_path_factory.mktemp("shown") / "demo") as played:
        assert demo.run(played, lambda _: None)
        yield played.wb


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workspace in which nothing has happened."""
    with Workbench.init(tmp_path_factory.mktemp("empty") / "workspace", controller="Example GmbH") as wb:
        yield wb


def given(wb: Workbench, name: str) -> dict[str, Any]:
    """The parameters that a template needs: this month, and somebody who was resubscribed."""
    now, covered = wb.clock(), wb.coverage()
    period = {"since": f"{now - timedelta(days=30):%Y-%m-%d}", "until": f"{now + timedelta(days=1):%Y-%m-%d}"}
    person = str(covered["person_id"].iloc[0]) if len(covered) else NOBODY
    return {"resubscription-audit": period, "monthly-compliance": {"month": f"{now:%Y-%m}"}, "person-history": {"person": person}}.get(
        name, {}
    )  # fmt: skip


def needs_chromium() -> None:
    try:
        pdf.chromium()
    except ReportError as error:
        pytest.skip(str(error))


def paper_size(name: str, paper: str) -> tuple[int, int]:
    """Width and height in millimetres: the board's page is upright, the others lie across."""
    short, long = {"a4": (210, 297), "letter": (216, 279)}[paper]
    return (short, long) if name == "monthly-compliance" else (long, short)


def sizes(printed: Path | None) -> set[tuple[int, int]]:
    """The sizes of the pages of a PDF in millimetres."""
    assert printed is not None
    return {tuple(round(float(side) / 72 * 25.4) for side in page.mediabox[2:]) for page in PdfReader(printed).pages}  # type: ignore[misc]  # two sides


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_the_boards_month_is_one_page_on_either_paper(paper: str, shown: Workbench) -> None:
    needs_chromium()
    made = reports.run(shown, "monthly-compliance", given(shown, "monthly-compliance"), pdf=True, paper=paper)
    assert made.pdf is not None
    (page,) = PdfReader(made.pdf).pages
    text = " ".join(page.extract_text().split())
    assert sizes(made.pdf) == {paper_size("monthly-compliance", paper)}
    assert "Monthly compliance" in text
    assert "Checkpoint of the trail" in text
    assert KINDS["unsubscribed_only_locally"] in text
    assert [kind for kind in KINDS if "_" in kind and kind in text] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("place", "paper"), [("shown", "a4"), ("empty", "letter")])
def test_it_renders_as_page_and_as_tagged_pdf_with_outline(
    name: str, place: str, paper: str, request: pytest.FixtureRequest
) -> None:
    needs_chromium()
    wb: Workbench = request.getfixturevalue(place)
    made = reports.run(wb, name, given(wb, name), pdf=True, paper=paper)
    assert sizes(made.pdf) == {paper_size(name, paper)}
    page = made.html.read_text(encoding="utf-8")
    assert re.search(rf"<h1[^>]*>{reports.template(name).title}", page)
    assert "Checkpoint of the trail" in page
    assert made.pdf is not None
    content = made.pdf.read_bytes()
    assert b"/StructTreeRoot" in content
    assert b"/Outlines" in content
    assert all(reports.verify(wb, file).ok for file in made.folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "trail-verification"])
def test_the_same_register_and_clock_make_the_same_tables(name: str, shown: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CLOCK", f"{shown.clock() + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}")
    tables = []
    for _ in range(2):
        with Workbench.open(shown.workspace) as fixed:
            made = reports.run(fixed, name, given(shown, name))
        assert made.xlsx is not None
        tables.append({path.name: path.read_bytes() for path in [made.xlsx, *sorted((made.folder / "tables").iterdir())]})
    assert len(tables[0]) > 1
    assert tables[0] == tables[1]


def test_the_trail_verifications_tables_differ_by_the_first_report_alone(shown: Workbench) -> None:
    first = TrailVerification(shown, personal_data="masked").actions()
    again = TrailVerification(shown, personal_data="masked").actions()
    assert first.rows == again.rows
    assert sum(row["events"] for row in first.rows) == shown.trail.verify().events


def parts(one: object) -> list[Shown]:
    """Everything a report can show."""
    methods = [getattr(one, name) for name in dir(one) if not name.startswith("_")]
    return [method() for method in methods if callable(method)]


def all_of(wb: Workbench, form: str) -> dict[str, list[Shown]]:
    person = given(wb, "person-history")["person"]
    return {
        "consent-register": parts(ConsentRegister(wb, expiring_within_days=100_000, personal_data=form)),
        "monthly-compliance": parts(MonthlyCompliance(wb, month=f"{wb.clock():%Y-%m}", personal_data=form)),
        "person-history": parts(PersonHistory(wb, person=person, personal_data=form)),
        "trail-verification": parts(TrailVerification(wb, personal_data=form)),
    }


def test_only_full_reports_show_addresses_and_counts_show_nobody(shown: Workbench) -> None:
    people = shown.people()
    for form in ("full", "masked", "counts"):
        for name, made in all_of(shown, form).items():
            text = "".join(str(part._repr_mimebundle_()[0]) for part in made)
            addresses = [email for email in people["email"] if email in text]
            assert bool(addresses) == (form == "full" and name != "trail-verification"), (form, name)
            named = {person for person in people["person_id"] if person in text}
            if form == "counts":
                assert named <= {given(shown, "person-history")["person"]}, name
            elif name == "consent-register":
                assert set(shown.coverage()["person_id"]) <= named


def test_full_personal_data_in_a_new_report_needs_a_role(empty: Workbench) -> None:
    issued = set((empty.workspace / "issued").glob("*"))
    with Workbench(empty.settings, Operator(name="without-a-role", auth="os-user")) as stranger:
        for name in NAMES:
            with pytest.raises(NotAllowedError, match="a report with full personal data"):
                reports.run(stranger, name, given(empty, name) | {"personal_data": "full"})
    assert set((empty.workspace / "issued").glob("*")) == issued


def test_the_consent_register_adds_up(shown: Workbench) -> None:
    register = ConsentRegister(shown, expiring_within_days=100_000, personal_data="masked")
    cover, values = shown.coverage(), register.summary().values
    assert values["Resubscribed people, subscribed now"] == len(cover) > 0
    assert values["With sound proof"] + values["Without sound proof"] == len(cover)
    expiring = register.expiring()
    assert isinstance(expiring, Table)
    assert {row["person"] for row in expiring.rows} == set(
        cover[cover["days_left"].notna() & (cover["proof"] == "sound")]["person_id"]
    )
    lacking = register.weak()
    assert isinstance(lacking, Table)
    assert {row["lacks"] for row in lacking.rows} == {"evidence"}  # the demo's three consents without a file


def test_a_proof_whose_file_was_altered_is_a_finding(shown: Workbench) -> None:
    before = ConsentRegister(shown, expiring_within_days=90, personal_data="masked").summary()
    covered = shown.coverage()
    person = str(covered["person_id"].iloc[0])
    digest = next(iter(shown.evidence_of(person)))[0].sha256
    (file,) = [path for path in (shown.workspace / "evidence").rglob(f"*{digest}*") if path.is_file()]
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(b"not what it was")
    try:
        register = ConsentRegister(shown, expiring_within_days=90, personal_data="masked")
    finally:
        file.write_bytes(content)
    assert "Without sound proof" not in before.findings
    assert register.summary().findings == {"Without sound proof", "Of these altered or missing"}
    unsound = register.unsound()
    assert isinstance(unsound, Table)
    assert (unsound.rows[0]["person"], unsound.rows[0]["proof"]) == (person, "evidence altered or missing")


def test_the_boards_month_counts_what_the_register_says(shown: Workbench) -> None:
    now = shown.clock()
    month = MonthlyCompliance(shown, month=f"{now:%Y-%m}", personal_data="masked")
    batches = shown.batches()
    values = month.summary().values
    assert values["Resubscribed on consent"] == batches["done"].sum() > 0
    assert values["Refused by the rules"] == batches["refused"].sum() > 0
    assert values["Kept opted out at the last moment"] == batches["aborted"].sum() > 0
    breaches = month.breaches()
    assert isinstance(breaches, Table)
    assert len(breaches.rows) == values["Opt-outs that waited over 10 business days"] > 0
    assert all(row["business days"] > 10 for row in breaches.rows)
    later = MonthlyCompliance(shown, month=f"{now.year + 1}-{now:%m}", personal_data="masked")
    assert later.so_far().finding
    # What the sync settled this month is no breach of a month to come, and the figures of now stand in its first of twelve months.
    assert {row["ended (UTC)"] for row in later._breaches} <= {"open"}
    assert later.summary().values["Resubscribed on consent"] == 0


def test_months_begin_on_their_first_and_cross_years(empty: Workbench) -> None:
    months = MonthlyCompliance(empty, month="2026-02", personal_data="masked").months()
    assert [row["month"] for row in months.rows][:2] == ["2025-03", "2025-04"]
    assert [row["month"] for row in months.rows][-3:] == ["2025-12", "2026-01", "2026-02"]


def test_figures_count_from_each_moment_to_the_next(shown: Workbench) -> None:
    episodes = shown.people(unsubscribed=True)["unsubscribed_at"]
    begin, end = episodes.min().to_pydatetime(), episodes.max().to_pydatetime()
    whole = shown.figures([begin, end + timedelta(seconds=1)])
    halves = shown.figures([begin, begin + (end - begin) / 2, end + timedelta(seconds=1)])
    assert halves["unsubscribed"].sum() == whole["unsubscribed"].iloc[0] >= len(episodes)
    assert shown.figures([begin, begin])["unsubscribed"].iloc[0] == 0
    assert not len(shown.figures([datetime(2026, 1, 1, tzinfo=UTC)]))


def test_a_persons_history_tells_both_sides(shown: Workbench) -> None:
    person = given(shown, "person-history")["person"]
    history = PersonHistory(shown, person=person, personal_data="masked").history()
    assert isinstance(history, Table)
    told = [row["what"] for row in history.rows]
    assert {"unsubscribed", "consent recorded", "opt-out cleared in Salesforce", "resubscribed"} <= set(told)
    assert [row["when (UTC)"] for row in history.rows] == sorted(row["when (UTC)"] for row in history.rows)


def test_what_somebody_typed_is_shown_in_full_reports_only(empty: Workbench, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("email,first_name\nada@example.org,Ada\n", encoding="utf-8")
    empty.import_people(people)
    empty.unsubscribe("ada@example.org", source="manual", detail="wrote from ada.private@example.net")
    person = empty.person("ada@example.org").person.person_id
    for form, seen in (("full", True), ("masked", False), ("counts", False)):
        made = parts(PersonHistory(empty, person=person, personal_data=form))
        assert any("ada.private@example.net" in str(part._repr_mimebundle_()[0]) for part in made) == seen
        assert any("Ada" in str(part._repr_mimebundle_()[0]) for part in made) == seen


def test_somebody_unknown_is_an_answer(empty: Workbench) -> None:
    said = PersonHistory(empty, person=NOBODY, personal_data="full").summary()
    assert isinstance(said, Note)
    assert said.finding
    assert said.sentence.startswith("Nobody in the register has this id.")


def test_the_verification_names_the_event_that_was_changed(shown: Workbench) -> None:
    assert not TrailVerification(shown, personal_data="masked").verdict().findings
    stored = shown.store.url.database
    bare = sqlite3.connect(str(stored))
    guards = [
        sql for (sql,) in bare.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'trail_payload'")
    ]
    names = [
        name for (name,) in bare.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'trail_payload'")
    ]
    (kept,) = bare.execute("SELECT payload FROM trail_payload WHERE seq = 5").fetchone()
    for name in names:
        bare.execute(f"DROP TRIGGER {name}")
    bare.execute("UPDATE trail_payload SET payload = x'7b7d' WHERE seq = 5")
    bare.commit()
    try:
        verdict = TrailVerification(shown, personal_data="masked").verdict()
    finally:
        bare.execute("UPDATE trail_payload SET payload = ? WHERE seq = 5", (kept,))
        for sql in guards:
            bare.execute(sql)
        bare.commit()
        bare.close()
    assert isinstance(verdict, Facts)
    assert "Trail" in verdict.findings
    assert any("event 5" in str(value) for value in verdict.values.values())
