"""Credentials: from the environment, else the keyring, else what a scratch org left; never from the workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, PasswordDeleteError

from workbench.credentials import credentials_for, keep_credentials
from workbench.errors import SettingsError
from workbench.org import OrgError
from workbench.scratch_org.process import ScratchOrg, start_scratch_org
from workbench.settings import KEYRING_SERVICE, OrgSettings

REAL = OrgSettings(kind="sandbox", url="https://example--dev.sandbox.my.salesforce.com")


class Ring(KeyringBackend):
    """A keyring in memory, so that nobody's own is written to; ``broken`` fails as one without a session does."""

    priority = 9  # type: ignore[assignment]  # the base class declares a property
    broken = False

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        raise PasswordDeleteError

    def _check(self) -> None:
        if self.broken:
            raise KeyringError("no session")


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, made = keyring.get_keyring(), Ring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture(scope="module")
def scratch() -> Iterator[ScratchOrg]:
    with start_scratch_org(people=1) as org:
        yield org


def test_the_environment_goes_first(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.kept[KEYRING_SERVICE, REAL.url] = json.dumps(["kept id", "kept secret"])
    kept = credentials_for(REAL)
    assert (kept.client_id, kept.client_secret) == ("kept id", "kept secret")
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", "id")
    assert credentials_for(REAL).client_id == "kept id"  # half a pair is none
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", "secret")
    given = credentials_for(REAL)
    assert (given.client_id, given.client_secret, given.access_token) == ("id", "secret", "")


def test_a_token_needs_nothing_else(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.broken = True
    monkeypatch.setenv("WORKBENCH_ACCESS_TOKEN", "00D!token")
    assert credentials_for(REAL).access_token == "00D!token"


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKBENCH_CLIENT_ID", "WORKBENCH_CLIENT_SECRET", "WORKBENCH_ACCESS_TOKEN"):
        monkeypatch.setenv(name, "hush-hush")
    assert "hush-hush" not in repr(credentials_for(REAL)).replace("client_id='hush-hush'", "")


def test_the_keyring_is_by_org(ring: Ring) -> None:
    ring.kept[KEYRING_SERVICE, "https://other.my.salesforce.com"] = json.dumps(["id", "secret"])
    assert credentials_for(REAL).client_id == ""


def test_a_keyring_that_does_not_work_is_none(ring: Ring) -> None:
    ring.broken = True
    assert credentials_for(REAL).client_secret == ""


@pytest.mark.parametrize("text", ["not json", '["only one"]', "7"])
def test_an_entry_that_can_not_be_read_is_one_sentence(ring: Ring, text: str) -> None:
    ring.kept[KEYRING_SERVICE, REAL.url] = text
    with pytest.raises(SettingsError, match=r"^the keyring's entry for this org can't be read$") as caught:
        credentials_for(REAL)
    assert "workbench org login" in caught.value.advice


def test_a_running_scratch_org_needs_no_credentials(ring: Ring, scratch: ScratchOrg) -> None:
    found = credentials_for(OrgSettings(kind="scratch", url=scratch.url))
    assert (found.client_id, found.client_secret) == (scratch.client_id, scratch.client_secret)
    assert credentials_for(OrgSettings(kind="scratch", url="http://127.0.0.1:1")).client_id == ""


def test_accepted_credentials_are_kept(ring: Ring, scratch: ScratchOrg) -> None:
    org = OrgSettings(kind="scratch", url=scratch.url)
    identity = keep_credentials(org, client_id=scratch.client_id, client_secret=scratch.client_secret)
    assert identity.org_id.startswith("00D")
    assert json.loads(ring.kept[KEYRING_SERVICE, org.url]) == [scratch.client_id, scratch.client_secret]


def test_credentials_that_are_not_accepted_are_not_kept(ring: Ring, scratch: ScratchOrg) -> None:
    with pytest.raises(OrgError) as caught:
        keep_credentials(OrgSettings(kind="scratch", url=scratch.url), client_id=scratch.client_id, client_secret="wrong-secret")
    assert ring.kept == {}
    assert "wrong-secret" not in str(caught.value)


def test_without_a_keyring_login_says_where_else(ring: Ring, scratch: ScratchOrg) -> None:
    ring.broken = True
    org = OrgSettings(kind="scratch", url=scratch.url)
    with pytest.raises(SettingsError, match="no keyring") as caught:
        keep_credentials(org, client_id=scratch.client_id, client_secret=scratch.client_secret)
    assert "WORKBENCH_CLIENT_ID" in caught.value.advice


def test_nothing_is_written_into_the_workspace(world, ring: Ring) -> None:
    made = world()
    made.wb.login(client_id=made.org.client_id, client_secret=made.org.client_secret)
    made.wb.close()
    secret = made.org.client_secret.encode()
    assert not [p for p in Path(made.folder).rglob("*") if p.is_file() and secret in p.read_bytes()]
