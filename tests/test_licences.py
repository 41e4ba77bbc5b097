"""No package that the workbench needs comes under a licence that nobody looked at, and the page that lists them is true."""

from __future__ import annotations

import re

import pytest
from licences import PAGE, licence, needed

FREE = {
    "0BSD", "Apache 2.0", "Apache License, Version 2.0", "Apache Software License", "Apache-2.0", "BSD License", "BSD-2-Clause",
    "BSD-3-Clause", "CC0-1.0", "ISC", "ISC License (ISCL)", "MIT", "MIT License", "MIT-0", "PSF-2.0",
    "Python Software Foundation License", "The Unlicense (Unlicense)", "Zlib",
}  # fmt: skip
"""Licences that ask for no more than that their text goes along."""
BY_FILE = {"MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"}
"""Changes to these packages' own files would have to be published; we make none."""
LINKED = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only"}
"""May be used by anybody as a library that can be exchanged, which a package installed beside us is."""


def parts(said: str) -> set[str]:
    return set(re.split(r" AND | OR |; ", said))


def test_every_licence_was_looked_at() -> None:
    found = {name: licence(name) for name in needed()}
    assert len(found) > 100, "it looked at something"
    assert {"simple-salesforce", "jupyterlab", "psycopg", "cryptography"} <= found.keys()
    unknown = {name: said for name, said in found.items() if not parts(said) <= FREE | BY_FILE and LINKED.get(name) != said}
    assert unknown == {}


@pytest.mark.parametrize("said", ["GPL-3.0-or-later", "MIT AND SSPL-1.0", "", "Proprietary"])
def test_another_one_is_noticed(said: str) -> None:
    assert not parts(said) <= FREE | BY_FILE


def test_the_page_names_each_of_them() -> None:
    """A package that only another computer or Python needs may stand there, too."""
    listed = dict(re.findall(r"^\| (\S+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    wrong = {name: said for name in needed() if listed.get(name) != (said := licence(name))}
    assert wrong == {}, "run `python tests/licences.py` and look at what changed"
