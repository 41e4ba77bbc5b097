"""What the pages of docs/ say of the code, made from the code: the picture of the house, its rooms, the reasons for dependencies.

`python tests/generated_pages.py` writes them; `tests/test_docs.py` tells when they are no longer true.
"""

from __future__ import annotations

import ast
import re
import tomllib
from html import escape
from pathlib import Path

from test_layers import DOORS, FLOORS, HOUSE, imports_of, room_of

from workbench.eligibility import REFUSE, RULES, STRENGTHEN
from workbench.mismatch import KINDS

ROOT = HOUSE.parent
BOX, GAP, ROW, LEFT = 116, 10, 62, 16  # of the picture, in pixels
ACROSS = 9  # boxes beside each other
TONES = ("#1b4f72", "#7d3c98", "#117864", "#935116", "#922b21", "#424949")


def uses() -> dict[str, set[str]]:
    """Which rooms each room imports from when the program runs."""
    used: dict[str, set[str]] = {room: set() for floor in FLOORS for room in floor}
    for one in imports_of(HOUSE):
        if one.of.split(".")[0] == HOUSE.name and not one.typing_only and one.room in used:
            other = room_of(one.of)
            if other in used and other != one.room:
                used[one.room].add(other)
    return used


def direct(used: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The imports without those that go without saying: of a room that another import leads to anyway."""

    def reached(room: str, seen: set[str]) -> set[str]:
        for other in used[room] - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    beyond = {room: reached(room, set()) for room in used}
    return sorted(
        (room, other)
        for room, others in used.items()
        for other in others
        if not any(other in beyond[third] for third in others - {other} if room not in beyond[third])
    )


def places() -> tuple[dict[str, tuple[int, int]], list[tuple[int, int]], int]:
    """Where each box stands, from where to where each floor goes, and how high the picture is."""
    at: dict[str, tuple[int, int]] = {}
    bands = []
    top = 10
    for floor in FLOORS:
        rows = [floor[start : start + ACROSS] for start in range(0, len(floor), ACROSS)]
        bands.append((top, top + len(rows) * ROW))
        for row in rows:
            left = LEFT + (ACROSS - len(row)) * (BOX + GAP) // 2
            at |= {room: (left + number * (BOX + GAP), top + 10) for number, room in enumerate(row)}
            top += ROW
        top += 8
    return at, bands, top


def picture() -> str:
    """The house as SVG: a box for each room, a band for each floor, a line for each import that no other implies."""
    at, bands, height = places()
    width = 2 * LEFT + ACROSS * (BOX + GAP) - GAP
    outside = {room: sorted(library for library, doors in DOORS.items() if room in doors) for room in at}
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" role="img">',
        "<title>The rooms of the workbench by floors; lines are imports, downwards</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    drawn += [f'<rect x="4" y="{y}" width="{width - 8}" height="{end - y}" rx="6" fill="#eef2f5"/>' for y, end in bands]
    for number, (room, other) in enumerate(direct(uses())):
        (x, y), (to_x, to_y) = at[room], at[other]
        tone = TONES[number % len(TONES)]
        x, y, to_x = x + BOX // 2, y + 42, to_x + BOX // 2
        bend = max(20, (to_y - y) // 2)
        path = f"M{x} {y} C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
        drawn.append(f'<path d="{path}" fill="none" stroke="{tone}" stroke-opacity="0.45"/>')
    for room, (x, y) in at.items():
        drawn.append(f'<rect x="{x}" y="{y}" width="{BOX}" height="42" rx="4" fill="#ffffff" stroke="#5d6d7e"/>')
        libraries = outside[room]
        shown = ", ".join(libraries[:1]) + (f" + {len(libraries) - 1}" if len(libraries) > 1 else "")
        drawn.append(
            f'<text x="{x + BOX // 2}" y="{y + (18 if shown else 26)}" font-size="14" text-anchor="middle">{escape(room)}</text>'
        )
        if shown:
            small = 'font-size="10.5" text-anchor="middle" fill="#4a5560"'
            drawn.append(f'<text x="{x + BOX // 2}" y="{y + 34}" {small}>{escape(shown)}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def about(room: str) -> str:
    """The first sentence of what a room says of itself."""
    path = HOUSE / f"{room}.py"
    text = ast.get_docstring(ast.parse((path if path.is_file() else HOUSE / room / "__init__.py").read_text(encoding="utf-8")))
    first = " ".join((text or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", first)[0].replace("``", "`").rstrip(".")


def rooms() -> str:
    """The table of rooms, a floor after the other, with the outside libraries that come in by each."""
    lines = ["| room | what it is | outside libraries |", "|---|---|---|"]
    for floor in FLOORS:
        for room in floor:
            libraries = ", ".join(sorted(library for library, doors in DOORS.items() if room in doors))
            lines.append(f"| `{room}` | {about(room)} | {libraries} |")
    return "\n".join([*lines, ""])


def reasons(section: str) -> list[tuple[str, str]]:
    """Each requirement of a list in pyproject.toml with the comment behind it; "" where there is none."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    body = re.search(rf"^{section} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert body is not None, section
    lines = re.findall(r'^  "([^"]+)",\s*(?:# (.*))?$', body.group(1), re.MULTILINE)
    return [(requirement, reason.strip()) for requirement, reason in lines]


def dependencies() -> str:
    """The table of what a run of the workbench needs, and of its extras."""
    rows = [("", *pair) for pair in reasons("dependencies")]
    for extra in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]:
        rows += [(f"`[{extra}]`", *pair) for pair in reasons(extra)]
    lines = ["| package | versions | for | extra |", "|---|---|---|---|"]
    for extra, requirement, reason in rows:
        name, versions = re.fullmatch(r"([A-Za-z0-9_.\[\]-]+)(.*)", requirement).groups()  # type: ignore[union-attr]  # names begin so
        lines.append(f"| {name} | {versions.replace(',', ', ')} | {reason} | {extra} |")
    return "\n".join([*lines, ""])


def rules() -> str:
    """The table of the rules of eligibility: code, severity, what has to hold, source."""
    words = {REFUSE: "refuses", STRENGTHEN: "asks for more"}
    lines = ["| code | | what has to hold, or when it speaks | source |", "|---|---|---|---|"]
    for rule in RULES:
        holds = " ".join((rule.judge.__doc__ or "").split())
        lines.append(f"| `{rule.code}` | {words[rule.severity]} | {holds} | {rule.source} |")
    return "\n".join([*lines, ""])


def kinds() -> str:
    """The table of mismatches: code and meaning."""
    return "\n".join(["| kind | what it is |", "|---|---|", *(f"| `{kind}` | {what} |" for kind, what in KINDS.items()), ""])


PARTS = {
    "docs/architecture.md": {"rooms": rooms},
    "docs/dependencies.md": {"dependencies": dependencies},
    "docs/analyst.md": {"rules": rules, "kinds": kinds},
}
"""Pages of which parts are made here: what stands between two marks."""
PICTURE = "docs/img/architecture.svg"


def pages() -> dict[Path, str]:
    """Every file that is made here, whole or in part, as it has to be."""
    made = {ROOT / PICTURE: picture()}
    for name, parts in PARTS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for mark, part in parts.items():
            before, begin, rest = text.partition(f"<!-- {mark}: made by tests/generated_pages.py -->\n")
            _, end, after = rest.partition(f"<!-- end of {mark} -->")
            assert begin, f"{name} has lost its mark"
            assert end, f"{name} has lost its mark"
            text = before + begin + part() + end + after
        made[ROOT / name] = text
    return made


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
