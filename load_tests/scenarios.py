"""Which people come in which scenario of `make load`; run_locust.py hands them to Locust."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

PEOPLE_FILE: Final = "locustfile.py"
BURST_FILE: Final = "locust_burst.py"

SCENARIOS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "steady": ("Person",),
        "burst": ("Person",),
        "long-streams": ("LongReader",),
        "abusive": ("Abuser", "Person"),
        "slow-clients": ("SlowReader", "Person"),
    }
)


def files_of(scenario: str) -> Sequence[str]:
    """The files that Locust reads: a shape in any of them decides how many people there are."""
    return (PEOPLE_FILE, BURST_FILE) if scenario == "burst" else (PEOPLE_FILE,)
