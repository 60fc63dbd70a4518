"""Operating points in an installation that runs: set by commands, met by every process."""

import json
from pathlib import Path
from typing import Any

from service.events.schema import Crossing
from tests.real_parts.installation import Installation, installation
from tests.real_parts.serving import until

WITHIN_S = 10.0
"""Until a change has its effect; that it takes less than two is measured in test_gateway_points."""
WHY = ("--reason", "a test")
EVERYTHING = (
    *("--detector", "lexical", "--category", "any", "--part", "prompt"),
    *("--threshold", "0", "--models", "fast"),
)


def points(one: Installation, *words: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
    done = one.command("points", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def crossings(one: Installation, point: str) -> list[Crossing]:
    """Return what the screener found to cross a point."""
    return [it for verdict in one.verdicts() for it in verdict.crossed if it.point == point]


def last(one: Installation, id_: str) -> Crossing:
    return crossings(one, id_)[-1]


def test_a_promoted_point_is_met_by_the_gateway_and_the_screener_and_a_rollback_undoes_it(
    tmp_path: Path,
) -> None:
    with installation(tmp_path) as one:
        assert one.chat_status() == 200
        id_ = points(one, "propose", *EVERYTHING, "--action", "block", *WHY)["id"]
        points(one, "promote", id_, *WHY)
        until(lambda: one.chat_status() == 400, WITHIN_S)
        until(lambda: bool(crossings(one, id_)), 10)
        assert crossings(one, id_)[0].version == 1
        points(one, "propose", id_, "--action", "case", *WHY)
        points(one, "promote", id_, *WHY)
        until(lambda: one.chat_status() == 200, WITHIN_S)
        # each process hears of it by itself: the first that the gateway let go may be judged by the
        # version before
        until(lambda: one.chat_status() == 200 and last(one, id_).action == "case", 10)
        assert crossings(one, id_)[-1].version == 2
        until(lambda: one.metric("watchgate_verdicts_total", action="page") > 0, 10)
        points(one, "rollback", id_, *WHY)
        until(lambda: one.chat_status() == 400, WITHIN_S)
        labels = {"source": "store", "state": "active"}
        assert one.metric("watchgate_operating_points", **labels) == 1
        points(one, "retire", id_, *WHY)
        until(lambda: one.chat_status() == 200, WITHIN_S)
        until(lambda: one.metric("watchgate_operating_points", **labels) == 0, 10)
