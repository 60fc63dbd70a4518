"""Strings that an operator planted, found wherever they come out.

A canary is given as it is, or as a digest where the rule file's readers should not know it.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from detectors.features import normalise
from detectors.rules.engine import Span

LEAST_CHARACTERS = 12
"""A canary is at least as long: what is shorter comes about by chance, or is guessed."""
MOST_CHARACTERS = 200

# What a digest can speak of: a token without spaces. Each is hashed, so short ones are left out.
_TOKEN = re.compile(rb"[\w\-\x80-\xff]+")


@dataclass(frozen=True)
class Canary:
    """Canaries of one rule: `plain` ones normalised, in UTF-8, and `digests` in hex."""

    plain: tuple[bytes, ...]
    digests: frozenset[str]

    def spans(self, text: bytes) -> Iterator[Span]:
        """Yield where canaries stand in a normalised text in UTF-8, in bytes."""
        for it in self.plain:
            at = text.find(it)
            while at >= 0:
                yield at, at + len(it)
                at = text.find(it, at + len(it))
        if self.digests:
            yield from self._hashed(text)

    def found_in(self, text: bytes) -> bool:
        """Say whether any canary stands in a normalised text."""
        return next(self.spans(text), None) is not None

    def _hashed(self, text: bytes) -> Iterator[Span]:
        for found in _TOKEN.finditer(text):
            if not LEAST_CHARACTERS <= found.end() - found.start() <= MOST_CHARACTERS:
                continue
            if hashlib.sha256(found[0]).hexdigest() in self.digests:
                yield found.span()


def normal(token: str) -> bytes:
    """Return a canary as it is looked for: normalised, in UTF-8."""
    return normalise(token).strip().encode(errors="replace")


def digest(token: str) -> str:
    """Return what stands in a rule file in place of a canary: hex SHA-256, normalised."""
    return hashlib.sha256(normal(token)).hexdigest()
