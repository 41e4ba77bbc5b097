"""Commands on the life of consents: renewed, withdrawn, ended, covered, and exchanged with other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.cli.filters import moment
from workbench.cli.output import FormatOption, emit, write
from workbench.cli.people import pushed
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import say
from workbench.counted import counted
from workbench.errors import InputError

ConsentArgument = Annotated[str, typer.Argument(metavar="CONSENT", help="The consent's id, as `consent show` prints it.")]


def add_to(group: typer.Typer) -> None:
    """Hang these commands below `consent`."""
    for name, command in (
        ("renew", renew),
        ("withdraw", withdraw),
        ("expire", expire),
        ("history", history),
        ("coverage", coverage),
        ("export", export),
        ("import", take_in),
        ("receipt", receipt),
    ):
        group.command(name)(command)


def renew(
    ctx: typer.Context,
    *,
    consent: ConsentArgument,
    given_at: Annotated[str, typer.Option("--given-at", help="When the person consented again: moment with zone, or a day.")],
    evidence: Annotated[list[Path], typer.Option("--evidence", metavar="FILE", help="A file that proves it; repeatable.")],
    method: Annotated[str, typer.Option("--method", help="Where it is another than before.")] = "",
    valid_until: Annotated[str, typer.Option("--valid-until", help="When the renewed consent ends.")] = "",
    double_opt_in_at: Annotated[str, typer.Option("--double-opt-in-at", help="When it was confirmed a second time.")] = "",
) -> int:
    """Record that a person consented again; prints the new id. What is not said is as in the consent that is renewed."""
    from workbench.consent import Evidence

    given = {"given_at": given_at, "valid_until": valid_until, "double_opt_in_at": double_opt_in_at}
    fields: dict[str, object] = {key: moment(text, name=f"--{key.replace('_', '-')}") for key, text in given.items() if text}
    fields |= {"method": method} if method else {}
    fields["given_at_precision"] = "second" if "T" in given_at or " " in given_at.strip() else "day"
    with opened(ctx) as wb:
        renewed = wb.renew_consent(consent, evidence=[Evidence.from_file(path) for path in evidence], **fields)
    write(f"{renewed.consent_id}\n")
    say(f"The consent is renewed with {counted(len(renewed.evidence), 'evidence file')}; the earlier one stays as it was.")
    return FINE


def withdraw(
    ctx: typer.Context,
    *,
    consent: ConsentArgument,
    method: Annotated[str, typer.Option("--method", help="How the person withdrew it, such as email or telephone.")],
    at: Annotated[str, typer.Option("--at", help="When the person withdrew it: moment with zone, or a day. Else now.")] = "",
) -> int:
    """Note that a person withdrew a consent. Who is not unsubscribed becomes so; Salesforce is told at once, or by the next sync."""
    with opened(ctx) as wb:
        person = wb.withdraw_consent(consent, method=method, at=moment(at, name="--at") if at else None).person_id
        if wb.person(person).unsubscribes.closed_at.isna().any():
            say(f"The consent is withdrawn; the person is unsubscribed in the register. {pushed(wb, person)}")
        else:
            say("The consent is withdrawn. The person stays subscribed: a consent that was given later stands.")
    return FINE


def expire(ctx: typer.Context) -> int:
    """Note the consents whose validity is over. In their history and on the trail; prints their ids."""
    with opened(ctx) as wb:
        ended = wb.note_expired_consents()
    write("".join(f"{consent_id}\n" for consent_id in ended))
    say(f"{counted(len(ended), 'consent')} newly over.")
    return FINE


def history(ctx: typer.Context, consent: ConsentArgument, form: FormatOption = "table") -> int:
    """Show what became of a consent."""
    with opened(ctx) as wb:
        found = wb.consent_history(consent)
    if found.empty:
        raise InputError("no consent has this id", "See the ids with `workbench consent show`.")
    emit(found, form)
    return FINE


def coverage(
    ctx: typer.Context,
    expiring: Annotated[
        int | None, typer.Option("--expiring", metavar="DAYS", min=0, help="Only proof that ends within so many days, or fails.")
    ] = None,
    form: FormatOption = "table",
) -> int:
    """List resubscribed people with their proof and when it ends. Exit code 1 when anybody's is not sound, or ends in time."""
    with opened(ctx) as wb:
        found = wb.coverage(expiring=expiring)
    emit(found, form, columns=("email", "proof", "ends_at", "days_left", "why"))
    unsound = int((found["proof"] != "sound").sum())
    say(f"{len(found)} resubscribed people{' listed' if expiring is not None else ''}, {unsound} without a sound proof.")
    return code(unsound or (expiring is not None and len(found)))


def export(
    ctx: typer.Context,
    *,
    person: Annotated[str | None, typer.Argument(metavar="PERSON", help="An e-mail address or a person id.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's consents.")] = False,
    form: Annotated[
        Literal["json", "jsonld"], typer.Option("--format", help="json by ISO/IEC TS 27560, jsonld on W3C DPV 2 terms.")
    ] = "json",
    evidence: Annotated[
        Path | None, typer.Option("--evidence", metavar="DIR", help="A new folder for copies of the evidence files.")
    ] = None,
) -> int:
    """Print consents for another system. Holds personal data."""
    if everybody == (person is not None):
        raise InputError("consents of one person, or of all, are exported", "Name a PERSON, or give --all.")
    with opened(ctx) as wb:
        text = wb.export_consents(person, form=form)
        if evidence is not None:
            say(f"{counted(wb.export_evidence(person, evidence), 'evidence file')} copied.")
    write(text)
    return FINE


def take_in(
    ctx: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `consent export` wrote, in either format.")],
    evidence: Annotated[
        Path | None, typer.Option("--evidence", metavar="DIR", help="The folder with its evidence files.")
    ] = None,
    form: FormatOption = "table",
) -> int:
    """Take in consents that another workbench exported. Exit code 1 when a record is rejected."""
    with opened(ctx) as wb:
        verdicts = wb.import_consent_records(file, evidence_dir=evidence)
    emit([{"record": v.line, "outcome": v.outcome, "consent_id": v.consent_id, "reason": v.reason} for v in verdicts], form)
    rejected = sum(v.outcome == "rejected" for v in verdicts)
    say(f"{counted(len(verdicts), 'record')}, {rejected} rejected.")
    return code(rejected)


def receipt(
    ctx: typer.Context,
    *,
    consent: ConsentArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The page to write: a file that does not exist yet.")],
    pdf: Annotated[bool, typer.Option("--pdf", help="A PDF beside it as well; needs Chromium.")] = False,
) -> int:
    """Write a consent's receipt for the person. A web page that needs nothing else."""
    from workbench.reports.pdf import chromium, print_page

    if pdf:
        chromium()
    with opened(ctx) as wb:
        text = wb.consent_receipt(consent)
    try:
        with to.open("x", encoding="utf-8") as file:
            to.chmod(0o600)
            file.write(text)
    except OSError as error:
        raise InputError(f"the receipt can't be written ({error.strerror})", "Name a file that does not exist yet.") from None
    if pdf:
        print_page(to, to.with_suffix(".pdf"))
    write(f"{to}\n")
    return FINE
