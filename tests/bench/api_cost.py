"""Salesforce API calls of a batch, for 1,000 people with one to three records each: a real run against a real scratch org.

    python tests/bench/api_cost.py [--people 1000]

Prints what each step of the run cost, by the client's own count and by the org's. Goal: at most 130 calls in all (read before,
clear, read back twice); one call a record would be more than 3,000. Logins don't count against an org's limit.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("WORKBENCH_NO_KEYRING", "1")

from conftest import World, contact_id, lead_id, org_line, worlds

from workbench.worker import running

GOAL = 130  # calls per 1,000 people
STEPS = ("identity and permissions", "read before", "clear", "read back twice")


def measured(folder: Path, people: int) -> tuple[dict[str, int], int, int]:
    """Run a batch; gives calls by step, the org's own count of the same run, and how many people were resubscribed."""
    chance = random.Random(3)  # the same people every time
    counts = [chance.choice((1, 2, 3)) for _ in range(people)]
    with worlds(folder) as make:
        world = make(*_lines(counts), policy=f"write_cap = {people + 1}\n")
        batch = _approved(world, people)
        world.wb.close()
        world.wb = type(world.wb).open(world.folder)  # as a command does it: nothing is known of the org yet
        before, first = world.org.control("/state")["limits"]["used"], world.wb.org.calls
        spent: Counter[str] = Counter(dict.fromkeys(STEPS, 0))
        outcome = _run(world, batch, spent)
        spent[STEPS[0]] = world.wb.org.calls - first - sum(spent.values())
        return dict(spent), world.org.control("/state")["limits"]["used"] - before, outcome.done


def _lines(counts: list[int]) -> list[str]:
    """One to three records a person, leads and contacts mixed, all opted out."""
    records = [(person, n) for person, count in enumerate(counts) for n in range(count)]
    return [
        org_line("Contact", contact_id(i), _address(person), opted_out=True)
        if (person + n) % 2
        else org_line("Lead", lead_id(i), _address(person), opted_out=True)
        for i, (person, n) in enumerate(records)
    ]


def _address(person: int) -> str:
    return f"person{person}@example.com"


def _approved(world: World, people: int) -> str:
    ids = [world.person(_address(number)) for number in range(people)]
    for person in ids:
        world.consent(person)
    world.wb.pull()
    plan = world.wb.propose(ids, reason="signed_form")
    world.wb.approve(plan.id, plan.digest)
    return plan.id


def _run(world: World, batch: str, spent: Counter[str]) -> Any:
    """The run, with a counter around each step; the steps themselves are the product's."""
    org: Any = world.wb.org
    course: Any = running

    def counted(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            before, inner = org.calls, spent["clear"]
            try:
                return original(*given)
            finally:
                spent[step] += org.calls - before - (spent["clear"] - inner)

        return call

    with (
        mock.patch.object(org, "clear", counted("clear", org.clear)),
        mock.patch.object(course, "begin", counted("read before", course.begin)),
        mock.patch.object(course, "settle", counted("read back twice", course.settle)),
    ):
        return world.wb.run(batch)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--people", type=int, default=1000)
    people = options.parse_args().people
    with tempfile.TemporaryDirectory() as folder:
        spent, counted, done = measured(Path(folder), people)
    total = sum(spent.values())
    sys.stdout.write(f"API calls of a batch of {people:,} people ({done:,} resubscribed)\n")
    for step, calls in spent.items():
        sys.stdout.write(f"  {step:26} {calls:6}\n")
    per_thousand = total * 1000 / people
    sys.stdout.write(f"  {'in all':26} {total:6}   {per_thousand:.0f} per 1,000 people, goal {GOAL}; the org counted {counted}\n")
    sys.exit(per_thousand > GOAL or total != counted or done != people)


if __name__ == "__main__":
    main()
