"""Of the detectors' dashboard: failures, versions, time, cascades and judges."""

from scripts.dashboards import shared
from scripts.dashboards.panels import (
    ANY_IS_BAD,
    GREEN,
    GREY,
    RED,
    AnyPanel,
    Query,
    Words,
    heat,
    rows,
    series,
    states,
    to_docs,
)
from scripts.dashboards.promql import buckets, lately, newest, or_zero, quantile, rate, share

_CHOSEN = 'detector=~"$detector"'


def health() -> list[AnyPanel]:
    """Return whether detectors work, how long they take, and which versions are in use."""
    return [
        series(
            Words(
                "Scoring a batch",
                "In the screener, by detector; a judge's takes as long as its guard.",
                "s",
            ),
            *(
                Query(
                    quantile(q, "detector_seconds", _CHOSEN, by="detector"),
                    f"{{{{detector}}}}, p{100 * q:g}",
                )
                for q in (0.5, 0.99)
            ),
        ),
        heat(
            Words("Batches by the time to score them", "Of the chosen detectors.", "s"),
            buckets("detector_seconds", _CHOSEN),
        ),
        shared.left_unscored(),
        series(
            Words(
                "Failures",
                "Batches that a detector failed on. What it should have scored "
                "counts as unscored.",
            ),
            Query(
                or_zero(
                    lately("detector_errors_total", _CHOSEN, by="detector"), detector="none"
                ),
                "{{detector}}",
            ),
            limits=ANY_IS_BAD,
        ),
        series(
            Words(
                "New files",
                "Loaded or refused. Refused: the version before goes on, and "
                "the log says why.",
            ),
            Query(
                or_zero(
                    lately("detector_reloads_total", _CHOSEN, by="detector, outcome"),
                    detector="none",
                    outcome="new",
                ),
                "{{detector}}: {{outcome}}",
            ),
            links=[to_docs("New files", "detectors", "new-files-of-a-model-or-of-rules")],
        ),
        states(
            Words(
                "Versions in use",
                "A step of the scores where a version changed is no drift. Points are measured "
                "with a version: another one's scores are other scores.",
            ),
            Query(newest("detector_info", _CHOSEN, by="detector, version"),
                  "{{detector}} {{version}}"),
            {"0": ("replaced", GREY), "1": ("in use", GREEN)},
            width=8,
        ),
    ]  # fmt: skip


def cascades() -> list[AnyPanel]:
    """Return whom cascades ask, and what that costs; without one, zeros."""
    by = "detector, stage"
    texts = rate("detector_stage_texts_total", _CHOSEN, by=f"{by}, outcome")
    all_texts = rate("detector_stage_texts_total", _CHOSEN, by=by)
    scored = rate("detector_stage_texts_total", f'{_CHOSEN}, outcome="scored"', by=by)
    seconds = rate("detector_stage_seconds_total", _CHOSEN, by=by)
    chars = rate("detector_stage_chars_total", _CHOSEN, by=by)
    nobody = {"detector": "no cascade", "stage": "none"}
    return [
        series(
            Words(
                "Texts by stage and outcome",
                "Share of the texts that came to a stage: scored, or why it was not asked (band, "
                "budget, part) or said nothing (failed).",
                "percentunit",
            ),
            Query(
                or_zero(
                    f"{texts} / on({by}) group_left() ({all_texts} > 0)", **nobody, outcome="none"
                ),
                "{{detector}}: {{stage}}, {{outcome}}",
            ),
            links=[to_docs("Cascades", "detectors", "several-detectors")],
        ),
        series(
            Words(
                "Time by stage",
                "Seconds of work a second: 1 keeps a core, or a guard, busy.",
                "suffix: s/s",
            ),
            Query(or_zero(seconds, **nobody), "{{detector}}: {{stage}}"),
            stacked=True,
        ),
        series(
            Words("Characters by stage", "Of the texts that it scored.", "suffix: chars/s"),
            Query(or_zero(chars, **nobody), "{{detector}}: {{stage}}"),
        ),
        rows(
            Words(
                "What a stage costs",
                "Of each stage: share of texts that it scored, and time a text, lately.",
            ),
            Query(or_zero(share(scored, all_texts), **nobody), "share scored"),
            Query(or_zero(share(seconds, scored), **nobody), "s a text"),
            Query(or_zero(share(chars, scored), **nobody), "chars a text"),
            width=24,
            height=6,
        ),
    ]


def judges() -> list[AnyPanel]:
    """Return what guard models take, and where they disagree; without one, zeros."""
    seconds = rate("judge_request_seconds_total", by="judge")
    return [
        series(
            Words(
                "Windows of texts, by outcome",
                "scored and by_label_alone are answers; anything else is a failure of the guard "
                "or an answer that cannot be read.",
                "suffix: /s",
            ),
            Query(
                or_zero(rate("judge_windows_total", by="judge, outcome"),
                        judge="no judge", outcome="none"),
                "{{judge}}: {{outcome}}",
            ),
            links=[to_docs("Judges", "judge")],
        ),
        series(
            Words("Time of a request", "The mean, by judge, retries included.", "s"),
            Query(
                or_zero(share(seconds, rate("judge_requests_total", by="judge")),
                        judge="no judge"),
                "{{judge}}",
            ),
        ),
        states(
            Words(
                "Guards left alone",
                "After many failures in a row a guard is asked nothing for a while.",
            ),
            Query(or_zero(newest("judge_breaker_open", by="judge"), judge="no judge"),
                  "{{judge}}"),
            {"0": ("asked", GREEN), "1": ("left alone", RED)},
            width=8,
            links=[to_docs("When it fails", "judge", "when-it-fails")],
        ),
        series(
            Words("Requests and retries", "To guards, retries included.", "reqps"),
            Query(or_zero(rate("judge_requests_total", by="judge"), judge="no judge"),
                  "{{judge}}: requests"),
            Query(or_zero(rate("judge_retries_total", by="judge"), judge="no judge"),
                  "{{judge}}: retries"),
            width=6,
        ),
        series(
            Words("Tokens", "Of guards, as they counted them.", "suffix: tokens/s"),
            Query(or_zero(rate("judge_tokens_total", by="judge, kind"),
                          judge="no judge", kind="none"),
                  "{{judge}}: {{kind}}"),
            width=6,
        ),
        series(
            Words("Cost", "An hour, in the currency of the settings' prices.", "suffix: /h"),
            Query(or_zero(f"3600 * {rate('judge_cost_total', by='judge')}", judge="no judge"),
                  "{{judge}}"),
            width=6,
        ),
        series(
            Words(
                "Disagreements",
                "Texts that a judge and another detector scored far apart, by who saw misuse. "
                "What the judge alone sees is what the other should learn.",
                "suffix: /h",
            ),
            Query(
                or_zero(
                    f"3600 * {rate('judge_disagreements_total', by='judge, detector, seen_by')}",
                    judge="no judge", detector="none", seen_by="none",
                ),
                "{{judge}} and {{detector}}: {{seen_by}}",
            ),
            width=6,
            links=[to_docs("Judges", "judge")],
        ),
    ]  # fmt: skip
