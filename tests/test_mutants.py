"""The mutation runner itself: it tells a mistake that a test notices from one that none does, and never counts its own faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mutants.__main__ import TARGETS, accepted, complaints, rate
from mutants.operators import mutants_of
from mutants.trial import Outcome

RULE = '''
LIMIT = 5


def double(value: int) -> int:
    """Twice."""
    return value + value


def over(value: int) -> bool:
    return value > LIMIT


def wait(value: int) -> int:
    while value:
        value -= 1
    return value


CODES = ("late", "early")
'''

TESTS = """
import sample_rule


def test_double():
    assert sample_rule.double(2) == 4


def test_over():
    assert sample_rule.over(9)
    assert not sample_rule.over(1)


def test_wait():
    assert sample_rule.wait(3) == 0


def test_codes():
    assert sample_rule.CODES == ("late", "early")
"""

PROGRAM = """
import json, sys
from pathlib import Path
from mutants import trial
from mutants.operators import mutants_of
trial.SOAKING, trial.SPARE = 1, 1
trials = trial.Trials(trial.Target("sample_rule", ("test_sample.py",)), Path("scratch"))
found = trials.run(mutants_of(trials.unharmed.text, "sample_rule", trials.path))
Path("found.json").write_text(json.dumps({name: [o.state, o.by] for name, o in found.items()}))
"""


def outcomes(folder: Path, tests: str = TESTS) -> tuple[dict[str, list[str]], str]:
    (folder / "sample_rule.py").write_text(RULE, "utf-8")
    (folder / "test_sample.py").write_text(tests, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = slow\n", "utf-8")
    (folder / "scratch").mkdir()
    search = os.pathsep.join([str(folder), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    found = folder / "found.json"
    return (json.loads(found.read_text("utf-8")) if found.exists() else {}), done.stderr


def test_what_is_noticed_is_told_from_what_is_not(tmp_path: Path) -> None:
    found, _ = outcomes(tmp_path)
    assert (tmp_path / "sample_rule.py").read_text("utf-8") == RULE
    assert found["sample_rule.double: `value + value` -> `value - value`"] == ["killed", "test_sample.py::test_double"]
    assert found["sample_rule.over: `value > LIMIT` -> `value <= LIMIT`"] == ["killed", "test_sample.py::test_over"]
    assert found["sample_rule.over: `value > LIMIT` -> `value >= LIMIT`"] == ["survived", ""]
    assert found["sample_rule.module: `5` -> `6`"] == ["survived", ""]
    assert found["sample_rule.module: `'late'` -> `'XXlate'`"] == ["killed", "test_sample.py::test_codes"]
    assert found["sample_rule.wait: `value -= 1` -> `value += 1`"][0] == "timeout"


def test_tests_that_fail_by_themselves_prove_nothing(tmp_path: Path) -> None:
    found, said = outcomes(tmp_path, TESTS.replace("== 4", "== 5"))
    assert found == {}
    assert "test_sample.py::test_double fails without any mistake" in said


def test_it_makes_the_classical_mistakes() -> None:
    source = "def f(a, b):\n    if not a or b < 1:\n        raise ValueError\n    g(a, k=b)\n    return [x for x in a if x]"
    made = {m.name.partition(": ")[2]: m.text for m in mutants_of(source, "m", "m.py")}
    assert {
        "`not a` -> `a`",
        "`not a or b < 1` -> `not a and b < 1`",
        "`b < 1` -> `b <= 1`",
        "`b < 1` -> `b >= 1`",
        "`1` -> `2`",
        "`raise ValueError` -> `pass`",
        "`g(a, k=b)` -> `pass`",
        "`g(a, k=b)` -> `g(a)`",
        "`return [x for x in a if x]` -> `return None`",
        "` for x in a if x` -> ` for x in a`".replace("` for", "`for"),
    } <= made.keys()
    assert len(set(made.values())) == len(made)
    assert source.replace(" ", "") not in {text.replace(" ", "") for text in made.values()}


def test_a_survivor_without_a_reason_and_a_reason_without_a_survivor_are_complaints() -> None:
    found = {f"m.f: `{n}` -> `{n + 1}`": Outcome("killed") for n in range(99)} | {"m.f: `a` -> `b`": Outcome("survived")}
    assert rate(found) == 99.0
    assert complaints(found, {"m.f: `a` -> `b`": "it makes no difference"}, ["m"]) == []
    assert complaints(found, {}, ["m"]) == ["not noticed by any test: m.f: `a` -> `b`"]
    stale = {"m.f: `a` -> `b`": "no difference", "m.f: `1` -> `2`": "?", "other.f: `1` -> `2`": "?"}
    assert complaints(found, stale, ["m"]) == ["accepted, but it was noticed or is gone: m.f: `1` -> `2`"]
    few = {"m.f: `a` -> `b`": Outcome("survived"), "m.f: `c` -> `d`": Outcome("timeout"), "m.f: `e` -> `f`": Outcome("same code")}
    assert "50.0 % killed, 95.0 % is the least" in complaints(few, {"m.f: `a` -> `b`": "no difference"}, ["m"])


def test_every_accepted_survivor_has_a_reason() -> None:
    for name, reason in accepted().items():
        assert any(name.startswith(f"{target.module}.") for target in TARGETS), name
        assert len(reason.split()) > 3, name
