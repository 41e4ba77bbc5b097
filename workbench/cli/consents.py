"""Commands on consents: record one with its evidence, show, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.filters import moment, text_file
from workbench.cli.output import FormatOption, emit, write
from workbench.cli.session import FINE, code, opened
from workbench.cli.talk import ProgressLine, say
from workbench.counted import counted
from workbench.errors import InputError
from workbench.reports.tables import records

MOMENTS = ("double_opt_in_at", "valid_until", "retain_until", "transfer_notice_at")
INTACT = "intact"


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    from workbench.cli import consent_life

    group = typer.Typer(help="Record, show and verify documented consents.", rich_markup_mode=None, no_args_is_help=True)
    group.command("add")(add)
    group.command("show")(show)
    group.command("verify")(verify)
    consent_life.add_to(group)
    app.add_typer(group, name="consent")


def add(
    ctx: typer.Context,
    *,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="An e-mail address or a person id.")],
    given_at: Annotated[
        str, typer.Option("--given-at", help="When the person acted: moment with zone, or a day (weak evidence).")
    ],
    purpose: Annotated[str, typer.Option("--purpose", help="Which mail was agreed to, as in policy.toml.")],
    method: Annotated[str, typer.Option("--method", help="web_form, email, paper, telephone or in_person.")],
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", help="Whose law applies, such as DE or US-CA.")],
    evidence: Annotated[list[Path], typer.Option("--evidence", metavar="FILE", help="A file that proves it; repeatable.")],
    notice: Annotated[str, typer.Option("--notice", help="What the person was shown, word for word.")] = "",
    notice_file: Annotated[
        Path | None, typer.Option("--notice-file", metavar="FILE", help="The same, from a UTF-8 file.")
    ] = None,
    notice_version: Annotated[str, typer.Option("--notice-version", help="The notice's version, where texts are kept.")] = "",
    language: Annotated[str, typer.Option("--language", help="The notice's language, such as de.")] = "",
    authorization_type: Annotated[str, typer.Option("--authorization", help="Only consent can reverse an opt-out.")] = "consent",
    consent_type: Annotated[
        str, typer.Option("--consent-type", help="explicitly_expressed, expressed or implied.")
    ] = "explicitly_expressed",
    expressed_by: Annotated[str, typer.Option("--expressed-by", help="person or representative.")] = "person",
    collection_point: Annotated[str, typer.Option("--collection-point", help="Address of the form, or the place.")] = "",
    double_opt_in_at: Annotated[str, typer.Option("--double-opt-in-at", help="When it was confirmed a second time.")] = "",
    valid_until: Annotated[str, typer.Option("--valid-until", help="When it ends.")] = "",
    retain_until: Annotated[
        str, typer.Option("--retain-until", help="How long its proof must be kept, also when the person is erased.")
    ] = "",
    given_to: Annotated[str, typer.Option("--given-to", help="Who received it, where that is not the controller.")] = "",
    transfer_notice_at: Annotated[str, typer.Option("--transfer-notice-at", help="When the person was told of that.")] = "",
    pre_ticked: Annotated[bool, typer.Option("--pre-ticked", help="The box was ticked beforehand.")] = False,
    solicited_by_email: Annotated[
        bool, typer.Option("--solicited-by-email", help="Won by mailing people who had opted out.")
    ] = False,
    recording_kept: Annotated[bool, typer.Option("--recording-kept", help="The call's recording is among the evidence.")] = False,
    error_proven: Annotated[
        bool, typer.Option("--error-proven", help="The evidence proves that the opt-out was an error.")
    ] = False,
) -> int:
    """Record a consent with its evidence; prints its id."""
    from workbench.consent import Evidence

    if notice and notice_file:
        raise InputError("--notice and --notice-file say the same thing twice", "Give one of them.")
    given = {
        "double_opt_in_at": double_opt_in_at,
        "valid_until": valid_until,
        "retain_until": retain_until,
        "transfer_notice_at": transfer_notice_at,
    }
    fields: dict[str, object] = {key: moment(text, name=f"--{key.replace('_', '-')}") for key, text in given.items() if text}
    fields |= {"language": language, "authorization_type": authorization_type, "consent_type": consent_type}
    fields |= {"expressed_by": expressed_by, "collection_point": collection_point, "given_to": given_to}
    fields |= {"pre_ticked": pre_ticked, "solicited_by_email": solicited_by_email}
    fields |= {"recording_kept": recording_kept, "error_proven": error_proven}
    fields["given_at_precision"] = "second" if "T" in given_at or " " in given_at.strip() else "day"
    with opened(ctx) as wb:
        consent = wb.record_consent(
            person=person,
            given_at=moment(given_at, name="--given-at"),
            purpose=purpose,
            method=method,
            notice_text=text_file(notice_file, what="the notice file") if notice_file else notice,
            notice_version=notice_version,
            jurisdiction=jurisdiction,
            evidence=[Evidence.from_file(path) for path in evidence],
            **fields,
        )
    write(f"{consent.consent_id}\n")
    say(f"The consent is recorded with {counted(len(consent.evidence), 'evidence file')}.")
    return FINE


def show(
    ctx: typer.Context,
    person: Annotated[
        str | None, typer.Argument(metavar="PERSON", help="An e-mail address or a person id; all when left out.")
    ] = None,
    form: FormatOption = "table",
) -> int:
    """Show the consents on file."""
    with opened(ctx) as wb:
        found = wb.consents(person)
    emit(found, form)
    say(f"{counted(len(found), 'consent')}.")
    return FINE


def verify(ctx: typer.Context, form: FormatOption = "table") -> int:
    """Re-read every evidence file. Exit code 1 when one is not as it was stored."""
    progress = ProgressLine()
    with opened(ctx) as wb:
        found = wb.verify_consents(progress=progress)
    progress.end()
    bad = [row for row in records(found)[1] if row["state"] != INTACT]
    emit(found, form)
    say(
        f"{len(found) - len(bad)} of {len(found)} evidence files are as they were stored."
        if len(found)
        else "No evidence is stored."
    )
    return code(bad)
