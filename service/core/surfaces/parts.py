"""The parts of a message's content, as OpenAI's APIs have them."""

from typing import Any, Final

from service.errors import InvalidRequest

_URLS: Final = ("image_url", "video_url", "audio_url", "file_url")
_EMBEDS: Final = "_embeds"
_REFERENCES: Final = ("file_id", "image_id")


def check_part(part: dict[str, Any] | str, param: str) -> None:
    """Refuse a part whose content is elsewhere, where the gateway cannot see it.

    Raises:
        InvalidRequest: saying which it is.
    """
    if isinstance(part, str):
        return
    if isinstance(part, dict) and any(name.endswith(_EMBEDS) for name in _names(part)):
        raise InvalidRequest(
            "Embeddings are not accepted in a message: what they say cannot be read.", param=param
        )
    if not isinstance(part, dict):
        raise InvalidRequest("A part of a message must be text or an object.", param=param)
    for name in _URLS:
        if name in part:
            _check_url(name, part[name], param)
    held = part.get("file")
    for name in _REFERENCES:
        if part.get(name) is not None or (isinstance(held, dict) and held.get(name) is not None):
            raise InvalidRequest(f"A {name} is not accepted: send what it stands for.", param=param)


def _names(part: dict[str, Any]) -> list[str]:
    return [*part, str(part.get("type"))]


def _check_url(name: str, value: object, param: str) -> None:
    url = value.get("url") if isinstance(value, dict) else value
    if url is not None and not (isinstance(url, str) and url.startswith("data:")):
        raise InvalidRequest(
            f"An {name} must be a data: URL: content behind other URLs cannot be read.",
            param=param,
        )
