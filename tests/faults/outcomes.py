"""The tables of outcomes: what becomes of every operation under every fault. ``docs/faults.md`` shows them, by test.

A cell holds what one fault leads to, and behind ``>`` what the same fault leads to that does not go away, where that differs.
"""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "faults.md"

COLUMNS = {
    # column -> the operations that it speaks for
    "log in": ("log in", "log in, signed"),
    "ask": (
        "identity",
        "identity, token",
        "access",
        "describe",
        "count",
        "changes",
        "pull",
        "begin pull",
        "history",
        "kept texts",
    ),
    "usage": ("usage", "budget"),
    "read": ("read", "rows"),
    "next page": ("read, page 2",),
    "job": ("bulk job",),
    "wait": ("bulk wait",),
    "page": ("bulk pages", "history pages"),
    "clear": ("clear",),
    "opt out": ("opt out",),
    "check": ("check",),
    "time": ("check, time",),
    "keep": ("keep text",),
}

REQUESTS = """
| fault | log in | ask | usage | read | next page | job | wait | page | clear | opt out | check | time | keep |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| token expires | - | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > told | login > told | login > auth |
| 503 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown | unknown | again > told | again > told | unreachable |
| 503, Retry-After 7 s | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown | unknown | again > told | again > told | unreachable |
| 503, Retry-After 1 h | unreachable | unreachable | unreachable | unreachable | unreachable | unreachable | unreachable | unreachable | unknown | unknown | told | told | unreachable |
| daily limit | quota | quota | quota | quota | quota | quota | quota | quota | quota | quota | told | told | quota |
| concurrent limit | again > quota | again > quota | again > quota | again > quota | again > quota | again > quota | again > quota | again > quota | quota | quota | again > told | again > told | quota |
| reset before | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown | unknown | again > told | again > told | unreachable |
| reset after | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown, written | unknown, written | again > told | again > told | unreachable |
| slow answer | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown, written | unknown, written | again > told | again > told | unreachable |
| HTML, 503 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown | unknown | again > told | again > told | unreachable |
| HTML, 200 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown | unknown | again > told | again > told | unreachable |
| broken JSON | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | - | unknown, written | unknown, written | again > told | again > told | unreachable |
| wrong shape | again > unreachable | unreachable | unreachable | unreachable | unreachable | unreachable | unreachable | again > unreachable | unknown, written | unknown, written | told | - | unreachable |
| truncated CSV | - | - | - | - | - | - | - | again > unreachable | - | - | - | - | - |
| locator expired | - | - | - | - | refused | - | refused | refused | - | - | - | - | - |
| job failed | - | - | - | - | - | refused | refused | - | - | - | - | - | - |
| page twice | - | - | - | - | unreachable | - | - | unreachable | - | - | - | - | - |
| clock 5 min ahead | - | - | - | - | - | - | - | - | - | - | - | told | - |
| rows locked | - | - | - | - | - | - | - | - | locked | locked | - | - | - |
| 400 | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | told | told | refused |
| 403 | permission | permission | - | anew > permission | again > permission | permission | permission | permission | permission | permission | told | told | permission |
| 404 | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | told | told | refused |
| 410 | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | told | told | refused |
| 414 | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | told | told | refused |
| 500 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | unknown | unknown | again > told | again > told | unreachable |
"""

PROBE = """
| fault | making | reading | clearing | reading one | writing one | deleting |
|---|---|---|---|---|---|---|
| token expires | login > told | login > told | login > told | login > told | login > told | login > told |
| 503 | told | again > told | told | again > told | told | told |
| 503, Retry-After 7 s | told | again > told | told | again > told | told | told |
| 503, Retry-After 1 h | told | told | told | told | told | told |
| daily limit | told | told | told | told | told | told |
| concurrent limit | told | again > told | told | again > told | told | told |
| reset before | told | again > told | told | again > told | told | told |
| reset after | told | again > told | told | again > told | told | told |
| slow answer | told | again > told | told | again > told | told | told |
| HTML, 503 | told | again > told | told | again > told | told | told |
| HTML, 200 | told | again > told | told | again > told | told | told |
| broken JSON | told | again > told | told | again > told | told | - |
| wrong shape | told | told | told | told | told | - |
| truncated CSV | - | - | - | - | - | - |
| locator expired | - | - | - | - | - | - |
| job failed | - | - | - | - | - | - |
| page twice | - | - | - | - | - | - |
| clock 5 min ahead | - | - | - | - | - | - |
| rows locked | - | - | told | - | told | told |
| 400 | told | told | told | told | told | told |
| 403 | told | again > told | told | again > told | told | told |
| 404 | told | told | told | told | told | told |
| 410 | told | told | told | told | told | told |
| 414 | told | told | told | told | told | told |
| 500 | told | again > told | told | again > told | told | told |
"""

OTHERS = """
| operation | opt-out before | opt-out after | late commit |
|---|---|---|---|
| log in | - | - | - |
| log in, signed | - | - | - |
| identity | - | - | - |
| identity, token | - | - | - |
| access | - | - | - |
| describe | - | - | - |
| usage | - | - | - |
| budget | - | - | - |
| read | seen | - | seen |
| read, page 2 | - | - | - |
| rows | seen | - | seen |
| count | - | - | - |
| changes | seen | - | seen |
| pull | seen | - | seen |
| begin pull | - | - | - |
| bulk job | seen | seen | seen |
| bulk wait | seen | - | seen |
| bulk pages | - | - | - |
| history | seen | - | seen |
| history pages | - | - | - |
| clear | conflict | kept | conflict |
| opt out | - | - | - |
| keep text | - | - | - |
| kept texts | - | - | - |
| check | - | - | - |
| check, time | - | - | - |
| probe, making | - | - | - |
| probe, reading | - | - | - |
| probe, clearing | - | - | - |
| probe, reading one | - | told | - |
| probe, writing one | - | - | - |
| probe, deleting | - | - | - |
"""

WORK_TABLE = """
| fault | pull, changes | pull, reading | full pull | propose | batch, reading | batch, clearing | batch, reading back | batch, opting out | undo, reading | undo, writing | sync, writing | sync, reading back | follow-up |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| token expires | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth | login > auth |
| 503 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | anew > kept out | again > unreachable | anew > waits | again > unreachable | anew > waits | waits | again > unreachable | again > unreachable |
| 503, Retry-After 7 s | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | anew > kept out | again > unreachable | anew > waits | again > unreachable | anew > waits | waits | again > unreachable | again > unreachable |
| 503, Retry-After 1 h | unreachable | unreachable | unreachable | unreachable | unreachable | anew > kept out | unreachable | anew > waits | unreachable | anew > waits | waits | unreachable | unreachable |
| daily limit | quota | quota | quota | quota | quota | quota | quota | quota | quota | quota | quota | quota | quota |
| concurrent limit | again > quota | again > quota | again > quota | again > quota | again > quota | quota | again > quota | quota | again > quota | quota | quota | again > quota | again > quota |
| reset before | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | anew > kept out | again > unreachable | anew > waits | again > unreachable | anew > waits | waits | again > unreachable | again > unreachable |
| reset after | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | - | again > unreachable | - | again > unreachable | anew > waits | - | again > unreachable | again > unreachable |
| slow answer | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | - | again > unreachable | - | again > unreachable | anew > waits | - | again > unreachable | again > unreachable |
| HTML, 503 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | anew > kept out | again > unreachable | anew > waits | again > unreachable | anew > waits | waits | again > unreachable | again > unreachable |
| HTML, 200 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | anew > kept out | again > unreachable | anew > waits | again > unreachable | anew > waits | waits | again > unreachable | again > unreachable |
| broken JSON | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | - | again > unreachable | - | again > unreachable | anew > waits | - | again > unreachable | again > unreachable |
| wrong shape | unreachable | unreachable | unreachable | unreachable | unreachable | - | unreachable | - | unreachable | anew > waits | - | unreachable | unreachable |
| truncated CSV | - | - | - | - | - | - | - | - | - | - | - | - | - |
| locator expired | - | - | - | - | - | - | - | - | - | - | - | - | - |
| job failed | - | - | - | - | - | - | - | - | - | - | - | - | - |
| page twice | - | - | - | - | - | - | - | - | - | - | - | - | - |
| clock 5 min ahead | - | - | - | - | - | - | - | - | - | - | - | - | - |
| rows locked | - | - | - | - | - | anew > kept out | - | anew > waits | - | anew > waits | waits | - | - |
| 400 | anew | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused |
| 403 | permission | anew > permission | permission | anew > permission | anew > permission | permission | anew > permission | permission | anew > permission | permission | permission | anew > permission | anew > permission |
| 404 | anew | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused |
| 410 | anew | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused |
| 414 | anew | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused | refused |
| 500 | again > unreachable | again > unreachable | again > unreachable | again > unreachable | again > unreachable | anew > kept out | again > unreachable | anew > waits | again > unreachable | anew > waits | waits | again > unreachable | again > unreachable |
| opt-out before | - | - | - | - | kept out | kept out | kept out | - | - | - | - | - | seen |
| opt-out after | - | - | - | - | kept out | kept out | kept out | - | - | - | - | - | seen later |
| late commit | - | - | - | - | kept out | kept out | kept out | - | - | - | - | - | seen |
"""


def cells(table: str) -> dict[tuple[str, str], str]:
    """A table as (its row, its column) -> cell."""
    head, _, *lines = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in table.strip().splitlines()]
    return {(line[0], name): cell for line in lines for name, cell in zip(head[1:], line[1:], strict=True)}


def expected(operation: str, fault: str) -> tuple[str, str]:
    """What one fault at an operation of the client leads to, and what the same fault for good.

    Raises:
        KeyError: the tables don't have this cell.
    """
    others = cells(OTHERS)
    if (operation, fault) in others:
        return others[operation, fault], others[operation, fault]
    probe, _, step = operation.partition(", ")
    if probe == "probe":
        cell = cells(PROBE)[fault, step]
    else:
        column = next(name for name, members in COLUMNS.items() if operation in members)
        cell = cells(REQUESTS)[fault, column]
    once, _, always = cell.partition(" > ")
    return once, always or once


def work_expected(work: str, fault: str) -> tuple[str, str]:
    """What one fault at some work leads to, and what the same fault for good. Raises: KeyError."""
    once, _, always = cells(WORK_TABLE)[fault, work].partition(" > ")
    return once, always or once


def written(text: str) -> str:
    """A page with the tables in their places."""
    for name in ("REQUESTS", "PROBE", "OTHERS", "WORK_TABLE"):
        before, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        text = before + mark + globals()[name].lstrip() + end + after
    return text


if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
