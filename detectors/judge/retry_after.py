"""The header `Retry-After`: seconds, or a date (RFC 9110, 10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_until(value: str, now: float) -> float | None:
    """Return for how long a server asks to be left alone, at least 0; None: it does not say.

    Args:
        value: of the header, empty if there is none.
        now: Unix seconds, for dates.
    """
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    zoned = at if at.tzinfo else at.replace(tzinfo=UTC)  # asctime's form, of no zone, is in UTC
    return max(0.0, zoned.timestamp() - now)
