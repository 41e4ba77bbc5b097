"""Charts as SVG: well-formed whatever the words, in words too, within their frame, nothing loaded, nothing run."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from workbench.charts import Lane, Sign, lanes
from workbench.charts import time_lanes as drawing
from workbench.charts.svg import AGREED, IN, OUT, width_of

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
NASTY = "<img src=x onerror=alert(1)>\"'&\x00\x0b\ud800]]>"
NAME = "{http://www.w3.org/2000/svg}"
SHAPES = sorted(drawing.SHAPES)


def days(number: float) -> datetime:
    return NOW - timedelta(days=number)


def two(signs: list[Sign], spans: list[tuple[datetime | None, datetime | None]] = [], name: str = "Register") -> str:  # noqa: B006 - read only
    return lanes(
        Lane(name, "now", spans, signs),
        Lane("Salesforce", "none", absent=True),
        now=NOW,
        title="T",
        says="S",
        thick="out",
        dashed="since?",
    )


def texts(svg: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f".//{NAME}text")


def test_a_chart_is_an_image_with_a_title_and_a_description() -> None:
    root = ElementTree.fromstring(two([Sign(days(3), "stop", "unsubscribed")], [(days(3), None)]))
    title, says = root[0], root[1]
    assert root.get("role") == "img"
    assert (title.tag, title.text, says.tag, says.text) == (f"{NAME}title", "T", f"{NAME}desc", "S")
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == (title.get("id"), says.get("id"))


def test_two_charts_on_one_page_have_ids_of_their_own_and_the_same_chart_the_same() -> None:
    one, other = two([], name="A"), two([], name="B")
    assert one == two([], name="A")
    assert set(re.findall(' id="(.+?)"', one)).isdisjoint(re.findall(' id="(.+?)"', other))


def test_words_that_attack_are_words() -> None:
    svg = lanes(
        Lane(NASTY, NASTY, [(None, None)], [Sign(days(1), "again", NASTY)]),
        Lane(NASTY, NASTY),
        now=NOW,
        title=NASTY,
        says=NASTY,
        thick=NASTY,
        dashed=NASTY,
    )
    root = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(NAME) for element in root.iter()} == {"svg", "title", "desc", "path", "text", "g"}
    assert "<img src=x onerror=alert(1)>\"'&]]>" in [element.text for element in root.iter()]
    assert "<img" not in svg


def test_a_chart_loads_nothing_runs_nothing_and_follows_the_theme() -> None:
    svg = two([Sign(days(n), SHAPES[n % len(SHAPES)], "x") for n in range(9)], [(None, days(3)), (days(1), None)])
    assert not re.search(r"(?i)script|href|url\(|@import|\son\w+=", svg)
    assert re.findall("https?:[^\"' ]*", svg) == ["http://www.w3.org/2000/svg"]
    assert set(re.findall('fill:([^;"]+)', svg)) <= {"currentColor", OUT, IN, AGREED}
    assert set(re.findall('(?:fill|stroke)="([^"]+)"', svg)) == {"none", "currentColor"}


def test_every_sign_has_a_shape_of_its_own() -> None:
    assert len({path for _, path in drawing.SHAPES.values()}) == len(drawing.SHAPES)


@pytest.mark.parametrize("seed", range(40))
def test_signs_stay_on_their_lane_and_labels_never_touch(seed: int) -> None:
    draw = random.Random(seed)
    signs = [
        Sign(days(draw.choice([0, 0.1, 3, 400, 4000]) * draw.random()), draw.choice(SHAPES), "x" * draw.randrange(3, 25))
        for _ in range(draw.randrange(90))
    ]
    svg = two(signs)
    drawn = [float(x) for x in re.findall(r"translate\(([\d.]+) ", svg)]
    assert len(drawn) == min(len(signs), drawing.MOST)
    assert all(b - a > drawing.APART - 0.2 for a, b in pairwise(drawn))
    assert all(drawing.LEFT <= x <= drawing.WIDTH - drawing.RIGHT for x in drawn)
    labels = [label for label in texts(svg) if re.search(r"x \d{4}-", label.text or "")]
    assert bool(labels) == bool(signs)
    boxes = []
    for label in labels:
        x, width = float(label.get("x", "")), width_of(label.text or "")
        left = x - width if label.get("text-anchor") == "end" else x
        assert left >= 0
        assert left + width <= drawing.WIDTH
        boxes.append((float(label.get("y", "")), left, left + width))
    assert not [(a, b) for a in boxes for b in boxes if a is not b and a[0] == b[0] and a[1] < b[2] and b[1] < a[2]]
    assert len(svg) < 30_000


@pytest.mark.parametrize("length", [0, 1, 6, 13, 30, 62, 63, 100, 364, 800, 2000, 4000, 20_000])
def test_the_axis_has_a_few_even_ticks_within_the_time_shown(length: int) -> None:
    svg = two([Sign(days(length), "stop", "x")])
    ticks = [t for t in texts(svg) if re.fullmatch(r"\d{4}|\d{2}-\d{2}|\d{4}-\d{2}", t.text or "")]
    assert 2 <= len(ticks) <= drawing.TICKS + 1
    places = [float(t.get("x", "")) for t in ticks]
    apart = [b - a for a, b in pairwise(places)]
    assert min(apart) > 35
    assert max(apart) < 1.25 * min(apart)  # months are not equally long
    assert all(drawing.LEFT <= x <= drawing.WIDTH - drawing.RIGHT for x in places)
