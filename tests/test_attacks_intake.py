"""What an attacker, or an ordinary file, could try so that an import loses an opt-out or a withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from conftest import HOUR, World, lead_id, org_line
from test_worker import REASON, open_episodes, ran

from workbench.bench import Workbench
from workbench.errors import BatchError, InputError
from workbench.intake.files import MOST_READ_AGAIN, SourceFile, _Lines
from workbench.settings import Settings
from workbench.store import consents, people

CONSENT_HEAD = "Email,Purpose,Notice Version,Jurisdiction,Method,Evidence,Given At,State,Withdrawn At\n"
CONSENT = "anna@example.com,sales_email,2026-05,GB,"


def csv(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


Worlds = Callable[..., World]


def opted_out(world: Worlds) -> World:
    return world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))


def at(w: World, now: datetime) -> None:
    """It is that time, here and in Salesforce."""
    w.org.control("/clock", {"at": now.isoformat()})
    object.__setattr__(w.wb._desk, "clock", lambda: now)


def version(w: World, person: str) -> int:
    with w.wb.store.read() as tx:
        return people.by_ids(tx, [person])[person].version


def consents_file(folder: Path, name: str, row: str) -> Path:
    return csv(folder, name, f"{CONSENT_HEAD}{CONSENT}{row}\n")


GIVEN = "paper,f.pdf,2026-06-01 10:30:00Z,given,"


@pytest.mark.parametrize(
    "again",
    [
        "paper,f.pdf,2026-06-01 10:30:00Z,withdrawn,2026-07-01 09:00:00Z",
        "paper,f.pdf,2026-06-01 10:30:00Z,given,2026-07-01 09:00:00Z",
        "paper,f.pdf,2026-06-01 10:30:00Z,refused,",
        "email,g.pdf,,withdrawn,2026-07-01 09:00:00Z",
    ],
)
def test_an_imported_withdrawal_is_a_record_of_its_own(world: Worlds, tmp_path: Path, again: str) -> None:
    w = opted_out(world)
    p = w.person("anna@example.com")
    for name in ("f.pdf", "g.pdf"):
        (tmp_path / name).write_bytes(b"%PDF-1.7 " + name.encode())
    w.wb.import_consents(consents_file(tmp_path, "1.csv", GIVEN), tmp_path)
    before = version(w, p)
    taken_back = consents_file(tmp_path, "2.csv", again)
    assert w.wb.import_consents(taken_back, tmp_path).imported == 1
    assert version(w, p) > before
    assert w.wb.import_consents(taken_back, tmp_path).unchanged == 1
    assert w.wb.import_consents(consents_file(tmp_path, "3.csv", GIVEN), tmp_path).unchanged == 1


def test_a_withdrawn_consent_does_not_come_back_with_its_file(world: Worlds, tmp_path: Path) -> None:
    w = opted_out(world)
    p = w.person("anna@example.com")
    (tmp_path / "f.pdf").write_bytes(b"%PDF-1.7 f")
    given = consents_file(tmp_path, "1.csv", GIVEN)
    w.wb.import_consents(given, tmp_path)
    w.wb.withdraw_consent(w.wb.consents(p).consent_id[0], method="email")
    assert w.wb.import_consents(given, tmp_path).unchanged == 1
    assert list(w.wb.consents(p).state) == ["withdrawn"]


def test_a_feed_says_it_again_with_the_same_bytes(world: Worlds, tmp_path: Path) -> None:
    w = opted_out(world)
    p = w.person("anna@example.com", unsubscribed=False)
    feed = csv(tmp_path, "unsubscribes.csv", "Email\nanna@example.com\n")
    began = datetime.now(UTC)
    w.wb.import_unsubscribes(feed)
    at(w, began + 2 * HOUR)
    assert w.wb.import_unsubscribes(feed).unsubscribed == 0  # still unsubscribed: nothing to add
    w.consent(p, given_at=began + HOUR)
    assert ran(w, p).done == 1
    at(w, began + 3 * HOUR)
    assert w.wb.import_unsubscribes(feed).unsubscribed == 1


def test_an_opt_out_at_the_very_moment_of_the_resubscription(world: Worlds, tmp_path: Path) -> None:
    w = opted_out(world)
    p = w.person("anna@example.com")
    w.consent(p)
    at(w, datetime.now(UTC))
    assert ran(w, p).done == 1
    assert w.wb.import_unsubscribes(csv(tmp_path, "u.csv", "Email\nanna@example.com\n")).unsubscribed == 1


@pytest.mark.parametrize("column", ["Unsubscribed At", "Updated At"])
def test_a_time_without_a_zone_is_the_latest_that_it_can_be(world: Worlds, tmp_path: Path, column: str) -> None:
    """09:00 in California is 16:00 UTC, after the consent of 10:30 UTC."""
    w = opted_out(world)
    file = csv(tmp_path, "p.csv", f"Email ID,Unsubscribed,{column}\nanna@example.com,Yes,2026-06-01 09:00:00\n")
    w.wb.import_people(file)
    assert w.wb.import_people(file).unsubscribed == 0
    p = w.wb.people().person_id[0]
    assert w.wb.people().unsubscribed_at[0] == datetime(2026, 6, 1, 21, tzinfo=UTC)
    w.consent(p)
    plan = w.wb.propose([p], reason=REASON)
    with pytest.raises(BatchError, match="Nobody in this batch may be resubscribed"):
        w.wb.approve(plan.id, plan.digest)


def test_a_time_without_a_zone_is_never_after_the_import(world: Worlds, tmp_path: Path) -> None:
    w = world()
    ten = (datetime.now(UTC) + timedelta(days=30)).replace(hour=10, minute=0, second=0, microsecond=0)
    at(w, ten)
    text = f"Email ID,Unsubscribed,Unsubscribed At\nanna@example.com,Yes,{ten - HOUR:%Y-%m-%d %H:%M:%S}\n"
    r = w.wb.import_people(csv(tmp_path, "p.csv", text))
    assert w.wb.people().unsubscribed_at[0] == ten
    assert not any("later than the import" in problem for problem in r.problems)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Opt Out", "Yes"),
        ("Do Not Email", "x"),
        ("do-not-contact", "TRUE"),
        ("No Email", "1"),
        ("Opt-out Status", "opted out"),
        ("Opt Out,Do Not Email", "No,Yes"),
        ("Unsubscribed,Do Not Contact", "No,Yes"),
        ("Unsubscribed,Email Opt Out", "No,Yes"),
    ],
)
def test_an_opt_out_under_another_column_name_counts(world: Worlds, tmp_path: Path, header: str, cells: str) -> None:
    w = world()
    r = w.wb.import_people(csv(tmp_path, "p.csv", f"Email ID,{header}\nanna@example.com,{cells}\n"))
    assert r.unsubscribed == 1
    assert w.wb.people().unsubscribed_at.notna().all()


def test_a_no_under_another_column_name_is_none(world: Worlds, tmp_path: Path) -> None:
    r = world().wb.import_people(csv(tmp_path, "p.csv", "Email ID,Opt Out,Do Not Email\nanna@example.com,No,\n"))
    assert (r.unsubscribed, r.problems) == (0, ())


@pytest.mark.parametrize(
    "name",
    ["Newsletter abgemeldet", "Werbewiderspruch", "Abmeldung", "Suppressed", "Marketing Opt-Out", "Unsub Flag", "DoNotEMail EU"],
)
def test_a_column_that_looks_like_an_opt_out_is_named(world: Worlds, tmp_path: Path, name: str) -> None:
    w = world()
    file = csv(tmp_path, "p.csv", f"Email ID,{name}\nanna@example.com,ja\n")
    (problem,) = w.wb.import_people(file).problems
    assert f"the column '{name}' looks as if it told of opt-outs" in problem
    assert f"--map unsubscribed='{name}'" in problem
    assert w.wb.import_people(file, mapping={"unsubscribed": name}).unsubscribed == 1


@pytest.mark.parametrize(
    ("name", "field"),
    [("Opt-out am", "unsubscribed_at"), ("opt_out_date", "unsubscribed_at"), ("Suppression Reason", "unsubscribe_source")],
)
def test_a_column_that_looks_like_a_date_or_reason_is_proposed_as_such(
    world: Worlds, tmp_path: Path, name: str, field: str
) -> None:
    result = world().wb.import_people(csv(tmp_path, "p.csv", f"Email ID,{name}\nanna@example.com,2026-10-01\n"))
    assert result.overlooked == 1
    assert f"--map {field}='{name}'" in result.problems[0]


def test_a_row_that_cannot_be_read_is_named_where_the_file_tells_opt_outs(world: Worlds, tmp_path: Path) -> None:
    w = world()
    said = "line 3: the row was rejected, and an opt-out in it is not in the register: mend and import it."
    assert (
        said
        in w.wb.import_people(csv(tmp_path, "p.csv", "Email ID,Unsubscribed\na@example.com,no\nb@example.com,yes,x\n")).problems
    )
    assert (
        said not in w.wb.import_people(csv(tmp_path, "q.csv", "Email ID,Title\na@example.com,Ms\nb@example.com,Ms,x\n")).problems
    )


def test_a_column_that_says_the_opposite_is_named(world: Worlds, tmp_path: Path) -> None:
    r = world().wb.import_people(csv(tmp_path, "p.csv", "Email ID,Subscribed\nanna@example.com,No\n"))
    assert "if a no in it is an opt-out" in r.problems[0]


@pytest.mark.parametrize("files", [1, 2])
def test_an_address_that_an_unsubscribed_person_had_comes_back_unsubscribed(world: Worlds, tmp_path: Path, files: int) -> None:
    w = world()
    head = "Email ID,Salesforce ID,Unsubscribed\n"
    moved, back = f"anna.private@example.com,{lead_id(1)},No\n", "anna@example.com,,No\n"
    w.wb.import_people(csv(tmp_path, "1.csv", f"{head}anna@example.com,{lead_id(1)},Yes\n"))
    first = w.wb.people().person_id[0]
    for number, rows in enumerate([moved + back] if files == 1 else [moved, back]):
        r = w.wb.import_people(csv(tmp_path, f"later-{number}.csv", head + rows))
    assert r.unsubscribed == 1
    assert any("the former address of a person who is unsubscribed, and is unsubscribed, too" in p for p in r.problems)
    people_now = w.wb.people()
    assert people_now.unsubscribed_at.notna().all()
    second = next(p for p in people_now.person_id if p != first)
    with w.wb.store.read() as tx:
        (episode,) = people.unsubscribes(tx, [second])[second]
    assert (episode.source, first in episode.detail) == ("import", True)
    assert w.wb.import_people(csv(tmp_path, "again.csv", head + back)).unsubscribed == 0


@pytest.mark.parametrize("dated", [True, False])
def test_an_unsubscribe_from_a_file_is_no_old_news_because_the_clock_went_back(
    world: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dated: bool
) -> None:
    w = opted_out(world)
    person = w.person("anna@example.com")
    w.consent(person)
    assert ran(w, person).done == 1
    now = datetime.now(UTC)
    monkeypatch.setattr(Settings, "clock", property(lambda _: lambda: datetime.now(UTC) - timedelta(hours=1)))
    text = f"email,opted_out_at\nanna@example.com,{now.isoformat() if dated else ''}\n"
    with Workbench.open(w.folder) as wb:
        wb.import_unsubscribes(csv(tmp_path, "unsubscribes.csv", text))
    assert open_episodes(w, person) == 1


def test_a_consent_from_the_future_is_not_taken_and_a_refusal_is(world: Worlds, tmp_path: Path) -> None:
    w = opted_out(world)
    person = w.person("anna@example.com")
    (tmp_path / "f.pdf").write_bytes(b"%PDF-1.7 f")
    sound = w.consent(person)
    later = f"{datetime.now(UTC) + 24 * HOUR:%Y-%m-%d %H:%M:%SZ}"
    result = w.wb.import_consents(consents_file(tmp_path, "1.csv", f"paper,f.pdf,{later},given,"), tmp_path)
    assert (result.imported, [v.outcome for v in result.verdicts]) == (0, ["rejected"])
    assert "dated later than now" in result.verdicts[0].reason
    with pytest.raises(InputError, match="dated later than now"):
        w.consent(person, given_at=datetime.now(UTC) + 24 * HOUR)
    assert list(w.wb.consents(person).consent_id) == [sound], "it stands before no sound one"
    assert w.wb.import_consents(consents_file(tmp_path, "2.csv", f"paper,f.pdf,{later},refused,"), tmp_path).imported == 1


def test_a_row_that_completes_a_consent_is_not_passed_over_in_silence(world: Worlds, tmp_path: Path) -> None:
    w = opted_out(world)
    person = w.person("anna@example.com")
    (tmp_path / "f.pdf").write_bytes(b"%PDF-1.7 f")
    w.wb.import_consents(consents_file(tmp_path, "1.csv", GIVEN), tmp_path)
    again = w.wb.import_consents(consents_file(tmp_path, "2.csv", GIVEN), tmp_path)
    assert (again.unchanged, again.problems, again.verdicts[0].reason) == (1, (), "")
    text = (tmp_path / "1.csv").read_text(encoding="utf-8").replace("2026-05", "2026-06")
    other = w.wb.import_consents(csv(tmp_path, "3.csv", text), tmp_path)
    assert other.unchanged == 1
    assert "on file with other values" in other.verdicts[0].reason
    assert other.problems == (f"line 2: {other.verdicts[0].reason}.",)
    with w.wb.store.read() as tx:
        assert [c.notice_version for c in consents.of_people(tx, [person])[person]] == ["2026-05"]


SWALLOWING = [
    (
        "people",
        'Email ID,Company,Unsubscribed\na@example.com,"Acme,no\nanna@example.com,Beta,yes\nc@example.com,Gamma 19",no\n',
    ),
    (
        "unsubscribes",
        'Email,Detail,Date\nx@example.com,"said so,2026-10-01\nanna@example.com,by phone,2026-10-02\nc@example.com,19",\n',
    ),
    ("unsubscribes", 'Person,Detail,Date\np1,"said so,2026-10-01\nPID,by phone,2026-10-02\np3,19",\n'),
]


@pytest.mark.parametrize(("kind", "text"), SWALLOWING)
def test_a_quotation_mark_that_is_left_open_swallows_nobody(world: Worlds, tmp_path: Path, kind: str, text: str) -> None:
    w = world()
    p = w.person("anna@example.com", unsubscribed=False)
    r = getattr(w.wb, f"import_{kind}")(csv(tmp_path, "u.csv", text.replace("PID", p)))
    assert r.rejected >= 1
    assert any("left open" in problem for problem in r.problems)
    assert w.wb.people().set_index("person_id").loc[p, "unsubscribed_at"] is not pd.NaT


def test_a_cell_may_have_lines_of_prose(world: Worlds, tmp_path: Path) -> None:
    w = world()
    w.person("anna@example.com", unsubscribed=False)
    text = 'Email,Detail,Date\nanna@example.com,"said so, by phone,\nand then, later, again",2026-10-01\n'
    r = w.wb.import_unsubscribes(csv(tmp_path, "u.csv", text))
    assert (r.rejected, r.unsubscribed) == (0, 1)


def test_quotation_marks_without_end_are_read_in_time(tmp_path: Path) -> None:
    """Each line would run to the end of the file: read again from each of them, 30,000 lines are 3 GB."""
    file = csv(tmp_path, "quad.csv", "email,Unsubscribed\n" + 'x","""\n' * 30_000 + "anna@example.com,yes\n")
    lines = _Lines.give_back_all_but_first
    spent = []

    def counted(self: _Lines) -> str:
        spent.append(sum(map(len, self.later())))
        return lines(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Lines, "give_back_all_but_first", counted)
        rows = list(SourceFile(file).rows())
    assert len(rows) == 30_001
    assert rows[-1].cells == ("anna@example.com", "yes")
    assert sum(spent) <= 2 * MOST_READ_AGAIN


@pytest.mark.parametrize("date", ["", "30.11.2026", "yesterday"])
def test_an_opt_out_without_a_date_that_can_be_read_is_as_late_as_the_import(world: Worlds, tmp_path: Path, date: str) -> None:
    """When a row was last changed does not bound it: many systems change that on no unsubscribe."""
    w = opted_out(world)
    p = w.person("anna@example.com")
    w.consent(p)
    at(w, datetime.now(UTC))
    assert ran(w, p).done == 1
    text = f"Email ID,Unsubscribed,Unsubscribed At,Updated At\nanna@example.com,yes,{date},2026-03-02 08:00Z\n"
    assert w.wb.import_people(csv(tmp_path, "p.csv", text)).unsubscribed == 1
    plan = w.wb.propose([p], reason=REASON)
    with pytest.raises(BatchError, match="Nobody in this batch may be resubscribed"):
        w.wb.approve(plan.id, plan.digest)


@pytest.mark.parametrize(
    "given",
    [
        "<anna@example.com>",
        "anna@example.com>",
        "mailto:anna@example.com",
        "'anna@example.com'",
        "anna@example.com;",
        "<anna@example.com>,",
    ],
)
def test_what_stands_around_an_address_hides_nobody(world: Worlds, tmp_path: Path, given: str) -> None:
    w = world()
    p = w.person("anna@example.com", unsubscribed=False)
    r = w.wb.import_unsubscribes(csv(tmp_path, "u.csv", f'Email\n"{given}"\n'))
    assert (r.imported, r.unsubscribed) == (0, 1)
    assert list(w.wb.people().person_id) == [p]


def test_a_cell_with_two_addresses_is_nobody_new(world: Worlds, tmp_path: Path) -> None:
    w = world()
    r = w.wb.import_unsubscribes(csv(tmp_path, "u.csv", "Email\nanna@example.com;bob@example.com\n"))
    assert (r.imported, r.rejected) == (0, 1)
    assert "more than one address" in " ".join(r.problems)


@pytest.mark.parametrize("flag", ["no?", "0?", "subscribed?", "!subscribed", "✗ subscribed", "≠0", "<>no", "n°"])
def test_a_no_in_doubt_is_no_no(world: Worlds, tmp_path: Path, flag: str) -> None:
    r = world().wb.import_people(csv(tmp_path, "p.csv", f"Email ID,Unsubscribed\nanna@example.com,{flag}\n"))
    assert r.unsubscribed == 1


@pytest.mark.parametrize(
    "column",
    ["Abbestellt", "Newsletter abbestellt", "Keine E-Mail", "Werbesperre", "Widerruf", "Désabonné", "Désinscrit", "Baja", "No Mail",
     "Removed from list", "Blocked", "Email Bounced", "Email  Opted   Out?", "Do Not Send"],
)  # fmt: skip
def test_a_column_that_tells_of_opt_outs_is_not_passed_over_in_silence(world: Worlds, tmp_path: Path, column: str) -> None:
    r = world().wb.import_people(csv(tmp_path, "p.csv", f"Email ID,{column}\nanna@example.com,yes\n"))
    assert r.overlooked + r.unsubscribed == 1


def test_a_mapping_does_not_hide_the_column_of_the_name(world: Worlds, tmp_path: Path) -> None:
    file = csv(tmp_path, "p.csv", "Email ID,Foo,Unsubscribed\nanna@example.com,no,yes\n")
    assert world().wb.import_people(file, mapping={"unsubscribed": "Foo"}).unsubscribed == 1
