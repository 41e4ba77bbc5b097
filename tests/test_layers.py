"""The house's floors and doors: every module's imports are read, and a breach is a sentence.

A room is a module or folder directly below ``workbench``. It imports only from floors below its own; rooms on one floor may use each
other without cycles; an outside library is used in its own rooms only. Imports for type checkers alone may go anywhere.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import workbench

HOUSE = Path(workbench.__file__).parent

FLOORS = (
    ("__main__",),
    ("cli",),
    ("demo", "lab", "panels"),
    ("reports",),
    ("bench",),
    (
        "intake",
        "recording",
        "withdrawal",
        "proposal",
        "erasure",
        "consenting",
        "coverage",
        "exchange",
        "access",
        "worker",
        "nightly",
        "pull",
        "push",
        "views",
        "health",
        "audit",
        "anchoring",
        "backup",
        "credentials",
        "restoring",
        "engines",
    ),
    ("desk",),
    ("anchors", "evidence", "schedules", "signing", "timestamps"),
    ("scratch_org",),
    ("store", "salesforce", "settings"),
    ("pictures",),
    ("mismatch", "resubscription", "suppression", "timeline"),
    ("eligibility",),
    ("policy",),
    ("org",),
    ("charts", "handout", "preview"),
    ("consent", "trail"),
    ("person", "spreadsheet"),
    ("counted", "environment", "errors", "handed_in", "months", "said"),
)
"""Top first."""

ALONE = ("scratch_org", "verify_trail")
"""What must not know the house: it is Salesforce, or the auditor's."""

UPWARDS = {
    ("workbench.bench", "workbench.reports"): "wb.report() is the public name; a report itself works through the Workbench"
}
"""Imports from a floor above that are meant: inside a function, each with its reason."""

DOORS = {
    "IPython": ("panels",),
    "alembic": ("store",),
    "altair": ("reports",),
    "anywidget": ("panels",),
    "cryptography": ("trail", "signing", "salesforce", "timestamps"),
    "duckdb": ("engines",),
    "email_validator": ("intake",),
    "filelock": ("worker", "schedules"),
    "idna": ("person",),
    "ipywidgets": ("panels",),
    "jupyter_client": ("reports",),
    "jsonschema": ("exchange",),
    "keyring": ("signing", "credentials", "suppression"),
    "nbclient": ("reports",),
    "nbconvert": ("reports",),
    "nbformat": ("reports", "lab"),
    "pandas": ("panels", "bench", "views", "audit", "proposal", "reports"),
    "papermill": ("reports",),
    "py4j": ("engines",),
    "pyarrow": ("engines",),
    "pydantic": ("settings",),
    "pyspark": ("engines",),
    "requests": ("salesforce",),
    "urllib3": ("salesforce",),
    "rfc3161_client": ("timestamps",),
    "rfc8785": ("trail",),
    "simple_salesforce": ("salesforce",),
    "sqlalchemy": ("store",),
    "sqlglot": ("engines",),
    "starlette": ("scratch_org",),
    "tornado": ("lab",),
    "traitlets": ("panels",),
    "typer": ("cli",),
    "uvicorn": ("scratch_org",),
    "vl_convert": ("reports",),
    "xlsxwriter": ("reports",),
}
"""Every outside library, and the rooms that may use it."""


@dataclass(frozen=True)
class Import:
    """One import: the module that asks, the one it asks for, whether only type checkers see it, whether it is inside a function."""

    by: str
    of: str
    typing_only: bool
    inside: bool

    @property
    def room(self) -> str:
        return room_of(self.by)


def room_of(module: str) -> str:
    """The room of a module of the house; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imports_of(house: Path) -> Iterator[Import]:
    """Every import of every module of the house, wherever in the module it stands."""
    for path in sorted(house.rglob("*.py")):
        parts = path.relative_to(house.parent).with_suffix("").parts
        if "shipped" in parts:
            continue
        module = ".".join(parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        unseen, late = set(typing_only(tree)), set(in_functions(tree))
        for node in ast.walk(tree):
            for name in asked_for(node, module, house):
                yield Import(module.removesuffix(".__init__"), name, node in unseen, node in late)


def typing_only(tree: ast.Module) -> Iterator[ast.AST]:
    """Everything below ``if TYPE_CHECKING:``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for part in node.body:
                yield from ast.walk(part)


def in_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Everything inside functions: what is not loaded with the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ast.walk(node)


def asked_for(node: ast.AST, module: str, house: Path) -> list[str]:
    """The full names of the modules that a statement imports; a name that is no module counts as its package."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = module.split(".")[: -node.level] if node.level else []
        source = ".".join([*package, *([node.module] if node.module else [])])
        return [f"{source}.{a.name}" if is_module(f"{source}.{a.name}", house) else source for a in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [name for name in [loaded_by(node)] if name]
    return []


def loaded_by(call: ast.Call) -> str:
    """The module that ``import_module("...")`` or ``import_module(f"workbench.cli.{...}")`` names, as far as it is written there."""
    argument = call.args[0]
    text = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
    return text.value.rstrip(".") if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""


def is_module(name: str, house: Path) -> bool:
    path = house.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def breaches(house: Path) -> list[str]:
    """What breaks a floor or a door, as sentences; empty when the house is in order."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    found = []
    used: dict[str, set[str]] = {}
    for one in imports_of(house):
        top, room = one.of.split(".")[0], one.room
        if top in sys.stdlib_module_names or one.typing_only or (one.inside and (one.by, one.of) in UPWARDS):
            continue
        if top != house.name:
            if room not in DOORS.get(top, ()):
                found.append(f"{one.by} imports {top}, whose door is {' or '.join(DOORS.get(top, ['nowhere']))}")
            continue
        if room == "" or room_of(one.of) == room or (one.of == house.name and room not in ALONE and room != ""):
            continue
        if room in ALONE:
            found.append(f"{one.by} imports {one.of}: it must not know the house")
        elif room not in floor or room_of(one.of) not in floor:
            found.append(f"{one.by} or {one.of} has no floor")
        elif floor[room] > floor[room_of(one.of)]:
            found.append(f"{one.by} imports {one.of} from a floor above")
        elif floor[room] == floor[room_of(one.of)]:
            used.setdefault(room, set()).add(room_of(one.of))
    return found + cycles(used)


def cycles(used: dict[str, set[str]]) -> list[str]:
    """A cycle among rooms that share a floor, as a sentence."""
    try:
        TopologicalSorter(used).prepare()
    except CycleError as error:
        return [f"rooms of one floor import each other in a circle: {' -> '.join(error.args[1])}"]
    return []


def test_no_floor_and_no_door_is_broken() -> None:
    assert breaches(HOUSE) == []


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    placed = [room for floor in FLOORS for room in floor]
    assert len(placed) == len(set(placed))
    assert rooms - {"__init__", "verify_trail"} == set(placed)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("person.py", "from workbench.store import people", "workbench.person imports workbench.store.people from a floor above"),
        ("trail/leaf.py", "def f():\n    import workbench.bench", "workbench.trail.leaf imports workbench.bench from a floor above"),
        ("org.py", "from . import bench", "workbench.org imports workbench.bench from a floor above"),
        ("eligibility/rules.py", "from ..settings import x", "workbench.eligibility.rules imports workbench.settings from a floor above"),
        ("desk.py", "import_module('workbench.cli.app')", "workbench.desk imports workbench.cli.app from a floor above"),
        ("bench.py", "import sqlalchemy as sa", "workbench.bench imports sqlalchemy, whose door is store"),
        ("cli/people.py", "from simple_salesforce import Salesforce", "workbench.cli.people imports simple_salesforce, whose door is salesforce"),
        ("cli/people.py", "import leftpad", "workbench.cli.people imports leftpad, whose door is nowhere"),
        ("scratch_org/web.py", "from workbench.org import Org", "workbench.scratch_org.web imports workbench.org: it must not know the house"),
        ("verify_trail.py", "from workbench import trail", "workbench.verify_trail imports workbench.trail: it must not know the house"),
        ("bench.py", "from workbench import reports", "workbench.bench imports workbench.reports from a floor above"),
        ("drawer.py", "from workbench import person", "workbench.drawer or workbench.person has no floor"),
    ],
)  # fmt: skip
def test_a_planted_breach_is_found(tmp_path: Path, file: str, text: str, sentence: str) -> None:
    assert breaches(planted(tmp_path, **{file: text})) == [sentence]


def test_a_circle_on_one_floor_is_found(tmp_path: Path) -> None:
    house = planted(tmp_path, **{"views.py": "from workbench import health", "health.py": "from workbench import views"})
    assert [b.partition(":")[0] for b in breaches(house)] == ["rooms of one floor import each other in a circle"]


def test_what_is_allowed_is_no_breach(tmp_path: Path) -> None:
    house = planted(
        tmp_path,
        **{
            "trail/leaf.py": "import json\nfrom workbench.errors import TrailError\nfrom workbench import person",
            "person.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from workbench.bench import Workbench",
            "health.py": "from workbench import audit, __version__",
            "bench.py": "def report():\n    from workbench import reports",
            "store/people.py": "import sqlalchemy\nfrom . import schema",
        },
    )
    assert breaches(house) == []


def planted(folder: Path, **files: str) -> Path:
    """A house of empty rooms but for these files."""
    house = folder / "workbench"
    for name in ("", "store", "trail", "cli", "eligibility", "scratch_org", "reports"):
        (house / name).mkdir(exist_ok=True)
        (house / name / "__init__.py").touch()
    for name in ("person", "org", "bench", "desk", "settings", "audit", "store/schema", "store/people", "cli/app", "errors"):
        (house / f"{name}.py").touch()
    for name, text in files.items():
        (house / name).write_text(text + "\n", encoding="utf-8")
    return house


HEAVY = ("ipywidgets", "papermill", "pandas", "sqlalchemy", "simple_salesforce", "nbconvert", "IPython", "altair", "pydantic")


@pytest.mark.parametrize(
    "code",
    [
        "import workbench",
        "from workbench.cli.app import run; run(['--help'])",
        "from workbench.cli.app import run; run(['batch', '--help'])",
    ],
)
def test_a_fresh_interpreter_loads_little(code: str) -> None:
    report = f"{code}\nimport sys; print('loaded', *sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"


def test_the_look_at_a_fresh_interpreter_can_fail() -> None:
    report = f"import workbench.store.schema, sys; print('loaded', *sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded sqlalchemy"
