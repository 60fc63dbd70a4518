import ast

import pytest

from load_tests.processes import FOLDER
from load_tests.run_locust import main
from load_tests.scenarios import SCENARIOS, files_of


@pytest.mark.parametrize("given", [[], ["--key", "sk-wg-1"], ["--model", "m"]])
def test_without_a_key_or_a_model_it_says_what_to_name(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) == 2
    assert "name KEY= (`watchgate keys create`) and MODEL=" in capsys.readouterr().err


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_people_of_a_scenario_are_in_its_files(scenario: str) -> None:
    text = "".join((FOLDER / name).read_text() for name in files_of(scenario))
    classes = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)}
    assert set(SCENARIOS[scenario]) <= classes
    assert ("Bursts" in classes) == (scenario == "burst")


def test_a_scenario_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--scenario", "meteor"])
    assert "invalid choice: 'meteor'" in capsys.readouterr().err
