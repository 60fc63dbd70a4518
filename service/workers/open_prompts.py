"""The prompts of exchanges under way, kept until their answers come to be scored with them."""

from typing import Final

MAX_TEXTS: Final = 1 << 18
"""Each takes some 250 bytes beside its characters, so short ones are bounded by their number."""


class OpenPrompts:
    """Remembers texts, the latest so many characters of them, and so many texts at most.

    What is not remembered, since it was before the process started or there was too much since,
    is known not to be: an exchange is then told apart as one that was not scored.
    """

    def __init__(self, max_chars: int, max_texts: int = MAX_TEXTS) -> None:
        """Remember nothing yet."""
        self._max_chars = max_chars
        self._max_texts = max_texts
        self._chars = 0
        self._texts: dict[str, str] = {}

    def note(self, exchange_id: str, text: str) -> None:
        """Remember a prompt, and forget the oldest where there is no room for it."""
        self.forget(exchange_id)
        self._texts[exchange_id] = text
        self._chars += len(text)
        while self._chars > self._max_chars or len(self._texts) > self._max_texts:
            self.forget(next(iter(self._texts)))

    def get(self, exchange_id: str) -> str | None:
        """Return the prompt of an exchange; None: it is not remembered."""
        return self._texts.get(exchange_id)

    def forget(self, exchange_id: str) -> None:
        """Forget the prompt of an exchange that is over."""
        self._chars -= len(self._texts.pop(exchange_id, ""))
