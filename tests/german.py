"""English that is left on a German screen: words that the catalogue has in English texts and in no German one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from html import unescape
from typing import Any

from catalogue import catalogue

WORD = re.compile(r"[^\W\d_]+")
KEPT = (
    r"`[^`]*`",  # commands
    r"\{[a-z_0-9]+\}",  # places of templates
    r"\b\d\d-[a-z-]+\b",  # notebooks
    r"\b\w+(?:[.@-]\w+)*[.@]\w+\b",  # addresses, hosts, files, Lead.HasOptedOutOfEmail
    r"\b[A-Z]\w*__\w+",
    r"\b(?:Account|Contact|Lead)\b",
    r"\b\w+/[\w./-]+",  # paths
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b",  # digests
)
QUOTED = re.compile("|".join(KEPT))
"""What stays as it is in any language."""
DATA = re.compile(r"<pre.*?</pre>|<code.*?</code>|<td[^>]*>\{.*?</td>|<iframe.*?</iframe>", re.DOTALL)
"""What is shown as it was written: digests, proofs, details of events, reports."""
ATTRIBUTES = re.compile(r'(?:aria-label|title|placeholder|alt)="([^"]*)"')


@cache
def english_words() -> frozenset[str]:
    """Words of the catalogue's English texts that stand in no German one."""
    messages = [m for m in catalogue() if m.id]
    return frozenset(words(text(m.id) for m in messages) - words(text(m.string) for m in messages))


def text(message: Any) -> str:
    return message if isinstance(message, str) else " ".join(message)


def words(texts: Iterable[str]) -> set[str]:
    return {w.casefold() for one in texts for w in WORD.findall(QUOTED.sub(" ", one)) if len(w) > 1}


def english_left(panel: Any, *, but: Iterable[str] = ()) -> set[str]:
    """The English words that a panel shows: in its HTML, labels, choices, hints and titles; ``but`` are texts of anybody's."""
    shown = " ".join((*_shown(panel.box), panel.status.sentence, panel.status.advice))
    for own in (*but, panel.wb.settings.name):
        shown = shown.replace(own, " ")
    return english_in(shown)


def without_data(shown: str) -> str:
    """The text without addresses, ids, commands, names of files and notebooks."""
    return QUOTED.sub(" ", shown)


def english_in(shown: str) -> set[str]:
    """The English words in a text."""
    return words([shown]) & english_words()


def _shown(widget: Any) -> Iterator[str]:
    value = getattr(widget, "value", "")
    if type(widget).__name__ == "HTML":
        yield from _texts(value)
    for name in ("description", "tooltip", "placeholder"):
        yield getattr(widget, name, None) or ""
    for label in getattr(widget, "_options_labels", ()):
        yield str(label)
    yield from getattr(widget, "titles", ())
    for child in getattr(widget, "children", ()):
        yield from _shown(child)


def _texts(html: str) -> Iterator[str]:
    kept = DATA.sub(" ", html)
    yield from (unescape(found) for found in ATTRIBUTES.findall(kept))
    yield unescape(re.sub(r"<[^>]*>", " ", kept))
