"""The bill of materials names every package that a run needs, as it is installed, with its hashes, and nothing of where it came from."""

from __future__ import annotations

import re
from importlib import metadata

import licences
import sbom


def test_every_package_that_a_run_needs_is_in_it_as_it_is_installed() -> None:
    components = {one["name"]: one for one in sbom.bill()["components"]}
    assert sorted(components) == licences.needed()
    assert len(components) > 100
    for name, one in components.items():
        assert one["version"] == metadata.version(name), name
        hashes = [each["content"] for file in one["externalReferences"] for each in file["hashes"]]
        assert hashes
        assert set(hashes) <= set(re.findall(r"sha256:([0-9a-f]{64})", sbom.LOCK.read_text(encoding="utf-8")))
        assert one["licenses"][0]["license"]["name"]


def test_it_has_what_cyclonedx_asks_for() -> None:
    """CycloneDX 1.6 (ECMA-424): what is required, of which form, and that references lead somewhere."""
    bill = sbom.bill()
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", bill["serialNumber"])
    named = [bill["metadata"]["component"], *bill["components"]]
    refs = [one["bom-ref"] for one in named]
    assert len(refs) == len(set(refs))
    for one in named:
        assert one["type"] in ("application", "library")
        assert one["bom-ref"] == f"pkg:pypi/{one['name']}@{one['version']}"
    for link in bill["dependencies"]:
        assert {link["ref"], *link["dependsOn"]} == set(refs)


def test_the_same_lock_makes_the_same_bytes_without_an_index_in_them() -> None:
    assert sbom.text() == sbom.text()
    addresses = set(re.findall(r"https?://[^\"]+", sbom.text()))
    assert addresses == {"http://cyclonedx.org/schema/bom-1.6.schema.json"}
