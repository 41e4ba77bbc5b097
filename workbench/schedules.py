"""Reports that are to be issued by the calendar: what was agreed on, when each was last due, and the entry for cron or systemd.

The workspace keeps the agreement (`schedules.json`), so that a report which never began is noticed; running it is left to the
computer's own scheduler. Times are the computer's, as cron and systemd take them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbench.environment import without_secrets
from workbench.errors import InputError, WorkbenchError

FILE = "schedules.json"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LAST_DAY = 28  # that every month has
AT = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
MARK = "# workbench report"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,60}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)
SECONDS = 30
NO_CRONTAB_YET = (b"no crontab for", b"No such file or directory")
"""What `crontab -l` says, besides a bad exit code, for a user who has none: vixie's and cronie's words, and busybox's."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A report and when it is to be issued: every day, or on a ``weekday`` (0 is Monday), or on a ``day`` of the month.

    ``at`` is ``HH:MM`` by the computer's clock; ``parameters`` are those of `report run`, periods as words.
    """

    schedule_id: str
    name: str
    at: str
    made_by: str
    made_at: datetime
    weekday: int | None = None
    day: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    pdf: bool = False
    paper: str = "a4"

    def __post_init__(self) -> None:
        """Refuse a time that no calendar has.

        Raises:
            InputError: neither HH:MM, nor a weekday, nor a day up to the 28th; or not what a schedule is made of.
        """
        words = [self.name, self.made_by, self.paper, *self.parameters, *self.parameters.values()]
        if not all(isinstance(word, str) for word in words) or not isinstance(self.pdf, bool) or self.made_at.tzinfo is None:
            raise InputError("a schedule is made of other things than these", "`workbench report schedule` makes one.")
        if not (_NAME.fullmatch(self.name) and _NAME.fullmatch(self.paper)):
            raise InputError("there is no report of this name", "`workbench report list` lists them.")
        if not _ID.fullmatch(self.schedule_id):
            raise InputError("a schedule's id has another form", "`workbench report schedules` lists them.")
        if not AT.fullmatch(self.at):
            raise InputError("the time of day can't be read", "Write it as 06:00.")
        if self.weekday is not None and self.weekday not in range(7):
            raise InputError("no week has that day", "Give a day from monday to sunday.")
        if self.day is not None and not 1 <= self.day <= LAST_DAY:
            raise InputError("not every month has that day", f"Give a day from 1 to {LAST_DAY}.")

    @property
    def when(self) -> str:
        """The calendar in words."""
        if self.day is not None:
            return f"every month on day {self.day} at {self.at}"
        return f"every {'day' if self.weekday is None else WEEKDAYS[self.weekday].capitalize()} at {self.at}"

    def last_due(self, now: datetime) -> datetime:
        """The latest moment up to ``now`` (aware) at which it had to run, on the clock of ``now``'s zone."""
        hour, minute = map(int, self.at.split(":"))
        moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        while moment > now or not self._falls_on(moment):
            moment -= timedelta(days=1)
        return moment

    def _falls_on(self, moment: datetime) -> bool:
        return (self.day is None or moment.day == self.day) and (self.weekday is None or moment.weekday() == self.weekday)

    def command(self, folder: Path) -> list[str]:
        """The words that issue it."""
        given = [word for key, value in sorted(self.parameters.items()) for word in ("-p", f"{key}={value}")]
        words = [sys.executable, "-m", "workbench", "--workspace", str(folder.resolve()), "report", "run", self.name, *given]
        return [*words, "--pdf", "--paper", self.paper] if self.pdf else words

    def like(self, other: Schedule) -> bool:
        """Whether both issue the same report at the same times."""
        return replace(self, schedule_id=other.schedule_id, made_by=other.made_by, made_at=other.made_at) == other


def cron_line(schedule: Schedule, folder: Path) -> str:
    """The line of a crontab, marked with the schedule's id.

    Raises:
        InputError: a crontab has no line for a path with a line break.
    """
    words = schedule.command(folder)
    if any(not word.isprintable() for word in words):
        raise InputError("the workspace's path has a sign that no crontab can hold", "Use --with systemd, or another folder.")
    hour, minute = schedule.at.split(":")
    days = f"{schedule.day or '*'} * {'*' if schedule.weekday is None else (schedule.weekday + 1) % 7}"
    return f"{int(minute)} {int(hour)} {days} {_for_cron(words)} {MARK} {schedule.schedule_id}"


def _for_cron(words: Sequence[str]) -> str:
    return shlex.join(words).replace("%", r"\%")  # cron ends the command at a bare %


def units(schedule: Schedule, folder: Path) -> tuple[str, str]:
    """The texts of a systemd service and of its timer.

    Raises:
        InputError: a unit has no form for a path with a line break.
    """
    words = schedule.command(folder)
    if any(not word.isprintable() for word in words):
        raise InputError("the workspace's path has a sign that no unit can hold", "Use another folder.")
    started = " ".join(_systemd_word(word) for word in words)
    if schedule.day is not None:
        calendar = f"*-*-{schedule.day:02} {schedule.at}:00"
    else:
        calendar = (
            f"{'' if schedule.weekday is None else WEEKDAYS[schedule.weekday][:3].capitalize() + ' '}*-*-* {schedule.at}:00"
        )
    about = f"[Unit]\nDescription=Workbench report {schedule.name}\n\n"
    service = f"{about}[Service]\nType=oneshot\nExecStart={started}\n"
    timer = f"{about}[Timer]\nOnCalendar={calendar}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    return service, timer


def _systemd_word(word: str) -> str:
    """Quoted as systemd.service(5) and systemd.unit(5) have it: % and $ stand for themselves only when doubled."""
    quoted = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{quoted}"'


# --- what the workspace keeps


def read(folder: Path) -> tuple[Schedule, ...]:
    """All schedules of a workspace, in the order in which they were made.

    Raises:
        InputError: the file was changed by hand so that it can't be read.
    """
    try:
        rows = _listed(json.loads((folder / FILE).read_text(encoding="utf-8")))
        return tuple(Schedule(**row | {"made_at": datetime.fromisoformat(row["made_at"])}) for row in rows)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError):
        raise InputError(
            f"{FILE} in the workspace can't be read",
            f"Put it back from a backup. Or delete it together with its entries (in a crontab those marked {MARK!r}), and schedule"
            " the reports again.",
        ) from None


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("schedules are a list")
    return value


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While the block runs, nobody else changes this workspace's schedules.

    Raises:
        InputError: somebody else has been changing them for half a minute.
    """
    try:
        with FileLock(folder / f".{FILE}.lock", timeout=SECONDS, mode=0o600):
            yield
    except Timeout:
        raise InputError("somebody else is changing the schedules", "Try again in a moment.") from None


def keep(folder: Path, schedules: Sequence[Schedule]) -> None:
    """Put other schedules in place of those that are kept, all of them or nothing; only their owner can read the file."""
    beside = folder / f"{FILE}.new"
    beside.unlink(missing_ok=True)
    rows = [asdict(one) | {"made_at": one.made_at.isoformat(), "parameters": dict(one.parameters)} for one in schedules]
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / FILE)


# --- the computer's own schedulers


def to_cron(schedule: Schedule, folder: Path) -> None:
    """Add the entry to the user's crontab; other lines stay as they are.

    Raises:
        InputError: there is no crontab here, or the line has no form in it.
        WorkbenchError: the crontab can't be read, or crontab refused the entry.
    """
    _crontab_is([*_crontab(), cron_line(schedule, folder)])


def from_cron(schedule_id: str, folder: Path) -> None:
    """Take a schedule's entry out of the user's crontab, if there is one. Raises: as `to_cron`.

    A workspace that was restored beside its original has schedules of the same ids: the entry of the other folder is not its own.
    """
    if shutil.which("crontab"):
        lines, place = _crontab(), _for_cron(["--workspace", str(folder.resolve())])
        others = [line for line in lines if not (line.endswith(f"{MARK} {schedule_id}") and f" {place} " in line)]
        if others != lines:
            _crontab_is(others)


def _crontab() -> list[str]:
    program = _program("crontab", instead="systemd")
    plain = without_secrets(os.environ) | {"LC_ALL": "C"}  # its words are looked at
    done = subprocess.run([program, "-l"], capture_output=True, env=plain, timeout=SECONDS, check=False)  # noqa: S603 - our own words
    # What can't be read must not be written over.
    if done.returncode and not any(words in done.stderr for words in NO_CRONTAB_YET):
        raise WorkbenchError(
            "the crontab can't be read, so nothing was changed in it", "See what `crontab -l` says, or use --with nothing."
        )
    text = "" if done.returncode else done.stdout.decode("utf-8", "surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []  # not splitlines: a form feed in a line of others is no line's end


def _crontab_is(lines: Sequence[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    program = _program("crontab", instead="systemd")
    done = subprocess.run(  # noqa: S603 - the same
        [program, "-"], input=text, capture_output=True, env=without_secrets(os.environ), timeout=SECONDS, check=False
    )
    if done.returncode:
        raise WorkbenchError("crontab refused the entry", "Use --with nothing, and add the line that it prints by hand.")


def to_systemd(schedule: Schedule, folder: Path) -> None:
    """Write a service and a timer of the user's, and start the timer where systemd runs.

    Raises:
        InputError: the path has no form in a unit.
        WorkbenchError: systemd refused the timer.
    """
    service, timer = units(schedule, folder)
    _program("systemctl", instead="cron")
    _units_folder().mkdir(parents=True, exist_ok=True)
    for file, text in zip(_unit_files(schedule.schedule_id), (service, timer), strict=True):
        file.write_text(text, encoding="utf-8")
    _systemctl("daemon-reload")
    if not _systemctl("enable", "--now", f"{_unit(schedule.schedule_id)}.timer"):
        from_systemd(schedule.schedule_id, folder)
        raise WorkbenchError(
            "systemd did not start the timer", "Use --with cron, or --with nothing, which prints the line to be added by hand."
        )


def from_systemd(schedule_id: str, folder: Path) -> None:
    """Stop a schedule's timer and delete its units, if there are any and they are those of this workspace."""
    files = [file for file in _unit_files(schedule_id) if file.exists()]
    place = f" {_systemd_word('--workspace')} {_systemd_word(str(folder.resolve()))} "
    if any(place in file.read_text(encoding="utf-8") for file in files):
        _systemctl("disable", "--now", f"{_unit(schedule_id)}.timer")
        for file in files:
            file.unlink()
        _systemctl("daemon-reload")


def _units_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def _unit(schedule_id: str) -> str:
    return f"workbench-report-{schedule_id}"


def _unit_files(schedule_id: str) -> tuple[Path, Path]:
    base = _units_folder() / _unit(schedule_id)
    return base.with_name(f"{base.name}.service"), base.with_name(f"{base.name}.timer")


def _program(name: str, *, instead: str) -> str:
    """The path of one of both schedulers' programs. Raises: InputError where there is none; ``instead`` names the other scheduler."""
    program = shutil.which(name)
    if program is None:
        missing = "systemd" if name == "systemctl" else name
        raise InputError(
            f"there is no {missing} on this computer",
            f"Use --with {instead}, or --with nothing, which prints the line to be added by hand.",
        )
    return program


def _systemctl(*words: str) -> bool:
    """Whether systemd did it. Raises: InputError where there is none."""
    program = _program("systemctl", instead="cron")
    done = subprocess.run(  # noqa: S603 - our own words
        [program, "--user", *words], capture_output=True, env=without_secrets(os.environ), timeout=SECONDS, check=False
    )
    return done.returncode == 0


# --- whether they were kept


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A scheduled report that was due at a moment and is not there; ``failed`` is the notebook of a run that broke off, if one did."""

    schedule: Schedule
    due: datetime
    failed: str = ""


PATIENCE = timedelta(hours=1)


def missed(
    schedules: Sequence[Schedule], issued: Sequence[tuple[str, datetime]], failed: Sequence[Path], *, now: datetime
) -> tuple[Missed, ...]:
    """Those that were due over an hour ago, and for which no report of that name was issued since.

    ``issued`` are the names and moments of reports: each stands for one schedule at most, whatever it was run with. ``failed`` are the
    notebooks of runs that broke off.
    """
    found, taken = [], Counter[str]()
    dues = {one.schedule_id: one.last_due(now - PATIENCE) for one in schedules}
    for one in sorted(schedules, key=lambda one: dues[one.schedule_id], reverse=True):  # the latest due takes the latest reports
        due = dues[one.schedule_id]
        if one.made_at > due:
            continue
        if sum(name == one.name and at >= due for name, at in issued) > taken[one.name]:
            taken[one.name] += 1
            continue
        broken = [f for f in failed if f.name.startswith(f"{one.name}-") and f.stat().st_mtime >= due.timestamp()]
        found.append(Missed(schedule=one, due=due, failed=max((f.name for f in broken), default="")))
    return tuple(found)
