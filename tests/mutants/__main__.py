"""Prints the table and the survivors: ``PYTHONPATH=tests python -m mutants [MODULE...]``; 1 where one is not accounted for."""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path

from mutants.operators import mutants_of
from mutants.trial import Outcome, Target, Trials, scratch

ELIGIBILITY = ("tests/test_eligibility.py", "tests/test_eligibility_boundaries.py")
TARGETS = (
    Target("workbench.eligibility", ELIGIBILITY),
    Target("workbench.eligibility.case", ELIGIBILITY),
    Target("workbench.eligibility.opt_outs", ELIGIBILITY),
    Target("workbench.eligibility.refusals", ELIGIBILITY),
    Target("workbench.eligibility.strengthenings", ELIGIBILITY),
    Target("workbench.resubscription", ("tests/test_resubscription.py", "tests/test_resubscription_boundaries.py")),
    Target("workbench.store.leases", ("tests/test_store_leases.py",)),
    Target(
        "workbench.verify_trail", ("tests/test_verify_trail_checks.py", "tests/test_verify_trail.py", "tests/test_tampering.py")
    ),
)
LEAST = 95.0  # percent killed, of all that differ
ACCEPTED = Path(__file__).with_name("accepted.toml")


def accepted() -> dict[str, str]:
    """The survivors that no test can notice, each with the reason."""
    return {entry["mutant"]: entry["reason"] for entry in tomllib.loads(ACCEPTED.read_text("utf-8")).get("accepted", [])}


def tried(target: Target, only: str = "") -> dict[str, Outcome]:
    """Every mistake of one module, tried."""
    with scratch() as folder:
        trials = Trials(target, Path(folder))
        return trials.run(m for m in mutants_of(trials.unharmed.text, target.module, trials.path) if only in m.name)


def row(name: str, outcomes: dict[str, Outcome], seconds: float) -> str:
    """One line of the table."""
    states = Counter(outcome.state for outcome in outcomes.values())
    return (
        f"{name:38} {len(outcomes) - states['same code']:7} {states['killed']:7} {states['crashed'] + states['timeout']:8} "
        f"{states['survived']:9} {rate(outcomes):6.1f} % {seconds:6.0f} s"
    )


def rate(outcomes: dict[str, Outcome]) -> float:
    """Percent killed of all that differ from the module; one that never ends, or takes the process down, is noticed."""
    states = Counter(outcome.state for outcome in outcomes.values())
    return 100 * (1 - states["survived"] / max(1, len(outcomes) - states["same code"]))


def complaints(outcomes: dict[str, Outcome], reasons: dict[str, str], modules: list[str]) -> list[str]:
    """What keeps the run from passing."""
    survivors = {name for name, outcome in outcomes.items() if outcome.state == "survived"}
    listed = {name for name in reasons if name.rpartition(": `")[0] and any(name.startswith(f"{m}.") for m in modules)}
    return [
        *(f"not noticed by any test: {name}" for name in sorted(survivors - set(reasons))),
        *(f"accepted, but it was noticed or is gone: {name}" for name in sorted(listed - survivors)),
        *([f"{rate(outcomes):.1f} % killed, {LEAST} % is the least"] if rate(outcomes) < LEAST else []),
    ]


def main() -> int:
    """Try every mistake in the chosen modules."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as workbench.resubscription; without: all")
    parser.add_argument("--only", default="", help="mistakes whose name holds this text; nothing is said of the rate")
    given = parser.parse_args()
    targets = [target for target in TARGETS if not given.modules or target.module in given.modules]
    everything: dict[str, Outcome] = {}
    sys.stdout.write(f"{'module':38} mutants  killed  stopped  survived    rate     time\n")
    for target in targets:
        started = time.monotonic()
        outcomes = tried(target, given.only)
        everything |= outcomes
        sys.stdout.write(row(target.module, outcomes, time.monotonic() - started) + "\n")
        sys.stdout.flush()
    reasons = accepted()
    for name in (name for name, outcome in everything.items() if outcome.state == "survived" and name in reasons):
        sys.stdout.write(f"accepted: {name}\n  {reasons[name]}\n")
    wrong = [] if given.only and everything else complaints(everything, reasons, [target.module for target in targets])
    wrong += [f"not noticed by any test: {n}" for n, o in everything.items() if given.only and o.state == "survived"]
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
