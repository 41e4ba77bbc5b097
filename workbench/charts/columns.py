"""Columns month by month, some growing upwards and some downwards from one line, and beside them bars for what the former are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.charts.svg import IN, OUT, element, picture, told, width_of, words

SLOT, SPACE, WIDTH = 44.0, 28.0, 960.0
PLOT, TOP, FOOT = 120.0, 34.0, 62.0
ROW, BAR = 22.0, 12.0
SHORTEST = 30.0  # the room of a bar, however wide words and numbers are
BOLD = 1.08  # times wider
SMALL = 11  # size of the numbers at the columns


@dataclass(frozen=True)
class Column:
    """What a slot holds: a number upwards and one downwards, each spelt, its name below, and a word below that or none."""

    name: str
    below: str
    up: int
    down: int
    up_figure: str
    down_figure: str


@dataclass(frozen=True)
class Bar:
    """A part of all that grows upwards: what it is called, how many, and its number as it is written."""

    name: str
    number: int
    figure: str


def columns(slots: Sequence[Column], bars: Sequence[Bar], *, up: str, down: str, beside: str, title: str, says: str) -> str:
    """The slots and the bars as an SVG element; ``up``, ``down`` and ``beside`` say what they count. All columns are of one scale."""
    left = max(width_of(up), width_of(down)) * BOLD + 16
    highest, deepest = max(slot.up for slot in slots), max(slot.down for slot in slots)
    unit = PLOT / max(highest + deepest, 1)
    line = TOP + highest * unit
    crowded = max(width_of(f) for slot in slots for f in (slot.up_figure, slot.down_figure)) * SMALL / 12 > SLOT - 1
    parts = [
        words(up, left - 12, line - 4, anchor="end", font_weight="600"),
        words(down, left - 12, line + 14, anchor="end", font_weight="600"),
        element(
            "path", d=f"M{left - 4:.1f} {line:.1f}H{left + SLOT * len(slots):.1f}", stroke="currentColor", stroke_opacity=0.6
        ),
    ]
    names = TOP + PLOT + 30
    for n, slot in enumerate(slots):
        middle = left + SLOT * (n + 0.5)
        shown = not crowded or n == len(slots) - 1 or highest == slot.up
        drawn = _column(middle, line, slot.up * unit, slot.up_figure if slot.up and shown else "")
        drawn += _column(middle, line, -slot.down * unit, slot.down_figure if slot.down and shown else "")
        pointed = f"{slot.name} {slot.below}: {up} {slot.up_figure}, {down} {slot.down_figure}"
        parts.append(element("g", told(pointed) + drawn + words(slot.name, middle, names, anchor="middle")))
        parts.append(words(slot.below, middle, names + 15, anchor="middle", fill_opacity=0.75) if slot.below else "")
    right = left + SLOT * len(slots) + SPACE
    figures = max((width_of(bar.figure) for bar in bars), default=0.0) + 10
    place = right + max((width_of(bar.name) for bar in bars), default=0.0) + 8
    width = max(WIDTH, place + SHORTEST + figures, right + width_of(beside) * BOLD)
    parts += _bars(bars, right, place, room=width - place - figures, beside=beside)
    height = max(TOP + PLOT + FOOT, TOP + 16 + ROW * len(bars))
    return picture("".join(parts), title=title, says=says, width=width, height=height)


def _column(middle: float, line: float, length: float, figure: str) -> str:
    """A column of this length from the line, upwards where it is positive, with its number at its end."""
    if not length:
        return ""
    far = line - (max(length, 1.5) if length > 0 else min(length, -1.5))
    half = SLOT * 0.3
    path = element(
        "path",
        d=f"M{middle - half:.1f} {line:.1f}V{far:.1f}h{2 * half:.1f}V{line:.1f}z",
        style=f"fill:{OUT if length > 0 else IN}",
    )
    return path + (words(figure, middle, far - 4 if length > 0 else far + 12, anchor="middle", font_size=SMALL) if figure else "")


def _bars(bars: Sequence[Bar], x: float, place: float, *, room: float, beside: str) -> list[str]:
    """The bars' names at x, the bars themselves from ``place`` on, the longest as long as the room."""
    most = max((bar.number for bar in bars), default=0)
    parts = [words(beside, x, TOP - 14, font_weight="600")]
    for n, bar in enumerate(bars):
        y = TOP + ROW * n
        length = max(1.5, room * bar.number / most)
        shape = element("path", d=f"M{place:.1f} {y:.1f}h{length:.1f}v{BAR:.1f}h{-length:.1f}z", style=f"fill:{OUT}")
        parts += [words(bar.name, x, y + 10), shape, words(bar.figure, place + length + 5, y + 10)]
    return parts
