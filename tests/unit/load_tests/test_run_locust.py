import pytest

from load_tests.run_locust import main


@pytest.mark.parametrize("given", [[], ["--key", "sk-wg-1"], ["--model", "m"]])
def test_without_a_key_or_a_model_it_says_what_to_name(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) == 2
    assert "name KEY= (`watchgate keys create`) and MODEL=" in capsys.readouterr().err
