"""Of the overview: what is wrong now, whose time it is, and whether there is misuse."""

from typing import Final

from scripts.dashboards import board, outcomes, shared
from scripts.dashboards.panels import (
    ANY_IS_BAD,
    GREEN,
    RED,
    AnyPanel,
    Query,
    Words,
    alerts,
    number,
    series,
    states,
    to_board,
    to_docs,
)
from scripts.dashboards.promql import MODEL, mean, newest, or_zero, quantile, rate, share, total

HOUR: Final = "1h"


def wrong() -> list[AnyPanel]:
    """Return the alerts, what fails, and what should not happen."""
    firing = 'max by (alertname, severity) (ALERTS{alertname=~"Watchgate.+", alertstate="firing"})'
    return [
        alerts(
            Words(
                "Alerts",
                "Watchgate's alerts that fire or are about to, the gravest first. Each names its "
                "runbook.",
            ),
        ),
        states(
            Words(
                "Alerts that fired, and since when",
                "As Prometheus evaluates the rules. Click on a bar for the alert's runbook.",
            ),
            Query(
                or_zero(firing, alertname="no alert fires", severity="none"),
                "{{alertname}} ({{severity}})",
            ),
            {"0": ("none", GREEN), "1": ("fires", RED)},
            width=8,
            links=[to_board("SLOs", board.SLOS), to_docs("Runbooks", "runbooks")],
            row_link=to_docs("Runbook", "runbooks/${__field.labels.alertname}"),
        ),
        series(
            Words(
                "Requests that failed, by outcome",
                "Failures by Watchgate's or vLLM's doing. upstream_*: look at vLLM; "
                "safeguard_inactive: at the safeguards; internal_error: at the gateway's log.",
                "reqps",
            ),
            Query(
                or_zero(rate("requests_total", outcomes.FAILED, by="outcome"), outcome="none"),
                "{{outcome}}",
            ),
            stacked=True,
            links=[to_board("Gateway", board.GATEWAY), to_docs("Errors", "errors")],
        ),
        number(
            Words(
                "Faults of the last hour",
                "What should not happen at all, by the place to look at. The log of the process "
                "says more; detectors, dead letters and the audit log have pages of their own in "
                "the documentation.",
            ),
            *(Query(or_zero(expr), legend) for legend, expr in _faults().items()),
            width=24,
            decimals=0,
            limits=ANY_IS_BAD,
            links=[
                to_board("Pipeline", board.PIPELINE),
                to_board("Detectors", board.DETECTORS),
                to_docs("Worth a page", "operations", "health-and-metrics"),
            ],
        ),
    ]


def _faults() -> dict[str, str]:
    """Return what should not happen, and what counts it."""
    counters = {
        "dead letters": ("dead_letters_total", ""),
        "detector errors": ("detector_errors_total", ""),
        "files refused": ("detector_reloads_total", 'outcome="refused"'),
        "replicas ejected": ("upstream_ejections_total", ""),
        "alerts undelivered": ("alert_deliveries_total", 'outcome="failed"'),
        "shipper errors": ("ship_errors_total", ""),
        "limits store away": ("limits_away_total", ""),
        "audit log breaks": ("audit_log_breaks_total", ""),
    }
    ignored = newest("operating_points", 'state="ignored"', by="source")
    return {
        legend: total(metric, where, window=HOUR) for legend, (metric, where) in counters.items()
    } | {"points ignored": f"sum({ignored})"}


def whose_time() -> list[AnyPanel]:
    """Return where the time of requests goes: to us or to vLLM."""
    gateway, vllm = to_board("Gateway", board.GATEWAY), to_board("vLLM", board.VLLM)
    before, after = (mean("overhead_seconds", f'phase="{it}"') for it in ("before", "after"))
    duration = mean("request_duration_seconds")
    first, upstream_first = "time_to_first_token_seconds", "upstream_time_to_first_token_seconds"
    return [
        series(
            Words(
                "Where a request's time goes",
                "The mean of all models. Ours: before a request is forwarded, and from the "
                "upstream's last byte on. The rest is vLLM's, the network's and the caller's who "
                "reads slowly.",
                "s",
            ),
            Query(before, "Watchgate, before"),
            Query(after, "Watchgate, after"),
            Query(f"clamp_min({duration} - {before} - {after}, 0)", "vLLM and the network"),
            stacked=True,
            links=[gateway, vllm],
        ),
        series(
            Words(
                "Requests, from header to last byte",
                "Mostly vLLM's time, and longer the longer the answers are.",
                "s",
            ),
            *(
                Query(quantile(q, "request_duration_seconds", MODEL), f"p{100 * q:g}")
                for q in (0.5, 0.95, 0.99)
            ),
            links=[gateway, vllm],
        ),
        series(
            Words(
                "Streams: first token, p95",
                "To the caller, and as vLLM sent it. What lies between them is the time that an "
                "answer was held back to be screened.",
                "s",
            ),
            Query(quantile(0.95, first, MODEL), "to the caller"),
            Query(quantile(0.95, upstream_first, MODEL), "from vLLM"),
            links=[gateway, vllm],
        ),
    ]


def misused() -> list[AnyPanel]:
    """Return what is flagged, and who is turned away."""
    by = "detector, category"
    crossed = rate("verdicts_total", 'action!="none"', by=by)
    flagged = share(crossed, rate("verdicts_total", by=by))
    detectors, access = to_board("Detectors", board.DETECTORS), to_board("Access", board.ACCESS)
    return [
        shared.what_was_done(),
        series(
            Words(
                "Flagged, by detector",
                "Share of a detector's scores that crossed an operating point, in the category "
                "where most did. A jump is an attack, new traffic, or a new version.",
                "percentunit",
            ),
            Query(
                f"max by (detector) ({flagged})",
                "{{detector}}",
            ),
            links=[detectors],
        ),
        series(
            Words(
                "Turned away",
                "Requests without a valid key or token, that their caller may not make, and over "
                "a limit.",
                "reqps",
            ),
            Query(or_zero(rate("auth_failures_total")), "no valid key or token"),
            Query(or_zero(rate("access_denied_total")), "not allowed"),
            Query(rate("rate_limited_total"), "over a limit"),
            links=[access],
        ),
    ]
