"""Start-up of the command line as multiples of a bare ``python -c pass``: whole processes, the two kinds alternating.

    python tests/bench/startup.py [--runs 40] [--workspace DIR]

Each command runs in turn with the bare interpreter, so that a busy machine slows both; the medians' ratio is printed. With a
workspace, the commands that open it are measured too. Goals: ``--help`` at most 12, ``people`` and ``trail verify`` at most 40.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

ALONE = {"--help": ["--help"], "batch --help": ["batch", "--help"], "report list": ["report", "list"]}
ON_A_WORKSPACE = {
    "people --limit 20": ["people", "--limit", "20"],
    "trail verify": ["trail", "verify"],
    "mismatches": ["mismatches"],
    "batch list": ["batch", "list"],
}


def seconds(words: list[str]) -> float:
    """How long one process takes, from start to end."""
    start = time.perf_counter()
    subprocess.run(words, check=False, capture_output=True)
    return time.perf_counter() - start


def ratio(command: list[str], *, runs: int) -> tuple[float, float]:
    """Median time of a command in multiples of the bare interpreter's, and the bare interpreter's in milliseconds."""
    bare, ours = [], []
    for _ in range(runs):
        bare.append(seconds([sys.executable, "-c", "pass"]))
        ours.append(seconds([sys.executable, "-m", "workbench", *command]))
    return statistics.median(ours) / statistics.median(bare), statistics.median(bare) * 1000


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--runs", type=int, default=40)
    options.add_argument("--workspace")
    given = options.parse_args()
    commands = dict(ALONE)
    if given.workspace:
        commands |= {name: ["--workspace", given.workspace, *words] for name, words in ON_A_WORKSPACE.items()}
    for name, words in commands.items():
        found, bare = ratio(words, runs=given.runs)
        sys.stdout.write(f"{name:24} {found:6.1f} x bare interpreter ({bare:.0f} ms)\n")


if __name__ == "__main__":
    main()
