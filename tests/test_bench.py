"""The Workbench: who may do what, what always goes, and that a workspace opens as it was left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workbench import Workbench
from workbench.errors import InputError, NotAllowedError, SettingsError, StoreError, WorkspaceError
from workbench.person import Person, new_id
from workbench.store import people

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without an org, with two people in its register."""
    folder = tmp_path_factory.mktemp("bench") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        with Workbench.init(folder, name="test", controller="Example GmbH") as made, made.store.write() as tx:
            for address in (ANN, BOB):
                people.add(tx, Person(person_id=new_id(), email=address, email_as_given=address, version=1), at=made.clock())
    return folder


@pytest.fixture
def wb(tmp_path: Path, prepared: Path) -> Iterator[Workbench]:
    with Workbench.open(shutil.copytree(prepared, tmp_path / "workspace")) as made:
        yield made


def as_only(wb: Workbench, *roles: str) -> None:
    """Make the operator at the keyboard somebody with these roles; another administrator stays."""
    wb.grant("somebody else", "admin")
    for role in roles:
        wb.grant(wb.operator, role)
    for role in sorted({"admin", "analyst"} - set(roles), reverse=True):
        wb.revoke(wb.operator, role)
    assert wb.roles == set(roles)


def test_whoever_makes_a_workspace_is_its_administrator(wb: Workbench) -> None:
    assert wb.roles == {"admin", "analyst"}
    assert list(wb.operators().operator) == [wb.operator] * 2
    assert list(wb.trail.events(newest=None).action)[:3] == ["workspace_created", "operator_granted", "operator_granted"]
    assert wb.trail.verify().ok


def test_it_opens_as_it_was_left(wb: Workbench) -> None:
    wb.unsubscribe(ANN)
    wb.close()
    with Workbench.open(wb.workspace) as again:
        assert list(again.people(unsubscribed=True).email) == [ANN]
        assert again.trail.vkey == wb.trail.vkey


def test_opening_what_is_no_workspace_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match="there is no workspace here"):
        Workbench.open()
    with pytest.raises(WorkspaceError, match=r"holds no workbench\.toml"):
        Workbench.open(tmp_path)


def test_a_register_that_is_gone_is_one_sentence(wb: Workbench) -> None:
    wb.close()
    for file in wb.workspace.glob("register.db*"):
        file.unlink()
    with pytest.raises(StoreError, match=r"^register\.db is missing$"):
        Workbench.open(wb.workspace)
    assert not list(wb.workspace.glob("register.db*"))


def test_the_second_start_of_a_workspace_changes_nothing(wb: Workbench) -> None:
    before = wb.trail.verify().events
    with pytest.raises(WorkspaceError, match="already is a workspace"):
        Workbench.init(wb.workspace)
    assert wb.trail.verify().events == before


def test_wrong_values_begin_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Workbench.init(tmp_path / "new", kind="production", url="http://example.com")
    assert not (tmp_path / "new").exists()


# --- roles

DECISIONS: dict[str, Callable[[Workbench], object]] = {
    "grant a role": lambda wb: wb.grant("cem", "admin"),
    "grant oneself": lambda wb: wb.grant(wb.operator, "admin"),
    "revoke a role": lambda wb: wb.revoke("somebody else", "admin"),
}
WORK: dict[str, Callable[[Workbench], object]] = {
    "import people": lambda wb: wb.import_people(wb.workspace / "people.csv"),
    "import unsubscribes": lambda wb: wb.import_unsubscribes(wb.workspace / "people.csv"),
    "import consents": lambda wb: wb.import_consents(wb.workspace / "people.csv", wb.workspace),
    "record a consent": lambda wb: wb.record_consent(person=ANN, evidence=[], purpose="sales_email", given_at=wb.clock()),
    "withdraw a consent": lambda wb: wb.withdraw_consent("nothing", method="email"),
}


@pytest.mark.parametrize("deed", DECISIONS)
@pytest.mark.parametrize("roles", [("analyst",), ("auditor",), ()])
def test_only_administrators(wb: Workbench, deed: str, roles: tuple[str, ...]) -> None:
    as_only(wb, *roles)
    before = wb.trail.verify().events
    with pytest.raises(NotAllowedError) as caught:
        DECISIONS[deed](wb)
    assert "administrator" in caught.value.advice
    assert wb.trail.verify().events == before


TAKING_OUT: dict[str, Callable[[Workbench], object]] = {
    "a snapshot of the register": lambda wb: wb.snapshot(wb.workspace / "snapshot"),
    "an export of the trail": lambda wb: wb.trail.export(wb.workspace / "export"),
    "a report with full personal data": lambda wb: wb.report("mismatch-review", personal_data="full"),
}


@pytest.mark.parametrize("deed", TAKING_OUT)
def test_nobody_without_a_role_takes_personal_data_out(wb: Workbench, deed: str) -> None:
    as_only(wb)
    before = wb.trail.verify().events
    with pytest.raises(NotAllowedError, match=f"^{deed} needs a role: analyst, admin or auditor$"):
        TAKING_OUT[deed](wb)
    assert wb.trail.verify().events == before


def test_an_auditor_exports_the_trail(wb: Workbench, tmp_path: Path) -> None:
    as_only(wb, "auditor")
    assert (wb.trail.export(tmp_path / "export") / "events.jsonl").is_file()


@pytest.mark.parametrize("deed", WORK)
@pytest.mark.parametrize("roles", [("auditor",), ()])
def test_only_analysts_and_administrators(wb: Workbench, deed: str, roles: tuple[str, ...]) -> None:
    as_only(wb, *roles)
    before = wb.trail.verify().events
    with pytest.raises(NotAllowedError, match=r"^this needs the role analyst or admin$"):
        WORK[deed](wb)
    assert wb.trail.verify().events == before


@pytest.mark.parametrize("roles", [("auditor",), ("analyst",), ()])
def test_an_unsubscribe_is_always_allowed(wb: Workbench, roles: tuple[str, ...]) -> None:
    as_only(wb, *roles)
    wb.unsubscribe(ANN, detail="asked at the door")
    (episode,) = wb.person(ANN).unsubscribes.itertuples()
    assert (episode.source, episode.detail, str(episode.closed_at)) == ("manual", "asked at the door", "NaT")
    event = wb.trail.events(person=ANN).iloc[-1]
    assert (event.action, event.operator) == ("unsubscribe_recorded", wb.operator)
    assert wb.trail.verify().ok


def test_everybody_may_look(wb: Workbench) -> None:
    as_only(wb)
    assert sorted(wb.people().email) == [ANN, BOB]
    assert wb.trail.verify().ok
    assert wb.batches().empty
    assert wb.consents().empty


def test_the_last_administrator_can_not_be_revoked(wb: Workbench) -> None:
    with pytest.raises(NotAllowedError, match=r"^the last administrator can't be revoked$"):
        wb.revoke(wb.operator, "admin")
    wb.grant("cem", "admin")
    wb.revoke(wb.operator, "admin")
    assert wb.roles == {"analyst"}


@pytest.mark.parametrize(("name", "role"), [("cem", "king"), ("", "admin"), ("  ", "admin")])
def test_no_such_role_or_nobody_is_one_sentence(wb: Workbench, name: str, role: str) -> None:
    with pytest.raises(InputError, match="no such role or no operator"):
        wb.grant(name, role)


def test_a_role_granted_twice_is_on_the_trail_once(wb: Workbench) -> None:
    wb.grant("cem", "auditor")
    wb.grant("cem", "auditor")
    wb.revoke("cem", "auditor")
    with pytest.raises(InputError, match=r"^this operator does not hold the role auditor$"):
        wb.revoke("cem", "auditor")
    assert list(wb.trail.events().action)[-2:] == ["operator_granted", "operator_revoked"]


# --- unsubscribing


@pytest.mark.parametrize(("named", "source"), [("dan@example.com", "manual"), (ANN, "boredom")])
def test_nobody_and_no_source_are_one_sentence(wb: Workbench, named: str, source: str) -> None:
    before = wb.trail.verify().events
    with pytest.raises(InputError) as caught:
        wb.unsubscribe(named, source=source)
    assert "@" not in str(caught.value)
    assert wb.trail.verify().events == before


def test_an_unsubscribe_counts_from_when_the_person_asked(wb: Workbench) -> None:
    asked = wb.clock() - timedelta(days=3)
    wb.unsubscribe(ANN, at=asked)
    (episode,) = wb.person(ANN).unsubscribes.itertuples()
    assert f"{episode.opted_out_at:%Y-%m-%dT%H:%M}" == f"{asked:%Y-%m-%dT%H:%M}"
    for at, sentence in (
        (wb.clock() + timedelta(hours=1), "can't be later than now"),
        (wb.clock().replace(tzinfo=None), "needs its time zone"),
    ):
        with pytest.raises(InputError, match=sentence):
            wb.unsubscribe(BOB, at=at)
    assert list(wb.people(unsubscribed=True).email) == [ANN]


@pytest.mark.parametrize("source", ["import", "salesforce_sync"])
def test_sources_that_only_programs_write_are_refused(wb: Workbench, source: str) -> None:
    with pytest.raises(InputError) as caught:
        wb.unsubscribe(ANN, source=source)
    assert caught.value.advice == "Use one of: clicked_link, manual, bounce, spam_complaint."


def test_a_repeated_unsubscribe_is_kept_too(wb: Workbench) -> None:
    wb.unsubscribe(ANN)
    wb.unsubscribe(ANN, source="spam_complaint")
    assert sorted(wb.person(ANN).unsubscribes.source) == ["manual", "spam_complaint"]


def test_an_address_that_several_people_share_is_not_guessed(wb: Workbench) -> None:
    with wb.store.write() as tx:
        people.add(tx, Person(person_id=new_id(), email=ANN, email_as_given=ANN, version=1), at=wb.clock())
    with pytest.raises(InputError, match=r"^2 people share this address$"):
        wb.unsubscribe(ANN)


def test_the_fixed_clock_of_a_scratch_workspace(wb: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CLOCK", "2026-12-24T18:00:00+00:00")
    with Workbench.open(wb.workspace) as fixed:
        assert fixed.clock() == datetime(2026, 12, 24, 18, tzinfo=UTC)


def test_its_repr_and_public_names_hold_nobody(wb: Workbench) -> None:
    import workbench

    assert repr(wb) == "Workbench(test, scratch org)"
    assert {type(getattr(workbench, name)) for name in workbench.__all__} <= {type, type(workbench.Workbench)}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        workbench.nonsense  # noqa: B018 - reading it is the test
