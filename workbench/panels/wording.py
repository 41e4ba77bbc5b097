"""Words and tables for the screen: codes in plain words, times in UTC, DataFrames as escaped HTML.

Everything that comes from people, files or Salesforce is data: it passes `html.escape` here or is set as text in the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from workbench.mismatch import NAMES
from workbench.panels.language import N_, _, figure, moment_form, ngettext, told, word

_SPOKEN = {
    "True": N_("yes"),
    "False": N_("no"),
    "clicked_link": N_("clicked link"),
    "salesforce_sync": N_("Salesforce sync"),
    "no_record": N_("no record"),
    "opted_in": N_("not opted out"),
    **NAMES,
    "email": N_("e-mail"),
    "PROPOSED": N_("waiting"),
    "POSTPONED": N_("waiting: changed a moment ago"),
    "PLANNED": N_("under way"),
    "SENT": N_("under way: sent to Salesforce"),
    "VERIFIED": N_("under way: cleared in Salesforce"),
    "DONE": N_("resubscribed on both sides"),
    "REFUSED": N_("refused"),
    "ABORTING": N_("under way: opting out again"),
    "ABORTED": N_("kept opted out on both sides"),
    "UNDOING": N_("under way: opting out again"),
    "UNDONE": N_("opted out again on both sides"),
}
OWN_WORDS = (
    # sources of an unsubscribe, and what Salesforce says
    N_("manual"), N_("bounce"), N_("spam complaint"), N_("import"), N_("opted out"),
    # what a sync does
    N_("unsubscribe person"), N_("opt out record"),
    # how a batch, a person in it, and a consent stand
    N_("proposed"), N_("approved"), N_("running"), N_("paused"), N_("finished"), N_("cancelled"), N_("undone"), N_("eligible"),
    N_("refused"), N_("stronger evidence needed"), N_("given"), N_("renewed"), N_("withdrawn"), N_("expired"), N_("invalidated"),
    # what became of an evidence file
    N_("altered"), N_("missing"),
    # why a batch is run
    N_("confirmed double opt in"), N_("asked in writing"), N_("signed form"), N_("asked by phone recorded"),
    N_("link scanner or forwarded mail"), N_("recorded by mistake"),
    # what a consent says
    N_("sales email"), N_("consent"), N_("legitimate interest"), N_("performance of a contract"), N_("legal obligation"),
    N_("vital interests"), N_("public interest"), N_("other"), N_("explicitly expressed"), N_("expressed"), N_("implied"),
    N_("web form"), N_("paper"), N_("telephone"), N_("in person"), N_("representative"),
    # rules
    N_("not unsubscribed"), N_("no consent"), N_("consent before opt out"), N_("consent in future"), N_("address differs"),
    N_("purpose differs"), N_("controller differs"), N_("consent withdrawn"), N_("consent expired"), N_("not affirmative"),
    N_("basis not consent"), N_("how when what missing"), N_("no evidence"), N_("evidence altered"), N_("evidence missing"),
    N_("won by mailing opted out people"), N_("bounced address"), N_("blocked domain"), N_("record not writable"),
    N_("ambiguous person"), N_("in another open batch"), N_("reason missing"), N_("double opt in required"),
    N_("recording required"), N_("transfer notice required"), N_("date without time"), N_("old consent"),
    N_("proof of error required"), N_("rule failed"), N_("no person"), N_("records changed since plan"),
    N_("fields changed since plan"), N_("consent changed since plan"), N_("too many records"), N_("register restored"),
    # what happened, by the trail
    N_("abort intended"), N_("access reported"), N_("backup made"), N_("backup restored"), N_("batch approved"),
    N_("batch cancelled"), N_("batch finished"), N_("batch paused"), N_("batch proposed"), N_("batch resumed"),
    N_("batch started"), N_("batch undone"), N_("checkpoint answered"), N_("checkpoint idle"), N_("checkpoint intended"),
    N_("clear answered"), N_("clear intended"), N_("clear verified"), N_("consent expired"), N_("consent recorded"),
    N_("consent renewed"), N_("consent withdrawn"), N_("evidence stored"), N_("follow up checked"), N_("key rotated"),
    N_("mismatch found"), N_("mismatch resolved"), N_("operator granted"), N_("operator revoked"), N_("opt out failed"),
    N_("opt out intended"), N_("opt out written"), N_("people imported"), N_("person aborted"), N_("person erased"),
    N_("person postponed"), N_("person refused"), N_("person resubscribed"), N_("person unsubscribed by sync"),
    N_("report erased"), N_("report issued"), N_("restore confirmed"), N_("settings changed"), N_("snapshot pulled"),
    N_("sync finished"), N_("sync started"), N_("timestamp received"), N_("timestamp requested"), N_("trail exported"),
    N_("unsubscribe recorded"), N_("unsubscribes imported"), N_("workspace created"),
    # what reports ask for
    N_("expiring within days"), N_("personal data"), N_("kind"), N_("only over limit"), N_("month"), N_("person"), N_("since"),
    N_("until"), N_("full"), N_("masked"), N_("counts"), N_("all"),
)  # fmt: skip
"""Codes that are spoken as their own words."""
ORDINALS = frozenset({"seq"})
"""Columns of numbers that name something, and so are written as in an export."""
ROWS_SHOWN = 100
SENTENCE = 40  # characters; longer text gets room, so that a column is not a word wide


def spoken(code: str) -> str:
    """A code as words: ``asked_in_writing`` becomes ``asked in writing``."""
    return word(_SPOKEN.get(code, code.replace("_", " ")))


def titled(text: str) -> str:
    """The text with a capital at its beginning, as labels have it."""
    return text[:1].upper() + text[1:]


def plain_time(moment: datetime) -> str:
    """A moment in UTC to the minute."""
    return moment_form(moment)


def people(number: int) -> str:
    """A number of people in words: ``1 person``, ``2 people``."""
    return ngettext("{number} person", "{number} people", number)


def cell(value: Any) -> str:
    """One value as plain text; missing ones as nothing."""
    if isinstance(value, (list, tuple)):
        return "\n".join(str(part) for part in value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None or pd.isna(value):
        return ""
    return plain_time(value) if isinstance(value, datetime) else str(value)


def table(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    caption: str,
    empty: str = "",
    spell: Iterable[str] = (),
    tell: Iterable[str] = (),
    shown: int = ROWS_SHOWN,
) -> str:
    """A DataFrame as an HTML table: ``columns`` names what is shown and its headings.

    ``spell`` are the columns that hold codes, ``tell`` those that hold the house's own sentences; all other text is anybody's and
    stays as it is. At most ``shown`` rows; the caption says so when there are more. All text is escaped.
    """
    present = [name for name in columns if name in frame.columns]
    if frame.empty:
        return state("empty", "", empty or _("Nothing."))
    head = "".join(f'<th scope="col">{escape(word(columns[name]))}</th>' for name in present)
    said: dict[str, Callable[[str], str]] = (
        dict.fromkeys(spell, _spelt) | dict.fromkeys(tell, told) | dict.fromkeys(ORDINALS, str)
    )
    rows = frame.head(shown)[present].itertuples(index=False, name=None)
    body = "".join(f"<tr>{''.join(_td(v, said.get(n)) for n, v in zip(present, row, strict=True))}</tr>" for row in rows)
    more = escape(_(" – the first {shown} of {total} rows", shown=shown, total=len(frame))) if len(frame) > shown else ""
    label = escape(caption, quote=True)
    return (
        f'<div class="cw-scroll" tabindex="0" role="region" aria-label="{label}"><table class="cw-table">'
        f"<caption>{escape(caption)}{more}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _td(value: Any, said: Callable[[str], str] | None) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    text = cell(value)
    if said is None and isinstance(value, int) and not isinstance(value, bool):
        text = figure(value)
    elif said is not None:
        text = "\n".join(said(part) for part in text.split("\n"))
    kind = "cw-number" if number else "cw-time" if isinstance(value, datetime) else "cw-sentence" if len(text) > SENTENCE else ""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _spelt(codes: str) -> str:
    return ", ".join(spoken(code) for code in codes.split(", "))


def state(kind: str, headline: str, sentence: str) -> str:
    """Why there is less to see or do than elsewhere, and what to do: ``kind`` is empty, failed or limits."""
    head = f"<strong>{escape(headline)}</strong> " if headline else ""
    return f'<p class="cw-state cw-state-{kind}">{head}{escape(sentence)}</p>'


def heading(text: str) -> str:
    """A heading within a panel."""
    return f"<h3>{escape(text)}</h3>"


def folding(summary: str, html: str) -> str:
    """Markup under a line that hides and shows it; nothing where there is none."""
    return f'<details class="cw-folding" open><summary>{escape(summary)}</summary>{html}</details>' if html else ""


def paragraph(text: str) -> str:
    """One paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """A list of sentences; nothing where there are none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""
