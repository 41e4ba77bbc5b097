"""Commands on people: the list, one person's history card, a new unsubscribe."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.filters import WhereOption, filters, moment
from workbench.cli.output import FormatOption, emit, emit_json, write
from workbench.cli.session import FINE, opened
from workbench.cli.talk import say
from workbench.counted import counted
from workbench.errors import WorkbenchError
from workbench.reports.tables import plain_text, records

if TYPE_CHECKING:
    from workbench.bench import Workbench

LISTED = ("email", "first_name", "last_name", "company", "unsubscribed_at", "source", "salesforce", "mismatches", "consents")
HISTORY = ("at", "what", "detail", "source", "register_after", "salesforce_after", "proof")


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    app.command("people")(people)
    app.command("person")(person)
    app.command("unsubscribe")(unsubscribe)
    app.command("access-report")(access_report)


def people(
    ctx: typer.Context,
    unsubscribed: Annotated[bool, typer.Option("--unsubscribed", help="Only people who are unsubscribed now.")] = False,
    where: WhereOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many people.")] = None,
    form: FormatOption = "table",
) -> int:
    """List people with their state on both sides."""
    chosen = filters(where)
    if unsubscribed:
        chosen["unsubscribed"] = True
    with opened(ctx) as wb:
        found = wb.people(**chosen, limit=limit)
    emit(found, form, columns=LISTED)
    say(f"{counted(len(found), 'person', 'people')}.")
    return FINE


def person(
    ctx: typer.Context,
    named: Annotated[str, typer.Argument(metavar="ADDRESS", help="An e-mail address or a person id.")],
    form: FormatOption = "table",
) -> int:
    """Show one person's history card. Unsubscribes, Salesforce records, consents, and both sides on one line of time."""
    with opened(ctx) as wb:
        card = wb.person(named)
    if form == "csv":
        emit(card.history, form)
    elif form == "json":
        emit_json(_card(card))
    else:
        _print_card(card)
    return FINE


def unsubscribe(
    ctx: typer.Context,
    named: Annotated[str, typer.Argument(metavar="ADDRESS", help="An e-mail address or a person id.")],
    source: Annotated[str, typer.Option("--source", help="clicked_link, manual, bounce or spam_complaint.")],
    detail: Annotated[str, typer.Option("--detail", help="What is known about it.")] = "",
    at: Annotated[str, typer.Option("--at", help="When the person asked: moment with zone, or a day (its end). Else now.")] = "",
) -> int:
    """Unsubscribe one person. Always allowed; Salesforce is told at once, or else by the next sync."""
    with opened(ctx) as wb:
        wb.unsubscribe(named, source=source, detail=detail, at=_asked(at, wb.clock()) if at else None)
        say(f"The person is unsubscribed in the register. {pushed(wb, named)}")
    return FINE


def pushed(wb: Workbench, named: str) -> str:
    """What Salesforce was told; that it could not be is no failure of an unsubscribe, because the sync carries it over."""
    try:
        return wb.push(named).sentence
    except WorkbenchError as error:
        return f"Salesforce was not told ({error}); the next `workbench sync` opts out the Salesforce records."


def _asked(text: str, now: datetime) -> datetime:
    """When somebody asked; a day that is not to come counts to its end, so that no consent of that day outlives the opt-out."""
    at = moment(text, name="--at")
    is_day = "T" not in text and " " not in text.strip()
    return min(at + timedelta(days=1, milliseconds=-1), now) if is_day and at <= now else at


def _card(card: Any) -> dict[str, Any]:
    facts = {name: getattr(card.person, name) for name in ("person_id", "email", "first_name", "last_name", "company", "title")}
    facts["salesforce_ids"] = card.person.salesforce_ids
    tables = {name: records(getattr(card, name))[1] for name in ("unsubscribes", "records", "consents", "history")}
    return {"person": facts, **tables}


def _print_card(card: Any) -> None:
    data = _card(card)
    for name, value in data.pop("person").items():
        if text := plain_text(value):
            write(f"{name.replace('_', ' ')}: ")
            write_line(text)
    for title in ("unsubscribes", "records", "consents", "history"):
        write(f"\n{title.capitalize()}\n")
        if data[title]:
            emit(data[title], "table", columns=HISTORY if title == "history" else None)
        else:
            write("none\n")


def write_line(text: str) -> None:
    """One line of data without anything that could steer a terminal."""
    from workbench.cli.output import UNSAFE

    write(UNSAFE.sub("\ufffd", text) + "\n")


def access_report(
    ctx: typer.Context,
    *,
    named: Annotated[str, typer.Argument(metavar="PERSON", help="An e-mail address or a person id.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that does not exist yet.")],
) -> int:
    """Write all that is known about a person. For them; with proofs that `trail check` verifies anywhere."""
    with opened(ctx) as wb:
        written, vkey = wb.access_report(named, to), wb.trail.vkey
    write(f"{written}\n")
    say("The folder holds personal data: hand it over safely. This verifies its trail.json, wherever there is the workbench:")
    say(f"  workbench trail check {shlex.quote(str(written / 'trail.json'))} --vkey {shlex.quote(vkey)}")
    return FINE
