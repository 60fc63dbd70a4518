"""Screens prompts before they are forwarded.

A prompt is screened in segments, one a message: agents send the same history again and again, so
what was found in a segment is kept by its digest. Long segments are screened in chunks, between
which other requests have their turn.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from detectors.api import Part
from service.core.screening import DETECTOR_ERROR, TOO_LATE, UNREADABLE_CONTENT, Found
from service.core.screens import ModelScreens, chunks
from service.core.surfaces.prompts import segment_text
from service.core.surfaces.shape import UNREADABLE, Request, Surface

CHUNK_CHARS: Final = 8_000
"""How much is screened before others have their turn."""
_DIGEST_BYTES: Final = 16
_MAX_KEPT: Final = 50_000
"""How many segments are remembered; each takes about 150 bytes."""

_Key = tuple[str, bytes]
"""The name of a segment's field, and the digest of what it holds."""

_items_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class PromptFinding:
    """What screening a prompt came to."""

    crossed: tuple[Found, ...] = ()
    unscanned: str | None = None
    """Why not all of its text was screened; None: all of it was."""


NOTHING_FOUND: Final = PromptFinding()


class PromptScreen:
    """Screens the prompts of one model in one process."""

    def __init__(
        self, screens: ModelScreens, ticks: Callable[[], float] = time.perf_counter
    ) -> None:
        """Remember nothing yet."""
        self._screens = screens.prompt
        self._deadline_s = screens.policy.prompt_deadline_s
        self._ticks = ticks
        self._kept: dict[_Key, tuple[Found, ...]] = {}

    async def look(self, surface: Surface, request: Request) -> PromptFinding:
        """Screen all segments of a prompt, or as many as the deadline lets."""
        due = self._ticks() + self._deadline_s
        crossed: tuple[Found, ...] = ()
        try:
            for name, raw in _segments(surface, request):
                key = name, blake2b(raw, digest_size=_DIGEST_BYTES).digest()
                found = self._kept.get(key)
                if found is None:
                    found = await self._look_at(segment_text(surface, name, raw), due)
                    self._keep(key, found)
                crossed += found
        except TimeoutError:
            return PromptFinding(crossed, TOO_LATE)
        except UNREADABLE:
            return PromptFinding(crossed, UNREADABLE_CONTENT)
        except Exception:  # noqa: BLE001  (whatever a detector raises: it did not screen)
            return PromptFinding(crossed, DETECTOR_ERROR)
        return PromptFinding(crossed) if crossed else NOTHING_FOUND

    async def _look_at(self, text: str, due: float) -> tuple[Found, ...]:
        found: list[Found] = []
        for chunk in chunks(text, CHUNK_CHARS):
            if self._ticks() > due:
                raise TimeoutError
            for screen in self._screens:
                found += screen.look(chunk, Part.PROMPT)
            if len(text) > CHUNK_CHARS:
                await asyncio.sleep(0)
        return tuple(found)

    def _keep(self, key: _Key, found: tuple[Found, ...]) -> None:
        if len(self._kept) >= _MAX_KEPT:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[key] = found


def _segments(surface: Surface, request: Request) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield what is screened by itself: the items of lists, other fields whole."""
    for name in surface.prompt_fields:
        raw = request.fields.get(name)
        if raw is None:
            continue
        if bytes(memoryview(raw)[:1]) == b"[":
            for item in _items_decoder.decode(raw):
                yield name, item
        else:
            yield name, raw
