"""Credentials stay where they belong: the environment of the process that logs in, and the org.

The whole job runs on a token that is known to the test, and every other kind of credential is tried with a value that the org refuses.
Afterwards none of them may be found in what was said, in any file of the workspace, of the home or of the folder for temporary files,
nor in the arguments or the environment of a process that has no business with Salesforce.
"""

from __future__ import annotations

import ast
import base64
import gzip
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import World, contact_id, lead_id, org_line, worlds
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from workbench import environment
from workbench.environment import without_secrets
from workbench.reports import pdf
from workbench.scratch_org.process import start_scratch_org

REFUSED = {
    "a client secret": {"CLIENT_ID": "canary-client-id", "CLIENT_SECRET": "canary-client-secret-7f3a"},
    "a token": {"ACCESS_TOKEN": "00D0000000CANARY!canary.access.token.91c2"},
    "a password": {
        "USERNAME": "canary@example.org",
        "PASSWORD": "canary-password-44d1",
        "SECURITY_TOKEN": "canary-security-token-08",
    },
}
SECRETS = ("CLIENT_SECRET", "ACCESS_TOKEN", "PASSWORD", "SECURITY_TOKEN")
OTHER_SERVERS = {"PGPASSWORD": "canary-register-password-5e17", "JUPYTER_TOKEN": "canary-notebook-token-b3c9"}
OTHER_SERVERS["VOILA_REQUEST_URL"] = f"http://127.0.0.1:8888/?token={OTHER_SERVERS['JUPYTER_TOKEN']}"
"""What the environment of every command holds besides."""
CRONTAB = """#!/bin/sh
sleep 0.2  # long enough to be looked at
[ "$1" = -l ] || exec cat >/dev/null
"""


@dataclass
class Job:
    """The command line with a home and a folder for temporary files of its own; keeps what was said, and looks at its children."""

    world: World
    home: Path
    erased: str
    """A person who asks to be forgotten, which makes the workspace's second key."""
    said: str = ""
    seen: dict[str, bytes] = field(default_factory=dict, repr=False)
    """The arguments and the environment of every process below a command's own, by what it runs."""

    def __call__(self, *words: str, **given: str) -> int:
        env = {name: value for name, value in without_secrets(os.environ).items() if name != "WORKBENCH_HOME"}
        env |= {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), "IPYTHONDIR": str(self.home / "ipython")}
        env |= OTHER_SERVERS | {f"WORKBENCH_{name}": value for name, value in given.items()}
        env["PATH"] = f"{self.home / 'bin'}{os.pathsep}{env['PATH']}"
        command = [sys.executable, "-m", "workbench", "--workspace", str(self.world.folder), *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as running:
            while running.poll() is None:
                self._look(running.pid)
                time.sleep(0.02)
            assert running.stdout is not None
            self.said += running.stdout.read()
        return running.returncode

    def _look(self, process: int) -> None:
        for child in _below(process):
            try:
                words, env = Path(f"/proc/{child}/cmdline").read_bytes(), Path(f"/proc/{child}/environ").read_bytes()
            except OSError:  # it has ended
                continue
            # Between fork and exec it still has our own; Python's `platform` asks the system's `uname` with what it has itself.
            if words and b"-m\0workbench\0" not in words and words != b"uname\0-p\0":
                self.seen[words.decode(errors="replace")] = words + env


def _below(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _below(child)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "home" / "tmp").mkdir(parents=True)
    (folder / "home" / "bin").mkdir()
    (folder / "home" / "bin" / "crontab").write_text(CRONTAB, encoding="utf-8")
    (folder / "home" / "bin" / "crontab").chmod(0o755)
    with worlds(folder) as world:
        made = world(
            org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
            org_line("Contact", contact_id(2), "bob@example.com", opted_out=True),
        )
        made.consent(made.person("ann@example.com"))
        made.person("bob@example.com")
        yield Job(made, folder / "home", erased=made.person("cleo@example.com"))


def printer() -> str | None:
    return next((found for name in pdf.NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def token(job: Job) -> str:
    """The whole job done once on a token that the org takes."""
    made = str(job.world.org.control("/tokens", {})["access_token"])
    given = {"ACCESS_TOKEN": made}
    assert job("org", "check", **given) in (0, 1)
    assert job("org", "pull", **given) == 0
    assert job("batch", "propose", "--where", "unsubscribed=yes", "--reason", "signed_form", **given) in (0, 1)
    batch = str(job.world.wb.batches()["batch_id"].iloc[0])
    assert job("batch", "approve", batch, "--digest", job.world.wb.plan(batch).digest, **given) == 0
    assert job("batch", "run", batch, **given) == 1  # Bob has no consent
    assert job("sync", **given) in (0, 1)
    assert job("followup", **given) in (0, 1)
    assert job("report", "run", "mismatch-review", *(["--pdf"] if printer() else []), **given) == 0
    assert job("report", "schedule", "mismatch-review", "--daily", "--at", "06:00", "--with", "cron", **given) == 0
    assert job("trail", "export", str(job.home / "export"), **given) == 0
    assert job("erase", job.erased, "--yes", **given) in (0, 1)
    assert job("backup", str(job.home / "backup.zip"), **given) == 0
    return made


def files(job: Job) -> Iterator[Path]:
    return (path for folder in (job.world.folder, job.home) for path in folder.rglob("*") if path.is_file())


def unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if content.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            return content + b"".join(archive.read(name) for name in archive.namelist())
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def found(job: Job, secret: str) -> list[str]:
    told = secret.encode()
    places = [str(path) for path in files(job) if told in unpacked(path)]
    places += ["what was said"] if secret in job.said else []
    return places + [words for words, whole in job.seen.items() if told in whole]


def test_a_token_that_works_is_found_nowhere(job: Job, token: str) -> None:
    assert len(list(files(job))) > 20
    assert "mismatch-review" in " ".join(map(str, files(job)))
    assert found(job, token) == []
    assert found(job, token.partition("!")[2]) == []


def test_the_kernel_of_a_report_was_looked_at_and_held_no_credential(job: Job, token: str) -> None:
    assert token
    kernels = [whole for words, whole in job.seen.items() if "ipykernel_launcher" in words]
    assert kernels
    assert all(b"WORKBENCH_HOME" in whole and b"WORKBENCH_ACCESS_TOKEN" not in whole for whole in kernels)


@pytest.mark.parametrize("kind", REFUSED)
def test_one_that_the_org_refuses_is_found_nowhere(job: Job, token: str, kind: str) -> None:
    assert token
    for words in (
        ["org", "check"],
        ["org", "pull"],
        ["sync"],
        ["--debug", "org", "pull"],
        ["report", "run", "trail-verification"],
    ):
        before = len(job.said)
        ended = job(*words, **REFUSED[kind])
        assert ended == (0 if words[0] == "report" else 2) or words == ["org", "check"], job.said[before:]
    assert "Traceback" in job.said  # --debug showed one, and that was searched as well
    for name in SECRETS:
        if secret := REFUSED[kind].get(name):
            assert found(job, secret) == []


def test_a_private_key_that_the_org_refuses_is_found_nowhere(job: Job, token: str, tmp_path: Path) -> None:
    assert token
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form).decode()
    (tmp_path / "key.pem").write_text(pem, encoding="utf-8")
    (tmp_path / "key.pem").chmod(0o600)
    given = {"CLIENT_ID": "canary", "USERNAME": "canary@example.org", "JWT_KEY_FILE": str(tmp_path / "key.pem")}
    before = len(job.said)
    for words in (["org", "pull"], ["--debug", "org", "pull"]):
        assert job(*words, **given) == 2
    assert "Traceback" in job.said[before:]
    for line in pem.splitlines()[1:-1]:
        assert found(job, line) == []


def test_no_child_but_a_reports_kernel_gets_any_secret(job: Job, token: str) -> None:
    """The kernel reads the register, and logs in to its server as whoever started the report."""
    seen = {words: whole for words, whole in job.seen.items() if "ipykernel_launcher" not in words}
    assert any("crontab" in words for words in seen)
    assert any("--print-to-pdf" in words for words in seen) or not printer()
    assert [
        words for words, whole in seen.items() for secret in (token, *OTHER_SERVERS.values()) if secret.encode() in whole
    ] == []
    assert all(OTHER_SERVERS["JUPYTER_TOKEN"].encode() not in whole for whole in job.seen.values())


def test_passwords_of_other_servers_are_found_nowhere(job: Job, token: str) -> None:
    assert token
    for secret in OTHER_SERVERS.values():
        assert [place for place in found(job, secret) if "ipykernel_launcher" not in place] == []


@pytest.mark.parametrize("file", ["trail.key", "suppression.key"])
def test_a_key_of_the_workspace_is_in_its_file_and_in_its_backup_alone(job: Job, token: str, file: str) -> None:
    assert token
    text = (job.world.folder / file).read_text(encoding="ascii").strip()
    secret = text.split("+", 4)[-1] if text.startswith("PRIVATE+KEY+") else text
    assert len(secret) >= 32
    assert sorted(found(job, secret)) == sorted(map(str, (job.world.folder / file, job.home / "backup.zip")))
    for form in (bytes.fromhex, base64.b64decode):
        try:
            raw = form(secret)
        except ValueError:
            continue
        elsewhere = [path for path in files(job) if path.name not in (file, "backup.zip")]
        assert not [str(path) for path in elsewhere if raw in unpacked(path) or raw[-32:].hex().encode() in unpacked(path)]


def test_the_org_that_is_started_for_practice_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    given = OTHER_SERVERS | {f"WORKBENCH_{name}": f"canary-{name}" for name in SECRETS}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with start_scratch_org() as org:
        env = Path(f"/proc/{org.process.pid}/environ").read_bytes()
        assert b"PATH=" in env
        assert [name for name, value in given.items() if value.encode() in env] == []


def test_every_process_of_the_house_is_given_an_environment_on_purpose() -> None:
    house = Path(environment.__file__).parent
    starts = {
        f"{path.relative_to(house)}:{node.lineno}": any(keyword.arg == "env" for keyword in node.keywords)
        for path in house.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.Popen", "subprocess.run", "subprocess.call")
    }
    assert len(starts) >= 6
    assert [place for place, given in starts.items() if not given] == []


def test_a_search_finds_what_is_there(job: Job, token: str) -> None:
    """The searches above mean something: what is in a file, in what was said, or with a child is found."""
    planted = job.home / "tmp" / "planted"
    planted.write_text(f"x{token}x", encoding="utf-8")
    assert found(job, token) == [str(planted)]
    planted.unlink()
    job.seen["child"] = token.encode()
    assert found(job, token) == ["child"]
    del job.seen["child"]
