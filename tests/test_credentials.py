"""Credentials: from the environment, else the keyring, else what a scratch org left; never from the workspace."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, PasswordDeleteError

from workbench.cli.app import run
from workbench.credentials import credentials_for, keep_credentials, keep_token
from workbench.errors import InputError, SettingsError
from workbench.org import OrgError, OrgUnreachableError
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
    with pytest.raises(OrgUnreachableError, match=r"No scratch org is running at http://127\.0\.0\.1:1"):
        credentials_for(OrgSettings(kind="scratch", url="http://127.0.0.1:1"))


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


def displayed(token: str, url: str) -> str:
    """What `sf org display --json` prints, with an invented user."""
    result = {"id": "00D000000000001AAA", "accessToken": token, "instanceUrl": url, "username": "ops@example.com"}
    return json.dumps({"status": 0, "result": result, "warnings": ["This command will expose sensitive information."]}, indent=2)


def test_a_token_from_the_salesforce_command_line_is_tried_and_kept_in_the_keyring_only(
    world, ring: Ring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world()
    made.wb.close()
    token = made.org.control("/tokens", {})["access_token"]
    monkeypatch.setattr("sys.stdin", io.StringIO(displayed(token, made.org.url)))
    assert run(["--workspace", str(made.folder), "org", "login", "--token"]) == 0
    said = capsys.readouterr()
    assert "the credentials are in the keyring" in said.err
    assert token not in said.out + said.err
    assert ring.kept == {(KEYRING_SERVICE, made.org.url): json.dumps({"access_token": token})}
    assert not [p for p in Path(made.folder).rglob("*") if p.is_file() and token.encode() in p.read_bytes()]


def test_a_kept_token_is_used(ring: Ring) -> None:
    ring.kept[KEYRING_SERVICE, REAL.url] = json.dumps({"access_token": "00D000000000001!secret"})
    found = credentials_for(REAL)
    assert (found.access_token, found.client_id) == ("00D000000000001!secret", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is no access token"),
        ("7", "there is no access token"),
        ('{"status": 1, "message": "canary"}', "there is no access token"),
        (displayed("[REDACTED] canary", REAL.url), "there is no access token"),
        (displayed("00D000000000001!canary", "https://other.my.salesforce.com"), "the token belongs to another org"),
    ],
)
def test_what_holds_no_token_of_this_org_is_one_sentence(ring: Ring, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        keep_token(REAL, text)
    assert "canary" not in f"{caught.value} {caught.value.advice}"
    assert ring.kept == {}


def test_a_token_that_is_not_accepted_is_not_kept(ring: Ring, scratch: ScratchOrg) -> None:
    with pytest.raises(OrgError):
        keep_token(OrgSettings(kind="scratch", url=scratch.url), "00D000000000001!wrong")
    assert ring.kept == {}
