"""Builds of the package, and environments in which it is installed, for the tests of what is handed on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


def build(source: Path, target: str, out: Path, **environment: str) -> Path:
    """Build without isolation and without network, by the backend that pyproject.toml names; returns the file.

    ``target`` is ``wheel`` or ``sdist``; ``out`` is a folder that holds nothing else of the kind.
    """
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(words, cwd=source, env=os.environ | environment, check=True, capture_output=True)
    (made,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def pip(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Our pip at work for the interpreter of another environment, which needs none of its own."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def versions(lock: Path) -> str:
    """The exact versions of a lock as constraints for pip: its hashes left out, with which pip would want one of our wheel, too."""
    lines = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return "".join(re.sub(r"\s*--hash=\S+", "", line) + "\n" for line in lines)


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and a folder away from the source tree in which its programs run."""

    bin: Path
    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, without anything of ours in its environment variables."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WORKBENCH", "VIRTUAL"))}
        environment = kept | {"WORKBENCH_NO_KEYRING": "1", "PATH": f"{self.bin}{os.pathsep}{kept.get('PATH', '')}"}
        program = str(self.bin / words[0])
        return subprocess.run(
            [program, *words[1:]], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
