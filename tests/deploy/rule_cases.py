"""The alert rules, and the cases that promtool tests them by.

A file of cases, `rules/NAME.yaml`, belongs to the rule file of the same name. Each of its entries
is about one alerting rule:

    alert: WatchgateCoverageGap
    which: {window: 1h}              # where several rules have the name: labels that tell which
    labels: {model: chat}            # what the alert carries beyond the rule's own labels
    step: 1m                         # between two samples, and between two looks at the rules
    firing: {SERIES: VALUES, …}      # makes the alert fire
    begins: 10m                      # when what it asks for is first true
    threshold: {SERIES: VALUES, …}   # at the limit, or as near as it gets: it never fires
    healthy: {SERIES: VALUES, …}     # as usual: it never fires
    also:                            # what else is to hold
      - {name: after a restart, fires: false, series: {SERIES: VALUES, …}}

Where `firing` is true and the rule's `for` is not yet over, the alert is pending; once it is over,
it fires. Series of `common` are in every case of the entry that does not give them itself. Values
are in promtool's notation: AxN is A and N more of it, A+BxN is A and N more, each by B larger, and
_xN are N looks that found nothing.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "deploy/helm/watchgate/rules"
CASES: Final = Path(__file__).resolve().parent / "rules"
RULE_FILES: Final = sorted(RULES.glob("*.yaml"))

Series = Mapping[str, str]
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Rule:
    """An alerting rule."""

    file: Path
    alert: str
    expr: str
    for_s: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """What one rule is to do with what it sees."""

    alert: str
    labels: Mapping[str, str]
    firing: Series
    begins: str
    threshold: Series
    healthy: Series
    which: Mapping[str, str] = field(default_factory=dict)
    step: str = "1m"
    common: Series = field(default_factory=dict)
    also: Sequence[Mapping[str, Any]] = ()

    def is_of(self, rule: Rule) -> bool:
        """Say whether it is about this rule."""
        return self.alert == rule.alert and self.which.items() <= rule.labels.items()


def groups_of(file: Path) -> list[dict[str, Any]]:
    """Return the groups of a rule file."""
    return list(yaml.safe_load(file.read_text(encoding="utf-8"))["groups"])


def entries_of(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rules of a file, those that record too."""
    for group in groups_of(file):
        yield from group["rules"]


@cache
def rules_of(file: Path) -> tuple[Rule, ...]:
    """Return the alerting rules of a file."""
    return tuple(
        Rule(
            file, it["alert"], it["expr"], seconds(it.get("for", "0s")), it["labels"],
            it["annotations"],
        )
        for it in entries_of(file)
        if "alert" in it
    )  # fmt: skip


@cache
def cases_of(file: Path) -> tuple[Case, ...]:
    """Return the cases of a rule file; there are none where it has no file of cases."""
    path = CASES / file.name
    if not path.exists():
        return ()
    # as text: YAML would take 0x40 for a number
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    return tuple(Case(**entry) for entry in entries)


def seconds(duration: str) -> int:
    """Return the seconds of a duration of Prometheus, such as 1h30m."""
    return sum(int(n) * _UNITS_S[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


def promtool_tests(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (step, a test file of promtool) for each step that the cases of a rule file take."""
    cases = [(case, rule) for rule in rules_of(file) for case in cases_of(file) if case.is_of(rule)]
    for step in sorted({case.step for case, _ in cases}):
        tests = [test for case, rule in cases if case.step == step for test in _tests(case, rule)]
        yield (
            step,
            json.dumps({"rule_files": [str(file)], "evaluation_interval": step, "tests": tests}),
        )


def _tests(case: Case, rule: Rule) -> Iterator[dict[str, Any]]:
    begins_s, step_s = seconds(case.begins), seconds(case.step)
    fires_s = begins_s + math.ceil(rule.for_s / step_s) * step_s
    end_s = fires_s + 10 * step_s
    asked = {"alertname": rule.alert, **rule.labels}
    expected = _alerts({**asked, **case.labels}, "firing")

    def test(name: str, series: Series, *looks: dict[str, Any]) -> dict[str, Any]:
        named = {**case.common, **series}
        return {
            "name": f"{rule.alert} {dict(case.which) or ''}: {name}",
            "interval": case.step,
            "input_series": [
                {"series": it, "values": _notation(values)} for it, values in named.items()
            ],
            "promql_expr_test": list(looks),
        }

    def never() -> dict[str, Any]:
        return _look(f"count_over_time({_alerts(asked, 'firing')}[{end_s}s])", end_s)

    firing = _alerts(asked, "firing")
    pending = _look(f"count({_alerts(asked, 'pending')})", begins_s, ("{}", 1))
    yield test(
        "not before its pending period is over, and then",
        case.firing,
        *((pending,) if rule.for_s else ()),
        _look(firing, fires_s - step_s),
        _look(firing, fires_s, (expected, 1)),
    )
    yield test("at the threshold", case.threshold, never())
    yield test("while all is well", case.healthy, never())
    for one in case.also:
        look = _look(firing, end_s, (expected, 1)) if one["fires"] == "true" else never()
        yield test(one["name"], one["series"], look)


def _look(expr: str, at_s: int, *expected: tuple[str, float]) -> dict[str, Any]:
    samples = [{"labels": labels, "value": value} for labels, value in expected]
    return {"expr": expr, "eval_time": f"{at_s}s", "exp_samples": samples}


def _notation(values: str) -> str:
    """Write what would be read as a hexadecimal number, such as 0x9, otherwise."""
    return re.sub(r"(?<![\w.+-])0x", "0+0x", values)


def _alerts(labels: Mapping[str, str], state: str) -> str:
    named = {**labels, "alertstate": state}
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in named.items()) + "}"
