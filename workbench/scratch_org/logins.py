"""Where a running scratch org leaves its login for the same user of the same computer: a private file per port.

A scratch org makes its credentials itself, so nobody can be asked for them. The folder and the files are readable by their owner
only; whatever else is found in their place is ignored. A file left behind by a killed org is replaced by the next one on its port.
"""

import contextlib
import json
import os
import stat
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

_PRIVATE = 0o077
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def keep(facts: dict[str, str]) -> Path | None:
    """Leave an org's start-up facts for this user; returns the file, to be removed when the org stops.

    None where the folder is somebody else's: then only whoever read the start-up line can log in.
    """
    path = _path(facts["url"])
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _ours(path.parent.lstat()) or path.parent.is_symlink():
            return None
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        return path
    return None


def find(url: str) -> tuple[str, str]:
    """Client id and secret of the org at this address; two empty texts when none was left, or not by this user."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        handle = os.open(_path(url), os.O_RDONLY | _NO_LINKS)
        with os.fdopen(handle, encoding="utf-8") as file:
            if _ours(os.fstat(handle)):
                facts = json.load(file)
                return str(facts["client_id"]), str(facts["client_secret"])
    return "", ""


def _ours(found: os.stat_result) -> bool:
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and not stat.S_IMODE(found.st_mode) & _PRIVATE


def _path(url: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"workbench-scratch-orgs-{user}" / f"{urlsplit(url).port}.json"
