"""What is handed to a person: a page of headed tables that needs nothing but a browser, runs no script and loads nothing.

Every text in it is escaped; the page's own rule (Content-Security-Policy) forbids whatever is not its one style sheet.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workbench.consent import Consent

STYLE = (
    "body{font:11pt/1.45 sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;"
    "border-bottom:1px solid #ccc;overflow-wrap:anywhere;white-space:pre-wrap}th{width:14rem;font-weight:600}"
)
POLICY = f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"

STATES = {
    "given": "given",
    "renewed": "renewed",
    "withdrawn": "withdrawn",
    "refused": "refused",
    "expired": "expired",
    "invalidated": "found to be invalid",
}


@dataclass(frozen=True)
class Section:
    """A heading, a sentence below it, and rows of a name and a value, or of several values under ``columns``."""

    heading: str
    rows: Sequence[Sequence[object]]
    columns: Sequence[str] = ()
    sentence: str = ""


def page(title: str, sections: Sequence[Section], *, language: str = "en") -> str:
    """A whole HTML page."""
    body = "\n".join(_section(section) for section in sections)
    return (
        f'<!doctype html>\n<html lang="{_text(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_text(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{_text(title)}</h1>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def receipt(consent: Consent, *, name: str, at: datetime, state: str, checkpoint: str) -> str:
    """The receipt of one consent (ISO/IEC TS 27560, consent receipt): what was agreed to, when, how, and how to end it."""
    lasts = _moment(consent.valid_until) if consent.valid_until else "no end was agreed; it can be withdrawn at any time"
    facts = [
        ("Who", f"{name} <{consent.email}>" if name else consent.email),
        ("May be e-mailed by", consent.controller),
        ("Passed on to", ", ".join(consent.recipients) or "nobody"),
        ("For", consent.purpose),
        ("State", STATES.get(state, state)),
        ("Given", _moment(consent.given_at) if consent.given_at else "not recorded"),
        ("Confirmed a second time", _moment(consent.double_opt_in_at) if consent.double_opt_in_at else "no"),
        (
            "How",
            " ".join(part for part in (consent.method.replace("_", " "), consent.collection_point) if part) or "not recorded",
        ),
        ("Expressed by", consent.expressed_by.replace("_", " ")),
        ("Law of", consent.jurisdiction or "not recorded"),
        ("Valid until", lasts),
        ("Withdrawn", f"{_moment(consent.withdrawn_at)} {consent.withdrawal_method}" if consent.withdrawn_at else "no"),
    ]
    shown = [
        ("Text", consent.notice_text or "not recorded"),
        ("Version", consent.notice_version or "not recorded"),
        ("Language", consent.language or "not recorded"),
    ]
    kept = [(item.original_name or "without a name", item.media_type, f"{item.size:,}", item.sha256) for item in consent.evidence]
    record = [
        ("Record", consent.consent_id),
        ("Recorded", f"{_moment(consent.recorded_at)} by {consent.recorded_by}"),
        ("This receipt", f"made {_moment(at)}"),
        ("Checkpoint of the audit trail", checkpoint.strip() or "none yet"),
    ]
    return page(
        "Consent receipt",
        [
            Section("What was agreed to", facts),
            Section("What was shown", shown),
            Section("Proof that is kept", kept, ("file", "kind", "bytes", "SHA-256")),
            Section("How to withdraw", [], sentence=f"Tell {consent.controller} in any way; no reason is needed."),
            Section("Record", record),
        ],
    )


def _section(section: Section) -> str:
    said = f"<p>{_text(section.sentence)}</p>\n" if section.sentence else ""
    if not section.rows:
        said += "" if section.sentence else "<p>Nothing.</p>\n"
        return f"<h2>{_text(section.heading)}</h2>\n{said}"
    if section.columns:
        head = "<tr>" + "".join(f'<th scope="col">{_text(name)}</th>' for name in section.columns) + "</tr>\n"
        rows = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>\n" for row in section.rows)
    else:
        head = ""
        rows = "".join(f'<tr><th scope="row">{_text(row[0])}</th><td>{_text(row[1])}</td></tr>\n' for row in section.rows)
    return f"<h2>{_text(section.heading)}</h2>\n{said}<table>\n{head}{rows}</table>"


def _text(value: object) -> str:
    """A value as text of a page: escaped, without characters that a page may not hold."""
    text = _moment(value) if isinstance(value, datetime) else "" if value is None else str(value)
    allowed = "".join(
        c if c in "\t\n\r" or (c >= " " and c != "\x7f" and not "\ud800" <= c <= "\udfff") else "\ufffd" for c in text
    )
    return html.escape(allowed)


def _moment(moment: datetime | None) -> str:
    """A moment with its zone, to the second."""
    if moment is None or moment != moment:  # noqa: PLR0124 - NaT differs from itself
        return ""
    return moment.isoformat(" ", timespec="seconds")
