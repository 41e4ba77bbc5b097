"""What is handed on: a wheel that works without the source tree, and a source archive that makes the same wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
from packages import Installed, build, pip, versions

import workbench

ROOT = Path(workbench.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the source tree is not at hand")

CARRIED = (
    "workbench/py.typed",
    "workbench/verify_trail.py",
    "workbench/lab/jupyter/labextensions/compliance-workbench/package.json",
    "workbench/lab/jupyter/labextensions/compliance-workbench/static/cards.js",
    "workbench/lab/jupyter/voila/templates/workbench/conf.json",
    "workbench/lab/jupyter/voila/templates/workbench/index.html.j2",
    "workbench/lab/jupyter/voila/templates/workbench/page.html",
    "workbench/panels/grid.js",
    "workbench/panels/grid.css",
    "workbench/locale/de/LC_MESSAGES/workbench.mo",
    "workbench/locale/de/LC_MESSAGES/workbench.po",
    "workbench/reports/paper/index.html.j2",
    "workbench/reports/paper/report.css",
    "workbench/store/migrations/env.py",
    "workbench/store/migrations/script.py.mako",
    "workbench/store/migrations/versions/0001_register.py",
    "workbench/shipped/reports/consent-register.ipynb",
    "workbench/shipped/reports/mismatch-review.ipynb",
    "workbench/shipped/reports/monthly-compliance.ipynb",
    "workbench/shipped/reports/person-history.ipynb",
    "workbench/shipped/reports/resubscription-audit.ipynb",
    "workbench/shipped/reports/trail-verification.ipynb",
    "workbench/shipped/notebooks/00-start-here.ipynb",
    "workbench/shipped/notebooks/01-review-unsubscribed.ipynb",
    "workbench/shipped/notebooks/02-batch-resubscribe.ipynb",
    "workbench/shipped/notebooks/03-mismatches.ipynb",
    "workbench/shipped/notebooks/04-audit-trail.ipynb",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment of its own that has the wheel, and borrows everything else from ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    there = Installed(folder / "env" / "bin", folder)
    pip(there.bin / "python", "install", "--no-index", "--no-deps", "-q", str(wheel)).check_returncode()
    site = next((folder / "env").glob("lib/python*/site-packages"))
    # After the installation, or pip would find our own editable one and remove it. A path in a .pth file brings the packages
    # that lie there, but not that folder's own .pth files: the source tree stays out of reach.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return there


def test_the_wheel_carries_all_that_the_product_reads(wheel: Path) -> None:
    assert set(CARRIED) - files(wheel) == set()


def test_the_wheel_carries_the_package_and_nothing_else(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in files(wheel)}
    assert folders == {"workbench", f"compliance_workbench-{workbench.__version__}.dist-info"}
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "workbench").rglob("*.py")}
    assert {name for name in files(wheel) if name.endswith(".py")} == modules


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = f"compliance_workbench-{workbench.__version__}.dist-info"
        said = Parser().parsestr(archive.read(f"{about}/METADATA").decode())
        entries = archive.read(f"{about}/entry_points.txt").decode()
        assert f"{about}/licenses/LICENSE" in archive.namelist()
    assert (said["Version"], said["License-Expression"], said["Requires-Python"]) == (
        workbench.__version__,
        "Apache-2.0",
        ">=3.11",
    )
    assert "workbench = workbench.__main__:main" in entries
    assert not [need for need in said.get_all("Requires-Dist") or () if need.startswith(("pytest", "ruff", "mypy"))]


def test_it_is_the_wheel_that_runs_there(installed: Installed) -> None:
    found = installed.run("python", "-c", "import workbench; print(workbench.__file__)").stdout
    assert found.startswith(str(installed.folder)), found


def test_the_command_works_there(installed: Installed) -> None:
    done = installed.run("workbench", "--help")
    assert (done.returncode, "Commands:" in done.stdout) == (0, True), done.stderr
    made = installed.run("workbench", "init", "workspace", "--controller", "Example GmbH")
    assert made.returncode == 0, made.stderr
    verified = installed.run("workbench", "--workspace", "workspace", "trail", "verify")
    assert verified.returncode == 0, verified.stderr
    assert "The trail is intact" in verified.stdout


def test_shipped_notebooks_and_templates_are_found_there(installed: Installed) -> None:
    listed = installed.run("workbench", "report", "list")
    assert listed.returncode == 0, listed.stderr
    assert "resubscription-audit" in listed.stdout
    assert "mismatch-review" in listed.stdout
    prepare = "from pathlib import Path; from workbench import lab; Path('work').mkdir(); lab.prepare(Path('work').resolve())"
    assert installed.run("python", "-c", prepare).stderr == ""
    copied = sorted(p.name for p in (installed.folder / "work" / "notebooks").glob("*.ipynb"))
    assert copied == sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))


def test_a_scratch_org_starts_there(installed: Installed) -> None:
    start = (
        "from workbench.scratch_org.process import start_scratch_org\n"
        "with start_scratch_org(people=3) as org: print(org.control('/state') is not None)"
    )
    assert installed.run("python", "-c", start).stdout.strip() == "True"


def test_the_verifier_runs_there_alone(installed: Installed, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extract("workbench/verify_trail.py", tmp_path)
    done = installed.run("python", "-I", "-S", str(tmp_path / "workbench" / "verify_trail.py"), "--help")
    assert done.returncode == 0, done.stderr


def test_the_source_archive_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    for name in (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "SECURITY.md",
        "Makefile",
        "requirements.lock",
        ".ci/run",
        "tests/conftest.py",
    ):
        assert (source / name).is_file(), name
    assert files(build(source, "wheel", tmp_path / "again")) == files(wheel)


def emptied(folder: Path, wheel: Path, python: str) -> Installed:
    """An environment that held nothing: the wheel, and what its own metadata asks for, in the locked versions."""
    subprocess.run([python, "-m", "venv", "--without-pip", "--symlinks", str(folder / "env")], check=True)
    there = Installed(folder / "env" / "bin", folder)
    (folder / "versions.txt").write_text(versions(ROOT / "requirements.lock"), encoding="utf-8")
    constrained = ("install", "-q", "-c", str(folder / "versions.txt"))
    if pip(there.bin / "python", *constrained, "--dry-run", "--no-deps", "rfc8785").returncode:
        pytest.skip("pip reaches no package index here: the wheel's dependencies can't be installed")
    done = pip(there.bin / "python", *constrained, "--no-compile", str(wheel))
    assert done.returncode == 0, done.stderr
    return there


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("empty")
    yield emptied(folder, wheel, sys.executable)
    shutil.rmtree(folder)  # it is half a gigabyte, and pytest keeps the folders of three runs


def test_the_empty_environment_has_the_run_s_packages_and_no_other(empty: Installed) -> None:
    listed = pip(empty.bin / "python", "list", "--format=freeze").stdout.split()
    names = {line.partition("==")[0].lower() for line in listed}
    assert {"compliance-workbench", "jupyterlab", "sqlalchemy"} <= names
    assert names & {"pip", "pytest", "hatchling", "psycopg", "playwright", "ruff", "mypy", "mkdocs"} == set()
    assert pip(empty.bin / "python", "check").stdout.strip() == "No broken requirements found."


def test_a_clean_environment_with_only_the_wheel_finishes_the_demo(empty: Installed) -> None:
    done = empty.run("workbench", "demo", "demo", "--no-lab")
    assert done.returncode == 0, done.stdout + done.stderr
    *_, audit, review, verdict = done.stdout.splitlines()
    assert re.fullmatch(r"The audit trail verifies: \d+ events\.", verdict)
    reports = [Path(line.removeprefix("Report issued: ")) for line in (audit, review)]
    assert [page.parent.name.partition("-2")[0] for page in reports] == ["resubscription-audit", "mismatch-review"]
    assert all(page.parents[2] == empty.folder / "demo" / "workspace" for page in reports)
    assert "79 of 120 people resubscribed; 40 refused; 1 opted out again meanwhile and kept opted out." in done.stdout
    assert "1 of 1 people who opted out meanwhile are opted out on both sides." in done.stdout
    for page in reports:
        verified = empty.run("workbench", "--workspace", "demo/workspace", "report", "verify", str(page))
        assert (verified.returncode, verified.stdout.startswith("Unchanged: ")) == (0, True), verified.stdout
    trail = empty.run("workbench", "--workspace", "demo/workspace", "trail", "verify")
    assert (trail.returncode, "The trail is intact" in trail.stdout) == (0, True), trail.stdout + trail.stderr


def newer(version: str) -> str:
    """The interpreter of another version: on the PATH, or one of those that WORKBENCH_PYTHONS names; skips where there is none."""
    named = os.environ.get("WORKBENCH_PYTHONS", "").split(os.pathsep)
    asked = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for python in filter(None, [shutil.which(f"python{version}"), *named]):
        if subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False).stdout.strip() == version:
            return python
    pytest.skip(f"there is no Python {version} here (WORKBENCH_PYTHONS may name one)")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_a_clean_environment_of_a_newer_python_finishes_the_demo(version: str, wheel: Path, tmp_path: Path) -> None:
    there = emptied(tmp_path, wheel, newer(version))
    assert there.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip() == version
    done = there.run("workbench", "demo", "demo", "--no-lab")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "79 of 79 resubscribed people are opted in on both sides." in done.stdout
    assert re.fullmatch(r"The audit trail verifies: \d+ events\.", done.stdout.splitlines()[-1])
    shutil.rmtree(tmp_path / "env")


def test_a_register_on_a_server_needs_an_extra_and_says_so(empty: Installed) -> None:
    made = empty.run("workbench", "init", "team", "--controller", "Example GmbH", "--database", "postgresql://db.example.com/r")
    assert made.returncode == 2
    assert made.stderr.splitlines() == [
        "workbench: The driver for PostgreSQL is not installed.",
        "  Install it: pip install 'compliance-workbench[postgres]'.",
    ]
    assert not (empty.folder / "team").exists()


def test_two_builds_anywhere_at_any_time_are_the_same_bytes(tmp_path: Path) -> None:
    """In folders of other names, from files with other times and permissions, from a checkout and from its source archive."""
    moment = {"SOURCE_DATE_EPOCH": "1793577600"}
    first = {target: build(ROOT, target, tmp_path / "first", **moment) for target in ("sdist", "wheel")}
    with tarfile.open(first["sdist"]) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    source = Path(shutil.move(unpacked, tmp_path / "another-name"))
    for number, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        path.chmod(0o600 | path.stat().st_mode & 0o100)
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
    for target, before in first.items():
        again = build(source, target, tmp_path / "again", **moment)
        assert again.name == before.name
        assert again.read_bytes() == before.read_bytes(), target


def test_the_lock_names_no_index_and_hashes_everything() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    blocks = text.replace("\\\n", " ").strip().splitlines()
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block and "==" in block for block in blocks)
