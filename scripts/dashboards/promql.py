"""Queries in Prometheus' language. Our metrics are named without `watchgate_`, others whole.

Rates are taken over `$__rate_interval`, and totals over `$__range`, unless a panel is about a time
of its own (the last hour, the last week), which it then names.
"""

from typing import Final

INTERVAL: Final = "$__rate_interval"
RANGE: Final = "$__range"
UNKNOWN: Final = -1
"""What a number is that nobody reports: panels show it in words, on red."""
MODEL: Final = 'model=~"$model"'
"""The models chosen at the top of a dashboard."""


def named(metric: str, where: str = "") -> str:
    """Return the selector of a metric: `where` is what stands between the braces."""
    whole = metric if ":" in metric or metric == "up" else f"watchgate_{metric}"
    return f"{whole}{{{where}}}" if where else whole


def rate(metric: str, where: str = "", *, by: str = "", window: str = INTERVAL) -> str:
    """Return what a counter grows by in a second, summed but for the labels `by`."""
    return f"{summed(by)}(rate({named(metric, where)}[{window}]))"


def total(metric: str, where: str = "", *, by: str = "", window: str = RANGE) -> str:
    """Return what a counter grew by in all, summed but for the labels `by`: for numbers."""
    return f"{summed(by)}(increase({named(metric, where)}[{window}]))"


def lately(metric: str, where: str = "", *, by: str = "") -> str:
    """Return what a counter grew by around each moment: for graphs of what is rare."""
    return total(metric, where, by=by, window=INTERVAL)


def buckets(metric: str, where: str = "") -> str:
    """Return what each bucket of a histogram grew by around each moment: for heatmaps."""
    return lately(f"{metric}_bucket", where, by="le")


def quantile(q: float, metric: str, where: str = "", *, by: str = "") -> str:
    """Return a quantile of a histogram, as its buckets tell it."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q:g}, {rate(f'{metric}_bucket', where, by=labels)})"


def mean(metric: str, where: str = "", *, by: str = "", window: str = INTERVAL) -> str:
    """Return the mean of a histogram's observations, nothing where there was none."""
    total = rate(f"{metric}_sum", where, by=by, window=window)
    return share(total, rate(f"{metric}_count", where, by=by, window=window))


def share(part: str, whole: str) -> str:
    """Return a part of a whole, nothing where the whole is 0."""
    return f"({part}) / ({whole} > 0)"


def or_zero(query: str, **labels: str) -> str:
    """Return 0, with these labels, where a query finds no series: what never happened."""
    zero = "vector(0)"
    for label, value in labels.items():
        zero = f'label_replace({zero}, "{label}", "{value}", "", "")'
    return f"{query} or on() {zero}"


def or_unknown(query: str) -> str:
    """Return UNKNOWN where a query finds no series though it should: nobody reports."""
    return f"{query} or on() vector({UNKNOWN})"


def unless_none(query: str, known: str) -> str:
    """Return 0 where a query finds nothing but its metric is there, else UNKNOWN."""
    return or_unknown(f"{query} or on() 0 * {known}")


def count_of(vector: str, condition: str) -> str:
    """Return how many series of a vector meet a condition; UNKNOWN if there are none at all."""
    return unless_none(f"count({vector} {condition})", f"count({vector})")


def newest(metric: str, where: str = "", *, by: str = "") -> str:
    """Return a gauge that one process knows and others hold at 0: its highest value."""
    return f"max by ({by}) ({named(metric, where)})" if by else f"max({named(metric, where)})"


def summed(by: str = "") -> str:
    """Return a sum but for the labels `by`."""
    return f"sum by ({by}) " if by else "sum"
