"""The size script counts as it says, and refuses what is too long."""

from pathlib import Path

import pytest

from scripts.check_sizes import Size, function_sizes, main, median_and_p90, problems

CODE = '''\
def documented(a: int) -> int:
    """Say what it does.

    At length.
    """
    # Why it is so.

    text = """two
    lines"""
    return len(text) + a


def outer() -> int:
    def inner() -> int:
        return 1

    return inner()
'''


def sizes_of(code: str, folder: Path) -> dict[str, int]:
    file = folder / "code.py"
    file.write_text(code)
    return {size.where.split()[-1]: size.lines for size in function_sizes(file)}


def test_docstrings_comments_blank_lines_and_inner_functions_do_not_count(tmp_path: Path) -> None:
    assert sizes_of(CODE, tmp_path) == {"documented": 4, "outer": 2, "inner": 2}


def test_the_ninetieth_percentile_is_what_nine_in_ten_do_not_pass() -> None:
    sizes = [Size(n, str(n)) for n in range(1, 11)]
    assert median_and_p90(sizes) == (5.5, 9)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([9] * 9 + [29], None),
        ([10] * 10, "the median function has 10 lines"),
        ([1] * 8 + [30, 30], "one function in ten has 30 lines"),
    ],
)
def test_functions_are_held_to_the_median_and_the_ninetieth_percentile(
    lengths: list[int], said: str | None
) -> None:
    found = problems([Size(n, "f") for n in lengths], [])
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)


@pytest.mark.parametrize(("lines", "code"), [(300, 0), (301, 1)])
def test_a_file_of_over_300_lines_is_refused(
    lines: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * lines)
    assert main([str(tmp_path)]) == code
    assert ("has 301 lines" in capsys.readouterr().err) == (code == 1)


def test_an_empty_folder_is_no_problem(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
