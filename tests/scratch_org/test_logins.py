"""A scratch org's login is left for its own user only."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from workbench.scratch_org import logins

FACTS = {"url": "http://127.0.0.1:1234", "client_id": "an-id", "client_secret": "a-secret"}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_the_same_user_finds_it_and_nobody_else_may_read_it() -> None:
    path = logins.keep(FACTS)
    assert path is not None
    assert logins.find("http://127.0.0.1:1234") == ("an-id", "a-secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_port_is_another_org() -> None:
    logins.keep(FACTS)
    assert logins.find("http://127.0.0.1:1235") == ("", "")


def test_a_file_that_others_may_read_is_ignored() -> None:
    path = logins.keep(FACTS)
    assert path is not None
    path.chmod(0o644)
    assert logins.find("http://127.0.0.1:1234") == ("", "")


def test_a_folder_that_others_may_write_is_not_used() -> None:
    path = logins.keep(FACTS)
    assert path is not None
    path.parent.chmod(0o777)
    assert logins.keep(FACTS) is None


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    path = logins.keep(FACTS)
    assert path is not None
    elsewhere = tmp_path / "elsewhere.json"
    path.replace(elsewhere)
    path.symlink_to(elsewhere)
    assert logins.find("http://127.0.0.1:1234") == ("", "")
