"""What the metrics tell of verdicts, whatever is in them."""

from prometheus_client import CollectorRegistry

from detectors.api import Category
from service.core.screening import NOT_SCANNED, OUTCOMES
from service.events.schema import Crossing, Verdict
from service.telemetry.metrics import Metrics
from service.workers.verdict_counts import VerdictCounts

SCORED = {"words": [Category.ANY, Category.CYBER], "rules": [Category.BIO]}


def verdict(
    number: int, *, model: str, detector: str, category: str, unscanned: str | None = None
) -> Verdict:
    crossed = (Crossing("point", category, 0.9, 0.5, "page"),) if number % 2 else ()
    return Verdict(
        exchange_id=f"ex-{number}", at=0.0, account="acme", project="acme", key="key", model=model,
        surface="chat", tier=1, id=f"v-{number}", part="prompt", detector=detector, version="1",
        digest="0", scores={} if unscanned else {category: 0.9}, crossed=crossed,
        unscanned=unscanned,
    )  # fmt: skip


def samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (it.name, frozenset(it.labels.items())): it.value
        for family in registry.collect()
        for it in family.samples
        if not it.name.endswith("_created")
    }


def test_all_that_may_come_stands_at_0_from_the_start() -> None:
    registry = CollectorRegistry()
    VerdictCounts(Metrics(registry)).declare(["m", "n"], SCORED)

    def values(name: str, label: str) -> set[str]:
        return {dict(labels)[label] for told, labels in samples(registry) if told == name}

    assert values("watchgate_verdicts_total", "action") == {*OUTCOMES}
    assert values("watchgate_verdicts_total", "category") == {"any", "cyber", "bio"}
    assert values("watchgate_unscanned_total", "reason") == {*NOT_SCANNED}
    assert values("watchgate_unscanned_total", "model") == {"m", "n"}
    assert values("watchgate_score_count", "detector") == {"words", "rules"}


def test_records_cannot_make_series_whatever_is_in_them() -> None:
    """A record may be of a gateway with other settings, and a detector a plugin of anyone's."""
    registry = CollectorRegistry()
    counts = VerdictCounts(Metrics(registry))
    counts.declare(["m", "n"], SCORED)

    def round_of(word: str) -> int:
        counts.count(
            [
                verdict(n, model=f"{word}-{n}", detector=f"{word}-{n}", category=f"{word}-{n}")
                for n in range(50)
            ]
            + [
                verdict(n, model=f"{word}-{n}", detector="rules", category="bio",
                        unscanned="detector_error")
                for n in range(50)
            ]
        )  # fmt: skip
        return len(samples(registry))

    first = round_of("one")
    assert round_of("two") == round_of("three") == first
    told = {"detector": "other", "category": "other", "action": "page"}
    assert registry.get_sample_value("watchgate_verdicts_total", told) == 3 * 25
    told = {"model": "other", "reason": "detector_error"}
    assert registry.get_sample_value("watchgate_unscanned_total", told) == 3 * 50
    assert registry.get_sample_value("watchgate_verdicts_total", {
        "detector": "words", "category": "any", "action": "none"}) == 0  # fmt: skip
