"""What a benchmark found: readings in rounds, and what could not be read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

from load_tests.measure import Reading
from load_tests.stats import Summary, paired_ratios

REFERENCE: Final = "envoy"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is read of each system: title with unit, digits, and what `per_second` counts."""

    title: str
    digits: int = 1
    counts: str = ""


FIGURES: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        "json": Figure("CPU-µs per JSON request, 1.5 KiB", counts="requests"),
        "json-32k": Figure("CPU-µs per JSON request, 32 KiB", counts="requests"),
        "sse": Figure("CPU-µs per SSE event, 100 streams", counts="events"),
        "sse-1000": Figure("CPU-µs per SSE event, 1,000 streams", counts="events"),
        "memory": Figure("KiB of memory per open stream, 1,000 streams"),
        "first-byte": Figure("µs added to the first byte, one stream at a time", digits=0),
    }
)

Round = Mapping[str, Mapping[str, Reading]]
"""Figure → system → what was read."""


@dataclass(slots=True)
class Results:
    """Rounds, why systems are missing, and why a figure of a system is (by both names)."""

    rounds: list[Round] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)

    def figures(self) -> list[str]:
        """The figures that were read, in their order."""
        return [name for name in FIGURES if any(self.systems(name))]

    def systems(self, figure: str) -> list[str]:
        """The systems that have this figure in every round."""
        named = self.rounds[0].get(figure, {}) if self.rounds else {}
        return [it for it in named if (figure, it) not in self.failed]

    def values(self, figure: str, system: str) -> list[float]:
        """The figure in each round."""
        return [it[figure][system].value for it in self.rounds]

    def ratios(self, figure: str, system: str) -> Summary | None:
        """The figure by that of the reference in the same round, where both were read."""
        if REFERENCE not in self.systems(figure):
            return None
        references = self.values(figure, REFERENCE)
        if min(references) <= 0:
            return None
        return Summary.of(paired_ratios(self.values(figure, system), references))

    def gateway(self, figure: str, system: str) -> Summary | None:
        """What the process on a request's way took of it, where others took the rest."""
        values = [it[figure][system].gateway for it in self.rounds]
        known = [value for value in values if value is not None]
        return Summary.of(known) if known else None

    def per_second(self, figure: str, system: str) -> float:
        """The median rate at which the system was used; 0 where that says nothing."""
        return Summary.of([it[figure][system].per_second for it in self.rounds]).median

    def costs(self) -> dict[str, dict[str, list[float]]]:
        """Figure → system → value in each round, for the budgets."""
        return {
            figure: {system: self.values(figure, system) for system in self.systems(figure)}
            for figure in self.figures()
        }

    def as_json(self) -> dict[str, Any]:
        """Summaries, and everything that was read."""
        return {
            "summaries": {
                figure: {name: asdict(Summary.of(values)) for name, values in systems.items()}
                for figure, systems in self.costs().items()
            },
            "missing": self.missing,
            "failed": {f"{system}: {figure}": why for (figure, system), why in self.failed.items()},
            "rounds": [
                {
                    figure: {system: asdict(reading) for system, reading in systems.items()}
                    for figure, systems in round_.items()
                }
                for round_ in self.rounds
            ],
        }
