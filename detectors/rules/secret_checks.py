"""What tells a secret from what only looks like one: entropy, checksums, structure."""

import base64
import binascii
import json
from collections import Counter
from math import log2
from zlib import crc32

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_CHECKSUM = 6
_STARTS_OF_KEYS = (b"\x30", b"openssh-key-v1")  # a sequence in DER, and OpenSSH's own format


def entropy(text: bytes) -> float:
    """Return Shannon's entropy of the bytes of a text, in bits a byte; of the empty one 0."""
    size = len(text)
    return -sum(n / size * log2(n / size) for n in Counter(text).values()) + 0.0


def is_random(secret: bytes, bits: float, digits: int) -> bool:
    """Say whether a text has so many bits of entropy a byte, and so many digits."""
    return entropy(secret) >= bits and sum(byte in b"0123456789" for byte in secret) >= digits


def base62_crc32(body: bytes) -> str:
    """Return the CRC-32 of a token's body in six digits of base 62, as GitHub and npm add it."""
    value, found = crc32(body), ""
    for _ in range(_CHECKSUM):
        value, digit = divmod(value, len(ALPHANUMERIC))
        found = ALPHANUMERIC[digit] + found
    return found


def has_base62_crc32(token: bytes) -> bool:
    """Say whether a token without its prefix ends with its own checksum."""
    return base62_crc32(token[:-_CHECKSUM]).encode() == token[-_CHECKSUM:]


def is_jwt(token: bytes) -> bool:
    """Say whether the first part of a token is a header that names its algorithm."""
    header = token.partition(b".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (ValueError, RecursionError):  # binascii.Error and UnicodeDecodeError are of the former
        return False
    return isinstance(found, dict) and isinstance(found.get("alg"), str)


def is_private_key(block: bytes) -> bool:
    """Say whether what follows the first line of a PEM block starts as a key does."""
    body = block.replace(rb"\n", b"\n").partition(b"KEY-----")[2]
    if b"ENCRYPTED" in body:  # headers of the old kind, then an empty line
        body = body.partition(b"\n\n")[2]
    compact = b"".join(body.split())
    try:
        start = base64.b64decode(compact[:64], validate=True)
    except binascii.Error:
        return False
    return start.startswith(_STARTS_OF_KEYS) or b"ENCRYPTED" in block
