"""Commands for auditors and administrators: reports, the trail, operators and their roles."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import anchors, scheduling
from workbench.cli.filters import pairs, text_file
from workbench.cli.output import FormatOption, emit, emit_json, write
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import say, sentence
from workbench.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    reports = typer.Typer(help="Issue reports and verify issued ones.", rich_markup_mode=None, no_args_is_help=True)
    reports.command("list")(report_list)
    reports.command("run")(report_run)
    reports.command("verify")(report_verify)
    scheduling.add_to(reports)
    app.add_typer(reports, name="report")
    trail = typer.Typer(help="The audit trail: verify, export, prove.", rich_markup_mode=None, no_args_is_help=True)
    trail.command("verify")(trail_verify)
    trail.command("export")(trail_export)
    trail.command("excerpt")(trail_excerpt)
    anchors.add_to(trail)
    trail.command("proof")(trail_proof)
    trail.command("check")(trail_check)
    trail.command("rotate-key")(trail_rotate_key)
    app.add_typer(trail, name="trail")
    operators = typer.Typer(help="Who may do what.", rich_markup_mode=None, no_args_is_help=True)
    operators.command("list")(operator_list)
    operators.command("grant")(operator_grant)
    operators.command("revoke")(operator_revoke)
    app.add_typer(operators, name="operator")


def report_list(
    ctx: typer.Context,
    issued: Annotated[bool, typer.Option("--issued", help="The reports issued so far, instead of the templates.")] = False,
    form: FormatOption = "table",
) -> int:
    """List report templates and their parameters. With --issued, the reports issued so far."""
    from workbench import reports

    if not issued:
        rows = [{"name": t.name, "title": t.title, "parameters": [str(p) for p in t.parameters]} for t in reports.templates()]
        emit(rows, form)
        return FINE
    with opened(ctx) as wb:
        emit(wb.reports(), form)
    return FINE


def report_run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The template's name, as `report list` prints it.")],
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter; repeatable.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="A PDF as well; needs Chromium.")] = False,
    paper: Annotated[str, typer.Option("--paper", metavar="a4|letter", help="What it is printed on.")] = "a4",
) -> int:
    """Issue a report. Runs its template, seals the files, puts their digests on the trail; prints the path."""
    from workbench import reports

    given = pairs(parameter or (), option="-p")
    with opened(ctx) as wb:
        issued = reports.run(wb, name, given, pdf=pdf, paper=paper)
    write(f"{issued.html}\n")
    say(f"The report is issued; its SHA-256 {issued.sha256} is on the trail.")
    return FINE


def report_verify(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of an issued report.")]
) -> int:
    """Compare a report's file with the trail. Exit code 1 when it was altered."""
    from workbench import reports

    with opened(ctx) as wb:
        verdict = reports.verify(wb, file)
    write(f"{verdict.sentence}\n")
    return code(not verdict.ok)


def trail_verify(
    ctx: typer.Context,
    known: Annotated[
        list[Path] | None,
        typer.Option("--known", metavar="FILE", help="A checkpoint kept elsewhere, such as from an earlier report."),
    ] = None,
    from_salesforce: Annotated[
        bool, typer.Option("--from-salesforce", help="Compare it with the checkpoints that Salesforce keeps as well.")
    ] = False,
) -> int:
    """Verify the whole trail. Every event, payload and checkpoint; exit code 1 when anything does not fit."""
    from workbench.trail import parse_checkpoint, split_notes

    notes = [note for path in known or () for note in split_notes(text_file(path, what="the checkpoint file").strip() + "\n")]
    with opened(ctx) as wb:
        if from_salesforce:
            notes += wb.trail.kept_in_salesforce()
        verdict = wb.trail.verify(known=notes)
    for problem in verdict.problems:
        write(f"{sentence(problem)}\n")
    if verdict.ok:
        write(f"The trail is intact: {verdict.events} events, the last signed checkpoint covers {verdict.size}.\n")
        for size in sorted({parse_checkpoint(note).size for note in notes}):
            write(
                f"The known checkpoint of size {size} fits: none of the first {size} events was changed or removed since it was signed.\n"
            )
    return code(not verdict.ok)


def trail_export(
    ctx: typer.Context, folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet.")]
) -> int:
    """Write the trail for an auditor. With a verifier that needs nothing but Python; holds personal data."""
    with opened(ctx) as wb:
        written, vkey = wb.trail.export(folder), wb.trail.vkey
    write(f"{written}\n")
    say("The folder holds personal data: hand it over encrypted. This verifies it, wherever there is Python:")
    say(f"  cd {shlex.quote(str(folder))} && python3 verify_trail.py . --vkey {shlex.quote(vkey)}")
    say("The key in that line must reach the auditor by another way than the folder.")
    return FINE


def trail_excerpt(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet.")],
    known: Annotated[Path, typer.Option("--known", metavar="FILE", help="The checkpoints that the other side holds.")],
) -> int:
    """Prove that the trail goes on from a checkpoint. With a verifier; shows no event but changes of the signing key."""
    from workbench.trail import split_notes

    notes = split_notes(text_file(known, what="the checkpoint file").strip() + "\n")
    with opened(ctx) as wb:
        written, vkey = wb.trail.excerpt(folder, known=notes), wb.trail.vkey
    write(f"{written}\n")
    say("Whoever holds the checkpoint verifies it with:")
    say(f"  cd {shlex.quote(str(folder))} && python3 verify_trail.py . --vkey {shlex.quote(vkey)} --known FILE --excerpt")
    return FINE


def trail_proof(
    ctx: typer.Context, person: Annotated[str, typer.Argument(metavar="PERSON", help="An e-mail address or a person id.")]
) -> int:
    """Prove one person's events. As JSON, without showing anybody else's."""
    with opened(ctx) as wb:
        emit_json(wb.trail.proof(person))
    return FINE


def trail_check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `trail proof` printed, or an access report's trail.json.")],
    vkey: Annotated[str, typer.Option("--vkey", help="The verifier key, as it was announced to you.")],
) -> int:
    """Check one person's proved events. Needs no workspace; exit code 1 when an event does not fit."""
    from workbench.access import check_proof

    try:
        proof = json.loads(text_file(file, what="the file of proofs"))
    except (ValueError, RecursionError):
        raise InputError("the file of proofs is not JSON", "Name the trail.json of an access report.") from None
    problems = check_proof(proof, vkey)
    for problem in problems:
        write(f"{sentence(problem)}\n")
    if not problems:
        write(f"All {len(proof['events'])} events are in the tree that the checkpoint signs.\n")
    return code(problems)


def trail_rotate_key(
    ctx: typer.Context,
    cause: Annotated[str, typer.Option("--cause", help="Why, in a few words; it stays on the trail.")] = "",
) -> int:
    """Replace the key that signs. The old key signs the new one in and is gone; for administrators."""
    with opened(ctx) as wb:
        write(wb.trail.rotate_key(cause=cause))
        kept_in = wb.trail.key_kept_in
    say(f"A new key signs from now on; it is kept in {kept_in}. Verify with the first key, as ever.")
    return FINE


def operator_list(ctx: typer.Context, form: FormatOption = "table") -> int:
    """List operators and their roles."""
    with opened(ctx) as wb:
        emit(wb.operators(), form)
    return FINE


def operator_grant(ctx: typer.Context, name: str, role: Annotated[str, typer.Argument(help="analyst, admin or auditor.")]) -> int:
    """Give an operator a role. For administrators."""
    with opened(ctx) as wb:
        wb.grant(name, role)
    say(f"{name} is {role} now.")
    return FINE


def operator_revoke(
    ctx: typer.Context, name: str, role: Annotated[str, typer.Argument(help="analyst, admin or auditor.")]
) -> int:
    """Take a role from an operator. For administrators."""
    with opened(ctx) as wb:
        wb.revoke(name, role)
    say(f"{name} is no longer {role}.")
    return FINE
