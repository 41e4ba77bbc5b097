"""RS256 with a public key alone: is a signed assertion (JWT) genuine, and what does it say?

Sources: RFC 7519 (JWT), RFC 8017 sections 8.2.2 and 9.2 (RSASSA-PKCS1-v1_5), RFC 5280 (SubjectPublicKeyInfo). Checking a
signature needs no secret, so whole numbers do; nothing is ever signed here.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Any

from .messages import parsed_json

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_RSA = bytes.fromhex("06092a864886f70d010101")
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")

PublicKey = tuple[int, int]


def public_key(pem: str) -> PublicKey:
    """Modulus and exponent of an RSA key in PEM ("BEGIN PUBLIC KEY").

    Raises:
        ValueError: it is no such key, or shorter than 2,048 bits.
    """
    match = _PEM.search(pem)
    if match is None:
        raise ValueError("public_key has to be PEM with BEGIN PUBLIC KEY (openssl rsa -pubout, openssl x509 -pubkey)")
    try:
        info, _ = _element(base64.b64decode(match[1]), 0x30)
        algorithm, rest = _element(info, 0x30)
        bits, _ = _element(rest, 0x03)
        numbers, _ = _element(bits[1:], 0x30)
        modulus, rest = _element(numbers, 0x02)
        exponent, _ = _element(rest, 0x02)
    except (IndexError, binascii.Error) as error:
        raise ValueError("public_key can't be read") from error
    key = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    if not algorithm.startswith(_RSA) or key[0].bit_length() < 2048 or key[1] < 3:
        raise ValueError("public_key has to be an RSA key of 2,048 bits or more")
    return key


def claims(assertion: str, key: PublicKey) -> dict[str, Any]:
    """The claims of a signed assertion.

    Raises:
        ValueError: it can't be read, isn't RS256, or wasn't signed with the key's other half.
    """
    parts = assertion.split(".")
    if len(parts) != 3:
        raise ValueError("No JWT")
    header, body, signature = (_decoded(p) for p in parts)
    if parsed_json(header).get("alg") != "RS256":
        raise ValueError("Not RS256")
    if not _genuine(f"{parts[0]}.{parts[1]}".encode(), signature, key):
        raise ValueError("Wrong signature")
    found = parsed_json(body)
    if not isinstance(found, dict):
        raise ValueError("No claims")  # noqa: TRY004 - wrong data, not a wrong call
    return found


def _genuine(message: bytes, signature: bytes, key: PublicKey) -> bool:
    modulus, exponent = key
    length = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != length or number >= modulus:
        return False
    digest = _SHA256 + hashlib.sha256(message).digest()
    expected = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    return hmac.compare_digest(pow(number, exponent, modulus).to_bytes(length, "big"), expected)


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the DER element that ``data`` starts with, and what follows it."""
    if data[0] != tag:
        raise IndexError
    length, start = data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise IndexError
    return data[start : start + length], data[start + length :]


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
