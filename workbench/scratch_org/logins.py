"""Where a running scratch org leaves its login for the same user of the same computer: a private file per port.

A scratch org makes its credentials itself, so nobody can be asked for them. Whoever may read this file may also read the org's
own memory; everybody else on the machine is kept out by the file's mode.
"""

import json
import os
import stat
import tempfile
from pathlib import Path
from urllib.parse import urlsplit


def keep(facts: dict[str, str]) -> Path:
    """Leave an org's start-up facts for this user; returns the file, to be removed when the org stops."""
    path = _path(facts["url"])
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(facts, file)
    return path


def find(url: str) -> tuple[str, str]:
    """Client id and secret of the org at this address; two empty texts when none was left, or not by this user."""
    path = _path(url)
    try:
        found = path.stat()
        if (hasattr(os, "getuid") and found.st_uid != os.getuid()) or stat.S_IMODE(found.st_mode) & 0o077:
            return "", ""
        facts = json.loads(path.read_text(encoding="utf-8"))
        return str(facts["client_id"]), str(facts["client_secret"])
    except (OSError, ValueError, KeyError):
        return "", ""


def _path(url: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"workbench-scratch-orgs-{user}" / f"{urlsplit(url).port}.json"
