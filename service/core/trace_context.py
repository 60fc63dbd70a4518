"""What a traceparent says: https://www.w3.org/TR/trace-context/."""

_SAMPLED = 1


def sampled(traceparent: str | None) -> str | None:
    """Return a traceparent if whoever began its trace wants it recorded, else None."""
    if traceparent is None or not int(traceparent[-2:], 16) & _SAMPLED:
        return None
    return traceparent
