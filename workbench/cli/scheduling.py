"""Commands for reports by the calendar."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from workbench.cli.filters import pairs
from workbench.cli.output import FormatOption, emit, write
from workbench.cli.session import FINE, opened
from workbench.cli.talk import say
from workbench.errors import InputError, WorkbenchError


class Scheduler(StrEnum):
    """Who runs it."""

    cron = "cron"
    systemd = "systemd"
    nothing = "nothing"


class Weekday(StrEnum):
    """The days of a week."""

    monday = "monday"
    tuesday = "tuesday"
    wednesday = "wednesday"
    thursday = "thursday"
    friday = "friday"
    saturday = "saturday"
    sunday = "sunday"


def add_to(reports: typer.Typer) -> None:
    """Hang these commands below `report`."""
    reports.command("schedule")(report_schedule)
    reports.command("schedules")(report_schedules)
    reports.command("unschedule")(report_unschedule)


def report_schedule(  # noqa: PLR0917 - one for each option
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The template's name, as `report list` prints it.")],
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="The time of day, by the computer's clock.")],
    daily: Annotated[bool, typer.Option("--daily", help="Every day.")] = False,
    weekly: Annotated[Weekday | None, typer.Option("--weekly", help="Every week on that day.")] = None,
    monthly: Annotated[int | None, typer.Option("--monthly", metavar="DAY", help="Every month on that day, 1 to 28.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter, as for `report run`; repeatable.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="A PDF as well; needs Chromium.")] = False,
    paper: Annotated[str, typer.Option("--paper", metavar="a4|letter", help="What it is printed on.")] = "a4",
    scheduler: Annotated[
        Scheduler, typer.Option("--with", help="Whose entry is written; with nothing, it is printed.")
    ] = Scheduler.cron,
) -> int:
    """Have a report issued by the calendar. Writes an entry for cron or systemd; one that is missing shows on the start panel."""
    from workbench import reports, schedules
    from workbench.person import new_id

    if [daily, weekly is not None, monthly is not None].count(True) != 1:
        raise InputError("a schedule needs one of --daily, --weekly and --monthly", "Write for example --monthly 2 --at 06:00.")
    given = pairs(parameter or (), option="-p")
    with opened(ctx) as wb:
        chosen = reports.template(name)
        if any(one.kind == "id" for one in chosen.parameters):
            raise InputError(
                "a report about one person is not scheduled", "Issue it when it is asked for: `workbench report run`."
            )
        chosen.checked(given, today=wb.clock().date())
        reports.check_paper(paper)
        made = schedules.Schedule(
            schedule_id=new_id()[-8:],
            name=name,
            at=at,
            weekday=None if weekly is None else schedules.WEEKDAYS.index(weekly),
            day=monthly,
            parameters=given,
            pdf=pdf,
            paper=paper,
            made_by=wb.operator,
            made_at=wb.clock(),
        )
        line = schedules.cron_line(made, wb.workspace) if scheduler is Scheduler.nothing else ""
        with schedules.alone(wb.workspace):
            known = schedules.read(wb.workspace)
            if again := next((one for one in known if one.like(made)), None):
                raise InputError(
                    f"this report is issued {made.when} already, by the schedule {again.schedule_id}",
                    "`workbench report schedules` lists them; `workbench report unschedule` ends one.",
                )
            schedules.keep(wb.workspace, [*known, made])  # first: an entry that nobody knows of could not be taken out again
            try:
                if scheduler is Scheduler.cron:
                    schedules.to_cron(made, wb.workspace)
                elif scheduler is Scheduler.systemd:
                    schedules.to_systemd(made, wb.workspace)
            except WorkbenchError:
                schedules.keep(wb.workspace, known)
                raise
    if scheduler is Scheduler.nothing:
        write(f"{line}\n")
        say("Add this line to a crontab of the account that holds the workspace.")
    say(f"The report {name} is issued {made.when}; its schedule is {made.schedule_id}.")
    return FINE


def report_schedules(ctx: typer.Context, form: FormatOption = "table") -> int:
    """List the reports that are issued by the calendar. With when each was last due."""
    from workbench import schedules

    with opened(ctx) as wb:
        now = wb.clock().astimezone()
        rows = [
            {
                "schedule": one.schedule_id,
                "name": one.name,
                "when": one.when,
                "parameters": [f"{key}={value}" for key, value in sorted(one.parameters.items())],
                "pdf": one.paper if one.pdf else None,
                "last_due": one.last_due(now) if one.last_due(now) >= one.made_at else None,
                "made_by": one.made_by,
            }
            for one in schedules.read(wb.workspace)
        ]
    emit(rows, form)
    return FINE


def report_unschedule(
    ctx: typer.Context,
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its id, as `report schedules` prints it.")],
) -> int:
    """End a schedule. Takes its entry out of cron or systemd; reports that were issued stay."""
    from workbench import schedules

    with opened(ctx) as wb, schedules.alone(wb.workspace):
        known = schedules.read(wb.workspace)
        if schedule not in {one.schedule_id for one in known}:
            raise InputError("there is no schedule of this id", "`workbench report schedules` lists them.")
        schedules.from_cron(schedule, wb.workspace)
        schedules.from_systemd(schedule, wb.workspace)
        schedules.keep(wb.workspace, [one for one in known if one.schedule_id != schedule])
    say(f"The schedule {schedule} has ended.")
    return FINE
