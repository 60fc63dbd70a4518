"""The metrics of judges: what asking guard models takes, and where they disagree with others."""

from service.telemetry.making import Maker


class JudgeMetrics:
    """By the names that the settings give judges and detectors, and by closed sets alone."""

    def __init__(self, make: Maker) -> None:
        """Register them."""
        self.requests = make.counter(
            "judge_requests_total", "Requests to a judge's guard, retries included.", "judge"
        )
        self.retries = make.counter(
            "judge_retries_total", "Requests that were made again, after a failure.", "judge"
        )
        self.request_seconds = make.counter(
            "judge_request_seconds_total",
            "Time that requests took; those made at once count each for itself.",
            "judge",
        )
        self.windows = make.counter(
            "judge_windows_total",
            'Windows of texts, by how judging them ended: "scored", "by_label_alone" (scored, and '
            "without the log-probabilities that were asked for), or the kind of failure; a text of "
            "too many windows counts once.",
            "judge", "outcome",
        )  # fmt: skip
        self.tokens = make.counter(
            "judge_tokens_total",
            'Tokens of answers as the guard counted them: "prompt" and "completion".',
            "judge", "kind",
        )  # fmt: skip
        self.cost = make.counter(
            "judge_cost_total",
            "What these tokens cost, in the currency of the settings' prices.",
            "judge",
        )
        self.breaker_open = make.gauge(
            "judge_breaker_open",
            "1 while a guard that failed many times in a row is left alone.",
            "judge", merge="livemax",
        )  # fmt: skip
        self.disagreements = make.counter(
            "judge_disagreements_total",
            "Texts that a judge and another detector scored apart, one from 0.8 on and the other "
            'up to 0.2, by who saw misuse: "judge" or "detector".',
            "judge", "detector", "category", "seen_by",
        )  # fmt: skip
