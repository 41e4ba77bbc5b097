"""Under which licence each package comes that a run of the workbench needs, as its own metadata says.

`python tests/licences.py` writes docs/licences.md; `tests/test_licences.py` tells when it is no longer true.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"
HEAD = """# Licences

Of every package that comes with the workbench and its extras, as the package itself names it. Made by `python tests/licences.py` from
what is installed; a test refuses licences that are not on its list. Nothing of these packages is copied into the workbench: they are
installed beside it.

| package | licence |
|---|---|
"""


def needed(name: str = "compliance-workbench") -> list[str]:
    """The packages that a distribution and all its extras need, and those need, by name; itself left out."""
    found: dict[str, None] = {}
    waiting = [(name, frozenset(metadata.metadata(name).get_all("Provides-Extra", [])))]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for text in metadata.requires(one[0]) or ():
            requirement = Requirement(text)
            if any(applies(requirement, extra) for extra in ("", *one[1])) and installed(requirement.name):
                found[plain(requirement.name)] = None
                waiting.append((plain(requirement.name), frozenset(requirement.extras)))
    return sorted(found)


def applies(requirement: Requirement, extra: str) -> bool:
    """Whether it is needed on this computer, with this extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def installed(name: str) -> bool:
    """Whether a distribution of this name is there."""
    try:
        metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def plain(name: str) -> str:
    """A name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str) -> str:
    """What a package says of its licence: the expression, else the classifiers, else the first line of the field."""
    said = metadata.metadata(name)
    if expression := said.get("License-Expression"):
        return str(expression)
    classified = [line.rsplit(" :: ", 1)[-1] for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    return "; ".join(classified) or str(said.get("License") or "").partition("\n")[0]


def page() -> str:
    """The page as it is true of this environment."""
    return HEAD + "".join(f"| {name} | {licence(name)} |\n" for name in needed())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
