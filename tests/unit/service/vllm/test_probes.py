"""What a vLLM that is started here is told of probes."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from detectors.probe import MODEL_FOLDER
from service.vllm.commands import add_arguments, probing
from service.vllm.home import Home, VllmError
from service.vllm.probes import SHIPPED, announce, environment_for_probes


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(given)


def test_vllm_finds_the_plugin_and_nothing_else_of_ours(tmp_path: Path) -> None:
    folder = announce(tmp_path / "plugin")
    assert announce(folder) == folder  # a second start changes nothing
    look = (
        "import importlib.metadata as m, importlib.util as u; "
        "print([it.value for it in m.entry_points(group='vllm.general_plugins')]); "
        "print(u.find_spec('vllm_probe.plugin') is not None, u.find_spec('service'))"
    )
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.append({str(folder)!r}); {look}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['vllm_probe.plugin:register']", "True None"]


def test_the_small_model_gets_the_shipped_probes(tmp_path: Path) -> None:
    found = probing(Home(tmp_path), arguments("--probe-sockets", str(tmp_path / "s")))
    assert SHIPPED == MODEL_FOLDER
    assert found["WATCHGATE_PROBES"] == str(MODEL_FOLDER)
    assert found["WATCHGATE_PROBE_SOCKETS"] == str(tmp_path / "s")
    assert found["WATCHGATE_PROBE_CACHED"] == "1"
    assert (Path(found["PYTHONPATH"]) / "vllm_probe" / "plugin.py").exists()


def test_a_search_path_that_is_there_stays(tmp_path: Path) -> None:
    found = environment_for_probes(Home(tmp_path), SHIPPED, tmp_path, {"PYTHONPATH": "/mine"})
    assert found["PYTHONPATH"].endswith(":/mine")


def test_without_sockets_vllm_is_started_as_before(tmp_path: Path) -> None:
    assert probing(Home(tmp_path), arguments()) == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--probes", "p"], "--probes needs --probe-sockets"),
        (["--probe-sockets", "s", "--model", "/models/mine"], "those shipped are of smollm2 alone"),
        (["--probe-sockets", "s", "--probes", "nowhere"], "nowhere holds no probes"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, given: list[str], words: str) -> None:
    with pytest.raises(VllmError, match=words):
        probing(Home(tmp_path), arguments(*given))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("a file")
    with pytest.raises(VllmError, match="cannot be announced"):
        probing(Home(tmp_path), arguments("--probe-sockets", "s"))
