"""A gateway that counts nothing, to hold the one that does against it. For benchmarks alone.

    python -m load_tests.untold gateway --config watchgate.yaml

Its metrics stay at 0: what counts on a request's way is replaced before the process is put
together. It takes `watchgate`'s own arguments.
"""

import sys

from prometheus_client import Counter, Histogram

from service.cli import main
from service.gateway import meters
from service.gateway.exchange import Exchange
from service.telemetry import tally
from service.wiring import gateway


class _NoHistogramTally(tally.HistogramTally):
    __slots__ = ()

    def observe(self, value: float) -> None:
        """Count nothing."""


class _NoTallies(tally.Tallies):
    def histogram(self, histogram: Histogram) -> tally.HistogramTally:
        return _NoHistogramTally(histogram)

    def counter(self, counter: Counter) -> tally.CounterTally:
        return tally.CounterTally(counter)  # that nobody flushes: adding to it takes 0.05 µs


class _NoMeters(meters.Meters):
    def request(self, surface: str, model: str, outcome: str) -> None:
        """Count nothing."""

    def served(self, exchange: Exchange, *, recorded: bool) -> None:
        """Count nothing."""

    def ended(self, exchange: Exchange, outcome: str) -> None:
        """Count nothing."""

    def flush(self) -> None:
        """Bring nothing up to date."""


def _stop_counting() -> None:
    vars(meters)["Tallies"] = _NoTallies
    vars(gateway)["Meters"] = _NoMeters


if __name__ == "__main__":
    _stop_counting()
    sys.exit(main())
