"""What a record of an exchange asks to be scored."""

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.api import Part, Sample
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

    @property
    def sample(self) -> Sample:
        """What detectors get to see."""
        return Sample(self.text, self.part, self.prompt)

    @property
    def sample_text(self) -> str:
        """All that is scored, to be told by its digest."""
        return self.text if self.part is not Part.EXCHANGE else f"{self.prompt}\0{self.text}"

    def of_exchange(self, prompt: str | None) -> "Item":
        """Return the exchange that an answer ends; None: its prompt is not known."""
        unscanned = () if prompt is not None else (NO_PROMPT,)
        return Item(self.event, Part.EXCHANGE, self.text, unscanned, prompt=prompt or "")

    def gateways_crossings(self) -> dict[str, tuple[Crossing, ...]]:
        """Return what the gateway's own screens found in this part, by detector."""
        screening = None if self.part is Part.EXCHANGE else self.event.screening
        found: dict[str, tuple[Crossing, ...]] = {}
        for crossing in screening.crossed if screening else ():
            found[crossing.detector] = (*found.get(crossing.detector, ()), crossing)
        return found

    @property
    def enforced(self) -> Enforced:
        """Say what the gateway did with this part, as its own record tells it."""
        event = self.event
        if isinstance(event, Closed):
            return "cut_off" if event.outcome == "cut_off" else "observed"
        screening = event.screening
        if screening is None or screening.observed_only or not screening.crossed:
            return "observed"
        return "blocked"

    @property
    def has_text(self) -> bool:
        """Say whether there is a text to score; it may be empty."""
        return not (FAILED_SCANS | {INTERRUPTED, NO_PROMPT}).intersection(self.unscanned)


def read_item(record: Record) -> Item | None:
    """Return what a record of an exchange asks to be scored; None: nothing of it was served.

    Raises:
        BadRecord: it is no event of an exchange.
    """
    event = to_event(record)
    if isinstance(event, Opened):
        return _read_prompt(event, record)
    if isinstance(event, Closed):
        return _read_answer(event, record) if event.served_number else None
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
    if event.served_number == SERVED_UNKNOWN:
        return Item(event, Part.ANSWER, "", unscanned=[INTERRUPTED])
    if record.key_id is not None:
        return Item(event, Part.ANSWER, "", unscanned=[ENCRYPTED])
    try:
        text = answer_text(record.content or b"")
        return Item(event, Part.ANSWER, text)
    except UNREADABLE:
        return Item(event, Part.ANSWER, "", unscanned=[UNREADABLE_CONTENT])
