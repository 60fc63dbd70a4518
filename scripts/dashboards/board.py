"""What all dashboards have in common: variables, links between them, the marks of pages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from scripts.dashboards.panels import DATASOURCE, AnyPanel, to_docs

TAG: Final = "watchgate"
OVERVIEW: Final = "watchgate-overview"
GATEWAY: Final = "watchgate-gateway"
PIPELINE: Final = "watchgate-pipeline"
DETECTORS: Final = "watchgate-detectors"
ACCESS: Final = "watchgate-access"
VLLM: Final = "watchgate-vllm"
SLOS: Final = "watchgate-slos"

_INTERVALS: Final = ("15s", "30s", "1m", "5m", "15m", "1h")
_PAGES: Final = 'ALERTS{alertname=~"Watchgate.+", alertstate="firing", severity="page"}'

Document = dict[str, Any]
"""A dashboard as Grafana takes it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A row of panels under a title, a question where that is what they answer."""

    title: str
    panels: Sequence[AnyPanel]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    about: str
    sections: Sequence[Section]
    variables: Sequence[Builder[VariableModel]] = ()
    """Those beyond the data source and the interval."""
    since: str = "now-3h"
    refresh: str = "30s"

    def document(self) -> Document:
        """Return what Grafana takes."""
        whole = dashboard.Dashboard(self.title).uid(self.uid).description(self.about)
        whole.tags([TAG]).editable().timezone("browser").time(self.since, "now").refresh(
            self.refresh
        )
        whole.refresh(self.refresh).tooltip(DashboardCursorSync.CROSSHAIR).links(_links())
        whole.variables([_datasource(), *self.variables, _interval()]).annotation(_Pages())
        for section in self.sections:
            whole.with_row(dashboard.Row(section.title))
            for panel in section.panels:
                whole.with_panel(panel)
        made: Document = json.loads(JSONEncoder(sort_keys=True).encode(whole.build()))
        for number, panel in enumerate(made["panels"], start=1):
            panel["id"] = number
        return made


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable of a label's values, all of them until somebody chooses."""
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    every = VariableOption(selected=True, text=["All"], value=["$__all"])
    return variable.multi(True).include_all(True).all_value(".*").current(every)


def model_choice() -> dashboard.QueryVariable:
    """Return the variable of the models that are served."""
    return choice("model", "Model", "label_values(watchgate_exchanges_served_total, model)")


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def _interval() -> dashboard.IntervalVariable:
    """Return the least step of graphs: a long one smooths them."""
    variable = dashboard.IntervalVariable("interval").label("Least step")
    options = [VariableOption(selected=it == "30s", text=it, value=it) for it in _INTERVALS]
    variable.values(",".join(_INTERVALS)).options(options)
    return variable.current(VariableOption(selected=True, text="30s", value="30s"))


def _links() -> list[Builder[Any]]:
    boards = dashboard.DashboardLink("Watchgate").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    alerts = dashboard.DashboardLink("Alerts").type(DashboardLinkType.LINK)
    return [
        boards.as_dropdown(False).include_vars(True).keep_time(True),
        alerts.url("/alerting/list?search=Watchgate").icon("bolt"),
        to_docs("Runbooks", "runbooks").icon("doc"),
        to_docs("What these show", "dashboards").icon("question"),
    ]


class _Pages(Builder[AnnotationQuery]):
    """Marks when somebody was paged."""

    def build(self) -> AnnotationQuery:
        """Return the marks, drawn over every panel."""
        return AnnotationQuery(
            name="Pages", datasource=DATASOURCE, icon_color="red", expr=_PAGES, enable=True
        )
