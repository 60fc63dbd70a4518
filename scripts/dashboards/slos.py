"""Objectives: how fast their error budgets burn, from the recording rules of rules/slos.yaml."""

from dataclasses import dataclass
from typing import Final

from scripts.dashboards import board
from scripts.dashboards.board import Board, Section
from scripts.dashboards.panels import (
    AnyPanel,
    Limits,
    Query,
    Words,
    number,
    series,
    to_board,
    to_docs,
)

_WINDOWS: Final = ("5m", "30m", "1h", "6h", "3d")
_PAGE_BURN: Final = 14.4
"""2 % of a 30 days' budget in an hour: Google's SRE Workbook, chapter 5."""
_PERIOD_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class _Objective:
    """What share of requests, or exchanges, may be bad."""

    title: str
    about: str
    record: str
    budget: float
    look_at: str


_OBJECTIVES: Final = (
    _Objective(
        "Availability",
        "requests that fail by Watchgate's or vLLM's doing; at most 0.1 %",
        "availability_errors",
        0.001,
        board.GATEWAY,
    ),
    _Objective(
        "Own time",
        "requests whose own time at the gateway is over the bound; at most 1 %",
        "overhead_slow",
        0.01,
        board.GATEWAY,
    ),
    _Objective(
        "Screening in time",
        "exchanges that are screened late or not at all; at most 0.1 %",
        "screening_late",
        0.001,
        board.PIPELINE,
    ),
)


def slos() -> Board:
    """Return the dashboard of the objectives."""
    return Board(
        board.SLOS,
        "Watchgate / SLOs",
        "Objectives over 30 days, and how fast their error budgets burn: 1 uses up a budget in "
        "30 days, 14.4 uses 2 % of it in an hour, and pages.",
        [Section(f"{it.title}: {it.about}", _panels(it)) for it in _OBJECTIVES],
        since="now-24h",
        refresh="1m",
    )


def _panels(of: _Objective) -> list[AnyPanel]:
    links = [to_board("Where to look", of.look_at), to_docs("Runbooks", "runbooks")]
    return [
        number(
            Words(
                f"{of.title}: good, last hour",
                f"Share of the last hour that met the objective of {1 - of.budget:.1%}.",
                "percentunit",
            ),
            Query(f"1 - {_ratio(of, '1h')}", "good"),
            height=8,
            decimals=3,
            limits=Limits(green=1 - of.budget, otherwise="red"),
            links=links,
        ),
        number(
            Words(
                f"{of.title}: burns now",
                "How many times faster than the budget allows, over the last hour. Over 1 the "
                "budget does not last, over 14.4 somebody is paged.",
                "suffix: x",
            ),
            Query(_burn(of, "1h"), "burn rate"),
            height=8,
            decimals=2,
            limits=Limits(orange=1, red=_PAGE_BURN),
            links=links,
        ),
        number(
            Words(
                f"{of.title}: budget used in 3 days",
                "Share of the 30 days' budget that the last 3 days used. A tenth is as planned.",
                "percentunit",
            ),
            Query(f"{_burn(of, '3d')} * 3 / {_PERIOD_DAYS}", "used"),
            height=8,
            limits=Limits(orange=0.1, red=0.5),
            links=links,
        ),
        series(
            Words(
                f"{of.title}: burn rate, by window",
                "A short window shows what goes on, a long one what it has cost. An alert needs "
                "a short and a long one over the same bound.",
                "suffix: x",
            ),
            *(Query(_burn(of, window), window) for window in _WINDOWS),
            width=12,
            limits=Limits(orange=1, red=_PAGE_BURN),
            links=links,
        ),
    ]


def _ratio(of: _Objective, window: str) -> str:
    return f"max(watchgate:{of.record}:ratio_rate{window})"


def _burn(of: _Objective, window: str) -> str:
    return f"{_ratio(of, window)} / {of.budget:g}"
