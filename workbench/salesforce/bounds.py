"""How much an org may send and how slowly: an answer that never ends, or swells when it is unpacked, is given up as lost.

Bytes are taken as they come, so that one byte at a time is noticed too. What is given up here counts as no answer: a read is sent
again or ends with a sentence, a write is found out about by reading.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests
from urllib3.exceptions import HTTPError

PIECE = 64 * 1024  # bytes that are unpacked at once
LARGEST = 64 * 1024 * 1024  # bytes, unpacked: many times the answer of five queries with 2,000 rows each
LARGEST_STREAM = 512 * 1024 * 1024  # bytes: the results of the largest job that is sent, 100 MB of ids and flags
MOST_EMPTY = 20  # pages in a row: an org that has nothing more to say says so
SLOWEST = 1_000  # bytes a second on the average, once it was waited for as long as for the first byte


def pieces(answer: requests.Response, *, patience: float, largest: int) -> Iterator[bytes]:
    """The body of an answer, unpacked, as it comes.

    Raises:
        requests.RequestException: it broke off, is longer than ``largest`` bytes, or came slower than `SLOWEST` after ``patience``
            seconds of waiting.
    """
    came, waited = 0, 0.0
    while True:
        asked = time.monotonic()
        try:
            piece = answer.raw.read1(PIECE, decode_content=True)
        except HTTPError as error:
            raise requests.ConnectionError(type(error).__name__) from None
        waited += time.monotonic() - asked
        if not piece:
            return
        came += len(piece)
        if came > largest:
            answer.close()
            raise requests.exceptions.ContentDecodingError(f"more than {largest} bytes")
        if waited > patience and came < waited * SLOWEST:
            answer.close()
            raise requests.ReadTimeout(f"{came} bytes in {waited:.0f} seconds")
        yield piece


def whole(answer: requests.Response, *, patience: float) -> requests.Response:
    """The answer with its body read. Raises: as `pieces`."""
    answer._content = b"".join(pieces(answer, patience=patience, largest=LARGEST))
    answer._content_consumed = True  # type: ignore[attr-defined]
    return answer
