"""Server-sent events, as vLLM sends them, split at their borders."""

from typing import Final

DONE: Final = b"data: [DONE]\n\n"
DATA: Final = b"data: "


class EventSplitter:
    """Cuts a stream of bytes into whole events, each with its blank line."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        """Start between two events."""
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that these bytes complete; the rest waits for more."""
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        *events, self._rest = data.split(b"\n\n")
        return [event + b"\n\n" for event in events if event]

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest


def event_data(event: bytes) -> bytes | None:
    """Return an event's data, None for comments and other fields."""
    if event.startswith(DATA) and event.count(b"\n") == 2:  # noqa: PLR2004  (its own line's end and the blank line)
        return event[len(DATA) : -2]
    lines = [line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
