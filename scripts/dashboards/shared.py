"""Panels that are on more than one dashboard, the same on each."""

from scripts.dashboards import board
from scripts.dashboards.panels import AnyPanel, Limits, Query, Words, series, to_board, to_docs
from scripts.dashboards.promql import MODEL, newest, or_zero, quantile, rate


def what_was_done(width: int = 8) -> AnyPanel:
    """Return what enforcement did."""
    return series(
        Words(
            "What was done",
            "Alerts raised (page), prompts refused (block), answers cut off (cut_off).",
            "suffix: /h",
        ),
        Query(
            or_zero(f"3600 * {rate('enforcements_total', by='action')}", action="none"),
            "{{action}}",
        ),
        width=width,
        links=[to_board("Detectors", board.DETECTORS), to_docs("Alerts", "alerts")],
    )


def left_unscored(where: str = "") -> AnyPanel:
    """Return what no detector could score."""
    return series(
        Words(
            "Left unscored, by reason",
            "Parts of exchanges that could not be scored. detector_error, over_budget, "
            "no_detector, unreadable and encrypted are gaps in the coverage.",
            "suffix: /s",
        ),
        Query(or_zero(rate("unscanned_total", where, by="reason"), reason="none"), "{{reason}}"),
        links=[to_board("Detectors", board.DETECTORS), to_docs("Detectors", "detectors")],
    )


def time_to_record(width: int) -> AnyPanel:
    """Return how long the journal takes."""
    return series(
        Words(
            "Time to write a record",
            "Until it reached the level that its tier names: written, or synced. It is part of a "
            "request's own time: a slow disk shows here first.",
            "s",
        ),
        *(Query(quantile(q, "journal_append_seconds"), f"p{100 * q:g}") for q in (0.5, 0.99)),
        width=width,
        limits=Limits(orange=0.05),
        links=[to_board("Pipeline", board.PIPELINE)],
    )


def age_of_snapshot(width: int) -> AnyPanel:
    """Return how old what the gateway knows is."""
    return series(
        Words(
            "Age of what the gateway knows",
            "Time since it last heard of the store: keys that were revoked since are still let "
            "in. Each tier bounds it.",
            "s",
        ),
        Query(newest("snapshot_age_seconds"), "oldest"),
        width=width,
        limits=Limits(orange=10, red=60),
        links=[to_docs("While the store is away", "store", "while-the-store-is-away")],
    )


def tokens(width: int) -> AnyPanel:
    """Return the tokens that models took and gave."""
    return series(
        Words(
            "Tokens",
            "As the upstream counted them, by model and kind: what budgets are counted by.",
            "suffix: tokens/s",
        ),
        Query(rate("tokens_total", MODEL, by="model, kind"), "{{model}}, {{kind}}"),
        width=width,
        stacked=True,
        links=[to_board("vLLM", board.VLLM), to_docs("Limits", "limits")],
    )
