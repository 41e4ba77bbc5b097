"""Importing people and unsubscribes: idempotent, all or nothing, and no opt-out is ever lost, closed or given another source."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import InputError, StoreError
from workbench.intake import ImportResult, import_people, import_unsubscribes
from workbench.intake import files as intake_files
from workbench.intake import people as intake_people
from workbench.intake import run as intake_run
from workbench.person import Person, Unsubscribe
from workbench.store import people, suppression
from workbench.store.database import Store, Transaction
from workbench.trail.event import Event
from workbench.trail.events import PeopleImported, UnsubscribesImported

CORPORA = Path(os.environ.get("WORKBENCH_CORPORA", "/nonexistent"))
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HEADER = "First Name,Last Name,Company,Email ID,Phone Number,Updated At,Salesforce ID,Person ID,Unsubscribed,Unsubscribed At,Unsubscribe Source"
FIELDS = HEADER.split(",")
LEAD, CONTACT = "00Q5f00000AbCdEEAV", "0035f00000AbCdEAAV"


class Desk:
    """A register and a folder for files, as the tests use them."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.names = folder, count()
        shutil.copy(template, folder / "register.db")
        self.store = Store(f"sqlite:///{folder / 'register.db'}")
        self.events: list[Event] = []

    def file(self, *rows: dict[str, str] | str, header: str = HEADER) -> Path:
        path = self.folder / f"people-{next(self.names)}.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            out.write(header + "\n")
            for row in rows:
                cells = [row.get(name, "") for name in header.split(",")] if isinstance(row, dict) else None
                csv.writer(out).writerow(cells) if cells else out.write(f"{row}\n")
        return path

    def append(self, tx: Transaction, event: Event) -> None:
        self.events.append(event)

    def people(self, *rows: dict[str, str] | str, at: datetime = NOW, **options: Any) -> ImportResult:
        return self.people_file(self.file(*rows), at=at, **options)

    def people_file(self, path: Path, *, at: datetime = NOW, **options: Any) -> ImportResult:
        return import_people(self.store, path, operator="ana", now=at, append_event=self.append, **options)

    def unsubscribes(self, *rows: dict[str, str], header: str, at: datetime = NOW, **options: Any) -> ImportResult:
        file = self.file(*rows, header=header)
        return import_unsubscribes(self.store, file, operator="ana", now=at, append_event=self.append, **options)

    def everyone(self) -> tuple[Person, ...]:
        with self.store.read() as tx:
            ids = tx.exec_driver_sql("SELECT person_id FROM person").scalars().all()
            return tuple(people.by_ids(tx, ids).values())

    def person(self, email: str) -> Person:
        with self.store.read() as tx:
            return people.find(tx, email)

    def episodes(self, email: str | None = None) -> tuple[Unsubscribe, ...]:
        with self.store.read() as tx:
            ids = [p.person_id for p in (people.by_address(tx, email) if email else self.everyone())]
            return tuple(e for found in people.unsubscribes(tx, ids).values() for e in found)

    def resubscribe(self, email: str, at: datetime) -> None:
        with self.store.write() as tx:
            people.close_unsubscribes(tx, {people.find(tx, email).person_id: "batch"}, at=at)

    def dump(self) -> list[str]:
        """Every row of the register."""
        self.store.close()
        with sqlite3.connect(self.folder / "register.db") as connection:
            return list(connection.iterdump())


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


def jane(**other: str) -> dict[str, str]:
    names = {name.replace(" ", "_").lower(): name for name in FIELDS}
    given = {"Person ID": "p1", "Email ID": "Jane@Example.com", "First Name": "Jane", "Last Name": "Doe", "Company": "ACME"}
    return given | {names[key]: value for key, value in other.items()}


def counts(result: ImportResult) -> tuple[int, ...]:
    return result.rows, result.imported, result.updated, result.unchanged, result.rejected, result.unsubscribed


def rejected(result: ImportResult) -> list[dict[str, str]]:
    assert result.rejects_file is not None
    with result.rejects_file.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_person_comes_in_with_what_the_register_needs_and_no_more(desk: Desk) -> None:
    result = desk.people(jane(salesforce_id=LEAD[:15], phone_number="+49 30 1234567"))
    assert counts(result) == (1, 1, 0, 0, 0, 0)
    assert result.problems == ()
    person = desk.person("jane@example.com")
    assert (person.email, person.email_as_given) == ("jane@example.com", "Jane@Example.com")
    assert (person.first_name, person.company, person.external_id) == ("Jane", "ACME", "p1")
    assert person.salesforce_ids == (LEAD,)
    assert not any("1234567" in line for line in desk.dump())


def test_the_same_file_again_changes_nothing(desk: Desk) -> None:
    path = desk.file(jane(unsubscribed="yes"), jane(person_id="p2", email_id="joe@example.com"))
    desk.people_file(path)
    before = desk.everyone(), desk.episodes()
    result = desk.people_file(path, at=NOW + timedelta(days=1))
    assert counts(result) == (2, 0, 0, 2, 0, 0)
    assert (desk.everyone(), desk.episodes()) == before


def test_the_trail_and_the_run_name_counts_and_digest(desk: Desk) -> None:
    result = desk.people(jane(unsubscribed="yes"), jane(person_id="p2", email_id="nonsense"))
    (event,) = desk.events
    assert isinstance(event, PeopleImported)
    assert (event.rows, event.added, event.opted_out, event.rejected) == (2, 1, 1, 1)
    with desk.store.read() as tx:
        kind, sha256, operator, kept = tx.exec_driver_sql("SELECT kind, file_sha256, operator, counts FROM import_run").one()
    assert (kind, sha256, operator) == ("people", result.file_sha256, "ana")
    assert json.loads(kept)["imported"] == 1
    assert event.file_sha256 == sha256


def test_a_dry_run_answers_the_same_and_changes_nothing(desk: Desk) -> None:
    desk.people(jane())
    before = desk.dump()
    path = desk.file(jane(unsubscribed="yes"), jane(person_id="p2", email_id="joe@example.com"), jane(email_id="x"), "too,few")
    dry = desk.people_file(path, dry_run=True)
    assert desk.dump() == before
    assert dry.rejects_file is None
    assert not path.with_name(path.name + ".rejected.csv").exists()
    assert any("rejected: the row has 2 cells, the header has 11" in problem for problem in dry.problems)
    real = desk.people_file(path)
    assert counts(real) == counts(dry) == (4, 1, 1, 0, 2, 1)
    assert (
        dry.sentence == "4 rows: 1 would be imported, 1 would be updated, 0 unchanged, 2 rejected; 1 unsubscribe would be added."
    )


def test_people_are_found_by_person_id_then_salesforce_id_then_address(desk: Desk) -> None:
    desk.people(
        jane(),
        jane(person_id="", salesforce_id=LEAD, email_id="joe@example.com"),
        jane(person_id="", email_id="jim@example.com"),
    )
    result = desk.people(
        jane(email_id="jane@example.org"),
        jane(person_id="", salesforce_id=LEAD.lower() if LEAD.islower() else LEAD, email_id="joe@example.org"),
        jane(person_id="", email_id="JIM@example.com", company="New"),
    )
    assert counts(result) == (3, 0, 3, 0, 0, 0)
    assert {p.email for p in desk.everyone()} == {"jane@example.org", "joe@example.org", "jim@example.com"}
    assert desk.person("jim@example.com").company == "New"


def test_an_id_that_comes_later_is_adopted(desk: Desk) -> None:
    desk.people(jane(person_id=""))
    desk.people(jane(person_id="p1", salesforce_id=LEAD))
    desk.people(jane(person_id="p1", salesforce_id=CONTACT))
    assert len(desk.everyone()) == 1
    person = desk.person("jane@example.com")
    assert (person.external_id, set(person.salesforce_ids)) == ("p1", {LEAD, CONTACT})


def test_our_own_person_id_finds_the_person_too(desk: Desk) -> None:
    desk.people(jane())
    desk.people(jane(person_id=desk.person("jane@example.com").person_id, company="New"))
    (person,) = desk.everyone()
    assert (person.company, person.external_id) == ("New", "p1")


def test_two_person_ids_may_share_an_address_and_that_is_reported(desk: Desk) -> None:
    result = desk.people(jane(), jane(person_id="p2", first_name="Joe"))
    assert counts(result)[:2] == (2, 2)
    assert result.problems == ("line 3: the address is that of another person, too; both are in the register.",)
    again = desk.people(jane(person_id="", company="New"))
    assert again.rejected == 1
    assert rejected(again)[0]["Rejected Reason"] == "several people in the register could be meant; add the Person ID"


def test_a_blank_cell_takes_nothing_away(desk: Desk) -> None:
    desk.people(jane(salesforce_id=LEAD))
    assert desk.people(jane(company="", first_name="")).unchanged == 1
    assert desk.person("jane@example.com").salesforce_ids == (LEAD,)


def test_the_same_person_twice_in_a_file_is_merged_and_reported(desk: Desk) -> None:
    result = desk.people(jane(unsubscribed="yes"), jane(company="New", unsubscribed="no"))
    assert counts(result) == (2, 1, 1, 0, 0, 1)
    assert any("line 3: an earlier row names the same person" in problem for problem in result.problems)
    assert desk.person("jane@example.com").company == "New"
    assert len(desk.episodes()) == 1


def test_a_changed_address_keeps_the_opt_out_and_the_former_address(desk: Desk) -> None:
    desk.people(jane(unsubscribed="yes"))
    result = desk.people(jane(email_id="jane.roe@example.org", unsubscribed="no"))
    assert any("has a new address, and stays unsubscribed" in problem for problem in result.problems)
    assert desk.episodes("jane.roe@example.org")[0].closed_at is None
    with desk.store.read() as tx:
        assert tx.exec_driver_sql("SELECT old_email, new_email FROM address_change").one() == (
            "jane@example.com",
            "jane.roe@example.org",
        )
    newcomer = desk.people(jane(person_id="p9"))
    assert any("former address of a person who is unsubscribed" in problem for problem in newcomer.problems)


def test_every_write_raises_the_version(desk: Desk) -> None:
    desk.people(jane())
    versions = [desk.person("jane@example.com").version]
    for change in (jane(company="New"), jane(company="New", unsubscribed="yes"), jane(company="New", salesforce_id=LEAD)):
        desk.people(change)
        versions.append(desk.person("jane@example.com").version)
    assert versions == sorted(set(versions))


# Opt-outs


@pytest.mark.parametrize("text", ["yes", "TRUE", "1", "maybe", "?", "Unsubscribed", "2026-10-01"])
def test_what_is_not_plainly_no_is_an_opt_out(desk: Desk, text: str) -> None:
    assert desk.people(jane(unsubscribed=text)).unsubscribed == 1


def test_an_opt_out_has_date_source_and_an_account_of_them(desk: Desk) -> None:
    result = desk.people(
        jane(unsubscribed="yes", unsubscribed_at="2026-10-01T08:30:00+02:00", unsubscribe_source="Clicked Link"),
        jane(person_id="2", email_id="b@example.com", unsubscribed="yes", updated_at="2026-10-02 10:00:00Z"),
        jane(person_id="3", email_id="c@example.com", unsubscribed="yes", unsubscribe_source="Fax"),
        jane(person_id="4", email_id="d@example.com", unsubscribed="yes", unsubscribed_at="2099-01-01 00:00Z"),
        jane(person_id="5", email_id="e@example.com", unsubscribed="odd", unsubscribed_at="odd", updated_at="odd"),
        jane(person_id="6", email_id="f@example.com", unsubscribed_at="2026-10-01"),
    )
    found = {e: desk.episodes(f"{e}@example.com")[0] for e in ("jane", "b", "c", "d", "e", "f")}
    assert {name: (e.opted_out_at, e.source) for name, e in found.items()} == {
        "jane": (datetime(2026, 10, 1, 6, 30, tzinfo=UTC), "clicked_link"),
        "b": (datetime(2026, 10, 2, 10, 0, tzinfo=UTC), "import"),
        "c": (NOW, "import"),
        "d": (NOW, "import"),
        "e": (NOW, "import"),
        "f": (datetime(2026, 10, 1, 23, 59, 59, 999000, tzinfo=UTC), "import"),
    }
    assert "Updated At was taken" in found["b"].detail
    assert "Fax" in found["c"].detail
    assert "time of the import" in found["c"].detail
    for sentence in ("line 5: the opt-out is dated later than the import", "line 6: the Unsubscribed value is neither yes nor no",
                     "line 6: the date of unsubscribing can't be read", "line 7: the row has a date of unsubscribing and a blank"):  # fmt: skip
        assert any(sentence in problem for problem in result.problems), sentence


def test_no_value_closes_an_unsubscribe_or_changes_its_source(desk: Desk) -> None:
    desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-10-01 08:00Z", unsubscribe_source="Clicked Link"))
    before = desk.episodes()
    for value in ("no", "", "0", "yes", "?"):
        desk.people(jane(unsubscribed=value, unsubscribe_source="Manual"))
    assert desk.episodes() == before


def test_an_old_export_does_not_reopen_a_person_who_was_resubscribed(desk: Desk) -> None:
    exports = [
        desk.file(jane(unsubscribed="yes", unsubscribed_at="2026-10-01 08:00:00.123456Z")),
        desk.file(jane(unsubscribed="yes", unsubscribed_at="2026-10-01")),
    ]
    for export in exports:
        desk.people_file(export)
    desk.resubscribe("jane@example.com", NOW + timedelta(days=1))
    for export in exports:
        assert desk.people_file(export, at=NOW + timedelta(days=2)).unsubscribed == 0
    assert all(e.closed_at for e in desk.episodes())


@pytest.mark.parametrize("fields", [{}, {"unsubscribed_at": "2099-01-01 08:00Z"}, {"updated_at": "2026-10-05 08:00:00Z"}])
def test_an_export_without_usable_dates_is_old_news_until_another_one_came(desk: Desk, fields: dict[str, str]) -> None:
    export = desk.file(jane(unsubscribed="yes", **fields))
    desk.people_file(export)
    desk.resubscribe("jane@example.com", NOW + timedelta(days=1))
    assert desk.people_file(export, at=NOW + timedelta(days=2)).unsubscribed == 0
    desk.people(jane(unsubscribed="no"), at=NOW + timedelta(days=3))
    assert desk.people_file(export, at=NOW + timedelta(days=4)).unsubscribed == 1
    assert desk.people_file(export, at=NOW + timedelta(days=5)).unsubscribed == 0


@pytest.mark.parametrize("fields", [{"unsubscribed_at": "2026-11-25 08:00Z"}, {"updated_at": "2026-11-25 08:00Z"}, {}])
def test_an_opt_out_after_the_resubscription_reopens(desk: Desk, fields: dict[str, str]) -> None:
    desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-10-01 08:00Z"))
    desk.resubscribe("jane@example.com", NOW + timedelta(days=1))
    result = desk.people(jane(unsubscribed="yes", **fields), at=NOW + timedelta(days=3))
    assert result.unsubscribed == 1
    assert [e.closed_at is None for e in desk.episodes()] == [False, True]


def test_an_opt_out_between_consent_and_resubscription_reopens(desk: Desk) -> None:
    """The date is the person's own act, later than the one the resubscription knew of: in doubt it stands."""
    desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-10-01 08:00Z"))
    desk.resubscribe("jane@example.com", NOW)
    late = desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-11-01 08:00Z"), at=NOW + timedelta(days=1))
    assert late.unsubscribed == 1


def test_a_later_dated_opt_out_of_an_unsubscribed_person_is_kept(desk: Desk) -> None:
    """A consent given between the two must not count."""
    desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-10-01 08:00Z", unsubscribe_source="Bounce"))
    assert desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-11-01 08:00Z")).unsubscribed == 1
    assert [e.source for e in desk.episodes()] == ["bounce", "import"]


def test_a_rejects_file_that_somebody_began_to_mend_is_kept(desk: Desk) -> None:
    source = desk.file(jane(email_id="not an address"))
    first, same = desk.people_file(source).rejects_file, desk.people_file(source).rejects_file
    assert first is not None
    assert same == first, "as nothing in it differs"
    mended = first.read_text(encoding="utf-8-sig").replace("not an address", "jane@example.com")
    first.write_text(mended, encoding="utf-8-sig")
    again = desk.people_file(source).rejects_file
    assert again is not None
    assert again == first.with_name(first.name.replace(".rejected.csv", ".rejected-2.csv"))
    assert first.read_text(encoding="utf-8-sig") == mended
    assert "not an address" in again.read_text(encoding="utf-8-sig")


def test_a_rejected_row_still_opts_out_whom_it_names(desk: Desk) -> None:
    desk.people(jane(), jane(person_id="p2", email_id="joe@example.com"))
    result = desk.people(
        jane(email_id="not an address", unsubscribed="yes"),
        jane(person_id="", email_id="joe@example.com", salesforce_id="nonsense", unsubscribed="yes"),
        jane(person_id="p3", email_id="new@example.com", salesforce_id="nonsense", unsubscribed="yes"),
    )
    assert counts(result) == (3, 0, 0, 0, 3, 2)
    assert desk.episodes("jane@example.com")
    assert desk.episodes("joe@example.com")
    assert "lines 2, 3: the row was rejected, but the people whom it names are unsubscribed as it says." in result.problems
    assert "line 4: the row was rejected, and an opt-out in it is not in the register: mend and import it." in result.problems


def test_an_ambiguous_row_opts_out_everyone_it_could_mean(desk: Desk) -> None:
    desk.people(jane(), jane(person_id="p2"))
    assert desk.people(jane(person_id="", unsubscribed="yes")).unsubscribed == 2
    assert desk.people(jane(person_id="", unsubscribed="yes"), jane(person_id="p3", unsubscribed="no")).unsubscribed == 1
    assert len(desk.episodes("jane@example.com")) == 3


def test_a_rejected_opt_out_reaches_a_person_further_down(desk: Desk) -> None:
    result = desk.people(jane(salesforce_id="nonsense", unsubscribed="yes"), jane())
    assert counts(result) == (2, 1, 0, 0, 1, 1)
    assert len(desk.episodes("jane@example.com")) == 1


def test_erased_people_stay_out(desk: Desk) -> None:
    desk.store.keep_out(lambda _: b"secret")
    with desk.store.write() as tx:
        suppression.add(tx, ["jane@example.com"], since=NOW)
    result = desk.people(jane(unsubscribed="yes"))
    assert counts(result) == (1, 0, 0, 0, 1, 0)
    assert "erased on request" in rejected(result)[0]["Rejected Reason"]
    desk.people(jane(email_id="jane2@example.com"))
    with desk.store.write() as tx:
        tx.exec_driver_sql("UPDATE person SET erased_at = '2026-11-01T00:00:00.000Z', email = ''")
    assert desk.people(jane(email_id="other@example.com", unsubscribed="yes")).rejected == 1
    assert desk.everyone() == ()


# Rejects and failures


def test_rejects_come_back_as_they_were_with_line_and_reason(desk: Desk) -> None:
    bad_id = LEAD[:15] + "AAA"
    result = desk.people(jane(), jane(person_id="p2", email_id="x", company="=HYPERLINK()"), jane(person_id="p3", salesforce_id=bad_id),
                         jane(person_id="p4", email_id=""), "a,b")  # fmt: skip
    rows = rejected(result)
    assert result.rejects_file is not None
    assert result.rejects_file.name.endswith(".csv.rejected.csv")
    assert [row["Rejected Line"] for row in rows] == ["3", "4", "5", "6"]
    assert rows[0]["Company"] == "'=HYPERLINK()"
    assert rows[0]["Rejected Reason"] == "the e-mail address can't be one: it has 0 @ signs"
    assert rows[1]["Rejected Reason"] == "the last three characters of this Salesforce id do not fit the first fifteen"
    assert rows[2]["Rejected Reason"] == "the row has no e-mail address"
    assert rows[3]["Rejected Reason"] == "the row has 2 cells, the header has 11"
    assert not [p for p in desk.folder.iterdir() if p.name.startswith(".rejected-")]


def test_a_mended_rejects_file_can_be_imported(desk: Desk) -> None:
    result = desk.people(jane(email_id="x", company="+Plus", last_name="-"))
    assert result.rejects_file
    text = result.rejects_file.read_text("utf-8-sig").replace(",x,", ",+jane@example.com,")
    result.rejects_file.write_text(text, encoding="utf-8-sig")
    assert desk.people_file(result.rejects_file).imported == 1
    person = desk.person("+jane@example.com")
    assert (person.company, person.last_name) == ("+Plus", "-")


def test_personal_data_is_in_no_sentence(desk: Desk) -> None:
    result = desk.people(
        jane(email_id="jane.doe@@example.com", unsubscribed="Janeish"), "jane.doe@example.com,Jane", jane(unsubscribed_at="Jane")
    )
    assert result.problems
    assert "jane" not in " ".join(result.problems).lower()


def test_when_rejects_cant_be_written_nothing_is_taken_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.file(jane(), jane(email_id="x", person_id="p2"))

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.mkstemp", refuse)  # root may write everywhere, so the folder can't be made unwritable
    with pytest.raises(InputError, match="rejects file can't be written"):
        desk.people_file(path)
    assert desk.everyone() == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        (HEADER + "\n", "the file holds no rows"),
        (HEADER + "\n,,,,,,,,,,\n", "the file holds no rows"),
        ("Name,Mail\nJane,jane@example.com\n", "no column Email ID; it has Name, Mail"),
        ("jane@example.com,Jane\njoe@example.com,Joe\n", "seems to hold data"),
    ],
)
def test_files_that_cant_be_used(desk: Desk, text: str, sentence: str) -> None:
    path = desk.folder / "file.csv"
    path.write_text(text)
    before = desk.dump()
    with pytest.raises(InputError, match=sentence):
        desk.people_file(path)
    assert desk.dump() == before


def test_a_mapping_names_the_columns(desk: Desk) -> None:
    path = desk.folder / "file.csv"
    path.write_text("Name,Mail\nJane,jane@example.com\n")
    assert desk.people_file(path, mapping={"email": "mail", "first_name": "Name"}).imported == 1
    assert desk.person("jane@example.com").first_name == "Jane"


def test_broken_bytes_far_down_take_everything_back(desk: Desk) -> None:
    path = desk.folder / "file.csv"
    rows = "".join(f"p{i},person{i}@example.com\n" for i in range(3000))
    path.write_bytes(f"Person ID,Email\n{rows}".encode() + b"x,\xff@example.com\n")
    before = desk.dump()
    with pytest.raises(InputError, match="line 3,002 does not fit"):
        desk.people_file(path)
    assert desk.dump() == before
    assert desk.events == []


def test_a_failing_trail_takes_everything_back(desk: Desk) -> None:
    before = desk.dump()

    def fail(tx: Transaction, event: Event) -> None:
        raise StoreError("the trail refused")

    path = desk.file(jane(), jane(email_id="x", person_id="p2"))
    with pytest.raises(StoreError, match="the trail refused"):
        import_people(desk.store, path, operator="ana", now=NOW, append_event=fail)
    assert desk.dump() == before
    assert [p.name for p in desk.folder.iterdir() if "rejected" in p.name] == []


def test_a_full_disk_takes_everything_back(desk: Desk) -> None:
    before = desk.dump()
    path = desk.folder / "file.csv"
    path.write_text("Person ID,Email,Company\n" + "".join(f"p{i},person{i}@example.com,{'x' * 500}\n" for i in range(2000)))
    with desk.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreError, match="the disk is full"):
        desk.people_file(path)
    assert desk.dump() == before


def test_many_rows_and_those_across_a_thousand(desk: Desk) -> None:
    path = desk.folder / "file.csv"
    rows = [f"p{i},person{i}@example.com,{'yes' if i % 3 == 0 else ''}" for i in range(2000)]
    path.write_text("\n".join(["Person ID,Email,Unsubscribed", *rows, "p5,person5@example.org,yes", ""]))
    result = desk.people_file(path)
    assert counts(result) == (2001, 2000, 1, 0, 0, 668)
    assert desk.episodes("person5@example.org")
    assert desk.people_file(path, at=NOW + timedelta(days=1)).unsubscribed == 0


def schema(desk: Desk) -> list[str]:
    """The statements that make the register's tables, indexes and guards."""
    with sqlite3.connect(desk.folder / "register.db") as connection:
        return sorted(sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql)


def test_the_first_import_leaves_every_index_and_guard(desk: Desk) -> None:
    """Also one that is taken back, and one that fails."""
    before = schema(desk)
    desk.people(jane(), dry_run=True)
    assert schema(desk) == before
    with pytest.raises(InputError):
        desk.people_file(desk.file())
    assert schema(desk) == before
    desk.people(jane())
    assert schema(desk) == before


def seen(text: str) -> str:
    """The signs of a text that one sees."""
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp"))


@pytest.mark.skipif(not (CORPORA / "naughty-strings.json").is_file(), reason="WORKBENCH_CORPORA names no naughty-strings.json")
def test_naughty_strings_come_in_as_they_are_or_are_rejected_with_a_reason(desk: Desk) -> None:
    """All of them as names and companies, and as addresses. A name is one line: every visible sign is kept, in its order."""
    naughty = json.loads((CORPORA / "naughty-strings.json").read_text("utf-8"))
    assert len(naughty) >= 515
    rows = [
        jane(person_id=f"n{i}", email_id=f"n{i}@example.com", first_name=s, company=s, unsubscribe_source=s)
        for i, s in enumerate(naughty)
    ]
    rows += [jane(person_id=f"m{i}", email_id=s) for i, s in enumerate(naughty)]
    result = desk.people(*rows)
    assert result.imported + result.updated + result.unchanged + result.rejected == result.rows == len(rows)
    refused = rejected(result)
    assert len(refused) == result.rejected
    assert all(row["Rejected Reason"] for row in refused)
    without = {row["Person ID"] for row in refused}
    for i, s in enumerate(naughty):
        if f"n{i}" not in without:
            stored = desk.person(f"n{i}@example.com")
            assert seen(stored.first_name) == seen(stored.company) == seen(s)
            assert stored.first_name == " ".join(stored.first_name.split())
            assert not [c for c in stored.first_name if unicodedata.category(c) in ("Cc", "Zl", "Zp")]
    assert len([one for one in without if one.startswith("n")]) <= 5
    assert desk.people(*rows).imported == 0


# Files of unsubscribes


def test_unsubscribes_reach_people_by_address_and_by_id(desk: Desk) -> None:
    desk.people(jane(), jane(person_id="p2", email_id="joe@example.com"))
    header = "Person,Opted Out At,Source,Detail"
    result = desk.unsubscribes(
        {"Person": "JANE@example.com", "Opted Out At": "2026-11-01 10:00Z", "Source": "spam complaint", "Detail": "by letter"},
        {"Person": "p2"},
        {"Person": "p99"},
        {"Person": "", "Detail": "nobody"},
        header=header,
    )
    assert counts(result) == (4, 0, 2, 0, 2, 2)
    (episode,) = desk.episodes("jane@example.com")
    assert (episode.source, episode.detail) == ("spam_complaint", "by letter")
    assert [row["Rejected Reason"] for row in rejected(result)] == [
        "nobody in the register has this id",
        "the row names nobody: no id, no address",
    ]
    assert isinstance(desk.events[-1], UnsubscribesImported)


def test_an_unknown_address_becomes_a_person_who_is_unsubscribed(desk: Desk) -> None:
    rows = [{"Email": "new@example.com"}, {"Email": ".odd.@example.com"}, {"Email": "new@example.com"}]
    result = desk.unsubscribes(*rows, header="Email,Source")
    assert counts(result) == (3, 2, 0, 1, 0, 2)
    assert "lines 2, 3: nobody in the register has this address: added as a new person who is unsubscribed." in result.problems
    desk.people(jane(person_id="p7", email_id="new@example.com", unsubscribed="no"))
    assert desk.person("new@example.com").external_id == "p7"
    assert desk.episodes("new@example.com")[0].closed_at is None


def test_everyone_with_the_address_is_unsubscribed(desk: Desk) -> None:
    desk.people(jane(), jane(person_id="p2"))
    assert desk.unsubscribes({"Email": "jane@example.com"}, header="Email,Source").unsubscribed == 2


def test_an_earlier_complaint_is_added_to_a_person_who_is_unsubscribed_and_does_not_reopen_one_who_is_not(desk: Desk) -> None:
    desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-10-10 08:00Z"))
    complaint = {"Email": "jane@example.com", "Date": "2026-10-01 08:00Z", "Source": "Spam"}
    header = "Email,Date,Source"
    assert [desk.unsubscribes(complaint, header=header).unsubscribed for _ in range(2)] == [1, 0]
    desk.resubscribe("jane@example.com", NOW)
    older = complaint | {"Date": "2026-09-01 08:00Z"}
    assert desk.unsubscribes(older, header=header, at=NOW + timedelta(days=1)).unsubscribed == 0
    newer = complaint | {"Date": "2026-11-01 08:00Z"}
    assert desk.unsubscribes(newer, header=header, at=NOW + timedelta(days=1)).unsubscribed == 1


def test_the_order_of_rows_does_not_decide_what_is_kept(desk: Desk) -> None:
    desk.people(jane(unsubscribed="yes", unsubscribed_at="2026-10-10 08:00Z"))
    desk.resubscribe("jane@example.com", NOW)
    old, new = ({"Email": "jane@example.com", "Date": date} for date in ("2026-09-01 08:00Z", "2026-11-24 08:00Z"))
    for rows, expected in (((old, new), (2, 0, 2, 0, 0, 2)), ((old, new), (2, 0, 0, 2, 0, 0)), ((new, old), (2, 0, 0, 2, 0, 0))):
        assert counts(desk.unsubscribes(*rows, header="Email,Date", at=NOW + timedelta(days=3))) == expected


def test_an_address_beside_an_id_counts_once_somebody_has_it(desk: Desk) -> None:
    desk.people(jane())
    beside = {"Person": "p1", "Email": "new@example.com", "Date": "2026-10-01 08:00Z"}
    result = desk.unsubscribes(beside, {"Email": "new@example.com", "Date": "2026-11-01 08:00Z"}, header="Person,Email,Date")
    assert counts(result) == (2, 1, 1, 0, 0, 3)
    assert len(desk.episodes("new@example.com")) == 2


def test_an_unsubscribe_of_an_erased_person_stays_out(desk: Desk) -> None:
    desk.store.keep_out(lambda _: b"secret")
    with desk.store.write() as tx:
        suppression.add(tx, ["jane@example.com"], since=NOW)
    result = desk.unsubscribes({"Email": "Jane@Example.com"}, header="Email,Source")
    assert counts(result) == (1, 0, 0, 1, 0, 0)
    assert desk.everyone() == ()


# Any sequence of imports

texts = st.sampled_from(["", "yes", "no", "?", "2026-10-01"])
dates = st.sampled_from(["", "2026-09-01 08:00Z", "2026-10-01", "2026-11-22 08:00+05:00", "2099-01-01 00:00Z", "odd"])
row = st.fixed_dictionaries(
    {
        "Person ID": st.sampled_from(["", "p1", "p2", "p3"]),
        "Salesforce ID": st.sampled_from(["", LEAD, CONTACT, "nonsense"]),
        "Email ID": st.sampled_from(["a@example.com", "b@example.com", "A@EXAMPLE.com", "nonsense", ""]),
        "Company": st.sampled_from(["", "ACME", "=1+1"]),
        "Unsubscribed": texts,
        "Unsubscribed At": dates,
        "Updated At": dates,
        "Unsubscribe Source": st.sampled_from(["", "Clicked Link", "Manual", "Fax", "salesforce_sync"]),
    }
)
step = st.tuples(st.sampled_from(["people", "unsubscribes", "resubscribe"]), st.lists(row, min_size=1, max_size=4))


def take(desk: Desk, kind: str, rows: list[dict[str, str]], at: datetime) -> None:
    renamed = [
        {"Person": r["Person ID"], "Email": r["Email ID"], "Date": r["Unsubscribed At"], "Source": r["Unsubscribe Source"]}
        for r in rows
    ]
    imports: dict[str, Callable[[], ImportResult]] = {
        "people": lambda: desk.people(*rows, at=at),
        "unsubscribes": lambda: desk.unsubscribes(*renamed, header="Person,Email,Date,Source", at=at),
    }
    try:
        imports[kind]()
    except InputError as error:
        assert "holds no rows" in str(error)  # noqa: PT017 - the other steps don't raise


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=1, max_size=5))
def test_no_sequence_of_imports_loses_an_opt_out(template: Path, tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    desk = Desk(tmp_path_factory.mktemp("any"), template)
    for number, (kind, rows) in enumerate(steps):
        at = NOW + timedelta(days=number)
        before = {e.unsubscribe_id: e for e in desk.episodes()}
        known = {p.person_id for p in desk.everyone()}
        if kind == "resubscribe":
            for person in desk.everyone()[:2]:
                with desk.store.write() as tx:
                    people.close_unsubscribes(tx, {person.person_id: "batch"}, at=at)
            continue
        take(desk, kind, rows, at)
        after = {e.unsubscribe_id: e for e in desk.episodes()}
        assert before.items() <= after.items(), "an episode was closed, changed or taken away"
        assert known <= {p.person_id for p in desk.everyone()}
        again = desk.everyone(), desk.episodes()
        take(desk, kind, rows, at + timedelta(hours=1))
        there = {p.person_id for p in again[0]}  # a file that moves people between addresses may find new ones
        newer = {e.unsubscribe_id for e in desk.episodes() if e.person_id in there} - {e.unsubscribe_id for e in again[1]}
        assert not newer, "the same file again found news"
    desk.store.close()


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(row, min_size=1, max_size=5))
def test_whoever_a_file_calls_unsubscribed_is_unsubscribed(
    template: Path, tmp_path_factory: pytest.TempPathFactory, rows: Any
) -> None:
    desk = Desk(tmp_path_factory.mktemp("any"), template)
    take(desk, "people", rows, NOW)
    unsubscribed = {e.person_id for e in desk.episodes() if e.closed_at is None}
    for given_row in rows:
        named = [p for p in desk.everyone() if given_row["Person ID"] and p.external_id == given_row["Person ID"]]
        if given_row["Unsubscribed"] in ("yes", "?", "2026-10-01"):
            assert all(p.person_id in unsubscribed for p in named)
    desk.store.close()


def told(desk: Desk) -> list[tuple[Any, ...]]:
    """Who is in the register and what is known of them, without ids of ours."""
    episodes: dict[str, list[tuple[Any, ...]]] = {}
    for e in desk.episodes():
        detail = re.sub(r"person [0-9a-f-]{36}", "person", e.detail)
        episodes.setdefault(e.person_id, []).append((e.opted_out_at, e.source, detail, e.recorded_at, e.closed_at))
    return sorted(
        (
            p.external_id, p.email, p.email_as_given, p.first_name, p.company, p.salesforce_ids, p.version, p.former_emails,
            sorted(episodes.get(p.person_id, []), key=str),
        )
        for p in desk.everyone()
    )  # fmt: skip


own = st.builds(
    lambda number, named, given: (
        given | {"Person ID": f"own{number}" * named, "Email ID": f"own{number}@example.com", "Salesforce ID": ""}
    ),
    st.integers(0, 20),
    st.booleans(),
    row,
)
"""Rows of people who are mostly named by themselves."""


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(own | row, min_size=1, max_size=12), min_size=1, max_size=3), st.sampled_from([100, 400, 100_000]))
def test_rows_taken_in_together_come_to_what_they_come_to_one_by_one(
    template: Path, tmp_path_factory: pytest.TempPathFactory, files: Any, piece: int
) -> None:
    """Opt-outs, values, versions, counts, sentences and rejects, whatever way the rows go and however the file is divided."""
    one_by_one, together = (Desk(tmp_path_factory.mktemp(name), template) for name in ("alone", "together"))
    none_of_them = {"_strangers": lambda block: ([], list(range(len(block.rows)))), "_as_stored": lambda _block, _places: {}}
    every = patch.multiple(intake_people._Block, **none_of_them)
    with patch.object(intake_files, "PIECE", piece), patch.object(intake_run, "ROWS_AT_ONCE", 1):
        for number, rows in enumerate([*files, files[0] + files[-1][:2]]):
            found = []
            for desk, way in ((one_by_one, every), (together, nullcontext())):
                with way, suppress(InputError):
                    result = desk.people(*rows, at=NOW + timedelta(days=number))
                    kept = rejected(result) if result.rejects_file else []
                    found.append((counts(result), result.problems, kept))
            assert not found or found[0] == found[1]
            assert told(one_by_one) == told(together)
    one_by_one.store.close()
    together.store.close()
