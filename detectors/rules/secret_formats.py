"""Formats of secrets: a pattern, a check that keeps look-alikes away, and an example.

Examples are built when asked for, from a digest of a fixed sentence: structurally right, of no
account, and nothing in this file looks like a secret to a scanner.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from detectors.rules.secret_checks import (
    ALPHANUMERIC,
    base62_crc32,
    has_base62_crc32,
    is_jwt,
    is_private_key,
    is_random,
)


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of secret. Group 1 of the pattern, or all of it, is the secret."""

    description: str
    pattern: str
    check: Callable[[bytes], bool]
    """Says whether what the pattern found is one; takes the secret."""
    example: Callable[[], str]


def _fake(length: int, alphabet: str = ALPHANUMERIC) -> str:
    digest = b"".join(hashlib.sha512(f"obviously fake {n}".encode()).digest() for n in range(4))
    return "".join(alphabet[byte % len(alphabet)] for byte in digest)[:length]


def _with_crc32(prefix: str) -> str:
    body = _fake(30)
    return prefix + body + base62_crc32(body.encode())


def _jwt() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "nobody", "name": "obviously fake"})
    encoded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    ]
    return ".".join([*encoded, _fake(43)])


def _private_key() -> str:
    fence = "-----{} RSA " + "PRIVATE KEY-----"
    body = base64.b64encode(b"\x30\x82\x01\x00" + _fake(200).encode()).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([fence.format("BEGIN"), *lines, fence.format("END")])


def _at_least(bits: float, *, digits: int = 1) -> Callable[[bytes], bool]:
    return lambda secret: is_random(secret, bits, digits)


def _after(prefix: bytes, bits: float) -> Callable[[bytes], bool]:
    return lambda secret: is_random(secret.removeprefix(prefix), bits, 0)


def _crc32_after_underscore(secret: bytes) -> bool:
    return has_base62_crc32(secret.rpartition(b"_")[2])


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "aws_access_key": Format(
            "AWS access key id: 16 random characters of base32",
            r"\b((?:AKIA|ASIA)[A-Z2-7]{16})\b",
            lambda secret: b"EXAMPLE" not in secret and is_random(secret[4:], 3.0, 0),
            lambda: "AK" + "IA" + _fake(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        ),
        "aws_secret_key": Format(
            "AWS secret access key: 40 random characters after its name",
            r"(?i)aws[a-z_\- ]{0,20}secret[a-z_\- ]{0,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
            r"([a-z0-9/+]{40})(?:[^a-z0-9/+=]|$)",
            lambda secret: b"EXAMPLE" not in secret and is_random(secret, 4.2, 1),
            lambda: "aws_secret_access_key = " + _fake(40),
        ),
        "github_token": Format(
            "GitHub token: six characters at the end are its CRC-32",
            r"\b(gh[pousr]_[A-Za-z0-9]{36})\b",
            _crc32_after_underscore,
            lambda: _with_crc32("gh" + "p_"),
        ),
        "github_fine_grained_token": Format(
            "GitHub fine-grained token",
            r"\b(github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
            _after(b"github_pat_", 4.5),
            lambda: "github" + "_pat_" + _fake(22) + "_" + _fake(59),
        ),
        "npm_token": Format(
            "npm token: six characters at the end are its CRC-32",
            r"\b(npm_[A-Za-z0-9]{36})\b",
            _crc32_after_underscore,
            lambda: _with_crc32("npm" + "_"),
        ),
        "slack_token": Format(
            "Slack token",
            r"\b(xox[abeoprs]-[0-9]{10,13}-[0-9]{10,13}-[A-Za-z0-9\-]{20,80})",
            lambda secret: is_random(secret.rpartition(b"-")[2], 3.5, 1),
            lambda: "xox" + f"b-{_fake(12, '123456789')}-{_fake(12, '987654321')}-" + _fake(24),
        ),
        "google_api_key": Format(
            "Google API key",
            r"\b(AIza[0-9A-Za-z_\-]{35})(?:[^0-9A-Za-z_\-]|$)",
            _after(b"AIza", 4.0),
            lambda: "AI" + "za" + _fake(35),
        ),
        "sk_key": Format(
            "key of a model provider: sk-…",
            r"\b(sk-[A-Za-z0-9_\-]{24,200})",
            lambda secret: is_random(secret, 4.0, 2) and not _is_words(secret),
            lambda: "s" + "k-" + _fake(48),
        ),
        "stripe_key": Format(
            "Stripe live key",
            r"\b((?:sk|rk)_live_[A-Za-z0-9]{24,99})",
            lambda secret: is_random(secret[8:], 3.8, 1),
            lambda: "sk" + "_live_" + _fake(24),
        ),
        "private_key": Format(
            "private key in PEM: its body is base64 and starts as a key does",
            r"(-----BEGIN (?:[A-Z]{2,9} ){0,2}PRIVATE KEY-----[^\-]{64,})",
            is_private_key,
            _private_key,
        ),
        "jwt": Format(
            "signed JSON web token: its header is JSON and names an algorithm",
            r"\b(eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{20,})",
            is_jwt,
            _jwt,
        ),
        "assignment": Format(
            "a random value that is assigned to a name such as api_key or password",
            r"(?i)(?:api[_\-]?key|secret(?:[_\-]?key)?|access[_\-]?(?:key|token)|auth[_\-]?token"
            r"|passw(?:or)?d)[\"']?\s{0,3}(?::=|=>|[:=])\s{0,3}[\"']"
            r"([a-z0-9+/=_\-]{20,128})[\"']",
            lambda secret: is_random(secret, 3.9, 3) and not _is_words(secret),
            lambda: "api" + f'_key = "{_fake(32)}"',
        ),
    }
)
"""Name in a rule → the format."""


_LONGEST_WORD = 11


def _is_words(secret: bytes) -> bool:
    """Placeholders are words: your-api-key-goes-here-123."""
    parts = secret.replace(b"_", b"-").split(b"-")
    letters = sum(len(part) for part in parts if part.isalpha() and len(part) <= _LONGEST_WORD)
    return 2 * letters > len(secret)
