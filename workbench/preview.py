"""A look at an evidence file inside a notebook: HTML that runs nothing, loads nothing, and shows text as text.

Everything that comes from the file is escaped. A picture is shown from its own bytes, and only as one of two kinds that can't hold a
script; a PDF is offered for saving, as bytes without a type that a browser would open. An HTML file or part is shown as its source.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from html import escape
from itertools import islice

from workbench.said import said

Tell = Callable[[str], str]
PICTURES = ("image/png", "image/jpeg")
"""Kinds that are shown; SVG can hold scripts and is none of them."""
LARGEST_SHOWN = 5 * 1024 * 1024
"""Bytes of a picture or PDF that still go into the notebook."""
LONGEST_TEXT = 20_000
MOST_PARTS = 30
HEADERS = ("From", "To", "Cc", "Date", "Subject", "Message-ID")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def preview(content: bytes, *, media_type: str, name: str, tell: Tell = str) -> str:
    """A look at a file as HTML; ``media_type`` is what its bytes show, never what somebody says.

    ``tell`` says our own sentences in the language of the screen.
    """
    title = tell(said("{name} ({kind}, {size} bytes)", name=name, kind=media_type, size=len(content)))
    return f"<figure><figcaption>{_plain(title)}</figcaption>{_inside(content, media_type, name, tell)}</figure>"


def _inside(content: bytes, media_type: str, name: str, tell: Tell) -> str:
    if media_type in PICTURES or media_type == "application/pdf":
        if len(content) > LARGEST_SHOWN:
            large = said("It is too large to be shown here: more than {size} MB.", size=LARGEST_SHOWN // 1024**2)
            return f"<p>{_plain(tell(large))}</p>"
        encoded = base64.b64encode(content).decode("ascii")
        if media_type == "application/pdf":
            save = _plain(tell(said("Save the PDF to look at it")))
            return f'<a download="{_plain(name)}" href="data:application/octet-stream;base64,{encoded}">{save}</a>'
        return f'<img alt="{_plain(name)}" src="data:{media_type};base64,{encoded}" style="max-width:100%">'
    if media_type == "message/rfc822":
        return _mail(content, tell)
    if media_type.startswith("text/"):
        return _text(_decoded(content, ""), tell)
    unseen = tell(said("Files of this kind are not shown here."))
    return f"<p>{_plain(unseen)}</p>"


def _mail(content: bytes, tell: Tell) -> str:
    """Headers and readable parts of an e-mail; what can't be taken apart is shown as it came."""
    try:
        mail = message_from_bytes(content)
        rows = "".join(f'<tr><th scope="row">{name}</th><td>{_plain(value)}</td></tr>' for name, value in _headers(mail))
        return f"<table>{rows}</table>{''.join(islice(_parts(mail, tell), MOST_PARTS))}"
    except (
        RecursionError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
    ):  # what the standard library makes of damaged mail
        return _text(_decoded(content, ""), tell)


def _headers(mail: Message) -> Iterator[tuple[str, str]]:
    for name in HEADERS:
        for value in mail.get_all(name, ()):
            try:
                yield name, str(make_header(decode_header(value)))
            except (HeaderParseError, LookupError, ValueError):
                yield name, str(value)


def _parts(mail: Message, tell: Tell) -> Iterator[str]:
    for part in mail.walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        if part.get_filename() or part.get_content_maintype() != "text":
            attached = part.get_filename() or part.get_content_type()
            sentence = said("Attached: {name} ({size} bytes)", name=attached, size=len(data))
            yield f"<p>{_plain(tell(sentence))}</p>"
        else:
            yield _text(_decoded(data, part.get_content_charset() or ""), tell)


def _decoded(content: bytes, charset: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        charset = "utf-16"
    try:
        return content[: 4 * LONGEST_TEXT].decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # no such encoding, or one that is none of text
        return content[: 4 * LONGEST_TEXT].decode("utf-8", "replace")


def _text(text: str, tell: Tell) -> str:
    goes_on = _plain(tell(said("It goes on; this is its beginning.")))
    more = f"<p>{goes_on}</p>" if len(text) > LONGEST_TEXT else ""
    return f'<pre style="white-space:pre-wrap;max-height:20rem;overflow:auto">{_plain(text[:LONGEST_TEXT])}</pre>{more}'


def _plain(text: str) -> str:
    """Text as HTML, with a sign in place of what can't be seen or turns the direction of reading."""
    return escape(_UNSEEN.sub("\ufffd", text), quote=True)
