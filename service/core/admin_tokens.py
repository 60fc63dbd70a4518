"""What an administrator shows: `wg-admin-` and 256 random bits in base64url.

Only its HMAC-SHA256 under the pepper is stored, as for API keys, with a start of its own: the
digest of a key is never that of a token.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final

TOKEN_START: Final = "wg-admin-"  # noqa: S105  (it is what every token begins with)
TOKEN_ENTROPY_BYTES: Final = 32
PREFIX_CHARS: Final = len(TOKEN_START) + 6
"""How much of a token is kept in the clear, to tell tokens apart: 36 of its 256 bits."""

_TOKEN: Final = re.compile(r"wg-admin-[A-Za-z0-9_-]{43}")
_DOMAIN: Final = b"watchgate admin token\0"


def make_token(entropy: bytes) -> str:
    """Spell 32 random bytes as a token: `wg-admin-` and 43 characters."""
    if len(entropy) != TOKEN_ENTROPY_BYTES:
        raise ValueError(f"a token is made of {TOKEN_ENTROPY_BYTES} bytes, not {len(entropy)}")
    return TOKEN_START + urlsafe_b64encode(entropy).rstrip(b"=").decode()


def is_token(text: str) -> bool:
    """Whether it has the shape of an admin token; nothing else is looked up."""
    return _TOKEN.fullmatch(text) is not None


def digest_token(pepper: bytes, token: str) -> bytes:
    """Return the 32 bytes under which a token is stored; any text has one."""
    return hmac.digest(pepper, _DOMAIN + token.encode("utf-8", "replace"), "sha256")


def visible_prefix(token: str) -> str:
    """Return the part of a token that lists may show."""
    return token[:PREFIX_CHARS]
