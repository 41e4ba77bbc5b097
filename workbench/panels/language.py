"""The language of the panels: English, or the workspace's `language` where there is a catalogue of it.

Only what is on the screen: what is written to trail, evidence and files stays English. One kernel speaks one language, that of the
panel it opened last. Mark a text with ``_`` where it is shown, with ``N_`` where it is only kept to be shown later.
"""

from __future__ import annotations

import gettext
from pathlib import Path

from workbench.said import Said, filled

CATALOGUES = Path(__file__).parents[1] / "locale"
SEPARATORS = {"de": "."}  # between thousands; a comma elsewhere


class _Spoken:
    """What the kernel speaks now. The worker's thread speaks it, too, so it is no context variable."""

    catalogue: gettext.NullTranslations = gettext.NullTranslations()
    separator = ","


def speak(language: str) -> None:
    """From now on say everything in this language; English where there is no catalogue of it."""
    _Spoken.catalogue = gettext.translation("workbench", CATALOGUES, [language], fallback=True)
    _Spoken.separator = SEPARATORS.get(language, ",")


def N_(english: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a text that is kept in English and said by ``_`` later."""
    return english


def _(english: str, /, **values: object) -> str:
    """The text in the language of the panels, with its named values."""
    return filled(_Spoken.catalogue.gettext(english), values, separator=_Spoken.separator) if english else ""


def ngettext(one: str, many: str, number: int, /, **values: object) -> str:
    """A text about a ``{number}`` of things in the language of the panels."""
    template = _Spoken.catalogue.ngettext(one, many, number)
    return filled(template, {"number": number, **values}, separator=_Spoken.separator)


def told(sentence: str) -> str:
    """What another room said: in the language of the panels where it left a template, else as it is."""
    if not isinstance(sentence, Said):
        return sentence
    values = {name: told(value) if isinstance(value, str) else value for name, value in sentence.values.items()}
    return (
        ngettext(sentence.template, sentence.many, sentence.number, **values) if sentence.many else _(sentence.template, **values)
    )


def figure(number: int) -> str:
    """A whole number with its thousands separated."""
    return filled("{number}", {"number": number}, separator=_Spoken.separator)
