"""Reports by the calendar: when they are due, entries that a scheduler takes as they are meant, and what is said of missing ones."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workbench import Workbench, schedules
from workbench.cli.app import run
from workbench.errors import InputError, WorkbenchError
from workbench.schedules import Schedule

MADE = datetime(2026, 11, 2, 9, tzinfo=UTC)  # a Monday
PLACES = ["plain", "with blank", "100% sure", "it's", 'quo"ted', "$HOME", "back\\slash", "semi;colon && x", "`id`", "Ünï"]


def schedule(**changes: object) -> Schedule:
    given = {"schedule_id": "0123abcd", "name": "monthly-compliance", "at": "06:05", "made_by": "ada", "made_at": MADE}
    return Schedule(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "now", "due", "words"),
    [
        ({}, "2026-11-27 06:05", "2026-11-27 06:05", "every day at 06:05"),
        ({}, "2026-11-27 06:04", "2026-11-26 06:05", "every day at 06:05"),
        ({"weekday": 0}, "2026-11-29 12:00", "2026-11-23 06:05", "every Monday at 06:05"),
        ({"weekday": 6}, "2026-11-29 12:00", "2026-11-29 06:05", "every Sunday at 06:05"),
        ({"day": 28}, "2026-03-01 00:00", "2026-02-28 06:05", "every month on day 28 at 06:05"),
        ({"day": 1}, "2026-01-01 06:00", "2025-12-01 06:05", "every month on day 1 at 06:05"),
    ],
)
def test_when_it_was_last_due(changes: dict[str, int], now: str, due: str, words: str) -> None:
    one = schedule(**changes)
    moment = datetime.fromisoformat(f"{now}+00:00")
    assert f"{one.last_due(moment):%Y-%m-%d %H:%M}" == due
    assert one.when == words


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": "6:00"},
        {"at": "24:00"},
        {"at": "06:00\n* * * * * x"},
        {"day": 29},
        {"day": 0},
        {"weekday": 7},
        {"weekday": "1"},
        {"schedule_id": "../x"},
    ],
)
def test_a_time_that_no_calendar_has_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        schedule(**wrong)


@pytest.mark.parametrize("place", PLACES)
def test_cron_runs_just_these_words_whatever_the_workspace_is_called(place: str, tmp_path: Path) -> None:
    """cron hands what stands before an unescaped % to a shell, with \\% as %; so does this test, with the words printed instead."""
    folder = tmp_path / place
    line = schedules.cron_line(schedule(day=2, parameters={"month": "last-month"}, pdf=True), folder)
    assert line.startswith("5 6 2 * * ")
    assert line.count("\n") == 0
    command = line.removeprefix("5 6 2 * * ")
    assert "%" not in command.replace(r"\%", "")
    told = command.replace(r"\%", "%").replace(shlex.quote(sys.executable), "printf '%s\\n'", 1)
    done = subprocess.run(["/bin/sh", "-c", told], capture_output=True, text=True, check=True)
    words = [
        "-m",
        "workbench",
        "--workspace",
        str(folder),
        "report",
        "run",
        "monthly-compliance",
        "-p",
        "month=last-month",
        "--pdf",
        "--paper",
        "a4",
    ]
    assert done.stdout.splitlines() == words


def test_cron_counts_its_week_from_sunday() -> None:
    assert [schedules.cron_line(schedule(weekday=day), Path("/w")).split()[:5] for day in (0, 5, 6)] == [
        ["5", "6", "*", "*", day] for day in ("1", "6", "0")
    ]


@pytest.mark.parametrize("place", PLACES)
def test_systemd_takes_the_words_as_they_are(place: str, tmp_path: Path) -> None:
    service, timer = schedules.units(schedule(weekday=2), tmp_path / place)
    (started,) = [line.removeprefix("ExecStart=") for line in service.splitlines() if line.startswith("ExecStart=")]
    words = [
        word.replace("%%", "%").replace("$$", "$") for word in shlex.split(started)
    ]  # its quoting is a shell's, its % and $ are not
    assert words == [
        sys.executable,
        "-m",
        "workbench",
        "--workspace",
        str(tmp_path / place),
        "report",
        "run",
        "monthly-compliance",
    ]
    assert not [char for char in ("%", "$") if char in started.replace(char * 2, "")]
    assert "OnCalendar=Wed *-*-* 06:05:00" in timer
    assert "Persistent=true" in timer
    assert "OnCalendar=*-*-03 06:05:00" in schedules.units(schedule(day=3), tmp_path)[1]


def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    for write in (schedules.cron_line, schedules.units):
        with pytest.raises(InputError, match="can hold"):
            write(schedule(), tmp_path / "a\n* * * * * touch x")


def test_what_is_kept_is_read_again_and_is_private(tmp_path: Path) -> None:
    made = (schedule(weekday=0, parameters={"personal_data": "counts"}), schedule(schedule_id="00000000", day=5, pdf=True))
    schedules.keep(tmp_path, made)
    assert schedules.read(tmp_path) == made
    assert stat.S_IMODE((tmp_path / schedules.FILE).stat().st_mode) == 0o600
    good = json.loads((tmp_path / schedules.FILE).read_text(encoding="utf-8"))[0]
    odd = ({"parameters": {"x": [1]}}, {"pdf": "yes"}, {"made_at": "2026-11-02T09:00:00"}, {"name": "../../etc"}, {"more": 1})
    spoilt = [json.dumps([good | one]) for one in odd]
    for broken in ("", "{}", "[1]", "[" * 200_000, '[{"name": "x"}]', json.dumps([{"schedule_id": "../../x"}]), *spoilt):
        (tmp_path / schedules.FILE).write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match=r"schedules\.json in the workspace can't be read"):
            schedules.read(tmp_path)


def test_who_schedules_at_the_same_time_loses_nothing(tmp_path: Path) -> None:
    def add(number: int) -> None:
        with schedules.alone(tmp_path):
            known = schedules.read(tmp_path)
            schedules.keep(tmp_path, [*known, schedule(schedule_id=f"{number:08x}")])

    with ThreadPoolExecutor(max_workers=20) as pool:
        list(pool.map(add, range(20)))
    assert sorted(int(one.schedule_id, 16) for one in schedules.read(tmp_path)) == list(range(20))


# --- the commands, with a crontab and a systemctl that only note what they are given


@pytest.fixture
def wb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    with Workbench.init(tmp_path / "workspace", name="test", controller="Example GmbH") as made:
        monkeypatch.setenv("WORKBENCH_HOME", str(made.workspace))
        yield made


def program(tmp_path: Path, name: str, text: str) -> None:
    """A stand-in: the tests must not write into the crontab, or the systemd, of whoever runs them."""
    file = tmp_path / "bin" / name
    file.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n", encoding="utf-8")
    file.chmod(0o700)


def crontab(tmp_path: Path, *, refuses: bool = False) -> Path:
    table = tmp_path / "table"
    program(
        tmp_path,
        "crontab",
        f'if [ "$1" = -l ]; then cat "{table}" 2>/dev/null || {{ echo "no crontab for ada" >&2; exit 1; }}; else {"exit 1" if refuses else f"cat > {table}"}; fi',
    )
    return table


def test_a_schedule_comes_into_the_crontab_and_goes_again(
    wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = crontab(tmp_path)
    table.write_text("MAILTO=ada\n# mine\n1 2 * * * true\n", encoding="utf-8")
    assert run(["report", "schedule", "monthly-compliance", "--monthly", "2", "--at", "06:05", "-p", "month=last-month"]) == 0
    (one,) = schedules.read(wb.workspace)
    assert table.read_text(encoding="utf-8").splitlines()[:3] == ["MAILTO=ada", "# mine", "1 2 * * * true"]
    assert table.read_text(encoding="utf-8").splitlines()[3] == schedules.cron_line(one, wb.workspace)
    assert run(["report", "schedules", "--format", "json"]) == 0
    assert one.schedule_id in capsys.readouterr().out
    assert run(["report", "unschedule", one.schedule_id]) == 0
    assert table.read_text(encoding="utf-8") == "MAILTO=ada\n# mine\n1 2 * * * true\n"
    assert schedules.read(wb.workspace) == ()
    assert run(["report", "unschedule", one.schedule_id]) == 2


def test_a_schedule_becomes_a_timer_and_goes_again(wb: Workbench, tmp_path: Path) -> None:
    program(tmp_path, "systemctl", f'echo "$@" >> {tmp_path}/told')
    assert run(["report", "schedule", "trail-verification", "--daily", "--at", "06:05", "--with", "systemd"]) == 0
    (one,) = schedules.read(wb.workspace)
    made = sorted((tmp_path / "config" / "systemd" / "user").iterdir())
    assert [file.read_text(encoding="utf-8") for file in made] == list(schedules.units(one, wb.workspace))
    assert run(["report", "unschedule", one.schedule_id]) == 0
    assert not list((tmp_path / "config" / "systemd" / "user").iterdir())
    unit = f"workbench-report-{one.schedule_id}.timer"
    told = ["daemon-reload", f"enable --now {unit}", f"disable --now {unit}", "daemon-reload"]
    assert (tmp_path / "told").read_text(encoding="utf-8").splitlines() == [f"--user {words}" for words in told]


def test_a_restored_copy_does_not_end_the_schedules_of_its_original(
    wb: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = crontab(tmp_path)
    program(tmp_path, "systemctl", "exit 0")
    for scheduler, at in (("cron", "06:05"), ("systemd", "06:10")):
        assert run(["report", "schedule", "trail-verification", "--daily", "--at", at, "--with", scheduler]) == 0
    before, units = table.read_text(encoding="utf-8"), sorted((tmp_path / "config" / "systemd" / "user").iterdir())
    known = schedules.read(wb.workspace)
    with Workbench.init(tmp_path / "copy", name="copy", controller="Example GmbH") as copy:
        schedules.keep(copy.workspace, known)
    for one in known:
        assert run(["--workspace", str(tmp_path / "copy"), "report", "unschedule", one.schedule_id]) == 0
    assert table.read_text(encoding="utf-8") == before
    assert sorted((tmp_path / "config" / "systemd" / "user").iterdir()) == units
    for one in known:
        assert run(["report", "unschedule", one.schedule_id]) == 0
    assert table.read_text(encoding="utf-8") == ""
    assert not list((tmp_path / "config" / "systemd" / "user").iterdir())


def test_what_systemd_refuses_leaves_no_units(wb: Workbench, tmp_path: Path) -> None:
    asked = ["report", "schedule", "trail-verification", "--daily", "--at", "06:05", "--with", "systemd"]
    units = tmp_path / "config" / "systemd" / "user"
    assert run(asked) == 2
    assert not units.exists()
    program(tmp_path, "systemctl", '[ "$2" != enable ]')
    assert run(asked) == 2
    assert list(units.iterdir()) == []
    assert schedules.read(wb.workspace) == ()


def test_without_a_scheduler_the_line_is_printed(wb: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["report", "schedule", "trail-verification", "--weekly", "monday", "--at", "06:05"]
    for scheduler in ("cron", "systemd"):
        assert run([*asked, "--with", scheduler]) == 2
        assert "--with nothing, which prints the line" in capsys.readouterr().err
        assert schedules.read(wb.workspace) == ()
    assert run([*asked, "--with", "nothing"]) == 0
    (one,) = schedules.read(wb.workspace)
    assert capsys.readouterr().out == f"{schedules.cron_line(one, wb.workspace)}\n"


def test_a_crontab_that_can_not_be_read_is_not_written_over(
    wb: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = crontab(tmp_path)
    table.write_text("1 2 * * * true\n", encoding="utf-8")
    asked = ["report", "schedule", "trail-verification", "--daily", "--at", "06:05"]
    assert run(asked) == 0
    (one,) = schedules.read(wb.workspace)
    before = table.read_bytes()
    program(tmp_path, "crontab", f'if [ "$1" = -l ]; then echo "you are not allowed" >&2; exit 1; fi; cat > {table}')
    another = ["report", "schedule", "trail-verification", "--daily", "--at", "07:05"]
    for words in (another, ["report", "unschedule", one.schedule_id]):
        assert run(words) == 2
        assert "crontab can't be read, so nothing was changed in it" in capsys.readouterr().err
        assert table.read_bytes() == before
        assert schedules.read(wb.workspace) == (one,)


@pytest.mark.parametrize("said", schedules.NO_CRONTAB_YET)
def test_who_has_no_crontab_yet_gets_one(said: bytes, wb: Workbench, tmp_path: Path) -> None:
    table = tmp_path / "table"
    program(tmp_path, "crontab", f'if [ "$1" = -l ]; then echo "crontab: {said.decode()}" >&2; exit 1; fi; cat > {table}')
    assert run(["report", "schedule", "trail-verification", "--daily", "--at", "06:05"]) == 0
    (one,) = schedules.read(wb.workspace)
    assert table.read_text(encoding="utf-8") == f"{schedules.cron_line(one, wb.workspace)}\n"


def test_lines_of_others_keep_every_byte(wb: Workbench, tmp_path: Path) -> None:
    table = crontab(tmp_path)
    theirs = b"# caf\xe9\r\n\n1 2 * * * echo a\x0cb\xe2\x80\xa8c\n\n"
    table.write_bytes(theirs)
    assert run(["report", "schedule", "trail-verification", "--daily", "--at", "06:05"]) == 0
    (one,) = schedules.read(wb.workspace)
    assert table.read_bytes() == theirs + schedules.cron_line(one, wb.workspace).encode() + b"\n"
    assert run(["report", "unschedule", one.schedule_id]) == 0
    assert table.read_bytes() == theirs


def test_what_crontab_refuses_is_not_kept(wb: Workbench, tmp_path: Path) -> None:
    crontab(tmp_path, refuses=True)
    assert run(["report", "schedule", "trail-verification", "--daily", "--at", "06:05"]) == 2
    assert schedules.read(wb.workspace) == ()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trail-verification", "--at", "06:00"], "needs one of --daily, --weekly and --monthly"),
        (["trail-verification", "--at", "06:00", "--daily", "--monthly", "1"], "needs one of --daily, --weekly and --monthly"),
        (["trail-verification", "--at", "6", "--daily"], "the time of day can't be read"),
        (["trail-verification", "--at", "06:00", "--monthly", "31"], "not every month has that day"),
        (["nothing", "--at", "06:00", "--daily"], "there is no report of this name"),
        (["monthly-compliance", "--at", "06:00", "--daily"], "needs the parameter month"),
        (["monthly-compliance", "--at", "06:00", "--daily", "-p", "month=x"], "is not a month"),
        (["person-history", "--at", "06:00", "--daily", "-p", "person=x"], "a report about one person is not scheduled"),
    ],
)
def test_what_can_not_be_scheduled_is_one_sentence(
    wb: Workbench, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "schedule", *words, "--with", "nothing"]) == 2
    assert sentence in capsys.readouterr().err.replace("The ", "the ").replace("A ", "a ").replace("Not ", "not ").replace(
        "There ", "there "
    )
    assert schedules.read(wb.workspace) == ()


# --- the start panel


def warnings(wb: Workbench) -> str:
    return "\n".join(line.sentence for line in wb.health() if line.level == "warn")


def test_a_report_that_is_missing_or_failed_is_a_line_until_it_is_issued(wb: Workbench) -> None:
    now = wb.clock().astimezone()
    at = f"{now - timedelta(hours=2):%H:%M}"
    schedules.keep(wb.workspace, [schedule(name="trail-verification", at=at, made_at=wb.clock() - timedelta(days=3))])
    assert "The report trail-verification was due on " in warnings(wb)
    failed = wb.workspace / "issued" / "failed" / "trail-verification-x.ipynb"
    failed.parent.mkdir(parents=True)
    failed.write_text("{}", encoding="utf-8")
    assert "failed; issued/failed/trail-verification-x.ipynb says where" in warnings(wb)
    os.utime(failed, (0, 0))
    assert "was not issued" in warnings(wb)
    wb.report("trail-verification")
    assert "trail-verification" not in warnings(wb)


def test_what_counts_as_missed() -> None:
    now = datetime(2026, 11, 27, 7, tzinfo=UTC)  # it was due at 06:05

    def dues(*issued: datetime, at: datetime = now, made_at: datetime = MADE, number: int = 1) -> list[str]:
        made = [schedule(made_at=made_at, schedule_id=f"{n:08x}") for n in range(number)]
        return [f"{one.due:%d %H:%M}" for one in schedules.missed(made, [("monthly-compliance", i) for i in issued], [], now=at)]

    yesterday, later = now - timedelta(days=1), now + timedelta(minutes=6)
    assert dues(yesterday) == []  # not an hour ago yet
    assert dues(yesterday, at=later) == ["27 06:05"]
    assert dues() == ["26 06:05"]  # the one before is not forgotten when the next is due
    assert dues(now, at=later) == []
    assert dues(made_at=now, at=later) == []  # it was scheduled after that
    assert dues(now, at=later, number=2) == ["27 06:05"]  # one report does not stand for two schedules
    assert dues(now, now, at=later, number=2) == []


def test_the_same_schedule_is_not_made_twice(wb: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "report",
        "schedule",
        "monthly-compliance",
        "--daily",
        "--at",
        "06:00",
        "-p",
        "month=last-month",
        "--with",
        "nothing",
    ]
    assert run(words) == 0
    (one,) = schedules.read(wb.workspace)
    assert run(words) == 2
    assert f"by the schedule {one.schedule_id}" in capsys.readouterr().err
    assert run([*words, "--pdf", "--paper", "letter"]) == 0
    assert "--pdf --paper letter" in capsys.readouterr().out
    assert run([*words, "--pdf", "--paper", "a3"]) == 2
    assert run(["report", "schedules", "--format", "json"]) == 0
    assert [row["pdf"] for row in json.loads(capsys.readouterr().out)] == [None, "letter"]


def test_a_file_that_was_spoilt_is_a_line(wb: Workbench) -> None:
    (wb.workspace / schedules.FILE).write_text("?", encoding="utf-8")
    assert (
        "Scheduled reports are not watched: schedules.json in the workspace can't be read. Put it back from a backup"
        in warnings(wb)
    )
    with pytest.raises(WorkbenchError):
        schedules.read(wb.workspace)
