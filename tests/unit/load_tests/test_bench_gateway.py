import pytest

from load_tests.bench_gateway import DEFAULT, main
from load_tests.registry import SYSTEMS


def test_every_system_is_measured_but_the_mock_alone() -> None:
    assert set(DEFAULT) == SYSTEMS.keys() - {"direct"}


@pytest.mark.parametrize(
    "wrong", [["--only", "apache"], ["--figures", "beauty"], ["--rounds", "0"]]
)
def test_what_is_not_known_is_refused_before_anything_starts(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
