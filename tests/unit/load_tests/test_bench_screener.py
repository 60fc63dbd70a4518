import json
from pathlib import Path

import pytest

from load_tests.bench_screener import main


def test_every_exchange_is_scored_and_the_dear_stage_has_its_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--exchanges", "40", "--chars", "60", "--folder", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stages"]["lexical"]["texts"] == 120, "prompts, answers and exchanges"
    assert found["exchanges_per_s"] > 0
    assert list(tmp_path.iterdir()) == []
