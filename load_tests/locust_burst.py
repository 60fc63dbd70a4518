"""A load that comes in bursts, for Locust: few people, then for a while ten times as many."""

import os
from typing import Final

from locust import LoadTestShape

PEOPLE: Final = int(os.environ.get("LOAD_PEOPLE", "5"))
QUIET_S: Final = 20
BURST_S: Final = 10
TIMES: Final = 10
LASTS_S: Final = 300


class Bursts(LoadTestShape):
    """Ten seconds in thirty there are ten times as many people, and they come all at once."""

    def tick(self) -> tuple[int, float] | None:
        """How many people there are now, and how many may come or go in a second."""
        now = self.get_run_time()
        if now > LASTS_S:
            return None
        people = PEOPLE * TIMES if now % (QUIET_S + BURST_S) >= QUIET_S else PEOPLE
        return people, float(PEOPLE * TIMES)
