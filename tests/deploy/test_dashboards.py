"""The dashboards of the chart: whole, held to the code, and to what Prometheus can be asked."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from scripts.dashboards.__main__ import main
from service.telemetry.metrics import Metrics
from tests.deploy.dashboard_files import (
    ROOT,
    UIDS,
    Document,
    Target,
    documents,
    metrics_in,
    panels,
    rule_files,
    targets,
)
from tests.real_parts.exposition import VLLM

DOCS: Final = "https://watchgate.example/docs/"
BOARDS: Final = documents()
TARGETS: Final = list(targets())
SPECS: Final = {it.name: it for it in Metrics(CollectorRegistry()).specs}
OF_HISTOGRAMS: Final = ("_bucket", "_sum", "_count")
NOT_SHOWN: Final[dict[str, str]] = {}
"""Metrics of Watchgate that are on no dashboard, and why."""
_WINDOW: Final = re.compile(r"\[([^\]]+)\]")
_USED: Final = re.compile(r"\$\{?(\w+)")
_BUILT_IN: Final = {"__rate_interval", "__range", "__interval"}
_SELECTOR: Final = re.compile(r'(watchgate_\w+)\{((?:[^}"]|"[^"]*")*)\}')


def test_the_files_are_what_the_code_makes() -> None:
    assert main(["--check"]) == 0


def test_every_dashboard_has_the_uid_that_links_and_alerts_name() -> None:
    assert {name: it["uid"] for name, it in BOARDS.items()} == {uid: uid for uid in UIDS}
    assert len({it["title"] for it in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_says_what_it_shows_and_in_which_unit(board: str) -> None:
    shown = panels(BOARDS[board])
    for panel in shown:
        assert panel["title"], panel
        assert len(panel["description"].split()) > 2, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}, panel["title"]
    assert max(Counter(it["title"] for it in shown).values()) == 1
    assert len({it["id"] for it in BOARDS[board]["panels"]}) == len(BOARDS[board]["panels"])


@pytest.mark.parametrize("board", BOARDS)
def test_no_panels_overlap_and_every_line_is_full(board: str) -> None:
    places = [(it["title"], it["gridPos"]) for it in BOARDS[board]["panels"]]
    cells: Counter[tuple[int, int]] = Counter()
    for title, at in places:
        assert at["x"] + at["w"] <= 24, title
        cells.update(
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        )
    for (a, one), (b, other) in combinations(places, 2):
        assert not _overlap(one, other), f"{a!r} and {b!r}"
    width = Counter(y for _, y in cells)
    assert {y: n for y, n in width.items() if n != 24} == {}


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@pytest.mark.parametrize("board", BOARDS)
def test_links_lead_to_dashboards_and_documents_that_there_are(board: str) -> None:
    urls = [it["url"] for it in _links(BOARDS[board]) if it.get("url")]
    assert any(url.startswith(DOCS) for url in urls)
    for url in urls:
        if url.startswith("/d/"):
            assert url.removeprefix("/d/") in UIDS, url
        elif url.startswith(DOCS):
            _assert_document(url.removeprefix(DOCS))
        else:
            assert url == "/alerting/list?search=Watchgate"


def _links(of: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (any part of a document)
    if isinstance(of, list):
        return [link for it in of for link in _links(it)]
    if not isinstance(of, dict):
        return []
    own = of.get("links", [])
    return [*own, *(link for key, it in of.items() if key != "links" for link in _links(it))]


def _assert_document(path: str) -> None:
    page, _, heading = path.partition("#")
    if page.startswith("runbooks/"):
        assert page in {"runbooks/", "runbooks/${__field.labels.alertname}/"}
        return  # one page an alert: the tests of the rules hold them to each other
    file = ROOT / "docs" / f"{page.rstrip('/')}.md"
    assert file.exists(), file
    if heading:
        assert heading in _headings(file), f"{file}: {heading}"


def _headings(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", it).strip().lower().replace(" ", "-") for it in titles}


def test_every_metric_that_is_asked_for_exists() -> None:
    known = _known_metrics()
    asked = {(name, str(it)) for it in TARGETS for name in metrics_in(it.expr)}
    assert {it for it in asked if it[0] not in known} == set()


def _known_metrics() -> set[str]:
    ours = {
        name + suffix
        for name, it in SPECS.items()
        for suffix in (OF_HISTOGRAMS if it.kind == "histogram" else ("",))
    }
    families = text_string_to_metric_families(VLLM.read_text())
    theirs = {sample.name for family in families for sample in family.samples}
    recorded = {
        rule["record"]
        for file in rule_files()
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    return ours | theirs | recorded | {"up", "ALERTS"}


def test_every_metric_is_on_a_dashboard() -> None:
    shown = {name for it in TARGETS for name in metrics_in(it.expr)}
    missing = {
        name
        for name, it in SPECS.items()
        if not shown & {name, *(name + suffix for suffix in OF_HISTOGRAMS)}
    }
    assert missing == set(NOT_SHOWN)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_query_names_labels_that_the_metric_has(target: Target) -> None:
    for metric, selector in _SELECTOR.findall(target.expr):
        spec = SPECS.get(metric) or SPECS[metric.rpartition("_")[0]]
        labels = set(re.findall(r'(\w+)(?:=|!)[=~]?"', selector))
        assert labels <= {*spec.labels, "le"}, metric


@pytest.mark.parametrize("board", BOARDS)
def test_queries_use_the_variables_that_there_are(board: str) -> None:
    variables = {it["name"] for it in BOARDS[board]["templating"]["list"]}
    assert {"datasource", "interval"} <= variables
    used = {
        name for it in TARGETS if it.board == board for name in _USED.findall(it.expr)
    } - _BUILT_IN
    assert used == variables - {"datasource", "interval"}


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_windows_are_those_of_the_graph_unless_the_panel_names_them(target: Target) -> None:
    names = {"1h": "hour", "1w:1h": "week"}
    panel = _panel_of(target)
    for window in _WINDOW.findall(target.expr):
        if window not in {"$__rate_interval", "$__range"}:
            assert names[window] in f"{panel['title']} {panel['description']}".lower()


def _panel_of(target: Target) -> Document:
    return next(it for it in panels(BOARDS[target.board]) if it["title"] == target.panel)


def test_values_that_are_good_or_bad_have_thresholds() -> None:
    """Each number on the overview's first two lines but those that are only sizes."""
    first = panels(BOARDS["watchgate-overview"])[:11]
    sizes = {"Served, recorded, screened", "Requests", "First token, p95"}
    for panel in first:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert (len(steps) > 1) == (panel["title"] not in sizes), panel["title"]


def test_every_panel_of_the_overview_says_where_to_look_next() -> None:
    assert [it["title"] for it in panels(BOARDS["watchgate-overview"]) if not it.get("links")] == []
