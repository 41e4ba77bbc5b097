"""Personal data stays where it belongs: in the register, in what is asked for on stdout, in the trail's erasable payloads.

Canary names and addresses go through the whole job by the command line; afterwards nothing of them may be found in talk, errors,
lock files, settings, notebooks, masked reports, or the part of the trail that can never be erased.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import World, lead_id, org_line, worlds

from workbench.person import salesforce_id_18

CANARY = "kanarienvogel"
ADDRESS = f"{CANARY}.anna@example.com"
RECORD = salesforce_id_18(lead_id(1))
PEOPLE = f"""Person ID,Salesforce ID,First Name,Last Name,Company,Email ID,Unsubscribed,Unsubscribed At,Unsubscribe Source
SC-1,{RECORD},{CANARY}-first,{CANARY}-last,{CANARY}-company,{ADDRESS},Yes,2026-03-01T12:00:00+00:00,Clicked Link
SC-2,,{CANARY}-first,{CANARY}-last,,{CANARY}@@example.com,No,,
"""
CONSENTS = f"""Person ID,Email,Given At,Purpose,Method,Notice Text,Notice Version,Jurisdiction,Evidence
SC-1,{ADDRESS},2026-06-01T10:30:00+00:00,sales_email,paper,Send me news,2026-05,GB,form.pdf
"""


class Job:
    """The command line on one workspace; keeps everything that was said on stderr."""

    def __init__(self, world: World) -> None:
        self.world, self.said = world, ""

    def __call__(self, *words: str | Path, code: int | None = 0) -> str:
        command = [sys.executable, "-m", "workbench", "--workspace", str(self.world.folder), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=300, check=False)
        self.said += done.stderr
        assert code is None or done.returncode == code, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the job's files lie."""
    return tmp_path_factory.mktemp("privacy")


@pytest.fixture(scope="module")
def job(folder: Path) -> Iterator[Job]:
    """The whole job done once, on people whose every text is a canary."""
    with worlds(folder) as world:
        yield _done(world, folder)


def _done(world: Callable[..., World], folder: Path) -> Job:
    made = world(
        org_line("Lead", lead_id(1), ADDRESS, opted_out=True, FirstName=f"{CANARY}-first", LastName=f"{CANARY}-last"),
        org_line("Lead", lead_id(2), f"{CANARY}.orphan@example.com", opted_out=True, LastName=f"{CANARY}-last"),
    )
    (folder / "people.csv").write_text(PEOPLE)
    (folder / "consents.csv").write_text(CONSENTS)
    (folder / "evidence").mkdir()
    (folder / "evidence" / "form.pdf").write_bytes(b"%PDF-1.4 signed")
    job = Job(made)
    job("import", "people", folder / "people.csv", code=1)
    job("import", "consents", folder / "consents.csv", "--evidence", folder / "evidence")
    job("org", "pull")
    job("mismatches", code=1)
    job("batch", "propose", "--where", f"text={CANARY}", "--where", "unsubscribed=yes", "--reason", "signed_form")
    batch = str(made.wb.batches()["batch_id"].iloc[0])
    job("batch", "approve", batch, "--digest", made.wb.plan(batch).digest)
    job("batch", "run", batch)
    job("sync", code=None)
    job("followup")
    job("report", "run", "mismatch-review", "-p", "personal_data=masked")
    return job


def test_talk_and_errors_carry_ids_only(job: Job, folder: Path) -> None:
    job("person", f"{CANARY}.nobody@example.com", code=2)
    job("unsubscribe", f"{CANARY}.nobody@example.com", "--source", "manual", code=2)
    job("import", "people", folder / f"{ADDRESS}.csv", code=2)
    job("people", "--where", f"salesforce={CANARY}", code=2)
    job.world.org.stop()
    job("org", "pull", code=2)
    job("batch", "propose", "--where", f"text={CANARY}", "--reason", "signed_form", code=2)
    said = job.said.replace(f"{ADDRESS}.csv", "the file the operator named")
    assert said
    assert CANARY not in said.lower()


def test_what_was_asked_for_is_on_stdout(job: Job) -> None:
    """The canaries went through: an empty search elsewhere means something."""
    assert ADDRESS in job("person", ADDRESS)
    assert ADDRESS in job("people")


def test_the_trails_permanent_part_has_no_canary(job: Job) -> None:
    with sqlite3.connect(job.world.folder / "register.db") as db:
        leaves = [bytes(row[0]).lower() for row in db.execute("SELECT leaf_bytes FROM trail_event")]
        notes = [row[0].lower() for row in db.execute("SELECT note FROM trail_checkpoint")]
    assert len(leaves) > 10
    assert not any(CANARY.encode() in leaf for leaf in leaves)
    assert not any(CANARY in note for note in notes)


def test_files_beside_the_register_have_no_canary(job: Job) -> None:
    own = ("register.db", "register.db-wal", "register.db-shm")
    files = [p for p in job.world.folder.rglob("*") if p.is_file() and p.name not in own]
    assert any(p.suffix == ".html" for p in files)
    found = [
        str(p.relative_to(job.world.folder))
        for p in files
        if CANARY.encode() in p.read_bytes().lower() or CANARY in str(p).lower()
    ]
    assert found == []
