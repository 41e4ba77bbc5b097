"""The clients from npm, installed once a session."""

from collections.abc import Callable
from typing import Any

import pytest

from .installation import install, run


@pytest.fixture(scope="session")
def node() -> Callable[[str, Any], Any]:
    """Runs a script of this folder with Node: order in, result out, both as JSON. Skips without Node or a network."""
    install()
    return run
