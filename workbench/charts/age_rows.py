"""How old open things are: a row for each kind, a column for each class of age, and a line where the time allowed is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.charts.svg import IN, OUT, element, picture, told, width_of, words

WIDTH, CELL, SUM = 960.0, 98.0, 70.0
ROW, HEAD, BAR = 24.0, 54.0, 12.0
GAP = 14.0  # around the line


@dataclass(frozen=True)
class Ages:
    """One kind: what it is called, how many of it there are in each class of age, the youngest first.

    ``figures`` spells the numbers, and their sum as the last one.
    """

    name: str
    numbers: Sequence[int]
    figures: Sequence[str]


def ages(
    rows: Sequence[Ages],
    *,
    classes: Sequence[str],
    allowed: int,
    title: str,
    says: str,
    within: str,
    over: str,
    unit: str,
    together: str,
) -> str:
    """The rows as an SVG element: bars of one scale, each with its number.

    The first ``allowed`` of the ``classes`` lie within the limit, the others over it: ``within`` and ``over`` head them. ``unit`` says
    what the classes are, ``together`` heads the sums.
    """
    left = max([width_of(row.name) for row in rows] + [width_of(unit)]) + 14
    most = max((number for row in rows for number in row.numbers), default=0)
    spelt = max((width_of(figure) for row in rows for figure in row.figures[:-1]), default=0.0)
    cell = min(CELL, (WIDTH - left - SUM - GAP) / len(classes))
    places = [left + k * cell + (GAP if k >= allowed else 0) for k in range(len(classes))]
    room = cell - spelt - 14
    height = HEAD + ROW * len(rows) + 6
    limit = left + allowed * cell + 2
    end = places[-1] + cell + SUM
    parts = [
        words(within, limit - 7, 16, anchor="end"),
        words(over, places[allowed], 16, font_weight="600", style=f"fill:{OUT}"),
        words(unit, left - 14, 40, anchor="end", fill_opacity=0.75),
        *(words(name, x, 40, fill_opacity=0.75) for x, name in zip(places, classes, strict=True)),
        words(together, end - 8, 40, anchor="end", fill_opacity=0.75),
    ]
    for n, row in enumerate(rows):
        y = HEAD + ROW * n
        parts += [_rule(y, end), words(row.name, 0, y + 16)]
        for k, (number, figure) in enumerate(zip(row.numbers, row.figures, strict=False)):
            if number:
                length = max(2.0, room * number / most)
                parts.append(
                    _bar(places[k], y + 6, length, figure, f"{row.name}, {classes[k]} {unit}: {figure}", late=k >= allowed)
                )
        parts.append(words(row.figures[-1], end - 8, y + 16, anchor="end", font_weight="600"))
    parts.append(
        element("path", d=f"M{limit:.1f} 4V{height - 4:.1f}", stroke="currentColor", stroke_width=2, stroke_dasharray="6 3")
    )
    return picture("".join(parts), title=title, says=says, width=end, height=height)


def _bar(x: float, y: float, length: float, figure: str, pointed: str, *, late: bool) -> str:
    bar = element("path", d=f"M{x:.1f} {y:.1f}h{length:.1f}v{BAR:.1f}h{-length:.1f}z", style=f"fill:{OUT if late else IN}")
    return element("g", told(pointed) + bar + words(figure, x + length + 4, y + 10))


def _rule(y: float, width: float) -> str:
    return element("path", d=f"M0 {y:.1f}H{width:.1f}", stroke="currentColor", stroke_opacity=0.14)
