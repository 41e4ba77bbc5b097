"""The body of a request: read to its end in whatever pieces it comes, unpacked when it was sent compressed."""

import zlib

from starlette.requests import Request

from .messages import OrgError

LONGEST_BODY = 150 * 2**20  # what a Bulk 2.0 upload may have; "Bulk API 2.0 Limits"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


async def received(request: Request) -> bytes:
    """The whole body, as it was before compression.

    Raises:
        OrgError: 413 when it is too long, 415 for a compression that isn't known, 400 when it can't be unpacked.
        starlette.requests.ClientDisconnect: the client went away.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= LONGEST_BODY:
            pieces.append(piece)
    if size > LONGEST_BODY:
        raise _too_long()
    body = b"".join(pieces)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    return body if coding in ("", "identity") else _unpacked(body, coding)


def _unpacked(body: bytes, coding: str) -> bytes:
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise OrgError(415, "UNSUPPORTED_MEDIA_TYPE", f"The content encoding {coding[:40]} is not supported")
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        found = unpacker.decompress(body, LONGEST_BODY + 1)
    except zlib.error as error:
        raise OrgError(400, "MALFORMED_BODY", "The body can't be unpacked as its content encoding says") from error
    if len(found) > LONGEST_BODY:
        raise _too_long()
    if not unpacker.eof:
        raise OrgError(400, "MALFORMED_BODY", "The body ends before its content encoding says so")
    return found


def _too_long() -> OrgError:
    return OrgError(413, "REQUEST_ENTITY_TOO_LARGE", f"The body is longer than {LONGEST_BODY:,} bytes")
