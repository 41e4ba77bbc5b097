"""The language of the panels: English, or the workspace's `language` where there is a catalogue of it.

Only what is on the screen: what is written to trail, evidence and files stays English. One kernel speaks one language, that of the
panel it opened last. Mark a text with ``_`` where it is shown, with ``N_`` where it is only kept to be shown later.
"""

from __future__ import annotations

import gettext
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from workbench.panels.recognised import LIST, OURS, Templates, sentences
from workbench.said import Said, filled

CATALOGUES = Path(__file__).parents[1] / "locale"
SEPARATORS = {"de": "."}  # between thousands; a comma elsewhere
DAYS = {"de": "%d.%m.%Y"}
ISO_DAY = "%Y-%m-%d"
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(|[ T]\d\d:\d\d(?::\d\d)?)(| UTC)", re.ASCII)
THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+", re.ASCII)


class _Spoken:
    """What the kernel speaks now. The worker's thread speaks it, too, so it is no context variable."""

    catalogue: gettext.NullTranslations = gettext.NullTranslations()
    templates: Templates | None = None
    language = "en"
    separator = ","
    day = ISO_DAY


def speak(language: str) -> None:
    """From now on say everything in this language; English where there is no catalogue of it."""
    found = gettext.find("workbench", CATALOGUES, [language])
    _Spoken.catalogue = gettext.translation("workbench", CATALOGUES, [language], fallback=True)
    _Spoken.templates = _templates(Path(found)) if found else None
    _Spoken.language = language if found else "en"
    _Spoken.separator = SEPARATORS.get(language, ",")
    _Spoken.day = DAYS.get(language, ISO_DAY)


@cache
def _templates(compiled: Path) -> Templates:
    return Templates(compiled)


def spoken_language() -> str:
    """The code of what is spoken now, for a browser's own forms of numbers."""
    return _Spoken.language


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


def word(english: str) -> str:
    """A word or name as the catalogue has it, else as it is; nothing is filled in, so it may be anybody's."""
    return _Spoken.catalogue.gettext(english) if english else ""


def told(sentence: str) -> str:
    """What another room said, in the language of the panels: by the template it left, or the one it is recognised by.

    A text of several sentences is told sentence by sentence; one that nobody marked is told as it is.
    """
    if _Spoken.templates is None:
        return sentence
    if isinstance(sentence, Said):
        values = {name: _told_value(name, value) for name, value in sentence.values.items()}
        return (
            ngettext(sentence.template, sentence.many, sentence.number, **values)
            if sentence.many
            else _(sentence.template, **values)
        )
    return _recognised(sentence, _Spoken.templates)


def _recognised(text: str, templates: Templates) -> str:
    whole = _told_whole(text, templates)
    if whole is not None:
        return whole
    parts, made = sentences(text), []
    if len(parts) == 1:
        return text
    while parts:
        end, one = _beginning(parts, templates)
        made.append(one)
        parts = parts[end:]
    return " ".join(made)


def _beginning(parts: list[str], templates: Templates) -> tuple[int, str]:
    """How many of the sentences the first template holds, and its text; the first sentence as it is where none does."""
    for end in range(1, len(parts) + 1):
        whole = _told_whole(" ".join(parts[:end]), templates)
        if whole is not None:
            return end, whole
    return 1, parts[0]


def _told_whole(text: str, templates: Templates, *, part: bool = False) -> str | None:
    if (made := word(text)) != text:
        return made
    found = templates.find(text, part=part)
    if found is None:
        return None
    template, values = found
    filled_in = {name: _told_value(name, _number_form(value)) for name, value in values.items()}
    german = _Spoken.catalogue.ngettext(template.one, template.english, 1 + template.form)
    return filled(german if german != template.english else word(template.english), filled_in)


def told_part(text: str) -> str:
    """A few words of ours, or a list of them, as `told` tells sentences."""
    return text if _Spoken.templates is None else _told_part(text, _Spoken.templates)


def _told_value(name: str, value: object) -> object:
    if isinstance(value, Said):
        return told(value)
    if isinstance(value, str) and (found := MOMENT.fullmatch(value)):
        return f"{day_form(datetime.fromisoformat(found[1]))}{found[2].replace('T', ' ')}{found[3]}"
    if isinstance(value, str) and name in OURS and _Spoken.templates is not None:
        return _told_part(value, _Spoken.templates)
    return value


def _told_part(text: str, templates: Templates) -> str:
    """A part of a sentence: a code, sentences, or a list of them."""
    for whole in (text, text.replace("_", " ")):
        if (made := _told_whole(whole, templates, part=True)) is not None:
            return made
    if len(sentences(text)) > 1:
        return _recognised(text, templates)
    parts = LIST.split(text)
    told_parts = [_told_whole(part, templates, part=True) or part for part in parts[::2]]
    between = [", " if separator == ", nor " else separator for separator in parts[1::2]]
    return "".join(text for pair in zip(told_parts, [*between, ""], strict=True) for text in pair)


def _number_form(value: str) -> str:
    return value.replace(",", _Spoken.separator) if THOUSANDS.fullmatch(value) else value


def figure(number: int) -> str:
    """A whole number with its thousands separated."""
    return filled("{number}", {"number": number}, separator=_Spoken.separator)


def day_form(day: datetime) -> str:
    """A day as people of the language write it: 2026-12-31, or 31.12.2026."""
    return day.strftime(_Spoken.day)


def moment_form(moment: datetime) -> str:
    """A moment in UTC to the minute."""
    at = moment.astimezone(UTC)
    return f"{day_form(at)} {at:%H:%M}"
