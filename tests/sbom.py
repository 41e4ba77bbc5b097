"""The bill of materials of a release: every package that a run of the workbench needs, as CycloneDX 1.6 has it.

`python tests/sbom.py FILE` writes it: the versions that are tested together, with their hashes, from `requirements.lock`, and the licences
that the packages name. The same lock makes the same bytes: no moment of making, and a serial number that is made from the lock.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import licences

LOCK = Path(__file__).parents[1] / "requirements.lock"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122's for addresses


def locked() -> dict[str, tuple[str, list[str]]]:
    """(version, SHA-256 of each of its files) by package. Where the lock has several versions, that of this Python."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in LOCK.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if match := PINNED.match(entry):
            name = licences.plain(match[1])
            if name not in found or (licences.installed(name) and metadata.version(name) == match[2]):
                found[name] = (match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


def bill() -> dict[str, Any]:
    """The bill as CycloneDX's JSON has it."""
    versions, own = locked(), metadata.version("compliance-workbench")
    about = {
        "type": "application",
        "name": "compliance-workbench",
        "version": own,
        "bom-ref": f"pkg:pypi/compliance-workbench@{own}",
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(SPACE, sha256(LOCK.read_bytes()).hexdigest())}",
        "version": 1,
        "metadata": {"component": about | {"licenses": [{"expression": "Apache-2.0"}]}},
        "components": [_component(name, *versions[name]) for name in licences.needed()],
        "dependencies": [
            {"ref": about["bom-ref"], "dependsOn": sorted(_ref(name, versions[name][0]) for name in licences.needed())}
        ],
    }


def _component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    # A hash of the package itself is that of one file; the lock has one for each file that may be installed, one for each computer.
    files = [
        {"type": "distribution", "url": _ref(name, version), "hashes": [{"alg": "SHA-256", "content": digest}]}
        for digest in hashes
    ]
    return {
        "type": "library",
        "bom-ref": _ref(name, version),
        "name": name,
        "version": version,
        "purl": _ref(name, version),
        "licenses": [{"license": {"name": licences.licence(name)}}],
        "externalReferences": files,
    }


def _ref(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def text() -> str:
    """The bill as it is written."""
    return json.dumps(bill(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
