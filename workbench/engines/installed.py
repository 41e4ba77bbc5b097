"""Whether what an engine needs is installed, said before anything is begun."""

from __future__ import annotations

from importlib.util import find_spec

from workbench.errors import InputError

EXTRA = "Install it: pip install 'compliance-workbench[engines]'."


def needs(package: str, advice: str = EXTRA) -> None:
    """Make sure that a package is there.

    Raises:
        InputError: it is not; ``advice`` is how to install it.
    """
    if find_spec(package) is None:
        raise InputError(f"the package {package} is not installed", advice)
