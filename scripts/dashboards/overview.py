"""The first look: is every answer covered, is it up, what is wrong, is it fast, who attacks?"""

from scripts.dashboards import board, outcomes, overview_now
from scripts.dashboards.board import Board, Section, model_choice
from scripts.dashboards.panels import (
    ANY_IS_BAD,
    ANY_IS_ODD,
    AnyPanel,
    Limits,
    Query,
    Words,
    number,
    to_board,
    to_docs,
)
from scripts.dashboards.promql import (
    MODEL,
    count_of,
    named,
    newest,
    or_unknown,
    or_zero,
    quantile,
    rate,
    share,
    total,
    unless_none,
)


def overview() -> Board:
    """Return the dashboard that alerts and people come to first."""
    return Board(
        board.OVERVIEW,
        "Watchgate / Overview",
        "Is every answer covered, is it up, what is wrong now, is it fast, and whose time is it? "
        "Every panel links to where to look next.",
        [
            Section("Is every answer covered? (served = recorded = screened)", _covered()),
            Section("Is it up, and is it fast?", _up()),
            Section("What is wrong right now?", overview_now.wrong()),
            Section("Whose time is it?", overview_now.whose_time()),
            Section("Is it being misused?", overview_now.misused()),
        ],
        [model_choice()],
    )


def _covered() -> list[AnyPanel]:
    pipeline = to_board("Pipeline", board.PIPELINE)
    gap = f"sum({newest('coverage_gap_exchanges', MODEL, by='model, kind')})"
    safeguards = f"min by (model, safeguard) ({named('safeguard_active', MODEL)})"
    shown = f"max by (model, safeguard) ({named('safeguard_required', MODEL)}) == 0"
    return [
        number(
            Words(
                "Coverage gap",
                "Exchanges that were served and not recorded, or not screened within the tier's "
                "bound. Must be 0; `not known` means that no enforcer reports, which is as bad. "
                "`watchgate receipts show ID` tells what became of an exchange.",
            ),
            Query(or_unknown(gap), "exchanges"),
            limits=ANY_IS_BAD,
            links=[pipeline, to_docs("Receipts", "receipts")],
        ),
        number(
            Words(
                "Served, recorded, screened",
                "Exchanges of the time shown. Equal, but for those of the last seconds and what "
                "Prometheus rounds; the coverage gap is exact.",
            ),
            *(
                Query(f"round({total(f'exchanges_{it}_total', MODEL)})", it)
                for it in ("served", "recorded", "screened")
            ),
            width=8,
            decimals=0,
            links=[pipeline],
        ),
        number(
            Words(
                "Screening lag",
                "Age of the oldest record that is not known to be screened. Over 60 s models of "
                "tier 2 are refused, over 300 s those of tier 1.",
                "s",
            ),
            Query(or_unknown(newest("screening_lag_seconds")), "lag"),
            limits=Limits(orange=30, red=60),
            links=[pipeline],
        ),
        number(
            Words(
                "Parts left unscored",
                "Prompts, answers and exchanges that no detector could score, for a reason that "
                "is a gap in the coverage. Unscored never counts as passed.",
            ),
            Query(or_zero(total("unscanned_total", outcomes.UNSCORED)), "parts"),
            limits=ANY_IS_ODD,
            decimals=0,
            links=[pipeline, to_board("Detectors", board.DETECTORS)],
        ),
        number(
            Words(
                "Safeguards not proved",
                "Safeguards that a model is not served without and that are not proved active: "
                "it is refused with 503 safeguard_inactive.",
            ),
            Query(count_of(safeguards, f"== 0 unless on (model, safeguard) {shown}"), "safeguards"),
            limits=ANY_IS_BAD,
            links=[to_board("Gateway", board.GATEWAY), to_docs("Tiers", "tiers")],
        ),
    ]


def _up() -> list[AnyPanel]:
    gateway, vllm = to_board("Gateway", board.GATEWAY), to_board("vLLM", board.VLLM)
    replicas = f"min by (upstream, replica) ({named('upstream_up')})"
    asked = rate("requests_total", MODEL)
    failed = share(rate("requests_total", outcomes.FAILED), asked)
    return [
        number(
            Words(
                "Processes down",
                "Ops ports of Watchgate that Prometheus does not reach: the process is gone or "
                "stuck. `watchgate doctor` says what is wrong with an installation.",
            ),
            Query(count_of(named("up", 'job="watchgate"'), "== 0"), "down"),
            limits=ANY_IS_BAD,
            links=[to_docs("watchgate doctor", "operations", "what-is-wrong-watchgate-doctor")],
        ),
        number(
            Words(
                "Replicas of vLLM left out",
                "Replicas that are sent no requests after failures. When all of an upstream are "
                "out, callers get 502.",
            ),
            Query(count_of(replicas, "== 0"), "out"),
            limits=ANY_IS_BAD,
            links=[gateway, vllm],
        ),
        number(
            Words(
                "Requests that failed",
                "Share of requests that failed by Watchgate's or vLLM's doing, not by the "
                "caller's. Over the objective of 0.1 % the error budget burns too fast.",
                "percentunit",
            ),
            Query(unless_none(failed, asked), "failed"),
            limits=Limits(orange=0.001, red=0.01),
            links=[gateway, to_board("SLOs", board.SLOS)],
        ),
        number(
            Words("Requests", "Requests a second, refused ones too.", "reqps"),
            Query(or_unknown(asked), "requests"),
            links=[gateway],
        ),
        number(
            Words(
                "Own time, p99",
                "Watchgate's own time before a request is forwarded, the slowest in a hundred.",
                "s",
            ),
            Query(quantile(0.99, "overhead_seconds", 'phase="before"'), "before forwarding"),
            limits=Limits(orange=0.005, red=0.05),
            links=[gateway],
        ),
        number(
            Words(
                "First token, p95",
                "Of streams, as callers get it: mostly vLLM's time.",
                "s",
            ),
            Query(quantile(0.95, "time_to_first_token_seconds", MODEL), "to the caller"),
            links=[vllm, gateway],
        ),
    ]
