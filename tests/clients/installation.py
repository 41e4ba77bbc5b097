"""The npm packages of this folder, installed once, exactly as package-lock.json has them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
_LOCK = HERE / "package-lock.json"
_COPY = MODULES / ".package-lock.as-installed.json"
_OLDEST_NODE = 18
_NO_NETWORK = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED|network request|E5\d\d"
)
_COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")


def install() -> None:
    """Have the packages in ``node_modules`` here; does nothing when the lock hasn't changed since the last time.

    Skips the calling test when Node or npm is missing or too old, or when there is no network. Anything else that goes
    wrong, such as a package whose checksum differs from the lock's, fails it.
    """
    _need_node()
    with FileLock(HERE / ".install.lock"):
        if _COPY.exists() and _COPY.read_bytes() == _LOCK.read_bytes():
            return
        try:
            done = subprocess.run(_COMMAND, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm ci didn't end within five minutes: the clients from npm aren't here")
        if done.returncode:
            said = " | ".join(line for line in done.stderr.splitlines() if "error" in line)
            if _NO_NETWORK.search(said):
                pytest.skip("There is no network, so the clients from npm can't be installed")
            pytest.fail(f"npm ci failed in tests/clients: {said[:1000]}")
        shutil.copyfile(_LOCK, _COPY)


def _need_node() -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip(f"Node {_OLDEST_NODE} or newer and npm are needed for the clients from npm")
    said = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout.strip()
    if int(said.lstrip("v").split(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"Node {_OLDEST_NODE} or newer is needed for the clients from npm; this is {said}")


def run(script: str, order: Any) -> Any:
    """What a script of this folder prints as JSON, given an order as JSON on its standard input."""
    done = subprocess.run(
        ("node", str(HERE / script)),
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
