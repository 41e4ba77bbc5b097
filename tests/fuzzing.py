"""Fuzzing by the clock: the tests of spoilt inputs over and over, each round from another seed, until the time is up or one fails.

`make soak` gives it an hour. It prints rounds, inputs and seeds, and ends with pytest's code of the first round that failed; Hypothesis
has printed its smallest input then, which is to be kept as an example beside the test.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from secrets import randbelow

TESTS = Path(__file__).parent
MODULES = ("test_fuzz.py", "test_fuzz_whole.py")
EXAMPLES = 1000


def main() -> int:
    """Rounds until the time is up."""
    parser = argparse.ArgumentParser(description="Fuzz for some hours.")
    parser.add_argument("--hours", type=float, default=0.1)
    hours = parser.parse_args().hours
    began, rounds, passed = time.monotonic(), 0, 0
    while rounds == 0 or time.monotonic() - began < hours * 3600:
        seed = randbelow(2**32)
        words = ["-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}", *(str(TESTS / module) for module in MODULES)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            env=os.environ | {"EXAMPLES": str(EXAMPLES)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stdout[-20_000:])
            print(f"Round {rounds + 1} failed, seed {seed}.")
            return done.returncode
        (tests,) = re.findall(r"(\d+) passed", done.stdout)  # a round without any is no round
        rounds, passed = rounds + 1, passed + int(tests)
    print(
        f"{rounds} rounds of {EXAMPLES:,} inputs a test, {passed} tests passed, none failed; {(time.monotonic() - began) / 60:.0f} min"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
