"""Two lanes of time, one above the other: a thick line while a state lasts, signs where something happened, words beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from workbench.charts.svg import AGREED, IN, OUT, PAPER, element, picture, told, width_of, words

WIDTH, LEFT, RIGHT = 960.0, 92.0, 172.0
STEP = 17.0  # between rows of labels
ROWS = 4  # of labels; what finds no room is told by its pointer text and by the list below
APART = 11.0  # signs of one lane never touch
MOST = 60  # signs on a lane, the newest
NARROWEST = timedelta(days=7)
STUB = 16.0  # of a lane behind the present moment, so that a state that just began is seen
BEFORE = 0.04  # of the time shown
DAY, MONTH, YEAR = "%m-%d", "%Y-%m", "%Y"
TICKS = 8
SHAPES = {
    "stop": (OUT, "M-5.5-5.5h11v11h-11z"),
    "again": (OUT, "M0-6.5 6.5 5.5h-13z"),
    "go": (IN, "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0zM-2 0a2 2 0 1 1 4 0a2 2 0 1 1-4 0z"),
    "paper": (AGREED, "M0-6.5 6.5 0 0 6.5-6.5 0z"),
    "torn": (OUT, "M0-6.5 6.5 0H-6.5zM-6.5 2H6.5L0 8z"),
    "cross": ("currentColor", "M-5-3-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0z"),
}
"""Each sign is told from the others by its shape; its colour only helps."""


@dataclass(frozen=True)
class Sign:
    """Something that happened: a shape of `SHAPES`, what it is called, and its day as it is written."""

    at: datetime
    shape: str
    name: str
    day: str


@dataclass(frozen=True)
class Lane:
    """One line of time. ``spans`` are drawn thick: (since, until), None for a beginning that nobody knows or an end to come.

    ``now`` says how it stands. A lane that is ``absent`` has nothing on it but that.
    """

    name: str
    now: str
    spans: Sequence[tuple[datetime | None, datetime | None]] = ()
    signs: Sequence[Sign] = field(default=())
    absent: bool = False


def lanes(upper: Lane, lower: Lane, *, now: datetime, title: str, says: str, thick: str, dashed: str) -> str:
    """Both lanes as an SVG element; ``thick`` and ``dashed`` say what such lines mean."""
    scale = _Scale.over([s.at for s in (*upper.signs, *lower.signs)] + _ends(upper) + _ends(lower), now)
    above, rows_above = _labels(_placed(upper.signs, scale))
    below, rows_below = _labels(_placed(lower.signs, scale))
    top = 14 + rows_above * STEP
    second = top + 36
    axis = second + 24 + rows_below * STEP
    parts = [
        _axis(scale, top - 10, axis),
        _lane(upper, scale, top), *(one.drawn(top, -1) for one in above), *_signs(upper, scale, top),
        _lane(lower, scale, second), *(one.drawn(second, 1) for one in below), *_signs(lower, scale, second),
        _key(axis + 38, thick, dashed if any(since is None for one in (upper, lower) for since, _ in one.spans) else ""),
    ]  # fmt: skip
    return picture("".join(parts), title=title, says=says, width=WIDTH, height=axis + 48)


@dataclass(frozen=True)
class _Scale:
    begin: datetime
    end: datetime

    @classmethod
    def over(cls, moments: Iterable[datetime], now: datetime) -> _Scale:
        """From a little before the first moment to the present one, or the last."""
        every = [*moments, now, now - NARROWEST]
        first, last = min(every), max(every)
        return cls(first - (last - first) * BEFORE, last)

    def x(self, moment: datetime) -> float:
        """Where a moment lies."""
        return LEFT + (moment - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT - STUB)


def _ends(lane: Lane) -> list[datetime]:
    return [moment for span in lane.spans for moment in span if moment is not None]


def _placed(signs: Sequence[Sign], scale: _Scale) -> list[tuple[float, Sign]]:
    """The newest signs, from left to right; those of one moment beside each other, and none behind the lane's end."""
    newest = sorted(signs, key=lambda s: s.at)[-MOST:]
    places: list[float] = []
    for sign in newest:
        places.append(max(scale.x(sign.at), places[-1] + APART) if places else scale.x(sign.at))
    end = WIDTH - RIGHT - STUB / 2
    return [(min(x, end - APART * left), sign) for left, (x, sign) in enumerate(reversed([*zip(places, newest, strict=True)]))][
        ::-1
    ]


def _labels(placed: Sequence[tuple[float, Sign]]) -> tuple[list[_Label], int]:
    """The labels that find room, and how many rows they take; the newest choose first.

    A label stands right of its sign, or left where the picture ends. Those on the right are laid from the last to the first, those on the
    left from the first to the last: so no line from a label to its sign crosses another label.
    """
    every = [_Label.at(x, f"{sign.name} {sign.day}") for x, sign in placed]
    leftwards = [label for label in every if label.anchor == "end"][-ROWS:]
    rightwards = [label for label in reversed(every) if label.anchor == "start"]
    laid: list[_Label] = []
    for label in (*leftwards, *rightwards):
        row = next((n for n in range(ROWS) if not any(label.on(n).meets(other) for other in laid)), None)
        if row is not None:
            laid.append(label.on(row))
    return laid, max((label.row for label in laid), default=-1) + 1


@dataclass(frozen=True)
class _Label:
    x: float
    text: str
    anchor: str
    left: float
    right: float
    row: int = 0

    @classmethod
    def at(cls, x: float, text: str) -> _Label:
        width = width_of(text)
        if x + width < WIDTH - 8:
            return cls(x, text, "start", x - 4, x + width + 4)
        return cls(x, text, "end", x - width - 4, x + 4)

    def on(self, row: int) -> _Label:
        return replace(self, row=row)

    def meets(self, other: _Label) -> bool:
        """Whether the two touch, or the line from one to its sign crosses the other."""
        if self.row == other.row:
            return self.left < other.right and other.left < self.right
        upper, lower = (self, other) if self.row > other.row else (other, self)
        return lower.left - 2 < upper.x < lower.right + 2

    def drawn(self, y: float, side: int) -> str:
        far = y + side * (12 + self.row * STEP)
        line = element(
            "path", d=f"M{self.x:.1f} {y + side * 8:.1f}V{far:.1f}", stroke="currentColor", stroke_opacity=0.45, fill="none"
        )
        edge = self.left if self.anchor == "start" else self.right
        return line + words(self.text, edge, far + (11 if side > 0 else -3), anchor=self.anchor)


def _signs(lane: Lane, scale: _Scale, y: float) -> Iterator[str]:
    for x, sign in _placed(lane.signs, scale):
        colour, path = SHAPES[sign.shape]
        moment = f"{sign.day} {sign.at.astimezone(UTC):%H:%M} UTC"
        drawn = element(
            "path", d=path, style=f"fill:{colour};stroke:{PAPER}", stroke_width=1.5, paint_order="stroke", fill_rule="evenodd"
        )
        yield element("g", told(f"{lane.name}: {sign.name}, {moment}") + drawn, transform=f"translate({x:.1f} {y:.1f})")


def _lane(lane: Lane, scale: _Scale, y: float) -> str:
    left, right = LEFT, WIDTH - RIGHT
    dash = "2 6" if lane.absent else None
    thin = element(
        "path",
        d=f"M{left:.1f} {y:.1f}H{right:.1f}",
        stroke="currentColor",
        stroke_opacity=0.5,
        stroke_width=2,
        stroke_dasharray=dash,
    )
    thick = "".join(
        _span(left if a is None else scale.x(a), right if b is None else scale.x(b), y, known=a is not None)
        for a, b in lane.spans
    )
    name = words(lane.name, LEFT - 10, y + 4, anchor="end", font_weight="600")
    return name + thin + thick + words(lane.now, right + 8, y + 4)


def _span(left: float, right: float, y: float, *, known: bool) -> str:
    return element(
        "path",
        d=f"M{left:.1f} {y:.1f}H{max(right, left + 1):.1f}",
        style=f"stroke:{OUT}",
        stroke_width=8,
        stroke_dasharray=None if known else "7 3",
    )


def _axis(scale: _Scale, top: float, y: float) -> str:
    lines = []
    for moment, label in _ticks(scale.begin, scale.end):
        x = scale.x(moment)
        lines.append(element("path", d=f"M{x:.1f} {top:.1f}V{y + 4:.1f}", stroke="currentColor", stroke_opacity=0.14))
        lines.append(words(label, x, y + 17, anchor="middle", fill_opacity=0.75))
    base = element("path", d=f"M{LEFT:.1f} {y:.1f}H{WIDTH - RIGHT:.1f}", stroke="currentColor", stroke_opacity=0.4)
    return base + "".join(lines)


def _key(y: float, thick: str, dashed: str) -> str:
    solid = _span(LEFT, LEFT + 26, y - 4, known=True) + words(thick, LEFT + 34, y)
    if not dashed:
        return solid
    x = LEFT + 60 + width_of(thick)
    return solid + _span(x, x + 26, y - 4, known=False) + words(dashed, x + 34, y)


def _ticks(begin: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Round moments between the two, at most `TICKS`: days, months or years, evenly many apart."""
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    days, months = (end - begin).days, (end.year - begin.year) * 12 + end.month - begin.month
    if days <= 2 * 31:
        apart = next(n for n in (1, 2, 7, 14) if days <= n * TICKS)
        first = begin.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return [(at, f"{at:{DAY}}") for n in range(0, days + 1, apart) if (at := first + timedelta(days=n)) < end]
    apart = next((n for n in (1, 2, 3, 6, 12) if months <= n * TICKS), 12 * (1 + months // (12 * TICKS)))
    form = MONTH if apart < 12 else YEAR
    found = []
    for n in range(begin.year * 12 + begin.month, end.year * 12 + end.month):
        if n % apart == 0:
            at = datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC)
            found.append((at, f"{at:{form}}"))
    return found
