"""The dashboards as the chart has them, taken apart."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "deploy/helm/watchgate/dashboards"
RULES: Final = ROOT / "deploy/helm/watchgate/rules"
STAND_IN: Final = Path(__file__).with_name("slos_standin.yaml")
UIDS: Final = frozenset(
    f"watchgate-{it}"
    for it in ("overview", "gateway", "pipeline", "detectors", "access", "vllm", "slos")
)
_METRIC: Final = re.compile(r"\b(?:watchgate[_:]|vllm:)[\w:]+|\bup\b|\bALERTS\b")
_STRING: Final = re.compile(r'"[^"]*"')

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A query of a panel."""

    board: str
    panel: str
    ref: str
    expr: str
    legend: str
    is_instant: bool
    format: str

    def __str__(self) -> str:
        return f"{self.board}, panel {self.panel!r}, query {self.ref}"


def documents() -> dict[str, Document]:
    """Return all dashboards by the names of their files."""
    return {it.stem: json.loads(it.read_text()) for it in sorted(FOLDER.glob("*.json"))}


def panels(document: Document) -> list[Document]:
    """Return the panels, without the titles of sections."""
    return [it for it in document["panels"] if it["type"] != "row"]


def targets() -> Iterator[Target]:
    """Yield every query."""
    for name, document in documents().items():
        for panel in panels(document):
            for it in panel.get("targets", ()):
                yield Target(
                    name,
                    panel["title"],
                    it["refId"],
                    it["expr"],
                    it["legendFormat"],
                    it.get("instant", False),
                    it["format"],
                )


def metrics_in(expr: str) -> set[str]:
    """Return the names of metrics in a query."""
    return set(_METRIC.findall(_STRING.sub('""', expr)))


def rule_files() -> list[Path]:
    """Return the rules of the chart, or what stands in for them."""
    return sorted(RULES.glob("*.yaml")) or [STAND_IN]


BOARD_VARIABLES: Final = frozenset(
    f"${variable['name']}"
    for document in documents().values()
    for variable in document["templating"]["list"]
)
"""Of all dashboards."""
