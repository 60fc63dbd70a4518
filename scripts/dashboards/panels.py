"""Panels: each has a title, a description, a unit and, where a value is good or bad, its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from scripts.dashboards.promql import UNKNOWN

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="$datasource")
DOCS: Final = "https://watchgate.example/docs/"
"""Where the documentation is: the chart puts its value `links.docs` in its place."""
GREEN, ORANGE, RED, GREY = "green", "orange", "red", "text"
_NOT_KNOWN: Final = "not known"

AnyPanel = (
    timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel | statetimeline.Panel
    | dashboard.Panel
)  # fmt: skip
P = TypeVar(
    "P",
    timeseries.Panel,
    stat.Panel,
    heatmap.Panel,
    table.Panel,
    statetimeline.Panel,
    dashboard.Panel,
)


@dataclass(frozen=True, slots=True)
class Words:
    """What a panel says of itself; the unit is one of Grafana's ids."""

    title: str
    about: str
    unit: str = "none"


@dataclass(frozen=True, slots=True)
class Query:
    """A query and what its series are called; an instant one is asked for the end of the range."""

    expr: str
    legend: str
    instant: bool = False
    step: str = "$interval"
    """The least distance between two points."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a value is worth a look, from where on bad; or from where on good."""

    orange: float | None = None
    red: float | None = None
    green: float | None = None
    otherwise: str = GREEN

    def config(self) -> dashboard.ThresholdsConfig:
        """Return them as Grafana takes them."""
        steps = [Threshold(None, self.otherwise)]
        steps += [
            Threshold(value, color)
            for value, color in ((self.orange, ORANGE), (self.red, RED), (self.green, GREEN))
            if value is not None
        ]
        return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


NO_LIMITS: Final = Limits(otherwise=GREY)
ANY_IS_BAD: Final = Limits(red=1)
ANY_IS_ODD: Final = Limits(orange=1)


def series(  # noqa: PLR0913  (all but the first have defaults)
    words: Words,
    *queries: Query,
    width: int = 8,
    height: int = 8,
    limits: Limits | None = None,
    stacked: bool = False,
    links: Sequence[dashboard.DashboardLink] = (),
) -> timeseries.Panel:
    """Return lines over time, or areas on top of each other; limits are drawn as dashed lines."""
    panel = timeseries.Panel().line_width(1).fill_opacity(60 if stacked else 5)
    panel.min(0).show_points(kinds.VisibilityMode.NEVER).legend(_legend()).tooltip(_tooltip())
    if stacked:
        panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if limits is not None:
        style = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(limits.config()).thresholds_style(style)
    return _dressed(_asking(panel, queries), words, width, height, links)


def number(  # noqa: PLR0913  (all but the first have defaults)
    words: Words,
    *queries: Query,
    width: int = 4,
    height: int = 4,
    limits: Limits = NO_LIMITS,
    decimals: int | None = None,
    links: Sequence[dashboard.DashboardLink] = (),
) -> stat.Panel:
    """Return the value of each query now, on a ground that says whether it is good."""
    color = kinds.BigValueColorMode.VALUE
    if limits is not NO_LIMITS:
        color = kinds.BigValueColorMode.BACKGROUND_SOLID
    panel = stat.Panel().color_mode(color).graph_mode(kinds.BigValueGraphMode.NONE)
    named = kinds.BigValueTextMode.VALUE_AND_NAME
    panel.text_mode(named if len(queries) > 1 else kinds.BigValueTextMode.VALUE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.thresholds(limits.config()).color_scheme(_by_limits())
    panel.no_value(_NOT_KNOWN).mappings([meaning({str(UNKNOWN): (_NOT_KNOWN, RED)})])
    if decimals is not None:
        panel.decimals(decimals)
    now = [Query(it.expr, it.legend, instant=True) for it in queries]
    return _dressed(_asking(panel, now), words, width, height, links)


def heat(
    words: Words,
    query: str,
    *,
    width: int = 8,
    height: int = 8,
    links: Sequence[dashboard.DashboardLink] = (),
) -> heatmap.Panel:
    """Return how many observations fell into each bucket of a histogram, over time.

    The query gives the buckets by `le`; the unit is that of the buckets.
    """
    color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME)
    panel = heatmap.Panel().calculate(False).color(color.scheme("Oranges").steps(64))
    panel.y_axis(heatmap.YAxisConfig().unit(words.unit)).show_legend().cell_gap(1)
    panel.with_target(_target(Query(query, "{{le}}"), PromQueryFormat.HEATMAP))
    return _dressed(panel, words, width, height, links)


def rows(  # noqa: PLR0913  (all but the first have defaults)
    words: Words,
    *queries: Query,
    width: int = 12,
    height: int = 8,
    hidden: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
    links: Sequence[dashboard.DashboardLink] = (),
) -> table.Panel:
    """Return a table with a row for each series; columns come from labels, and one a query."""
    panel = table.Panel().thresholds(limits.config())
    for i, query in enumerate(queries):
        target = _target(Query(query.expr, query.legend, instant=True), PromQueryFormat.TABLE)
        panel.with_target(target.ref_id(chr(ord("A") + i)))
        column = "Value" if len(queries) == 1 else f"Value #{chr(ord('A') + i)}"
        properties = [DynamicConfigValue("displayName", query.legend)]
        if limits is not NO_LIMITS:
            properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        panel.override_by_name(column, properties)
    for column in ("Time", *hidden):
        panel.override_by_name(column, [DynamicConfigValue("custom.hidden", True)])
    if len(queries) > 1:
        panel.with_transformation(_merged())
    return _dressed(panel, words, width, height, links)


def states(  # noqa: PLR0913  (all but the first have defaults)
    words: Words,
    query: Query,
    meanings: Mapping[str, tuple[str, str]],
    *,
    width: int = 12,
    height: int = 8,
    links: Sequence[dashboard.DashboardLink] = (),
    row_link: dashboard.DashboardLink | None = None,
) -> statetimeline.Panel:
    """Return what state each series was in; `meanings` are value → words and color."""
    panel = statetimeline.Panel().mappings([meaning(meanings)]).merge_values(True)
    panel.show_value(kinds.VisibilityMode.NEVER).row_height(0.8).color_scheme(_by_limits())
    panel.legend(_legend())
    if row_link is not None:
        panel.data_links([row_link])
    return _dressed(_asking(panel, [query]), words, width, height, links)


def alerts(words: Words, *, width: int = 8, height: int = 8) -> dashboard.Panel:
    """Return the list of Watchgate's alerts that fire or are about to."""
    options = {
        "viewMode": "list",
        "groupMode": "default",
        "groupBy": [],
        "maxItems": 30,
        "sortOrder": 3,  # by importance
        "dashboardAlerts": False,
        "alertName": "Watchgate",
        "alertInstanceLabelFilter": "",
        "stateFilter": {
            "firing": True, "pending": True, "error": True, "noData": False, "normal": False,
        },
    }  # fmt: skip
    panel = dashboard.Panel().type("alertlist").options(options)
    return _dressed(panel, words, width, height, [to_docs("Runbooks", "runbooks")])


def meaning(meanings: Mapping[str, tuple[str, str]]) -> ValueMapping:
    """Return words and colors for values."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=color, index=i)
            for i, (value, (text, color)) in enumerate(meanings.items())
        }
    )


def to_board(title: str, uid: str) -> dashboard.DashboardLink:
    """Return a link to another dashboard, for the same time and model."""
    link = dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid}")
    return link.keep_time(True).include_vars(True)


def to_docs(title: str, page: str, at: str = "") -> dashboard.DashboardLink:
    """Return a link to a page of the documentation, or to a heading in it."""
    url = f"{DOCS}{page}/{'#' if at else ''}{at}"
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)


def _merged() -> DataTransformerConfig:
    """Return what makes one row of what several queries say of the same labels."""
    return DataTransformerConfig(id_val="merge", options={})


def _dressed(
    panel: P, words: Words, width: int, height: int, links: Sequence[dashboard.DashboardLink]
) -> P:
    panel.title(words.title).description(words.about).unit(words.unit).datasource(DATASOURCE)
    panel.span(width).height(height)
    if links:
        panel.links(list(links))
    return panel


def _asking(panel: P, queries: Sequence[Query]) -> P:
    for i, query in enumerate(queries):
        panel.with_target(_target(query).ref_id(chr(ord("A") + i)))
    return panel


def _target(
    query: Query, format_: PromQueryFormat = PromQueryFormat.TIME_SERIES
) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).format(format_)
    target.datasource(DATASOURCE).ref_id("A")
    return target.instant() if query.instant else target.range().interval(query.step)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.LIST)
    return legend.placement(kinds.LegendPlacement.BOTTOM).show_legend(True)


def _tooltip() -> common.VizTooltipOptions:
    tooltip = common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI)
    return tooltip.sort(kinds.SortOrder.DESCENDING)


def _by_limits() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)
