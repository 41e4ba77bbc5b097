"""A look at evidence runs nothing and loads nothing, whatever the file holds: every kind is tried with what would like to."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from workbench import Evidence
from workbench.bench import Workbench
from workbench.evidence import SNIFFED, media_type
from workbench.panels.person import PersonView
from workbench.preview import LARGEST_SHOWN, LONGEST_TEXT, preview

ATTACK = '"><script>alert(1)</script><img src="https://evil.example.com/x.png" onerror="alert(2)"><!--'
ALLOWED = {"figure", "figcaption", "p", "pre", "table", "tr", "th", "td", "img", "a"}
MAIL = (
    f"From: {ATTACK} <jo@example.com>\nSubject: =?utf-8?q?Ja=2C_gern_=3Cscript=3E?=\nMIME-Version: 1.0\n"
    'Content-Type: multipart/mixed; boundary="b"\n\n'
    f"--b\nContent-Type: text/plain; charset=utf-8\n\nPlease write to me again. {ATTACK}\n"
    f"--b\nContent-Type: text/html; charset=no-such\n\n<b>{ATTACK}</b>\n"
    f"--b\nContent-Type: image/svg+xml\nContent-Disposition: attachment; filename=\"a<script>.svg\"\n\n<svg onload='alert(3)'/>\n"
    "--b--\n"
).encode()
FILES = {
    "text": f"I agree. {ATTACK}".encode(),
    "HTML": f"<!DOCTYPE html><body onload='alert(1)'>{ATTACK}".encode(),
    "SVG": f"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>{ATTACK}</svg>".encode(),
    "e-mail": MAIL,
    "damaged e-mail": b"From: =?utf-8?b?////?= \xff\xfe\nContent-Type: multipart/mixed\n\n" + ATTACK.encode(),
    "deep e-mail": b"From: a@example.com\n" + b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(1500)
    ) + ATTACK.encode(),
    "PNG": b"\x89PNG\r\n\x1a\n" + ATTACK.encode(),
    "JPEG": b"\xff\xd8\xff\xe0" + ATTACK.encode(),
    "GIF": b"GIF89a" + ATTACK.encode(),
    "PDF": b"%PDF-1.7 /OpenAction << /S /JavaScript /JS (app.alert(1)) >>" + ATTACK.encode(),
    "zip": b"PK\x03\x04" + ATTACK.encode(),
    "bytes": b"\x00\x01\x02" + ATTACK.encode(),
}  # fmt: skip


class Look(HTMLParser):
    """Every element and attribute of a preview, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment of the file came through")


def look(content: bytes, name: str = "form") -> Look:
    return Look(preview(content, media_type=media_type(content[:SNIFFED]), name=name))


def harmless(found: Look) -> None:
    for tag, attributes in found.elements:
        assert tag in ALLOWED
        assert not [name for name in attributes if name.startswith("on") or name in ("srcdoc", "srcset", "target")]
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or address.startswith(
                ("data:image/png;", "data:image/jpeg;", "data:application/octet-stream;")
            )
        assert "url(" not in attributes.get("style", "")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", ["form", ATTACK])
def test_nothing_in_a_file_or_its_name_runs_or_is_loaded(kind: str, name: str) -> None:
    found = look(FILES[kind], name)
    harmless(found)
    assert found.text.startswith(name)


def test_the_look_for_harm_can_fail() -> None:
    for html in ("<script>", "<p onclick='x'>", "<img src='https://example.com/a.png'>", "<a href='javascript:x'>", "<iframe>"):
        with pytest.raises(AssertionError):
            harmless(Look(html))


def test_text_and_mail_are_read() -> None:
    assert ATTACK in look(FILES["text"]).text
    mail = look(MAIL).text
    assert "Ja, gern <script>" in mail
    assert "Please write to me again." in mail
    assert f"<b>{ATTACK}</b>" in mail
    assert "Attached: a<script>.svg" in mail
    assert "alert(3)" not in mail
    assert "schöne Grüße" in look("schöne Grüße".encode("utf-16")).text


def test_signs_that_hide_or_turn_text_are_shown_as_such() -> None:
    found = look("pay \u202e01 now\x7f, all of it, please".encode(), "fo\u202efdp.exe").text
    assert "\u202e" not in found
    assert "\x7f" not in found
    assert found.count("\ufffd") == 3


def test_long_text_and_large_pictures_are_cut() -> None:
    assert "It goes on" in look(b"x" * (LONGEST_TEXT + 1)).text
    assert "It goes on" not in look(b"x" * LONGEST_TEXT).text
    for head in (b"\x89PNG\r\n\x1a\n", b"%PDF-1.7"):
        found = look(head.ljust(LARGEST_SHOWN + 1))
        assert "too large to be shown" in found.text
        assert not {"img", "a"} & {tag for tag, _ in found.elements}


def test_a_picture_is_shown_and_a_pdf_is_offered() -> None:
    assert look(FILES["PNG"]).elements[-1][0] == "img"
    tag, attributes = look(FILES["PDF"], "form.pdf").elements[-1]
    assert (tag, attributes["download"]) == ("a", "form.pdf")


def test_a_person_s_card_shows_the_evidence_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    with Workbench.init(tmp_path / "workspace", name="test", url="http://127.0.0.1:9", controller="Example GmbH") as wb:
        people = tmp_path / "people.csv"
        people.write_text("external_id,email,last_name\np1,jo@example.com,Jo\n")
        wb.import_people(people)
        letter = tmp_path / "letter.txt"
        letter.write_text(f"I agree. {ATTACK}")
        wb.record_consent(
            person="jo@example.com",
            evidence=[Evidence.from_file(letter)],
            purpose="sales_email",
            given_at=datetime(2026, 6, 1, tzinfo=UTC),
        )
        view = PersonView(wb)
        view.show("jo@example.com")
        assert ATTACK in Look(view.widget.value).text
        assert "<script" not in view.widget.value
        ((item, _),) = wb.evidence_of("jo@example.com")
        (wb.workspace / "evidence" / item.sha256[:2] / item.sha256).unlink()
        view.show("jo@example.com")
        assert "is missing. Restore it from a backup" in Look(view.widget.value).text
