import argparse
import json
from pathlib import Path

import pytest

from load_tests.measure import Load, Reading
from load_tests.performance import write_section
from load_tests.processes import BenchError
from load_tests.report import markdown, table
from load_tests.results import Results, Round

QUANTILES = {"p50": 1.0, "p90": 2.0, "p99": 3.0}
LOAD = Load(10, 1010, 0, 2.0, QUANTILES, QUANTILES)
OPTIONS = argparse.Namespace(rounds=2, seconds=4.0, only=("envoy",), also=(), figures=("json",))


def round_of(figure: str = "json", **values: float) -> Round:
    return {figure: {name: Reading(value, 5.0, LOAD) for name, value in values.items()}}


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_table_shows_the_median_the_range_and_the_ratio_to_envoy() -> None:
    rounds = [round_of(envoy=100.0, nginx=20.0), round_of(envoy=200.0, nginx=60.0)]
    assert rows(table(Results(rounds)))[2] == "nginx 40.0 (20.0 to 60.0) 0.25 (0.20 to 0.30) 5"


def test_the_part_of_the_gateway_process_has_a_row_of_its_own() -> None:
    reading = Reading(300.0, 5.0, LOAD, gateway=100.0)
    said = rows(table(Results([{"json": {"watchgate-observe": reading}}])))
    assert said[2] == "of it watchgate-observe's gateway process 100.0 (100.0 to 100.0)"


def test_the_table_without_envoy_has_no_ratios() -> None:
    assert rows(table(Results([round_of(nginx=20.0)])))[1] == "nginx 20.0 (20.0 to 20.0) 5"


def test_what_is_missing_or_failed_is_named_with_its_reason() -> None:
    results = Results([round_of(envoy=1.0)], {"portkey": "no npm"}, {("json", "litellm"): "slow"})
    said = table(results)
    assert "portkey is missing: no npm" in said
    assert "litellm failed at “CPU-µs per JSON request, 1.5 KiB”: slow" in said


def test_a_system_that_failed_in_a_later_round_is_in_no_table() -> None:
    rounds = [round_of(envoy=1.0, litellm=2.0), round_of(envoy=1.0)]
    results = Results(rounds, failed={("json", "litellm"): "slow"})
    assert results.costs() == {"json": {"envoy": [1.0, 1.0]}}


def test_the_costs_are_listed_by_figure_and_system_for_the_budgets() -> None:
    rounds = [round_of(envoy=100.0), round_of(envoy=200.0)]
    assert Results(rounds).costs() == {"json": {"envoy": [100.0, 200.0]}}


def test_the_json_report_holds_summaries_and_every_round() -> None:
    results = Results([round_of(envoy=100.0), round_of(envoy=200.0)], {"nginx": "no apt"})
    told = json.loads(json.dumps(results.as_json()))
    assert told["summaries"]["json"]["envoy"] == {"median": 150.0, "low": 100.0, "high": 200.0}
    assert told["missing"] == {"nginx": "no apt"}
    assert [r["json"]["envoy"]["load"]["requests"] for r in told["rounds"]] == [10, 10]


def test_a_document_gets_the_tables_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("# Words\n<!-- measured -->\nold\n<!-- /measured -->\nend\n")
    write_section(document, Results([round_of(envoy=100.0)]), OPTIONS, 0.5, ["too much"])
    text = document.read_text()
    assert text.startswith("# Words\n<!-- measured -->\n- When: ")
    assert text.endswith("- too much\n<!-- /measured -->\nend\n")
    assert "| envoy | 100.0 (100.0 to 100.0) | 1.00 (1.00 to 1.00) | 5 |" in text
    assert "--rounds 2 --seconds 4 --only envoy --figures json" in text


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "other.md"
    document.write_text("# Words\n")
    with pytest.raises(BenchError, match="has no place for figures"):
        write_section(document, Results([round_of(envoy=1.0)]), OPTIONS, 0.5, [])
    assert document.read_text() == "# Words\n"


def test_the_markdown_has_a_table_for_each_figure() -> None:
    results = Results([{**round_of(envoy=1.0), **round_of("memory", envoy=2.0)}])
    assert markdown(results).count("|---|---|---|---|") == 2
