"""Renews the German catalogue of the panels: ``python tests/catalogue.py`` takes up new texts, drops old ones, and compiles.

Texts without a translation are named; the tests fail until each has one in ``workbench/locale/de/LC_MESSAGES/workbench.po``.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import workbench

HOUSE = Path(workbench.__file__).parent
PO = HOUSE / "locale" / "de" / "LC_MESSAGES" / "workbench.po"
MADE = datetime(2026, 11, 27, tzinfo=UTC)  # the same bytes, whenever it is compiled
HEADER = """\
# What the panels say in German.
msgid ""
msgstr ""
"Language: de\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2), "said": None, "kept": None, "said_of": (1, 2)}


def marked() -> dict[str | tuple[str, ...], list[tuple[str, int]]]:
    """Every marked text of the house, and where it stands; a plural is a pair."""
    found: dict[str | tuple[str, ...], list[tuple[str, int]]] = {}
    for file, line, text, _comments, _context in extract_from_dir(
        HOUSE, method_map=[("shipped/**", "ignore"), ("**.py", "python")], keywords=KEYWORDS, strip_comment_tags=False
    ):
        found.setdefault(text, []).append((file, line))
    return found


def catalogue() -> Catalog:
    """The catalogue as it is written."""
    with PO.open("rb") as file:
        found = read_po(file, locale="de")
    found.msgid_bugs_address = found.last_translator = found.language_team = ""
    found.creation_date = found.revision_date = MADE
    return found


def compiled(catalog: Catalog) -> bytes:
    """What Python's gettext reads."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def main() -> int:
    """Take up, drop, compile; 1 when something has no translation."""
    before = catalogue()
    after = Catalog(locale="de", fuzzy=False)
    for text, places in marked().items():
        known = before.get(text if isinstance(text, str) else text[0])
        after.add(text, known.string if known else "", [(f"workbench/{file}", 0) for file, _line in places])
    with PO.open("wb") as file:
        file.write(HEADER.encode())
        write_po(file, after, width=0, include_lineno=False, sort_output=True, omit_header=True)
    PO.with_suffix(".mo").write_bytes(compiled(catalogue()))
    missing = [m.id for m in after if m.id and not (m.string if isinstance(m.string, str) else all(m.string))]
    for text in missing:
        sys.stdout.write(f"no German for {text!r}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
