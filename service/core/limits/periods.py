"""Days and months in UTC, as numbers that grow; times are Unix seconds."""

from datetime import date
from typing import Final

DAY_S: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MONTHS: Final = 12


def day_of(at: float) -> int:
    """Return the number of a time's day: 0 is 1 January 1970."""
    return int(at // DAY_S)


def month_of(at: float) -> int:
    """Return the number of a time's month: 12 for each year, and 0 to 11."""
    day = date.fromordinal(_EPOCH + day_of(at))
    return day.year * _MONTHS + day.month - 1


def day_ends_at(day: int) -> int:
    """Return when the next day starts."""
    return (day + 1) * DAY_S


def month_ends_at(month: int) -> int:
    """Return when the next month starts."""
    year, of_year = divmod(month + 1, _MONTHS)
    return (date(year, of_year + 1, 1).toordinal() - _EPOCH) * DAY_S
