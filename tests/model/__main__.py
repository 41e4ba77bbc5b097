"""Prints the figures: ``PYTHONPATH=tests python -m model`` for the engine, ``--large``, ``--variants`` for the broken ones."""

from __future__ import annotations

import argparse
import sys

from model.explore import Explored, Model
from model.programme import LARGE, SMALL, VARIANTS, WRONG


def figures(found: Explored) -> str:
    """One setting's counts, in lines."""
    budget = ", ".join(f"{n} {what}" for what, n in found.setting.budget._asdict().items() if n)
    lines = [
        f"{found.setting.name}: {len(found.setting.flags)} record(s); {budget}",
        f"  {len(found.states):,} states, {len(found.targets):,} steps, {found.interleavings():.2g} interleavings",
        f"  {len(found.ends):,} end states: " + ", ".join(f"{n:,} {what}" for what, n in sorted(found.outcomes.items())),
        f"  wrong: {sum(map(len, found.wrongs.values()))}; states that never come to rest: {len(found.stuck())}",
    ]
    return "\n".join(lines)


def caught(found: Explored, does: str) -> str:
    """What is wrong with a variant, and the shortest way to the worst of it."""
    ends = set(found.ends)
    lines = [f"{found.setting.name}: {does}", f"  {len(found.states):,} states, {len(found.ends):,} end states"]
    for name in (name for name in WRONG if name in found.wrongs):
        where = found.wrongs[name]
        lines.append(f"  {name}: {len(ends.intersection(where)):,} end states, {len(where):,} states: {WRONG[name]}")
    worst = next((name for name in WRONG if name in found.wrongs), None)
    steps = found.trace(found.wrongs[worst][0]) if worst else ["NOT FOUND"]
    return "\n".join([*lines, *(f"    {n:2} {step}" for n, step in enumerate(steps, start=1))])


def main() -> int:
    """Explore and print; 1 if the engine does anything wrong or a variant is not found."""
    parser = argparse.ArgumentParser(prog="model", description=__doc__)
    parser.add_argument("--large", action="store_true", help="the large settings instead of the small ones")
    parser.add_argument("--variants", action="store_true", help="the broken variants only")
    given = parser.parse_args()
    bad = False
    for setting in () if given.variants else LARGE if given.large else SMALL:
        found = Model(setting).explore()
        bad |= bool(found.wrongs)
        sys.stdout.write(figures(found) + "\n")
        sys.stdout.flush()
    for variant in VARIANTS.values() if given.variants else ():
        found = Model(variant.setting).explore()
        bad |= not found.wrongs
        sys.stdout.write(caught(found, variant.does) + "\n")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
