"""The shapes of the APIs, one file a surface: parse a request, text of a prompt, text of an answer.

Pure: bytes in, values out. The gateway reads requests and answers with them as they pass, the
workers read what was recorded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.core.surfaces.chat import CHAT
from service.core.surfaces.completions import COMPLETIONS
from service.core.surfaces.shape import Surface

SURFACES: Final[Mapping[str, Surface]] = MappingProxyType(
    {surface.name: surface for surface in (CHAT, COMPLETIONS)},
)
BY_PATH: Final[Mapping[str, Surface]] = MappingProxyType(
    {surface.path: surface for surface in SURFACES.values()},
)
