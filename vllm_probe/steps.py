"""What engine steps computed: which rows belong to which request, and to which of its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Step:
    """The tokens of a step, or of several together, request by request.

    Attributes:
        requests: their ids in vLLM, n of them.
        starts: (n + 1,); the rows of request i are starts[i] up to starts[i + 1].
        computed: (n,); how many tokens of each are in the cache already: its rows come after them.
        prompts: (n,); how many tokens the prompt of each has. Those after them were generated.
        steps: so many of the engine's are in it.
    """

    requests: Sequence[str]
    starts: Ints
    computed: Ints
    prompts: Ints
    steps: int = 1

    @property
    def counts(self) -> Ints:
        """How many rows each request has."""
        return self.starts[1:] - self.starts[:-1]
