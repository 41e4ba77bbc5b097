"""A workspace's settings: found, read once, and every mistake a sentence that names file and key."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workbench.errors import SettingsError, WorkbenchError, WorkspaceError
from workbench.settings import find_workspace, named_after, point_at, read_settings, whoami, write_new

GOOD = """\
[workspace]
name = "test"
[org]
kind = "sandbox"
url = "https://example--dev.sandbox.my.salesforce.com"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    write_new(made, name="test", kind="scratch", url="http://127.0.0.1:8000", controller="Example GmbH")
    return made


def test_a_new_workspace_reads_back_and_is_private(folder: Path) -> None:
    settings = read_settings(folder)
    assert (settings.name, settings.org.kind, settings.org.url) == ("test", "scratch", "http://127.0.0.1:8000")
    assert settings.org.opt_out_fields == ["HasOptedOutOfEmail"]
    assert settings.policy.controller == "Example GmbH"
    assert settings.database == f"sqlite:///{folder}/register.db"
    assert (settings.evidence_folder, settings.issued_folder) == (folder / "evidence", folder / "issued")
    assert {stat.S_IMODE(p.stat().st_mode) for p in (folder, folder / "evidence", folder / "issued")} == {0o700}
    assert "secret" not in (folder / "workbench.toml").read_text().replace("No secrets", "").replace("CLIENT_SECRET", "").lower()


def test_a_workspace_is_not_made_twice(folder: Path) -> None:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(WorkspaceError, match=r"^this folder already is a workspace$"):
        write_new(folder, name="other", kind="scratch", url="", controller="")
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"url": "nonsense"}, "must be an address"),
        ({"url": 'http://127.0.0.1"\nx = 1'}, "workbench.toml"),
        ({"name": "two words"}, r"workspace\.name: String should match"),
        ({"kind": "production", "url": "http://example.com"}, "a real org has an https address"),
    ],
)
def test_a_workspace_with_wrong_values_is_not_begun(tmp_path: Path, values: dict[str, str], sentence: str) -> None:
    given = {"name": "test", "kind": "scratch", "url": "", "controller": ""} | values
    with pytest.raises(SettingsError, match=sentence):
        write_new(tmp_path / "new", **given)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match=r"^the workspace can't be written \(Not a directory\)$"):
        write_new(tmp_path / "file" / "new", name="test", kind="scratch", url="", controller="")


@pytest.mark.parametrize("share", ["0", "1.01", "-0.5", '"80 %"'])
def test_a_share_of_daily_calls_is_above_none_and_at_most_all(folder: Path, share: str) -> None:
    text = (folder / "workbench.toml").read_text()
    assert read_settings(folder).org.daily_share == 0.8
    (folder / "workbench.toml").write_text(text + f"daily_share = {share}\n")
    with pytest.raises(SettingsError, match=r"^workbench.toml: org.daily_share: "):
        read_settings(folder)
    (folder / "workbench.toml").write_text(text + "daily_share = 1\n")
    assert read_settings(folder).org.daily_share == 1


@pytest.mark.parametrize("controller", ['Müller & "Söhne" GmbH', "back\\slash", "Émoji \U0001f600 Ltd"])
def test_any_controller_is_written_as_named(tmp_path: Path, controller: str) -> None:
    write_new(tmp_path / "new", name="test", kind="scratch", url="", controller=controller)
    assert read_settings(tmp_path / "new").policy.controller == controller


def test_the_workspace_is_found_by_name_by_environment_and_upwards(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    write_new(other, name="other", kind="scratch", url="", controller="")
    monkeypatch.chdir(folder / "notebooks")
    assert find_workspace() == folder
    monkeypatch.setenv("WORKBENCH_HOME", str(other))
    assert find_workspace() == other
    assert find_workspace(folder) == folder


def test_no_workspace_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match=r"^there is no workspace here or in any folder above$") as caught:
        find_workspace()
    assert "workbench init" in caught.value.advice
    with pytest.raises(WorkspaceError, match=r"^the folder named as workspace holds no workbench\.toml$"):
        find_workspace(tmp_path / "nowhere")


MISTAKES = {
    "not TOML": ("[workspace\n", r"^workbench\.toml is not valid TOML: .*line 1"),
    "no org": ('[workspace]\nname = "a"\n', r"^workbench\.toml: org: Field required$"),
    "no name": (GOOD.replace('name = "test"', ""), r"^workbench\.toml: workspace\.name: Field required$"),
    "a name that is a path": (GOOD.replace('"test"', '"../x"'), r"^workbench\.toml: workspace\.name: String should match"),
    "an unknown key": (GOOD + 'token = "x"\n', r"^workbench\.toml: org\.token: Extra inputs are not permitted$"),
    "an unknown table": (GOOD + "[nonsense]\n", r"^workbench\.toml: nonsense: Extra inputs are not permitted$"),
    "an unknown kind": (GOOD.replace('"sandbox"', '"test"'), r"^workbench\.toml: org\.kind: Input should be 'scratch', 'sandbox'"),
    "a number as text": (GOOD + "api_version = 64.0\n", r"^workbench\.toml: org\.api_version: Input should be a valid string$"),
    "no such version": (GOOD + 'api_version = "v64"\n', r"^workbench\.toml: org\.api_version: String should match"),
    "no opt-out field": (GOOD + "opt_out_fields = []\n", r"^workbench\.toml: org\.opt_out_fields: List should have at least 1"),
    "SOQL as field": (GOOD + 'opt_out_fields = ["Id FROM User"]\n', r"^workbench\.toml: org\.opt_out_fields\.0: String should match"),
    "a standard field as marker": (GOOD + 'marker_field = "Title"\n', r"^workbench\.toml: org\.marker_field: String should match"),
    "SOQL as marker": (GOOD + 'marker_field = "Id FROM x__c"\n', r"^workbench\.toml: org\.marker_field: String should match"),
    "an opt-out as marker": (
        GOOD + 'opt_out_fields = ["Out__c"]\nmarker_field = "Out__c"\n', r"org\.marker_field: .*must not be one of the opt-out fields$"
    ),
    "a secret in the proxy": (GOOD + 'proxy = "http://me:canary@proxy.example.com:1"\n', r"org\.proxy: .*no secrets in this file$"),
    "a proxy without scheme": (GOOD + 'proxy = "proxy.example.com"\n', r"org\.proxy: .*must be an address such as http://proxy"),
    "a proxy with a path": (GOOD + 'proxy = "http://proxy.example.com/x"\n', r"org\.proxy: .*must be an address such as http://proxy"),
    "authorities somewhere": (GOOD + 'ca_file = "ca.pem"\n', r"org\.ca_file: .*must be the full path of a file$"),
    "no authorities": (GOOD + f'ca_file = "{Path(__file__).as_posix()}"\n', r"org\.ca_file: .*names no file with certificates"),
    "authorities nowhere": (GOOD + 'ca_file = "/nowhere/ca.pem"\n', r"org\.ca_file: .*names no file with certificates"),
    "no address": (GOOD.replace("https://example", "example"), r"must be an address such as https://"),
    "a path behind": (GOOD.replace(".com", ".com/services"), r"must be an address such as https://"),
    "no encryption": (GOOD.replace("https", "http"), r"a real org has an https address that ends in \.salesforce\.com"),
    "a look-alike": (GOOD.replace("salesforce.com", "salesforce.com.example.org"), r"a real org has an https address"),
    "another look-alike": (GOOD.replace(".my.salesforce.com", ".notsalesforce.com"), r"a real org has an https address"),
    "a real org here": (GOOD.replace("example--dev.sandbox.my.salesforce.com", "127.0.0.1"), r"a real org has an https address"),
    "a scratch org elsewhere": (GOOD.replace('"sandbox"', '"scratch"'), r"a scratch org lives on 127\.0\.0\.1 only"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_sentence(tmp_path: Path, mistake: str) -> None:
    text, sentence = MISTAKES[mistake]
    (tmp_path / "workbench.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=sentence) as caught:
        read_settings(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_policy_names_its_file(folder: Path) -> None:
    (folder / "policy.toml").write_text("controller = 7\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"policy\.toml"):
        read_settings(folder)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"\xff\xfe[", "workbench.toml is not UTF-8 text"), (None, "the workspace has no workbench.toml")]
)
def test_a_file_that_can_not_be_read_is_one_sentence(folder: Path, content: bytes | None, sentence: str) -> None:
    path = folder / "workbench.toml"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(WorkbenchError) as caught:
        read_settings(folder)
    assert str(caught.value) == sentence


def test_a_good_file_of_a_real_org(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text(GOOD + '[register]\ndatabase = "sqlite:////srv/r.db"\n', encoding="utf-8")
    settings = read_settings(tmp_path)
    assert (settings.org.kind, settings.database) == ("sandbox", "sqlite:////srv/r.db")
    assert settings.policy.controller == ""  # nobody is eligible until it is named


def test_the_fixed_clock_is_for_scratch_orgs_only(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CLOCK", "2026-11-02T10:00:00+01:00")
    assert read_settings(folder).clock() == datetime(2026, 11, 2, 9, tzinfo=UTC)
    (tmp_path / "workbench.toml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"^WORKBENCH_CLOCK is set, but only a scratch org's workspace may have a fixed clock$"
    ):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"), [("yesterday", "is not a moment such as"), ("2026-11-02T09:00:00", "has no time zone")]
)
def test_a_clock_that_says_nothing_clear(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str) -> None:
    monkeypatch.setenv("WORKBENCH_CLOCK", text)
    with pytest.raises(SettingsError, match=sentence):
        read_settings(folder)


def test_without_it_the_clock_is_the_computer_s(folder: Path) -> None:
    clock = read_settings(folder).clock
    assert abs(clock() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock().tzinfo is UTC


def test_a_scratch_workspace_is_pointed_elsewhere_and_a_real_one_is_not(folder: Path, tmp_path: Path) -> None:
    point_at(folder, "http://127.0.0.1:9999")
    assert read_settings(folder).org.url == "http://127.0.0.1:9999"
    (tmp_path / "workbench.toml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^this workspace is bound to a real org$"):
        point_at(tmp_path, "http://127.0.0.1:9999")
    assert (tmp_path / "workbench.toml").read_text(encoding="utf-8") == GOOD


def test_the_operator_is_who_is_logged_in_and_not_what_a_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    pwd = pytest.importorskip("pwd")
    assert (whoami().name, whoami().auth) == (pwd.getpwuid(os.getuid()).pw_name, "os-user")


def test_under_a_hub_the_operator_is_the_hub_s_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert whoami().auth == "os-user"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    assert (whoami().name, whoami().auth) == ("ada", "jupyterhub")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Emails 2026", "Emails-2026"), ("žluť", "lu"), ("...", "register"), ("a" * 120, "a" * 80), ("acme.eu", "acme.eu")],
)
def test_a_workspace_is_called_after_its_folder(folder: str, name: str) -> None:
    assert named_after(Path("/somewhere") / folder) == name
