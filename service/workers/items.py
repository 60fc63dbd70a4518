"""What a record of an exchange asks to be scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from detectors.api import Part, Reading, Sample
from service.core.screening import (
    ENCRYPTED,
    FAILED_SCANS,
    INTERRUPTED,
    NO_PROMPT,
    UNREADABLE_CONTENT,
)
from service.core.surfaces import SURFACES
from service.core.surfaces.answers import answer_text
from service.core.surfaces.media import Medium
from service.core.surfaces.prompts import prompt_text
from service.core.unreadable import UNREADABLE
from service.errors import BadRecord
from service.events.log import Record
from service.events.schema import SERVED_UNKNOWN, Closed, Crossing, Enforced, Opened, to_event

_UNTOLD_TOKENS: Final = 9
"""The plugin tells of answers every 8 steps, a token each; the last is never read by the model."""
_MOST_CHARS_A_TOKEN: Final = 8
"""Of a long answer whose tokens nobody counted, as its stream broke: it has so many at least."""


@dataclass(frozen=True, slots=True)
class Item:
    """A part of an exchange to be scored."""

    event: Opened | Closed
    part: Part
    text: str
    """Of an exchange the answer."""
    unscanned: Sequence[str] = ()
    """What of the part is not in the text, or why there is no text."""
    media: Sequence[Medium] = ()
    """What of a prompt is no text."""
    prompt: str = ""
    """What an exchange's answer answers."""
    reading: Reading | None = None
    """What probes inside the model made of the part."""
    is_read_alone: bool = False
    """It is that reading and no text: of a prompt, which was scored when it came."""

    @property
    def sample(self) -> Sample:
        """What detectors get to see."""
        return Sample(self.text, self.part, self.prompt, self.reading)

    @property
    def sample_text(self) -> str:
        """All that is scored, to be told by its digest."""
        if self.is_read_alone:
            return repr(self.reading)
        return self.text if self.part is not Part.EXCHANGE else f"{self.prompt}\0{self.text}"

    @property
    def was_probed(self) -> bool:
        """Say whether the upstream has probes, so that there might be a reading."""
        return isinstance(self.event, Closed) and self.event.probed is not None

    def of_exchange(self, prompt: str | None) -> "Item":
        """Return the exchange that an answer ends; None: its prompt is not known."""
        unscanned = () if prompt is not None else (NO_PROMPT,)
        return Item(
            self.event,
            Part.EXCHANGE,
            self.text,
            unscanned,
            prompt=prompt or "",
            reading=self.reading,
        )

    def gateways_crossings(self) -> dict[str, tuple[Crossing, ...]]:
        """Return what the gateway's own screens found in this part, by detector."""
        is_elsewhere = self.part is Part.EXCHANGE or self.is_read_alone
        screening = None if is_elsewhere else self.event.screening
        found: dict[str, tuple[Crossing, ...]] = {}
        for crossing in screening.crossed if screening else ():
            found[crossing.detector] = (*found.get(crossing.detector, ()), crossing)
        return found

    @property
    def enforced(self) -> Enforced:
        """Say what the gateway did with this part, as its own record tells it."""
        event = self.event
        if isinstance(event, Closed):
            was_cut = event.outcome == "cut_off" and not self.is_read_alone
            return "cut_off" if was_cut else "observed"
        screening = event.screening
        if screening is None or screening.observed_only or not screening.crossed:
            return "observed"
        return "blocked"

    @property
    def has_text(self) -> bool:
        """Say whether there is a text to score; it may be empty."""
        return not self.is_read_alone and not (
            FAILED_SCANS | {INTERRUPTED, NO_PROMPT}
        ).intersection(self.unscanned)


def read_items(record: Record) -> Iterator[Item]:
    """Yield what a record of an exchange asks to be scored: nothing, if nothing was served of it.

    What probes read of a prompt comes with its end, whether or not anything was served.

    Raises:
        BadRecord: it is no event of an exchange.
    """
    event = to_event(record)
    if isinstance(event, Opened):
        yield _read_prompt(event, record)
    elif isinstance(event, Closed):
        if event.probed is not None:
            reading = event.probed.prompts()
            if reading is not None and event.prompt_tokens is not None:
                reading = replace(reading, tokens=max(reading.tokens, event.prompt_tokens))
            yield Item(event, Part.PROMPT, "", reading=reading, is_read_alone=True)
        if event.served_number:
            yield _read_answer(event, record)
    else:
        raise BadRecord("not_an_exchange", f"this is {record.kind!r}")


def _read_prompt(event: Opened, record: Record) -> Item:
    if record.key_id is not None:
        return Item(event, Part.PROMPT, "", unscanned=[ENCRYPTED])
    try:
        prompt = prompt_text(SURFACES[event.surface], record.content or b"")
    except (*UNREADABLE, KeyError):
        return Item(event, Part.PROMPT, "", unscanned=[UNREADABLE_CONTENT])
    unscanned = sorted(prompt.unscanned)
    return Item(event, Part.PROMPT, prompt.text, unscanned, prompt.media)


def _read_answer(event: Closed, record: Record) -> Item:
    text, unscanned = _answer_text(event, record)
    reading = None if event.probed is None else _of_all(event.probed.answers(), event, text)
    return Item(event, Part.ANSWER, text, unscanned, reading=reading)


def _of_all(reading: Reading | None, event: Closed, text: str) -> Reading | None:
    """Hold a reading to all tokens of an answer: who tells may have fallen silent midway.

    Of each choice the last few may not be told of yet when the end is recorded.
    """
    if reading is None:
        return None
    if event.completion_tokens is None:
        expected = len(text) // _MOST_CHARS_A_TOKEN
    else:
        expected = event.completion_tokens - _UNTOLD_TOKENS * max(1, len(event.finish_reasons))
    return replace(reading, tokens=max(reading.tokens, expected))


def _answer_text(event: Closed, record: Record) -> tuple[str, Sequence[str]]:
    """Return the text of an answer, and why it is not there if it is not."""
    if event.served_number == SERVED_UNKNOWN:
        return "", [INTERRUPTED]
    if record.key_id is not None:
        return "", [ENCRYPTED]
    try:
        return answer_text(record.content or b""), ()
    except UNREADABLE:
        return "", [UNREADABLE_CONTENT]
