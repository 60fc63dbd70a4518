"""The rounds as a table for people and as JSON for scripts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from load_tests.measure import Round, SystemRound
from load_tests.stats import Summary, paired_ratios

REFERENCE: Final = "envoy"

Figure = Callable[[SystemRound], float]
COSTS: Final[dict[str, tuple[str, Figure, Figure]]] = {
    "json": (
        "CPU-µs per JSON request",
        lambda r: r.json.cpu_us,
        lambda r: r.json.load.requests / r.json.load.seconds,
    ),
    "sse": (
        "CPU-µs per SSE event",
        lambda r: r.sse.cpu_us,
        lambda r: r.sse.load.events / r.sse.load.seconds,
    ),
}


def values(rounds: Sequence[Round], figure: Figure) -> dict[str, list[float]]:
    """One figure of every system, in each round."""
    return {name: [figure(r[name]) for r in rounds] for name in sorted(rounds[0])}


def costs(rounds: Sequence[Round]) -> dict[str, dict[str, list[float]]]:
    """Kind of load → system → CPU-µs in each round."""
    return {kind: values(rounds, figure) for kind, (_, figure, _) in COSTS.items()}


def table(rounds: Sequence[Round]) -> str:
    """Median (lowest to highest) of the rounds, and the ratio to Envoy where Envoy was measured."""
    parts = [_cost_table(rounds, *columns) for columns in COSTS.values()]
    return "\n\n".join([*parts, _first_byte_table(rounds)])


def as_json(rounds: Sequence[Round]) -> dict[str, Any]:
    """Summaries, and every figure of every round."""
    summaries = {
        kind: {name: asdict(Summary.of(figures)) for name, figures in systems.items()}
        for kind, systems in costs(rounds).items()
    }
    details = [{name: asdict(system) for name, system in round_.items()} for round_ in rounds]
    return {"cpu_us": summaries, "rounds": details}


def _cost_table(rounds: Sequence[Round], title: str, cost: Figure, rate: Figure) -> str:
    costs_us, rates = values(rounds, cost), values(rounds, rate)
    lines = [_line(title, "median (low to high)", f"ratio to {REFERENCE}", "per second")]
    for name, figures in costs_us.items():
        ratio = "" if REFERENCE not in costs_us else _ratio(figures, costs_us[REFERENCE])
        per_second = f"{Summary.of(rates[name]).median:,.0f}"
        lines.append(_line(name, _range(Summary.of(figures), ".1f"), ratio, per_second))
    return "\n".join(lines)


def _first_byte_table(rounds: Sequence[Round]) -> str:
    added = values(rounds, lambda r: r.added_first_byte_us)
    lines = [_line("µs added to first byte", "median (low to high)")]
    lines += [_line(name, _range(Summary.of(figures), ".0f")) for name, figures in added.items()]
    return "\n".join(lines)


def _ratio(figures: Sequence[float], references: Sequence[float]) -> str:
    return _range(Summary.of(paired_ratios(figures, references)), ".2f")


def _range(summary: Summary, form: str) -> str:
    return f"{summary.median:{form}} ({summary.low:{form}} to {summary.high:{form}})"


def _line(name: str, *cells: str) -> str:
    return (f"{name:<26}" + "".join(f"{cell:>26}" for cell in cells)).rstrip()
