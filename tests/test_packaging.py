"""What is handed on: a wheel that works without the source tree, and a source archive that makes the same wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

import workbench

ROOT = Path(workbench.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the source tree is not at hand")

CARRIED = (
    "workbench/py.typed",
    "workbench/verify_trail.py",
    "workbench/panels/grid.js",
    "workbench/panels/grid.css",
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


def build(source: Path, target: str, out: Path) -> Path:
    """Build without isolation and without network, by the backend that pyproject.toml names."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(words, cwd=source, check=True, capture_output=True)
    (made,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@dataclass(frozen=True)
class Installed:
    """An environment of its own that has the wheel, and borrows everything else from ours."""

    bin: Path
    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, away from the source tree."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WORKBENCH", "VIRTUAL"))}
        environment = kept | {"WORKBENCH_NO_KEYRING": "1", "PATH": f"{self.bin}{os.pathsep}{kept.get('PATH', '')}"}
        program = str(self.bin / words[0])
        return subprocess.run(
            [program, *words[1:]], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    there = Installed(folder / "env" / "bin", folder)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(there.bin / "python"),
        "install",
        "--no-index",
        "--no-deps",
        "-q",
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
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
        "Makefile",
        "requirements.lock",
        ".ci/run",
        "tests/conftest.py",
    ):
        assert (source / name).is_file(), name
    assert files(build(source, "wheel", tmp_path / "again")) == files(wheel)


def test_the_lock_names_no_index_and_hashes_everything() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    blocks = text.replace("\\\n", " ").strip().splitlines()
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block and "==" in block for block in blocks)
