"""Invented evidence: a scanned form, an e-mail, a web form's log, a recorded call. Small, but of the type they say they are."""

from __future__ import annotations

import io
import wave


def form_pdf(number: int) -> bytes:
    """A one-page PDF of a signed form."""
    text = f"BT /F1 14 Tf 72 720 Td (Form {number:04d}: Please send me your newsletter again.) Tj 0 -40 Td (Signed by hand) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, offsets = "%PDF-1.4\n", []
    for i, value in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{i} 0 obj\n{value}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    start = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    body += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return body.encode("ascii")


def email_eml(address: str, when: str, number: int) -> bytes:
    """The e-mail in which somebody asks to be mailed again."""
    lines = (
        f"From: {address}",
        "To: newsletter@example.com",
        f"Date: {when}",
        f"Message-ID: <{number}.request@example.org>",
        "Subject: Newsletter, please",
        "",
        "Hello, I would like to receive your newsletter again. Thank you!",
        "",
    )
    return "\r\n".join(lines).encode()


def signup_log(rows: list[str]) -> bytes:
    """A web form's own export, which proves many consents at once."""
    return ("time,form,confirmed,reference\n" + "\n".join(rows) + "\n").encode()


def call_wav(number: int) -> bytes:
    """A tenth of a second of a recorded call, different for each."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes((128 + (i * number) % 7) for i in range(800)))
    return out.getvalue()
