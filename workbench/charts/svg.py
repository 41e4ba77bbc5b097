"""Elements of a chart, with every value escaped, and the picture around them."""

from __future__ import annotations

import hashlib
import re
from html import escape

OUT, IN, AGREED, PAPER = (
    "var(--cw-out,#9a1b1b)",
    "var(--cw-in,#0b4f8a)",
    "var(--cw-agreed,#2e6b34)",
    "var(--jp-layout-color1,#fff)",
)
"""Colours by what they mean: opted out or late, resubscribed, consented, the ground. The fallbacks are those of a white page."""

LETTER = 7.0  # a letter's width at the size of a label; wider than most fonts have it, so that labels do not touch
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def element(name: str, content: str = "", **attributes: object) -> str:
    """An element with markup as its content; underscores in attributes stand for hyphens, None leaves one out."""
    given = "".join(f' {key.replace("_", "-")}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{given}>{content}</{name}>" if content else f"<{name}{given}/>"


def words(text: str, x: float, y: float, *, anchor: str = "start", **attributes: object) -> str:
    """A piece of text."""
    return element("text", plain(text), x=x, y=y, text_anchor=None if anchor == "start" else anchor, **attributes)


def told(text: str) -> str:
    """What is shown when the pointer rests on the element around it."""
    return element("title", plain(text))


def width_of(text: str) -> float:
    """About how wide a label will be."""
    return LETTER * len(text)


def plain(text: str) -> str:
    """A text as content of an element."""
    return escape(NOT_XML.sub("", text))


def picture(body: str, *, title: str, says: str, width: float, height: float) -> str:
    """The chart: an image to whoever can't see it, with its title and a description that says the same as the drawing."""
    mark = hashlib.sha256(f"{title}{says}{body}".encode(errors="replace")).hexdigest()[:12]
    head = element("title", plain(title), id=f"cw-t{mark}") + element("desc", plain(says), id=f"cw-d{mark}")
    return element(
        "svg",
        head + body,
        xmlns="http://www.w3.org/2000/svg",
        **{"class": "cw-chart"},
        role="img",
        aria_labelledby=f"cw-t{mark}",
        aria_describedby=f"cw-d{mark}",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        width=width,
        height=height,
        font_size="12",
        fill="currentColor",
        style="max-width:100%;height:auto;font-family:var(--jp-ui-font-family,DejaVu Sans,Helvetica,Arial,sans-serif)",
    )


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else plain(str(value))
