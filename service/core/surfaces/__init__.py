"""The shapes of the APIs, one file a surface: parse a request, text of a prompt, text of an answer.

Pure: bytes in, values out. The gateway reads requests and answers with them as they pass, the
workers read what was recorded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.core.surfaces.chat import CHAT
from service.core.surfaces.completions import COMPLETIONS
from service.core.surfaces.embeddings import EMBEDDINGS
from service.core.surfaces.errors import ANTHROPIC_ERRORS, OPENAI_ERRORS, ErrorShape
from service.core.surfaces.messages import COUNT_TOKENS, MESSAGES
from service.core.surfaces.responses import RESPONSES
from service.core.surfaces.shape import Surface

SURFACES: Final[Mapping[str, Surface]] = MappingProxyType(
    {
        surface.name: surface
        for surface in (CHAT, COMPLETIONS, RESPONSES, MESSAGES, COUNT_TOKENS, EMBEDDINGS)
    },
)
BY_PATH: Final[Mapping[str, Surface]] = MappingProxyType(
    {surface.path: surface for surface in SURFACES.values()},
)


def errors_at(path: str) -> ErrorShape:
    """Return how errors are told at a path, also where nothing is served."""
    surface = BY_PATH.get(path)
    if surface is not None:
        return surface.errors
    return ANTHROPIC_ERRORS if path.startswith("/v1/messages") else OPENAI_ERRORS
