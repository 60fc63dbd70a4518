from pathlib import Path

import pytest

from detectors.errors import DataError
from detectors.retraining.config import KEYS, TrainingConfig, read
from detectors.retraining.rows import RowFile

SHORTEST = "rows: [mine.jsonl]\noutput: model\n"


def config(tmp_path: Path, text: str) -> TrainingConfig:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    return read(path)


def test_two_keys_suffice_and_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = config(tmp_path, SHORTEST)

    assert found == TrainingConfig((RowFile(tmp_path / "mine.jsonl"),), tmp_path / "model")


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
rows:
  - plain.jsonl
  - {file: /srv/bought.jsonl, licence: of their own}
output: /srv/model
base: /srv/base
seed: 3
prior: 2.5
held_out: 0.25
data: pool
check_rows: [check.jsonl]
"""
    found = config(tmp_path, text)

    assert found.rows[1] == RowFile(Path("/srv/bought.jsonl"), "of their own")
    assert (found.base, found.seed, found.prior) == (Path("/srv/base"), 3, 2.5)
    assert (found.held_out, found.data) == (0.25, tmp_path / "pool")
    assert found.check_rows == (tmp_path / "check.jsonl",)
    assert set(KEYS) == set(TrainingConfig.__slots__)


def test_shipped_and_auto_are_what_there_is_without_the_keys(tmp_path: Path) -> None:
    assert config(tmp_path, SHORTEST + "base: shipped\nprior: auto\n") == config(tmp_path, SHORTEST)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rows: [a.jsonl]\n", "the key output is missing"),
        ("output: model\n", "the key rows is missing"),
        (SHORTEST + "priors: 1\n", "did you mean prior?"),
        (SHORTEST + "colour: red\n", "there are: rows, output"),
        (SHORTEST + "output: other\n", "the key 'output' comes twice"),
        ("rows: a.jsonl\noutput: m\n", "must be a list with one entry at least"),
        ("rows: [{licence: MIT}]\noutput: m\n", "must hold paths, or file and licence"),
        ("rows: [{file: a, owner: me}]\noutput: m\n", "may have file, licence alone"),
        ("rows: [7]\noutput: m\n", "must be a mapping with file, licence"),
        (SHORTEST + "seed: -1\n", "a whole number from 0 on"),
        (SHORTEST + "seed: true\n", "a whole number from 0 on"),
        (SHORTEST + "prior: 0\n", "must be auto or a number above 0"),
        (SHORTEST + "prior: .inf\n", "must be auto or a number above 0"),
        (SHORTEST + "held_out: 0.9\n", "a share from 0 to 0.5"),
        ("- rows\n", "must be a mapping: it needs rows and output"),
        ("rows: [", "line 1"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=r"train\.yaml") as raised:
        config(tmp_path, text)

    assert words in str(raised.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        config(tmp_path, "prior: strong\nseed: now\nhue: 1\n")

    assert len(str(raised.value).splitlines()) == 5


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.yaml cannot be read"):
        read(tmp_path / "none.yaml")
