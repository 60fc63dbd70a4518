"""What a traceparent says: https://www.w3.org/TR/trace-context/."""

import re
from typing import Final

_SAMPLED: Final = frozenset("13579bdf")
_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf]")
"""Of versions that look like the first; the last bit says that whoever began wants it recorded."""


def sampled(traceparent: str | None) -> str | None:
    """Return a traceparent if it is of a trace that is to be recorded, else None."""
    if traceparent is None or traceparent[-1:] not in _SAMPLED or not _FORM.fullmatch(traceparent):
        return None
    return traceparent
