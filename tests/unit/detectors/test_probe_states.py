"""States on disk: begun, gone on with, and read back whole or not at all."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detectors.errors import DataError
from detectors.probe.collecting import collect
from detectors.probe.states import Plan, begin, manifest_of, missing, read, shards
from tests.unit.detectors.probe_states import HIDDEN, LAYERS, model, rows, states_of, write
from vllm_probe.collecting import LINEAR, path_of

COUNT = 600


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(model(tmp_path / "model"), LAYERS)


def test_what_is_written_comes_back(tmp_path: Path, plan: Plan) -> None:
    some = rows(COUNT)
    states, of_model = states_of(some), manifest_of(some, plan)
    write(tmp_path / "states", some, of_model, states)
    found = read(tmp_path / "states")
    assert found.manifest == of_model
    assert found.rows == states.rows
    assert (found.values == states.values).all()
    assert found.of(5, LINEAR[1]).shape == (COUNT, HIDDEN)


def test_no_text_is_kept(tmp_path: Path, plan: Plan) -> None:
    some = rows(20, answers=True)
    write(tmp_path / "states", some, manifest_of(some, plan), states_of(some))
    for path in (tmp_path / "states").iterdir():
        assert b"text 1" not in path.read_bytes()
        assert b"answer 1" not in path.read_bytes()


def test_what_is_missing_is_named_and_no_more_is_read(tmp_path: Path, plan: Plan) -> None:
    some = rows(COUNT)
    folder = tmp_path / "states"
    write(folder, some, manifest_of(some, plan), states_of(some))
    path_of(folder, 1).unlink()
    assert missing(folder, COUNT) == [(1, slice(256, 512))]
    with pytest.raises(DataError, match="lacks 1 files of states: let `collect` go on"):
        read(folder)


def test_a_job_that_was_begun_goes_on_and_another_does_not(tmp_path: Path, plan: Plan) -> None:
    some, folder = rows(10), tmp_path / "states"
    begin(folder, some, manifest_of(some, plan))
    begin(folder, some, manifest_of(some, plan))
    for other in (manifest_of(some[1:], plan), manifest_of(some, Plan(plan.model, (3,)))):
        with pytest.raises(DataError, match="states of another model, of other rows"):
            begin(folder, some, other)


def test_states_that_are_not_what_the_manifest_says_are_refused(tmp_path: Path, plan: Plan) -> None:
    some, folder = rows(10), tmp_path / "states"
    write(folder, some, manifest_of(some, plan), states_of(some))
    with path_of(folder, 0).open("wb") as file:
        np.save(file, np.zeros((10, 1, 1, HIDDEN), np.float16))
    with pytest.raises(DataError, match=r"is not what its manifest\.json says"):
        read(folder)
    path_of(folder, 0).write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read"):
        read(folder)


def test_rows_that_were_changed_are_noticed(tmp_path: Path, plan: Plan) -> None:
    some, folder = rows(10), tmp_path / "states"
    write(folder, some, manifest_of(some, plan), states_of(some))
    lines = (folder / "rows.jsonl").read_text()
    (folder / "rows.jsonl").write_text(lines.replace('"label":1', '"label":0', 1))
    with pytest.raises(DataError, match=r"is not what its manifest\.json says"):
        read(folder)


def test_a_folder_without_states_is_told_from_one_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name a folder that `watchgate probes collect` made"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="no manifest of states"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: (it / "config.json").unlink(), "holds no model that vLLM would serve"),
        (lambda it: (it / "config.json").write_text("[]"), "holds no model"),
        (lambda it: (it / "model.safetensors").unlink(), "holds no file of weights"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    plan: Plan, change: Callable[[Path], object], words: str
) -> None:
    change(plan.model)
    with pytest.raises(DataError, match=words):
        manifest_of(rows(2), plan)


def test_layers_that_the_model_does_not_have_are_refused(plan: Plan) -> None:
    with pytest.raises(DataError, match="are 0 to 7"):
        manifest_of(rows(2), Plan(plan.model, (8,)))


def test_layers_that_nobody_names_lie_in_the_middle(plan: Plan) -> None:
    found = manifest_of(rows(2), Plan(plan.model)).layers
    assert found == tuple(sorted(found))
    assert 0 < found[0] < found[-1] < 7


def test_shards_hold_every_row_once() -> None:
    numbers = [n for _, chosen in shards(COUNT) for n in range(chosen.start, chosen.stop)]
    assert numbers == [*range(COUNT)]


def test_a_python_that_cannot_read_is_told_with_what_it_lacks(tmp_path: Path, plan: Plan) -> None:
    some, said = rows(3), list[str]()
    lacking = Plan(plan.model, LAYERS, python=Path(sys.executable))  # which has no torch
    with pytest.raises(DataError, match="has no torch: name one that has, and "):
        collect(some, lacking, tmp_path / "states", said.append, show_progress=False)
    assert said == ["3 of 3 rows to read, 0 MB to write: layers 2, 5 of 8"]
    gone = Plan(plan.model, LAYERS, python=tmp_path / "no-python")
    with pytest.raises(DataError, match="cannot be run"):
        collect(some, gone, tmp_path / "states", said.append, show_progress=False)
    with pytest.raises(DataError, match="lacks 1 files"):
        read(tmp_path / "states")
