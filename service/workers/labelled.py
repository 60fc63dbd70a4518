"""The texts of labelled exchanges, found in the recorded stream as the screener reads it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from detectors.api import Part
from service.core.labels import Label, LabelledRow, rows_of
from service.core.screening import ENCRYPTED, INTERRUPTED
from service.errors import BadRecord
from service.events.log import Received, Record
from service.workers.items import Item, read_items

Key = tuple[str, Part]
"""A part of an exchange, by the exchange's id."""


class Missing(StrEnum):
    """Why a label has no row."""

    GONE = "gone"
    """No record of the exchange is in the stretch that was read."""
    ENCRYPTED = "encrypted"
    UNREADABLE = "unreadable"
    NO_ANSWER = "no_answer"
    """The answer is under way, or nothing of it was served, or what was is not known."""


class LabelledTexts:
    """Joins labels with what was recorded of their exchanges.

    A prompt comes before its answer. Those of labelled answers are in memory until these come.
    """

    def __init__(self, labels: Iterable[Label], until: float) -> None:
        """Take the labels; of exchanges those that began before a time, in Unix seconds, count."""
        self._waiting: dict[Key, list[Label]] = defaultdict(list)
        for label in labels:
            self._waiting[label.exchange_id, label.part].append(label)
        self._exchanges = frozenset(id_ for id_, _ in self._waiting)
        self._until = until
        self._prompts: dict[str, str] = {}
        self._why: dict[Key, Missing] = {}

    def rows(self, records: Iterable[Received]) -> Iterator[LabelledRow]:
        """Yield the rows of the labels whose texts are there, in the order of the stream."""
        for received in records:
            if received.record.id in self._exchanges:
                yield from self._rows(received.record)

    def missing(self) -> Mapping[Missing, int]:
        """Count, once the stream is read, the labels that have no row."""
        found: Counter[Missing] = Counter()
        for key, labels in self._waiting.items():
            found[self._why_missing(key)] += len(labels)
        return found

    def _rows(self, record: Record) -> Iterator[LabelledRow]:
        try:
            item = next((it for it in read_items(record) if not it.is_read_alone), None)
        except BadRecord:
            self._why[record.id, _part_of(record)] = Missing.UNREADABLE
            return
        if item is None or (item.part is Part.PROMPT and item.event.at >= self._until):
            return
        if not item.has_text:
            self._why[record.id, item.part] = _why(item)
        elif item.part is Part.PROMPT:
            yield from self._take((record.id, Part.PROMPT), item.text, None)
            if (record.id, Part.ANSWER) in self._waiting:
                self._prompts[record.id] = item.text
        elif (prompt := self._prompts.pop(record.id, None)) is not None:
            yield from self._take((record.id, Part.ANSWER), prompt, item.text)

    def _take(self, key: Key, prompt: str, answer: str | None) -> Iterator[LabelledRow]:
        """Yield the rows of a part once: records may come again."""
        yield from rows_of(self._waiting.pop(key, []), prompt, answer)

    def _why_missing(self, key: Key) -> Missing:
        id_, part = key
        if part is Part.ANSWER and id_ not in self._prompts:  # it is no row without its prompt
            return self._why.get((id_, Part.PROMPT), Missing.GONE)
        return self._why.get(key, Missing.GONE if part is Part.PROMPT else Missing.NO_ANSWER)


def _part_of(record: Record) -> Part:
    return Part.PROMPT if record.kind == "opened" else Part.ANSWER


def _why(item: Item) -> Missing:
    if ENCRYPTED in item.unscanned:
        return Missing.ENCRYPTED
    return Missing.NO_ANSWER if INTERRUPTED in item.unscanned else Missing.UNREADABLE
