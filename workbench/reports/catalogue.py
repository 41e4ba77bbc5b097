"""Report templates and their parameters: which there are, and whether the given ones fit before anything starts.

The types come from the template's own ``parameters`` cell, one line a parameter::

    since: "date"  # first day of the period
    personal_data: "full | masked | counts" = "masked"  # how people are shown

A parameter without a value is required. Kinds: ``date``, ``month``, ``int``, ``bool``, ``id`` (a person's), or the words to choose
from. There is no free text: what papermill writes into a notebook is code, and an address does not belong into a parameter.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.said import said
from workbench.errors import ReportError

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MONTH = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])", re.ASCII)
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
NUMBER = re.compile(r"\d{1,9}", re.ASCII)
YES_NO = {"yes": True, "true": True, "no": False, "false": False}
ADVICE = said("`workbench report list` shows each report's parameters.")
PERIOD = ("since", "until")
RELATIVE: Mapping[str, Callable[[date], date]] = {
    "today": lambda today: today,
    "this-month": lambda today: today.replace(day=1),
    "last-month": lambda today: (today.replace(day=1) - timedelta(days=1)).replace(day=1),
}
"""Days by a word; what a report was run with, and what stands on the trail, is the day."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a template: its name, kind (``date``, ``month``, ``int``, ``bool``, ``id``, ``choice``), and what it is for."""

    name: str
    kind: str
    help: str
    required: bool
    default: Any = None
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = "|".join(self.choices) if self.choices else self.kind
        return f"{self.name}={kind}" if self.required else f"[{self.name}={kind}]"


@dataclass(frozen=True)
class Template:
    """One report template: the notebook at ``path``."""

    name: str
    title: str
    path: Path
    parameters: tuple[Parameter, ...]

    def checked(self, given: Mapping[str, Any], *, today: date) -> dict[str, Any]:
        """The given parameters in the form that the notebook takes, defaults added: dates as ISO text, numbers, booleans, words.

        A day may be given as one of `RELATIVE`, a month as ``this-month`` or ``last-month``: seen from ``today``, for scheduled runs.

        Raises:
            ReportError: unknown, missing, of the wrong kind, or a period that ends before it begins or is to come.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        unknown = sorted(str(name) for name in given if name not in known)
        if unknown:
            raise ReportError(said("the report {name} has no parameter {unknown}", name=self.name, unknown=', '.join(unknown)), ADVICE)
        missing = [p.name for p in self.parameters if p.required and given.get(p.name) is None]
        if missing:
            needs = said("the report {name} needs the parameter {missing}", name=self.name, missing=", ".join(missing))
            if len(missing) > 1:
                needs = said("the report {name} needs the parameters {missing}", name=self.name, missing=", ".join(missing))
            raise ReportError(needs, ADVICE)
        values = {p.name: _value(p, given[p.name], today) if p.name in given else p.default for p in self.parameters}
        if all(values.get(name) for name in PERIOD) and values["since"] >= values["until"]:
            raise ReportError(said("the report's period ends before it begins"), said("Give a day for until that lies after since."))
        for name, begins in (("since", today.isoformat()), ("month", f"{today:%Y-%m}")):
            if isinstance(values.get(name), str) and values[name] > begins:
                raise ReportError(said("the report's period has not begun yet"), said("Give a day that has.") if name == "since" else said("Give a month that has."))
        return values


def shipped(kind: str) -> Path:
    """The folder of ``reports`` or ``notebooks`` that this version came with: in the installed package, else in the source tree."""
    package = Path(__file__).parents[1]
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def templates() -> list[Template]:
    """All templates, by name.

    Raises:
        ReportError: a template can't be read.
    """
    return [_read(path) for path in sorted(shipped("reports").glob("*.ipynb"))]


def template(name: str) -> Template:
    """The template of this name.

    Raises:
        ReportError: there is none, or it can't be read.
    """
    path = shipped("reports") / f"{name}.ipynb"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,60}", name) or not path.is_file():
        names = ", ".join(sorted(p.stem for p in shipped("reports").glob("*.ipynb")))
        raise ReportError(said("there is no report of this name"), said("Reports: {names}.", names=names))
    return _read(path)


def _read(path: Path) -> Template:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", ()))
        title = next(
            line.removeprefix("# ") for c in cells for line in "".join(c["source"]).splitlines() if line.startswith("# ")
        )
        parameters = tuple(_parameter(line) for line in source.splitlines() if line.strip() and not line.startswith("#"))
    except (OSError, ValueError, KeyError, StopIteration, SyntaxError, AttributeError):
        raise ReportError(
            said("the report template {stem} has no title or parameters that can be read", stem=path.stem), said("Install the workbench again.")
        ) from None
    return Template(name=path.stem, title=title.strip(), path=path, parameters=parameters)


def _parameter(line: str) -> Parameter:
    """One line of the parameters cell; SyntaxError or AttributeError when it has another form."""
    (statement,) = ast.parse(line).body
    if not isinstance(statement, ast.AnnAssign):
        raise SyntaxError("a parameter has the form name: kind = value")  # noqa: TRY004 - about the text, not about a value
    declared = str(ast.literal_eval(statement.annotation))
    choices = tuple(word.strip() for word in declared.split("|")) if "|" in declared else ()
    comment = line[statement.end_col_offset or 0 :].partition("#")[2].strip()
    return Parameter(
        name=statement.target.id,  # type: ignore[union-attr]  # a name; anything else is the AttributeError promised above
        kind="choice" if choices else declared,
        help=comment,
        required=statement.value is None,
        default=ast.literal_eval(statement.value) if statement.value is not None else None,
        choices=choices,
    )


def _value(parameter: Parameter, given: Any, today: date) -> Any:
    if isinstance(given, str) and given in RELATIVE and parameter.kind in ("date", "month"):
        day = RELATIVE[given](today)
        given = f"{day:%Y-%m}" if parameter.kind == "month" and given != "today" else day
    reader = {"date": _day, "month": _month, "int": _whole, "bool": _flag, "id": _id, "choice": _word}[parameter.kind]
    return reader(parameter, given)


def _day(parameter: Parameter, given: Any) -> str:
    try:
        if isinstance(given, date) and not isinstance(given, datetime):
            return given.isoformat()
        if isinstance(given, str) and DAY.fullmatch(given):
            return date.fromisoformat(given).isoformat()
    except ValueError:
        pass
    raise ReportError(said("the parameter {name} is not a day", name=parameter.name), said("Write it as 2026-11-02, or today, this-month or last-month (their first day)."))


def _month(parameter: Parameter, given: Any) -> str:
    if isinstance(given, str) and MONTH.fullmatch(given):
        return given
    raise ReportError(said("the parameter {name} is not a month", name=parameter.name), said("Write it as 2026-10, or this-month or last-month."))


def _id(parameter: Parameter, given: Any) -> str:
    if isinstance(given, str) and ID.fullmatch(given.lower()):
        return given.lower()
    raise ReportError(said("the parameter {name} is not a person's id", name=parameter.name), said("`workbench people` lists them; an address is none."))


def _whole(parameter: Parameter, given: Any) -> int:
    """A count of something: none is below 0."""
    if isinstance(given, (int, str)) and not isinstance(given, bool) and NUMBER.fullmatch(str(given)):
        return int(given)
    raise ReportError(said("the parameter {name} is not a whole number from 0 on", name=parameter.name), said("Write it as 10."))


def _flag(parameter: Parameter, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.lower() in YES_NO:
        return YES_NO[given.lower()]
    raise ReportError(said("the parameter {name} is not yes or no", name=parameter.name), said("Write yes or no."))


def _word(parameter: Parameter, given: Any) -> str:
    if isinstance(given, str) and given in parameter.choices:
        return given
    raise ReportError(said("the parameter {name} is none of its words", name=parameter.name), said("Write one of: {choices}.", choices=', '.join(parameter.choices)))
