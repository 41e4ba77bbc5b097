"""Charts as SVG: well-formed whatever the words, in words too, within their frame, nothing loaded, nothing run."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from workbench.charts import Ages, Bar, Column, Lane, Sign, ages, columns, lanes
from workbench.charts import time_lanes as drawing
from workbench.charts.svg import AGREED, IN, OUT, width_of

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
NASTY = "<img src=x onerror=alert(1)>\"'&\x00\x0b\ud800]]>"
NAME = "{http://www.w3.org/2000/svg}"
SHAPES = sorted(drawing.SHAPES)


def days(number: float) -> datetime:
    return NOW - timedelta(days=number)


def sign(ago: float, shape: str, name: str) -> Sign:
    return Sign(days(ago), shape, name, f"{days(ago):%Y-%m-%d}")


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
    root = ElementTree.fromstring(two([sign(3, "stop", "unsubscribed")], [(days(3), None)]))
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
        Lane(NASTY, NASTY, [(None, None)], [sign(1, "again", NASTY)]),
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
    svg = two([sign(n, SHAPES[n % len(SHAPES)], "x") for n in range(9)], [(None, days(3)), (days(1), None)])
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
        sign(draw.choice([0, 0.1, 3, 400, 4000]) * draw.random(), draw.choice(SHAPES), "x" * draw.randrange(3, 25))
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
    svg = two([sign(length, "stop", "x")])
    ticks = [t for t in texts(svg) if re.fullmatch(r"\d{4}|\d{2}-\d{2}|\d{4}-\d{2}", t.text or "")]
    assert 2 <= len(ticks) <= drawing.TICKS + 1
    places = [float(t.get("x", "")) for t in ticks]
    apart = [b - a for a, b in pairwise(places)]
    assert min(apart) > 35
    assert max(apart) < 1.25 * min(apart)  # months are not equally long
    assert all(drawing.LEFT <= x <= drawing.WIDTH - drawing.RIGHT for x in places)


def rows(draw: random.Random, number: int, classes: int) -> list[Ages]:
    """Invented kinds with ages of every size."""
    found = []
    for _ in range(number):
        numbers = [draw.choice([0, draw.randrange(9), draw.randrange(10**6)]) for _ in range(classes)]
        found.append(Ages("x" * draw.randrange(3, 36), numbers, [f"{n:,}" for n in (*numbers, sum(numbers))]))
    return found


def aged(found: list[Ages], classes: int = 6, allowed: int = 3, word: str = "within") -> str:
    names = [f"{n}–{n + 1}" for n in range(classes)]
    return ages(found, classes=names, allowed=allowed, title="T", says="S", within=word, over=word, unit=word, together=word)


@pytest.mark.parametrize("seed", range(20))
def test_every_number_is_written_beside_its_bar_and_bars_are_of_one_scale(seed: int) -> None:
    draw = random.Random(seed)
    classes, allowed = draw.choice([(5, 2), (6, 3), (6, 2)])
    found = rows(draw, draw.randrange(1, 14), classes)
    root = ElementTree.fromstring(aged(found, classes, allowed))
    numbers = [n for row in found for n in row.numbers if n]
    groups = root.findall(f"{NAME}g")
    assert [group[2].text for group in groups] == [f"{n:,}" for n in numbers]
    lengths = [float(re.findall(r"h([\d.]+)", group[1].get("d", ""))[0]) for group in groups]
    most = max(numbers, default=0)
    for number, length in zip(numbers, lengths, strict=True):
        assert length == pytest.approx(max(2, max(lengths) * number / most), abs=0.2)
    width = float(root.get("viewBox", "").split()[2])
    assert width <= 961
    assert all(0 <= float(t.get("x", "")) <= width for t in root.findall(f".//{NAME}text"))


def test_what_is_over_the_limit_lies_behind_the_line_and_has_another_colour() -> None:
    svg = aged([Ages("kind", [1, 2, 3, 4, 5, 6], [*"123456", "21"])])
    line = float(re.findall(r'd="M([\d.]+) 4V', svg)[0])
    bars = re.findall(r'd="M([\d.]+) [\d.]+h[^"]+" style="fill:([^"]+)"', svg)
    assert [(float(x) > line, colour) for x, colour in bars] == [(False, IN)] * 3 + [(True, OUT)] * 3


def test_ages_show_words_that_attack_as_words() -> None:
    root = ElementTree.fromstring(aged([Ages(NASTY, [1] * 6, [NASTY] * 7)], word=NASTY))
    assert {element.tag.removeprefix(NAME) for element in root.iter()} == {"svg", "title", "desc", "path", "text", "g"}


def months(draw: random.Random, most: int, back: int) -> list[Column]:
    """A year with numbers up to the two, upwards and downwards."""
    numbers = [(draw.randrange(most + 1), draw.randrange(back + 1)) for _ in range(12)]
    return [
        Column(f"{n:02}", "so far" if n == 11 else "", up, down, f"{up:,}", f"{down:,}") for n, (up, down) in enumerate(numbers)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_columns_grow_both_ways_on_one_scale_and_nothing_leaves_the_picture(seed: int) -> None:
    draw = random.Random(seed)
    slots = months(draw, draw.choice([0, 1, 30, 400_000]), draw.choice([0, 3, 5000]))
    bars = [
        Bar("x" * draw.randrange(4, 20), n, f"{n:,} (10%)")
        for n in sorted((draw.randrange(1, 10**6) for _ in range(draw.randrange(7))), reverse=True)
    ]
    root = ElementTree.fromstring(
        columns(slots, bars, up="unsubscribed", down="wieder angemeldet", beside="from", title="T", says="S")
    )
    width, height = (float(n) for n in root.get("viewBox", "").split()[2:])
    tall: list[tuple[int, float]] = []
    for slot, group in zip(slots, root.findall(f"{NAME}g"), strict=True):
        paths = group.findall(f"{NAME}path")
        assert [p.get("style") for p in paths] == [f"fill:{c}" for n, c in ((slot.up, OUT), (slot.down, IN)) if n]
        for number, path in zip([n for n in (slot.up, slot.down) if n], paths, strict=True):
            line, far = (float(n) for n in re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)h", path.get("d", ""))[0])
            assert (far < line) == (path.get("style") == f"fill:{OUT}")
            tall.append((number, abs(far - line)))
    most, longest = max(tall, default=(1, 0.0))
    assert all(length == pytest.approx(max(1.5, longest * number / most), abs=0.2) for number, length in tall)
    for text in root.findall(f".//{NAME}text"):
        reach = width_of(text.text or "") * float(text.get("font-size", "12")) / 12
        left = float(text.get("x", "")) - reach * {"end": 1, "middle": 0.5}.get(text.get("text-anchor", ""), 0)
        assert left >= -1
        assert left + reach <= width + 1
        assert 0 < float(text.get("y", "")) < height


def test_numbers_at_the_columns_never_touch() -> None:
    root = ElementTree.fromstring(
        columns(months(random.Random(3), 900_000, 9), [], up="u", down="d", beside="b", title="T", says="S")
    )
    shown = [float(t.get("x", "")) for t in root.findall(f".//{NAME}text") if t.get("font-size") and len(t.text or "") > 5]
    assert 1 <= len(shown) <= 2, "the highest and the last"


def test_columns_show_words_that_attack_as_words() -> None:
    svg = columns(
        [Column(NASTY, NASTY, 1, 1, NASTY, NASTY)],
        [Bar(NASTY, 1, NASTY)],
        up=NASTY,
        down=NASTY,
        beside=NASTY,
        title=NASTY,
        says=NASTY,
    )
    assert {element.tag.removeprefix(NAME) for element in ElementTree.fromstring(svg).iter()} == {
        "svg",
        "title",
        "desc",
        "path",
        "text",
        "g",
    }
