"""Every query of every dashboard, asked of a real Prometheus that scrapes a real Watchgate."""

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pytest

from tests.deploy.dashboard_files import BOARD_VARIABLES, Target, targets
from tests.deploy.dashboard_site import DRIFTED, STEADY, site
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.prometheus import Prometheus, QueryFailed, Series

DEADLINE_S: Final = 90.0
PAUSE_S: Final = 1.0
SHOWN_S: Final = 30
STEP_S: Final = 5
VALUES: Final[Mapping[str, str]] = {
    "$__rate_interval": "15s",
    "$__range": f"{SHOWN_S}s",
    **dict.fromkeys(BOARD_VARIABLES, ".*"),
}
"""What Grafana puts in place of its variables."""
_LABEL: Final = re.compile(r"{{(\w+)}}")
_FALLBACK: Final = " or on() "
"""What follows it is shown where nothing ever happened, or nobody reports."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with site(tmp_path_factory.mktemp("site")) as one:
        yield one


def test_every_query_finds_what_happens(prometheus: Prometheus) -> None:
    """By itself, without what it falls back on; asked again until what happens is there."""
    waiting = list(targets())
    deadline = time.monotonic() + DEADLINE_S
    while waiting and time.monotonic() < deadline:
        waiting = [it for it in waiting if not _shown(prometheus, it, by_itself(it.expr))]
        time.sleep(PAUSE_S if waiting else 0)
    assert [str(it) for it in waiting] == []


def test_the_series_of_every_panel_have_the_labels_that_name_them(prometheus: Prometheus) -> None:
    nameless = [
        (str(target), label)
        for target in targets()
        for expr in (target.expr, by_itself(target.expr))
        for label in _LABEL.findall(target.legend)
        if not all(it["metric"].get(label) for it in _shown(prometheus, target, expr))
    ]
    assert nameless == []


def test_numbers_that_nobody_reports_are_not_taken_for_zeros(prometheus: Prometheus) -> None:
    """The first two lines of the overview, where Prometheus knows of no Watchgate."""
    numbers = [it for it in targets() if it.board == "watchgate-overview"][:13]
    shown = {str(it): _values(_shown(prometheus, it, of_nobody(it.expr))) for it in numbers}
    zeros = {name for name, values in shown.items() if 0 in values}
    assert {it.split("'")[1] for it in zeros} == {"Parts left unscored"}  # counted by reason
    assert [-1] in shown.values()


def test_what_never_happened_is_shown_as_a_zero(prometheus: Prometheus) -> None:
    for target in targets():
        if _FALLBACK in target.expr:
            values = _values(_shown(prometheus, target, of_nobody(target.expr)))
            assert values in ([0], [-1]), target


def test_drift_is_told_from_none(prometheus: Prometheus) -> None:
    wait_until(lambda: {DRIFTED, STEADY} <= set(_drift(prometheus)), DEADLINE_S, "both score")
    found = _drift(prometheus)
    assert found[DRIFTED] == pytest.approx(1, abs=0.05)
    assert found[STEADY] == pytest.approx(0, abs=0.05)


def _drift(prometheus: Prometheus) -> dict[str, float]:
    """Return how far each detector's distribution of scores is from last week's."""
    return {
        it["metric"]["detector"]: float(it["values"][-1][1])
        for target in targets()
        if target.panel == "Distance of the distributions"
        for it in _shown(prometheus, target, target.expr)
    }


def by_itself(expr: str) -> str:
    """Return a query without what it falls back on."""
    while _FALLBACK in expr:
        start = expr.index(_FALLBACK)
        end, depth = start + len(_FALLBACK), 0
        while end < len(expr) and not (depth == 0 and expr[end] == ")"):
            if depth == 0 and expr.startswith(_FALLBACK, end):
                break
            depth += {"(": 1, ")": -1}.get(expr[end], 0)
            end += 1
        expr = expr[:start] + expr[end:]
    return expr


def of_nobody(expr: str) -> str:
    """Return a query of metrics that nobody shows."""
    return re.sub(r"\b(watchgate_|vllm:|up{|ALERTS{)", r"nobody_\1", expr)


def _values(series: Sequence[Series]) -> list[float]:
    return sorted({float(value) for it in series for _, value in it["values"]})


def _shown(prometheus: Prometheus, target: Target, expr: str) -> list[Series]:
    """Return the series that a panel would show: those with a number.

    Raises:
        QueryFailed: Prometheus does not take the query; the text names the panel.
    """
    query, now = with_values(expr), time.time()
    try:
        if target.is_instant:
            series = prometheus.ask(query, at=now)
        else:
            series = prometheus.ask_range(query, now - SHOWN_S, now, STEP_S)
    except QueryFailed as error:
        raise QueryFailed(f"{target}: {error}") from None
    return [it for it in series if any(not math.isnan(float(value)) for _, value in it["values"])]


def with_values(expr: str) -> str:
    for name in sorted(VALUES, key=len, reverse=True):
        expr = expr.replace(name, VALUES[name])
    assert "$" not in expr, expr
    return expr
