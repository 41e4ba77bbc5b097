"""Does any test notice? Each mistake is tried in a forked process of its own, under limits; nothing on disk is changed.

A mistake inside a function is tried in a process that has everything loaded and collected: the code of the living functions is
exchanged. Where that can't be done, or nobody noticed, the module is loaded anew with the mistake: import, decorators, constants.
"""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import pytest

from mutants.operators import Mutant

MEMORY = 6 << 30  # bytes of addresses; a mistake that eats all memory ends here
STOPPED = ("timeout", "crashed")
SOAKING = 3  # times the processor time that the tests take unharmed, before a mistake counts as one that never ends
FORGERIES = 5  # of each kind
EXAMPLES = 20  # of each property: fewer than it is held against otherwise, so at worst a mistake counts as unnoticed that isn't
SPARE = 5  # seconds on top of that
PATIENCE = 600  # seconds on the clock, for one that sleeps

hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    database=None,
    derandomize=True,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    suppress_health_check=list(hypothesis.HealthCheck),
)


@dataclass(frozen=True)
class Target:
    """A module and the tests that have to notice."""

    module: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where the module lies; looked up without loading it."""
        path = Path(*self.module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@dataclass(frozen=True)
class Outcome:
    """Killed by a test, by time or by a crash; or survived; or the very same code."""

    state: str
    by: str = ""


class Collected:
    """A pytest plugin that hands over what was collected, quickest first, instead of running it."""

    def __init__(self, then: Callable[[list[pytest.Item]], None], seconds: dict[str, float]) -> None:
        self.then, self.seconds = then, seconds

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        for item in session.items:
            test = getattr(item, "obj", None)
            if settings := getattr(test, "_hypothesis_internal_use_settings", None):
                test._hypothesis_internal_use_settings = hypothesis.settings(settings, max_examples=EXAMPLES)
        self.then(sorted(session.items, key=lambda item: self.seconds.get(item.nodeid, 0.0)))
        return True


def collect(target: Target, then: Callable[[list[pytest.Item]], None], seconds: dict[str, float], folder: str) -> int:
    """Load and collect the tests of a target in this process, and do something with them; pytest's exit code."""
    hypothesis.settings.load_profile("mutants")
    os.environ["FORGERIES"] = str(FORGERIES)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # for this process: half of the time would be theirs
    options = ["-q", "--tb=native", "--assert=plain", "-p", "no:cacheprovider", "-m", "not slow", f"--basetemp={folder}"]
    return int(pytest.main([*options, *target.tests], plugins=[Collected(then, seconds)]))


def first_failure(items: Iterable[pytest.Item], seconds: dict[str, float] | None = None) -> str:
    """The first test that fails, "" if none does; with how long each took."""
    failed: list[str] = []

    class Watch:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    items = list(items)
    items[0].config.pluginmanager.register(Watch(), "watch")
    for item, following in zip(items, [*items[1:], None], strict=True):
        before = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if seconds is not None:
            seconds[item.nodeid] = time.process_time() - before
        if failed:
            return failed[0]
    return ""


def in_fork(work: Callable[[], Any], *, cpu: int, patience: int = PATIENCE) -> Any:
    """What a function returns in a forked process, silently and under limits; a sentence in a tuple where it was stopped.

    Raises:
        RuntimeError: the harness itself failed in there, so nothing is known about the mistake.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, reading, writing, (cpu, patience))
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return ("timeout",) if number in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM) else ("crashed",)
    value = json.loads(said) if said else {"error": "it ended without a word"}
    if "error" in value:
        raise RuntimeError(value["error"])
    return value["value"]


def _child(work: Callable[[], Any], reading: int, writing: int, limits: tuple[int, int]) -> None:
    os.close(reading)
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    cpu, patience = limits
    signal.alarm(patience)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if patience:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        answer: dict[str, Any] = {"value": work()}
    except BaseException:  # noqa: BLE001 - whatever it is, the parent has to hear it
        answer = {"error": traceback.format_exc()}
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """The code of a module and of every function in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)


def living(path: str) -> tuple[list[FunctionType], list[Any]]:
    """The functions that were made of a file, and the caches around them."""
    everything = gc.get_objects()
    functions = [o for o in everything if type(o) is FunctionType and o.__code__.co_filename == path]
    caches = [o for o in everything if isinstance(o, functools._lru_cache_wrapper) and o.__wrapped__ in functions]  # type: ignore[attr-defined]
    return functions, caches


def libraries() -> list[str]:
    """The names of all loaded modules of other people."""
    return [name for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")]


def exchange(mutated: CodeType, functions: list[FunctionType], caches: list[Any]) -> bool:
    """Give the living functions the mutated code; whether anything differed and could be exchanged."""
    new = {(code.co_qualname, code.co_firstlineno): code for code in codes_of(mutated)}
    exchanged = False
    for function in functions:
        code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is not None and code != function.__code__:
            with suppress(ValueError):  # it closes over other names now
                function.__code__ = code
                exchanged = True
    for cache in caches:
        cache.cache_clear()
    return exchanged


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a mutated file instead of its own."""

    def __init__(self, module: str, code: CodeType, path: str) -> None:
        self.module, self.code, self.path = module, code, path

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        """Ours, or whoever is next."""
        if fullname != self.module:
            return None
        places = [str(Path(self.path).parent)] if self.path.endswith("__init__.py") else None
        spec = importlib.util.spec_from_file_location(fullname, self.path, loader=self, submodule_search_locations=places)
        assert spec is not None
        return spec

    def exec_module(self, module: Any) -> None:
        """With the mistake."""
        exec(self.code, module.__dict__)


class Trials:
    """All mistakes of one module against its tests."""

    def __init__(self, target: Target, folder: Path, *, path: Path | None = None) -> None:
        self.target, self.folder = target, folder
        self.path = str((path or target.path).resolve())
        text = Path(self.path).read_text("utf-8")
        self.unharmed = Mutant("none", "none", compile(ast.parse(text), self.path, "exec"), text)
        self.living: tuple[list[FunctionType], list[Any]] = ([], [])
        self.seconds: dict[str, float] = {}
        self.cpu = 600

    def run(self, mutants: Iterable[Mutant]) -> dict[str, Outcome]:
        """The outcome of each mistake, by its name.

        Raises:
            RuntimeError: the tests fail without any mistake, or notice one that isn't there: nothing would be proven.
        """
        everything = list(mutants)
        found = {m.name: Outcome("same code") for m in everything if m.code == self.unharmed.code}
        rest = [m for m in everything if m.name not in found]
        quick = self._by_exchange(rest)
        if (noticed := self._loaded_anew(self.unharmed)).state != "survived":
            raise RuntimeError(f"the tests notice a mistake that isn't there: {noticed}")
        for mutant in rest:
            decided = quick[mutant.name].state not in ("survived", "not exchanged")
            found[mutant.name] = quick[mutant.name] if decided else self._loaded_anew(mutant)
        return found

    def _by_exchange(self, mutants: list[Mutant]) -> dict[str, Outcome]:
        """The outcomes where everything is loaded and collected once, in a process of its own, which forks for each mistake."""
        answers: dict[str, Any] = {}

        def then(items: list[pytest.Item]) -> None:
            try:
                seconds, cpu = self._unharmed(items)
                ordered = sorted(items, key=lambda item: seconds[item.nodeid])
                self.living = living(self.path)
                gc.freeze()  # a collection in a fork would copy all that is loaded
                outcomes = {}
                for mutant in mutants:
                    said = in_fork(partial(self._exchanged, mutant, ordered), cpu=cpu)
                    outcomes[mutant.name] = said if isinstance(said, tuple) else [said]
                answers.update(seconds=seconds, cpu=cpu, outcomes=outcomes)
            except Exception as error:  # noqa: BLE001 - pytest would swallow it
                answers.update(error=str(error))

        def serve() -> dict[str, Any]:
            exit_code = collect(self.target, then, {}, str(self.folder / "exchanged"))
            answers["libraries"] = libraries()
            return (
                answers
                if len(answers) > 1
                else {"error": f"the tests of {self.target.module} could not be collected: pytest says {exit_code}"}
            )

        said = in_fork(serve, cpu=1_000_000, patience=0)
        if "error" in said:
            raise RuntimeError(said["error"])
        for name in said["libraries"]:
            with suppress(Exception):  # loaded here once rather than in each fork; what can't be is loaded there
                importlib.import_module(name)
        gc.freeze()
        self.seconds, self.cpu = said["seconds"], said["cpu"]
        return {name: outcome_of(tuple(how) if how[0] in STOPPED else how[0]) for name, how in said["outcomes"].items()}

    def _unharmed(self, items: list[pytest.Item]) -> tuple[dict[str, float], int]:
        """How long each test takes without a mistake, and the processor time that one with a mistake gets."""

        def work() -> tuple[str, dict[str, float]]:
            seconds: dict[str, float] = {}
            return first_failure(items, seconds), seconds

        failed, seconds = in_fork(work, cpu=600)
        if failed:
            raise RuntimeError(f"{failed} fails without any mistake")
        return seconds, int(sum(seconds.values()) * SOAKING) + SPARE

    def _exchanged(self, mutant: Mutant, items: list[pytest.Item]) -> str:
        if not exchange(mutant.code, *self.living):
            return "not exchanged"
        self._as_program(mutant.text)
        return first_failure(items)

    def _loaded_anew(self, mutant: Mutant) -> Outcome:
        def work() -> str:
            sys.meta_path.insert(0, Mutated(self.target.module, mutant.code, self.path))
            failed = ["while loading"]

            def then(items: list[pytest.Item]) -> None:
                self._as_program(mutant.text)
                failed[:] = [first_failure(items)]

            collect(self.target, then, self.seconds, str(self.folder / "anew"))
            return failed[0]

        return outcome_of(in_fork(work, cpu=self.cpu + 6 * SPARE))

    def _as_program(self, text: str) -> None:
        """Tests that start the module's file as a program find one with the mistake where ``__file__`` points."""
        program = self.folder / Path(self.path).name
        program.write_text(text, "utf-8")
        sys.modules[self.target.module].__file__ = str(program)


def outcome_of(answer: Any) -> Outcome:
    """What a forked process said, or how it ended."""
    if isinstance(answer, tuple):
        return Outcome(answer[0])
    if answer == "not exchanged":
        return Outcome("not exchanged")
    return Outcome("killed", answer) if answer else Outcome("survived")


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what tests write."""
    return tempfile.TemporaryDirectory(prefix="mutants-")
