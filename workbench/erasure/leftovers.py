"""Files that still name an erased person: what to look for, and where it stands.

Looks for addresses as bytes, whatever the kind of file: as they are, in UTF-16, and as JSON, web addresses and HTML write them. What
is packed (zip, streams of a PDF, base64) can't be looked into; who keeps such files has to know.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

# What may stand before an address without being part of it, where the byte itself could be one: \\n in JSON, %3A in a web address.
BEFORE = rb"(?:(?<![a-z0-9._%+\-\x80-\xff])|(?<=\\[nrt])|(?<=%[0-9a-f]{2}))"
BEHIND = rb"(?![a-z0-9-])"


def forms(addresses: Iterable[str]) -> tuple[bytes, ...]:
    """Every form, in lower case, in which these addresses may stand in a file."""
    found: set[bytes] = set()
    for address in {a for some in addresses for a in (some, some.lower())} - {""}:
        texts = {address, json.dumps(address)[1:-1], html.escape(address), quote(address, safe=""), quote(address, safe="@")}
        texts |= {address.replace("@", at) for at in ("&#64;", "&#x40;", "&commat;", "\\u0040")}
        found |= {text.encode("utf-8", "surrogatepass") for text in texts}
        found |= {address.encode(code, "surrogatepass") for code in ("utf-16-le", "utf-16-be")}
    return tuple(sorted({form.lower() for form in found}))


def files_holding(folder: Path, wanted: Collection[bytes], *, but: Collection[Path] = ()) -> Iterator[Path]:
    """The files below a folder that hold one of the forms, or have it in their name, in order of their paths.

    In a text only an address of its own counts; in other files a part of a longer one does, too: nothing there tells the two apart.
    """
    for path in sorted(folder.rglob("*")):
        content = _content(path) if path not in but else None
        if content is None:
            continue
        if any(form in content for form in wanted) if b"\x00" in content else _whole(content, wanted):
            yield path


def names_one(folder: Path, wanted: Collection[bytes]) -> bool:
    """Whether a file below a folder holds one of the forms as an address of its own, not as a part of a longer one."""
    return any(_whole(content, wanted) for path in folder.rglob("*") if (content := _content(path)) is not None)


def _whole(content: bytes, wanted: Collection[bytes]) -> bool:
    return any(form in content and re.search(BEFORE + re.escape(form) + BEHIND, content) is not None for form in wanted)


def _content(path: Path) -> bytes | None:
    """A file's name and bytes in lower case; None where there is no file to read."""
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError:
        return None
    return None if content is None else path.name.encode("utf-8", "surrogateescape").lower() + b"\n" + content.lower()
