"""Labels whose values come from elsewhere: what is in no closed set is told as one."""

from collections.abc import Iterable
from itertools import product
from typing import Final

from prometheus_client import Counter, Histogram

OTHER: Final = "other"


class Known:
    """The values that a label may have beside `other`."""

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str] | None = None) -> None:
        """Keep a closed set of names; None: whoever counts is trusted to use one."""
        self._names = None if names is None else frozenset(names)

    def __call__(self, name: str) -> str:
        """Return the label's value for a name."""
        return name if self._names is None or name in self._names else OTHER


def declare(metric: Counter | Histogram, *values: Iterable[str]) -> None:
    """Show 0 of each combination of these labels' values, so that a rate sees the first of it."""
    for labels in product(*values):
        metric.labels(*labels)
