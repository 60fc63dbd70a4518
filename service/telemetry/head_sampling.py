"""Which exchanges are recorded, decided before the SDK is asked.

Most are not, and cost next to nothing so: the SDK takes 8 to 12 µs to say no, this 1.
"""

import os
import random
from typing import Final, Self

from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from service.core.trace_context import sampled

DEFAULT_RATIO: Final = 0.01
"""Of the exchanges whose callers bring no trace of their own."""
_RATIO: Final = "parentbased_traceidratio"
_ID_BITS: Final = 192
"""Of a trace's id and a span's together."""


class HeadSampling:
    """Follows the callers' decisions, and takes a share of the other exchanges."""

    def __init__(self, ratio: float | None) -> None:
        """Take this share; None: the SDK decides about all, as OTEL_TRACES_SAMPLER says."""
        chance = random.Random()  # noqa: S311  (ids need only differ)
        self._ratio, self._chance, self._bits = ratio, chance.random, chance.getrandbits
        self.sampler: Sampler | None = None if ratio is None else ParentBased(ALWAYS_ON)
        """What the SDK is to do with those that are let through to it."""

    @classmethod
    def of_environment(cls) -> Self:
        """Return what OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG ask for.

        Raises:
            ValueError: the ratio is none.
        """
        name = os.environ.get("OTEL_TRACES_SAMPLER", "").lower()
        if name not in {"", _RATIO}:
            return cls(None)
        given = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "") if name else ""
        ratio = float(given) if given else (1.0 if name else DEFAULT_RATIO)
        if not 0 <= ratio <= 1:
            raise ValueError(f"OTEL_TRACES_SAMPLER_ARG is {given!r}, and must be from 0 to 1")
        return cls(ratio)

    def unrecorded(self, traceparent: str | None) -> str | None:
        """Return what an exchange that is not recorded carries on; None: the SDK is to be asked.

        Without a trace of the caller's it is a new one, so that the upstream does not begin its
        own; a caller's trace goes on as it came.
        """
        if self._ratio is None:
            return None
        if traceparent is not None:
            return None if sampled(traceparent) else traceparent
        if self._chance() < self._ratio:
            return None
        ids = f"{self._bits(_ID_BITS):048x}"
        return f"00-{ids[:32]}-{ids[32:]}-00"
