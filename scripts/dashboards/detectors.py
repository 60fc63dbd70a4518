"""Detectors: what they see, what points make of it, whether they drift, and what they cost."""

from scripts.dashboards import board, detector_costs, shared
from scripts.dashboards.board import Board, Section, choice
from scripts.dashboards.panels import (
    AnyPanel,
    Limits,
    Query,
    Words,
    heat,
    rows,
    series,
    to_docs,
)
from scripts.dashboards.promql import buckets, mean, newest, or_zero, rate, share, total

CHOSEN = 'detector=~"$detector", category=~"$category"'
BY = "detector, category"
WEEK = "1w:1h"
"""The last week, looked at once an hour: all samples of a week would be too dear."""
_STEP = "10m"
"""Between points of graphs that look at a week for each: less would be too dear."""


def detectors() -> Board:
    """Return the dashboard of those who tune detectors and operating points."""
    return Board(
        board.DETECTORS,
        "Watchgate / Detectors",
        "Scores, what operating points flag, drift against the last week, shadows beside the "
        "rest, cascades and judges with their cost, versions. No text and no account is in here.",
        [
            Section("What do they see?", _scores()),
            Section("What do operating points flag?", _flags()),
            Section("Have they drifted? (the last hour against the last week)", _drift()),
            Section("Do they work, and which versions?", detector_costs.health()),
            Section("Cascades: who is asked, and what does it cost?", detector_costs.cascades()),
            Section("Judges (guard models)", detector_costs.judges()),
        ],
        [
            choice("detector", "Detector", "label_values(watchgate_score_count, detector)"),
            choice(
                "category",
                "Category",
                'label_values(watchgate_score_count{detector=~"$detector"}, category)',
            ),
        ],
        since="now-24h",
        refresh="5m",
    )


def _scores() -> list[AnyPanel]:
    high = rate("score_bucket", f'{CHOSEN}, le="0.9"', by=BY)
    return [
        heat(
            Words(
                "Distribution of scores",
                "Scores by their height, of the chosen detectors and categories. Choose one of "
                "each: a mixture says little. Most traffic is harmless and at the bottom.",
            ),
            buckets("score", CHOSEN),
            links=[to_docs("Detectors", "detectors")],
        ),
        series(
            Words(
                "Mean score",
                "By detector and category. A step without a new version is new traffic.",
            ),
            Query(mean("score", CHOSEN, by=BY), "{{detector}}: {{category}}"),
        ),
        series(
            Words(
                "Scores over 0.9",
                "Share of scores, by detector and category: shadows beside the others. What a "
                "point at this threshold would flag of a shadow's scores.",
                "percentunit",
            ),
            Query(
                f"1 - {share(high, rate('score_count', CHOSEN, by=BY))}",
                "{{detector}}: {{category}}",
            ),
            links=[to_docs("Shadows", "detectors", "several-detectors")],
        ),
    ]


def _flags() -> list[AnyPanel]:
    crossed = f'{CHOSEN}, action!="none"'
    return [
        series(
            Words(
                "Flagged, by gravest action",
                "Scores that crossed an operating point: recorded, kept as a case, paged or "
                "blocked.",
                "suffix: /h",
            ),
            Query(
                or_zero(f"3600 * {rate('verdicts_total', crossed, by='action')}", action="none"),
                "{{action}}",
            ),
            stacked=True,
            links=[to_docs("Operating points", "points")],
        ),
        series(
            Words(
                "Flag rate, by detector, category and action",
                "Share of scores that crossed a point. Compare it with the rate that the point "
                "was measured with: `watchgate points list`.",
                "percentunit",
            ),
            Query(
                or_zero(
                    f"{rate('verdicts_total', crossed, by=f'{BY}, action')} / on({BY}) "
                    f"group_left() ({rate('verdicts_total', CHOSEN, by=BY)} > 0)",
                    detector="none",
                    category="none",
                    action="flagged",
                ),
                "{{detector}}: {{category}}, {{action}}",
            ),
            links=[to_docs("Operating points", "points"), to_docs("Backtest", "backtest")],
        ),
        series(
            Words(
                "Operating points, by state",
                "Those of the settings and of the store. Ignored: active, and finds nothing in "
                "some process, whose log names it.",
            ),
            Query(newest("operating_points", by="source, state"), "{{source}}: {{state}}"),
            links=[to_docs("When it takes effect", "points", "when-it-takes-effect")],
        ),
        rows(
            Words(
                "Verdicts in the time shown",
                "By detector, category and the gravest action that followed.",
            ),
            Query(
                f"sort_desc(round({total('verdicts_total', CHOSEN, by=f'{BY}, action')}) > 0)",
                "verdicts",
            ),
            width=16,
        ),
        shared.what_was_done(),
    ]


def _drift() -> list[AnyPanel]:
    """Compare distributions by their means, and by Kolmogorov and Smirnov's distance."""
    hour, week = (mean("score", CHOSEN, by=BY, window=it) for it in ("1h", WEEK))
    distance = f"max by ({BY}) (abs({_below('1h')} - {_below(WEEK)}))"
    flagged = f'{CHOSEN}, action!="none"'
    flags = [
        share(rate("verdicts_total", flagged, by=BY, window=it),
              rate("verdicts_total", CHOSEN, by=BY, window=it))
        for it in ("1h", WEEK)
    ]  # fmt: skip
    return [
        series(
            Words(
                "Distance of the distributions",
                "The most by which the share of scores up to some height differs between the last "
                "hour and the last week (Kolmogorov-Smirnov, at the buckets' bounds). Over 0.1 "
                "look; over 0.2 it is another traffic or another detector.",
            ),
            Query(distance, "{{detector}}: {{category}}", step=_STEP),
            width=6,
            limits=Limits(orange=0.1, red=0.2),
        ),
        series(
            Words(
                "Mean score, hour to week",
                "The last hour's mean by the last week's: 1 is no change.",
                "suffix: x",
            ),
            Query(f"{hour} / ({week} > 0)", "{{detector}}: {{category}}", step=_STEP),
            width=6,
        ),
        rows(
            Words(
                "Where it drifted",
                "Of each detector and category: distance of the distributions, mean score of the "
                "last hour and of the last week, and their flag rates.",
            ),
            Query(distance, "distance"),
            Query(hour, "mean, hour"),
            Query(week, "mean, week"),
            Query(or_zero(flags[0], detector="none"), "flagged, hour"),
            Query(or_zero(flags[1], detector="none"), "flagged, week"),
        ),
    ]  # fmt: skip


def _below(window: str) -> str:
    """Return the share of scores up to each bound of the buckets."""
    buckets = rate("score_bucket", CHOSEN, by=f"{BY}, le", window=window)
    whole = rate("score_count", CHOSEN, by=BY, window=window)
    return f"{buckets} / on({BY}) group_left() ({whole} > 0)"
