"""What the benchmark of telemetry makes of its figures."""

from pathlib import Path

import pytest

from load_tests import bench_telemetry
from load_tests.bench_telemetry import BEGIN, END, judge, report, write
from load_tests.processes import BenchError

OFF = [100.0, 200.0, 100.0, 150.0]
COSTS = {
    "off": OFF,
    "metrics": [it * 1.02 for it in OFF],
    "default": [it * 1.05 for it in OFF],
    "all": [it * 1.5 for it in OFF],
}


def test_a_report_tells_the_ratio_of_each_round_and_how_busy_the_machine_was() -> None:
    said = report({"json": COSTS}, 1.5)
    assert "1.050 (1.050 to 1.050)" in said
    assert "1.500 (1.500 to 1.500)" in said
    assert "4 rounds; load average 1.5 before" in said


def test_the_budget_is_for_the_default_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge({"json": COSTS}) == 0
    assert judge({"json": {**COSTS, "default": [it * 1.2 for it in OFF]}}) == 1
    assert "telemetry takes 1.200 times off, the budget is 1.1" in capsys.readouterr().err


def test_figures_are_written_where_the_document_has_a_place_for_them(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, "new")
    assert document.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    document.write_text("no place")
    with pytest.raises(BenchError, match="has no place for figures"):
        write(document, "new")


def test_the_document_has_a_place() -> None:
    text = (Path(bench_telemetry.__file__).parents[1] / "docs/performance.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
