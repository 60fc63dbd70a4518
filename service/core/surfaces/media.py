"""What in a prompt is no text: images, sounds and files, which no detector of texts reads."""

import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.core.surfaces.answers import texts_below


@dataclass(frozen=True, slots=True)
class Medium:
    """An image, a sound or a file of a prompt."""

    kind: str
    """"image", "audio" or "file"."""
    content: str
    """As it was given: a data: URL, or base64."""

    def digest(self) -> str:
        """Return the SHA-256 of its bytes as hex (of what was given, if that is no base64).

        Takes about 10 ms for 5 MB: not for an event loop.
        """
        _, _, encoded = self.content.rpartition(",")
        try:
            data = binascii.a2b_base64(encoded)
        except ValueError:
            data = self.content.encode()
        return hashlib.sha256(data).hexdigest()


MEDIA: Final = frozenset({"image", "audio", "file"})
"""What a medium may be."""
_OPENAI: Final[Mapping[str, str]] = {
    "image_url": "image",
    "input_image": "image",
    "image_embeds": "image",
    "image_pil": "image",
    "video_url": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio_embeds": "audio",
    "file": "file",
    "file_data": "file",
    "input_file": "file",
}
"""The types of parts of a message that are no text, which also name the field that holds them."""
_ANTHROPIC: Final[Mapping[str, str]] = {"image": "image", "document": "file"}
"""The types of blocks of content that are no text if their source is base64."""


def take_openai_media(part: dict[str, Any]) -> list[Medium]:
    """Take what is no text from a part of a message, as OpenAI's APIs have it, and return it."""
    held = [name for name in part if name in _OPENAI]
    media = [Medium(_OPENAI[name], _text(part.pop(name))) for name in held]
    kind = _OPENAI.get(str(part.get("type")))
    if kind is not None:
        del part["type"]
        if kind not in {medium.kind for medium in media}:
            media.append(Medium(kind, ""))
    return media


def take_anthropic_media(block: dict[str, Any]) -> list[Medium]:
    """Take what is no text from a block of content, as Anthropic's API has it, and return it."""
    kind = _ANTHROPIC.get(str(block.get("type")))
    source = block.get("source")
    if kind is None or not isinstance(source, dict) or source.get("type") != "base64":
        return []
    return [Medium(kind, _text(source.pop("data", "")))]


def _text(value: object) -> str:
    return "".join(text for name, text in texts_below(value) if name != "format")
