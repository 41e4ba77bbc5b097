"""Time stamps by RFC 3161: a request over some bytes, and whether an authority's answer stamps those bytes. The door to rfc3161-client.

Nothing is sent: the request is carried to the authority as a file, and its answer comes back as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workbench.errors import TrailError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_NO_ANSWER = "Hand in the .tsr file as the authority sent it."


@dataclass(frozen=True)
class Request:
    """A request in its binary form (DER), and the number that its answer has to repeat."""

    nonce: int
    der: bytes = field(repr=False)


def request_for(content: bytes) -> Request:
    """A request for a stamp over the SHA-256 of these bytes, with a fresh random nonce; it asks for the authority's certificate too."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    made = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
    return Request(made.nonce or 0, made.as_bytes())


def nonce_of(response: bytes) -> int | None:
    """Which request this answers. Nothing is verified yet.

    Raises:
        TrailError: not the answer of a time stamping authority, or a refusal.
    """
    from rfc3161_client import decode_timestamp_response

    try:
        nonce: int | None = decode_timestamp_response(response).tst_info.nonce
    except ValueError:
        raise TrailError("this file holds no time stamp, or the authority's refusal", _NO_ANSWER) from None
    return nonce


def verified_moment(response: bytes, *, content: bytes, nonce: int, roots: bytes) -> datetime:
    """When the authority stamped these bytes (UTC), after everything was verified: signature, chain, nonce, digest, purpose of the key.

    ``roots`` is a PEM file: the authority's self-signed root, and certificates between where its answer does not bring them.

    Raises:
        TrailError: the answer is not one, not over these bytes, or not signed under these roots.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    trusted = _certificates(roots)
    builder = VerifierBuilder(
        nonce=nonce,
        roots=[one for one in trusted if one.subject == one.issuer],
        intermediates=[one for one in trusted if one.subject != one.issuer],
    )
    nonce_of(response)
    try:
        answer = decode_timestamp_response(response)
        builder.build().verify_message(answer, content)
    except (VerificationError, ValueError) as error:
        said = str(error).rstrip(".") or "unreadable"
        raise TrailError(
            f"the time stamp does not hold ({said})",
            "Nothing was filed; the checkpoint, the answer and the root must belong together.",
        ) from None
    return answer.tst_info.gen_time.astimezone(UTC)


def _certificates(pem: bytes) -> list[Certificate]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TrailError(
            "the authority's file holds no certificate", "Name a PEM file with the root certificate of the authority."
        ) from None
