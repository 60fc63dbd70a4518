"""Screens prompts before they are forwarded.

A prompt is screened in segments, one a message: agents send the same history again and again, so
what was found in a segment is kept by its digest. Long segments are screened in chunks, between
which other requests have their turn.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from detectors.api import Part, chunks
from service.core.screening import DETECTOR_ERROR, TOO_LATE, UNREADABLE_CONTENT, Found
from service.core.screens import ModelScreens
from service.core.surfaces.prompts import segment_text
from service.core.surfaces.shape import Request, Surface
from service.core.unreadable import UNREADABLE

CHUNK_CHARS: Final = 8_000
"""How much is screened before others have their turn."""
_MAX_KEPT: Final = 50_000
"""How many segments are remembered; each takes about 170 bytes."""

_TURN_S: Final = 0.003
"""After so long others have their turn."""

UNSCANNED: Final = (TOO_LATE, UNREADABLE_CONTENT, DETECTOR_ERROR)
"""Why not all of a prompt was screened."""
_BRACKET: Final = ord("[")
_PROMPT: Final = Part.PROMPT  # reading it off the class takes longer
_Key = tuple[str, str, bytes]
"""The surface, the name of a segment's field, and the digest of what it holds."""
_Crossed = dict[str, Found]
"""Of each point that was crossed, by its name, the highest score."""

_items_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class PromptFinding:
    """What screening a prompt came to."""

    crossed: tuple[Found, ...] = ()
    """Each point once, with its highest score."""
    unscanned: str | None = None
    """Why not all of its text was screened; None: all of it was."""


NOTHING_FOUND: Final = PromptFinding()


class _Turns:
    """Counts the time that is spent on a prompt, and lets others have their turn."""

    __slots__ = ("_left_s", "_since", "_ticks")

    def __init__(self, deadline_s: float, ticks: Callable[[], float]) -> None:
        self._left_s = deadline_s
        self._ticks = ticks
        self._since = ticks()

    def is_over(self) -> bool:
        """Say whether it is the others' turn: then `pass_on`.

        Raises:
            TimeoutError: the time is spent. That of the others does not count.
        """
        spent_s = self._ticks() - self._since
        if spent_s > self._left_s:
            raise TimeoutError
        if spent_s <= _TURN_S:
            return False
        self._left_s -= spent_s
        return True

    async def pass_on(self) -> None:
        """Go on after the others."""
        await asyncio.sleep(0)
        self._since = self._ticks()


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
        self._kept_before: dict[_Key, tuple[Found, ...]] = {}

    async def look(self, surface: Surface, request: Request) -> PromptFinding:
        """Screen all segments of a prompt, or as many as the deadline lets."""
        turns = _Turns(self._deadline_s, self._ticks)
        crossed: _Crossed = {}
        unscanned = None
        try:
            for name, raw in reversed(_segments(surface, request)):
                if turns.is_over():
                    await turns.pass_on()
                key = surface.name, name, sha256(raw).digest()
                found = self._remembered(key)
                if found is None:
                    text = segment_text(surface, name, raw)
                    if len(text) <= CHUNK_CHARS:
                        found = self._look_at(text, crossed)
                    else:
                        found = await self._look_at_chunks(text, turns, crossed)
                    self._keep(key, found)
                for one in found:
                    _note(crossed, one)
        except TimeoutError:
            unscanned = TOO_LATE
        except UNREADABLE:
            unscanned = UNREADABLE_CONTENT
        except Exception:  # noqa: BLE001  (whatever a detector raises: it did not screen)
            unscanned = DETECTOR_ERROR
        if not crossed and unscanned is None:
            return NOTHING_FOUND
        return PromptFinding(tuple(crossed.values()), unscanned)

    async def _look_at_chunks(
        self, text: str, turns: _Turns, crossed: _Crossed
    ) -> tuple[Found, ...]:
        """Screen a long segment; what it crosses counts as soon as it is seen."""
        mine: _Crossed = {}
        for chunk in chunks(text, CHUNK_CHARS):
            if turns.is_over():
                await turns.pass_on()
            for found in self._look_at(chunk, crossed):
                _note(mine, found)
        return tuple(mine.values())

    def _look_at(self, text: str, crossed: _Crossed) -> tuple[Found, ...]:
        mine: tuple[Found, ...] = ()
        for screen in self._screens:
            for found in screen.look(text, _PROMPT):
                _note(crossed, found)
                mine += (found,)
        return mine

    def _remembered(self, key: _Key) -> tuple[Found, ...] | None:
        found = self._kept.get(key)
        if found is None and (found := self._kept_before.get(key)) is not None:
            self._keep(key, found)
        return found

    def _keep(self, key: _Key, found: tuple[Found, ...]) -> None:
        """Remember a segment, and forget many at once: one by one takes longer and longer.

        A dictionary's first key is looked for behind all that were taken out before it.
        """
        if len(self._kept) >= _MAX_KEPT // 2:
            self._kept_before, self._kept = self._kept, {}
        self._kept[key] = found


def _note(crossed: _Crossed, found: Found) -> None:
    point, score = found
    if point.name not in crossed or crossed[point.name][1] < score:
        crossed[point.name] = found


def _segments(surface: Surface, request: Request) -> list[tuple[str, msgspec.Raw]]:
    """Return what is screened by itself: the items of lists, other fields whole."""
    found: list[tuple[str, msgspec.Raw]] = []
    fields = request.fields
    for name in surface.prompt_fields:
        if name not in fields:
            continue
        raw = fields[name]
        if memoryview(raw)[0] == _BRACKET:
            found += [(name, item) for item in _items_decoder.decode(raw)]
        else:
            found.append((name, raw))
    return found
