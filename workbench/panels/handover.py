"""Handing people from one notebook to the next: a small file of person ids in the workspace, no addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import InputError
from workbench.said import said

FILE = "selection.json"
MOST_PEOPLE = 30_000
UNREADABLE = said("the selection that was left for the batch can't be read")
AGAIN = said("Select the people again.")
PERSON_ID = re.compile(r"[0-9a-f-]{36}")


def leave(workspace: Path, person_ids: Sequence[str]) -> Path:
    """Keep the ids for whoever opens the batch notebook next; replaces an earlier selection.

    Raises:
        InputError: nobody, or more people than a selection may hold.
    """
    if not person_ids:
        raise InputError(said("nobody is selected"), said("Tick some people, or press the button that selects all matching."))
    if len(person_ids) > MOST_PEOPLE:
        raise InputError(said("a selection holds at most {most} people", most=MOST_PEOPLE), said("Narrow the filters first."))
    beside = workspace / f"{FILE}.new"
    beside.write_text(json.dumps({"person_ids": list(person_ids)}), encoding="ascii")
    return beside.replace(workspace / FILE)


def take(workspace: Path) -> tuple[str, ...]:
    """The ids that were left; nobody where there is no file.

    Raises:
        InputError: the file is not what `leave` writes.
    """
    try:
        found = json.loads((workspace / FILE).read_text(encoding="utf-8"))["person_ids"]
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(UNREADABLE, AGAIN) from None
    if not isinstance(found, list) or not all(isinstance(i, str) and PERSON_ID.fullmatch(i) for i in found):
        raise InputError(UNREADABLE, AGAIN)
    return tuple(found)
