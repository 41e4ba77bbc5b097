"""Which column of a file is which field: names as Sales Connect and common exports write them, or as the operator maps them.

A column that no field asks for is not read, and so not kept: telephone numbers, websites and free columns never enter the
register (GDPR Art. 5(1)(c), data minimisation).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import InputError
from workbench.said import said

Names = Mapping[str, Sequence[str]]
"""Field -> the column names by which it is recognised; case, spaces and punctuation don't matter."""

PEOPLE: Names = {
    "external_id": ("Person ID", "External ID"),
    "salesforce_id": ("Salesforce ID", "SFDC ID", "Salesforce IDs"),
    "email": ("Email ID", "Email", "Email Address"),
    "first_name": ("First Name",),
    "last_name": ("Last Name",),
    "company": ("Company", "Company Name", "Account Name"),
    "title": ("Title", "Job Title"),
    "updated_at": ("Updated At", "Last Updated"),
    "unsubscribed": ("Unsubscribed", "Unsubscribe", "Is Unsubscribed"),
    "unsubscribed_at": ("Unsubscribed At", "Unsubscribe Date", "Unsubscribed Date", "Unsubscribed On", "Opted Out At"),
    "unsubscribe_source": ("Unsubscribe Source", "Unsubscribed Source", "Unsubscribed By"),
    "unsubscribe_detail": ("Unsubscribe Detail", "Unsubscribe Details", "Unsubscribe Reason"),
}

MORE_OPT_OUTS = (
    "Opted Out", "Email Opt Out", "Has Opted Out Of Email", "Opt Out", "Opt Out Status", "Do Not Email", "Do Not Contact", "No Email",
    "Email Opted Out", "Opted Out Of Email", "Has Opted Out", "Do Not Send Email", "Do Not Mail",
)  # fmt: skip
"""Columns that say so, too, beside or instead of the one that is the field ``unsubscribed``: a yes in any of them counts."""
LIKE_AN_OPT_OUT = re.compile(
    r"opt.?out|opted.?out|unsub|(do.?)?not.?(send.?)?(e.?)?mail|do.?not.?(contact|send)|no.?(e.?)?mails?(?![a-z])|suppress|abgemeldet|abmeld"
    r"|abbestell|widerspr|widerruf|sperr|keine?.?(e.?)?mail|d[eé]sabon|d[eé]sinscri|^baja|block|bounce|removed|complain"
)
A_MOMENT = re.compile(r"(?:^|[\W_])(?:date|time|at|on|datum|am)$|date$")
A_REASON = re.compile(r"reason|source|why|grund|quelle")
LIKE_THE_OPPOSITE = re.compile(r"^(is )?subscribed$|opt.?in\b|opted.?in\b")

UNSUBSCRIBES: Names = {
    "person": ("Person", "Person ID", "External ID"),
    "email": ("Email", "Email ID", "Email Address"),
    "opted_out_at": ("Opted Out At", "Unsubscribed At", "Unsubscribe Date", "Unsubscribed Date", "Unsubscribed On", "Date", "At"),
    "source": ("Source", "Unsubscribe Source", "Unsubscribed Source"),
    "detail": ("Detail", "Details", "Unsubscribe Detail", "Unsubscribe Reason", "Reason"),
}

CONSENTS: Names = {
    "person": ("Person", "Person ID", "External ID"),
    "email": ("Email", "Email ID", "Email Address"),
    "controller": ("Controller",),
    "recipients": ("Recipients",),
    "purpose": ("Purpose",),
    "channel": ("Channel",),
    "authorization_type": ("Authorization Type", "Authorisation Type", "Legal Basis"),
    "state": ("State",),
    "consent_type": ("Consent Type",),
    "given_at": ("Given At", "Consent Date", "Consented At", "Date Given"),
    "method": ("Method",),
    "collection_point": ("Collection Point", "Collected At"),
    "expressed_by": ("Expressed By",),
    "notice_text": ("Notice Text", "Notice"),
    "notice_version": ("Notice Version",),
    "language": ("Language",),
    "double_opt_in_at": ("Double Opt In At", "Confirmed At"),
    "jurisdiction": ("Jurisdiction", "Country"),
    "valid_until": ("Valid Until",),
    "retain_until": ("Retain Until",),
    "withdrawn_at": ("Withdrawn At",),
    "withdrawal_method": ("Withdrawal Method",),
    "pre_ticked": ("Pre Ticked",),
    "solicited_by_email": ("Solicited By Email",),
    "given_to": ("Given To",),
    "transfer_notice_at": ("Transfer Notice At",),
    "recording_kept": ("Recording Kept",),
    "error_proven": ("Error Proven",),
    "evidence": ("Evidence", "Evidence Files", "Evidence File"),
}


@dataclass(frozen=True)
class Columns:
    """Where in a row each field stands; a field that the file lacks reads as ""."""

    positions: Mapping[str, int]

    def read(self, cells: Sequence[str], field: str) -> str:
        """The field's cell without the space around it."""
        position = self.positions.get(field)
        return cells[position].strip() if position is not None and position < len(cells) else ""

    def __contains__(self, field: str) -> bool:
        return field in self.positions


def key(name: str) -> str:
    """A column's name reduced to its letters and digits, so that ``E-Mail ID`` is ``email id``."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


def known(names: Names) -> frozenset[str]:
    """The keys of every column name that one of the fields is recognised by, the fields' own names included."""
    return frozenset(key(name) for field, columns in names.items() for name in (field, *columns))


def more_opt_outs(header: Sequence[str], found: Columns) -> tuple[int, ...]:
    """Where the columns stand that tell of opt-outs beside those that are a field."""
    wanted = {key(name) for name in (*MORE_OPT_OUTS, *PEOPLE["unsubscribed"])}
    return tuple(i for i, name in enumerate(header) if key(name) in wanted and i not in found.positions.values())


def passed_over(header: Sequence[str], found: Columns) -> tuple[str, ...]:
    """A sentence for each column that is not read and looks as if it told of opt-outs."""
    read = {*found.positions.values(), *more_opt_outs(header, found)}
    left = [(i + 1, name, name.casefold()) for i, name in enumerate(header) if i not in read]
    like = [
        f"the column {_named(number, name)} looks as if it told of opt-outs, and was not read; if it does, import the file again "
        f"with {_mapped(_field_of(folded), name)}"
        for number, name, folded in left
        if LIKE_AN_OPT_OUT.search(folded) or LIKE_AN_OPT_OUT.search(key(name))
    ]
    opposite = [
        f"the column {_named(number, name)} was not read; if a no in it is an opt-out, add a column Unsubscribed that says yes there"
        for number, name, folded in left
        if LIKE_THE_OPPOSITE.search(folded)
    ]
    return (*like, *opposite)


def _named(number: int, name: str) -> str:
    """A column in a sentence: by its place in the row where its name looks like data, for a sentence must not show addresses."""
    return f"number {number}" if like_data(name) else repr(name[:40])


def _mapped(field: str, name: str) -> str:
    return (
        f"the name {field} over it" if like_data(name) else f"--map {field}={name[:40]!r} (mapping={{{field!r}: {name[:40]!r}}})"
    )


def like_data(name: str) -> bool:
    """Whether a column's name is rather a cell: it may be a person's data, is not quoted and not kept."""
    return "@" in name or re.search(r"\d{5}", name) is not None


def _field_of(folded: str) -> str:
    """What a column that looks as if it told of opt-outs most likely tells: that there is one, when it was, or why."""
    if A_MOMENT.search(folded):
        return "unsubscribed_at"
    return "unsubscribe_source" if A_REASON.search(folded) else "unsubscribed"


def find(header: Sequence[str], names: Names, *, mapping: Mapping[str, str] | None, one_of: Sequence[str]) -> Columns:
    """Find each field's column; ``mapping`` (field -> column name) goes before recognition.

    Raises:
        InputError: a mapped field or column that does not exist; two columns for one field; none of the fields ``one_of``.
    """
    given = dict(mapping or {})
    if unknown := sorted(given.keys() - names.keys()):
        raise InputError(
            said("no field is called {unknown}", unknown=", ".join(unknown)),
            said("The fields are: {names}.", names=", ".join(names)),
        )
    positions: dict[str, int] = {}
    for field, column in given.items():
        positions[field] = _position(header, field, (column,), mapped=True)
    taken = set(positions.values())
    for field, columns in names.items():
        if field not in positions and (found := _position(header, field, (field, *columns), mapped=False)) not in {-1, *taken}:
            positions[field] = found
    if not any(field in positions for field in one_of):
        example = f"--map {one_of[-1]}=COLUMN (mapping={{'{one_of[-1]}': 'COLUMN'}})"
        raise InputError(
            said(
                "the file has no column {one_of}; {header}",
                one_of=" or ".join(names[field][0] for field in one_of),
                header=_found(header),
            ),
            said("If a column has another name, say which with {example}.", example=example),
        )
    return Columns(positions)


def _position(header: Sequence[str], field: str, columns: Sequence[str], *, mapped: bool) -> int:
    wanted = {key(column) for column in columns}
    found = [i for i, name in enumerate(header) if key(name) in wanted and key(name)]
    if len(found) > 1:
        exact = [i for i in found if header[i] == columns[0]] if mapped else []
        found = exact if len(exact) == 1 else found
    if len(found) > 1:
        raise InputError(
            said("{found} columns could be the field {field}", found=len(found), field=field),
            said("Rename or remove one of them, or map the field."),
        )
    if mapped and not found:
        raise InputError(
            said("the column mapped to the field {field} does not exist; {header}", field=field, header=_found(header)),
            said("Check its spelling."),
        )
    return found[0] if found else -1


def _found(header: Sequence[str]) -> str:
    """The column names for a sentence, unless the first line holds data: an error must not show addresses."""
    if any(like_data(name) for name in header):
        return said("its first line seems to hold data, not the names of {count} columns", count=len(header))
    return said("it has {columns}", columns=", ".join(name[:40] or "(no name)" for name in header[:40]))
