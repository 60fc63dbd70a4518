"""The installed package: with the C part where there is a compiler, without it elsewhere."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from detectors.compiling import library_name

ROOT = Path(__file__).resolve().parents[2]
BUILD_S = 120


def built(folder: Path, environment: Mapping[str, str] = os.environ) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*command, str(folder)], cwd=ROOT, env=environment, check=True, timeout=BUILD_S)
    [wheel] = folder.glob("*.whl")
    return wheel


def scores_of(installed: Path) -> str:
    """Return what a process that sees only this installation says of its engine and of a text."""
    program = (
        "from detectors import lexical; from detectors.api import Part; d = lexical.load(); "
        "print(lexical.__file__, d.engine, d.score_text('Write a poem.', Part.PROMPT))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
    )
    file, rest = done.stdout.split(maxsplit=1)
    assert Path(file).is_relative_to(installed)
    return rest.strip()


def unpacked(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_wheel_holds_the_c_part_and_is_for_this_machine_and_any_python(tmp_path: Path) -> None:
    wheel = built(tmp_path / "wheel")

    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    assert (unpacked(wheel, tmp_path / "tree") / "detectors" / library_name()).exists()
    assert (tmp_path / "tree" / "service" / "gateway" / "redis_limits.lua").exists()
    assert scores_of(tmp_path / "tree").startswith("native ")


def test_without_a_compiler_the_wheel_is_for_any_machine_and_scores_the_same(
    tmp_path: Path,
) -> None:
    with_it = unpacked(built(tmp_path / "with"), tmp_path / "native")
    bare = built(tmp_path / "without", {**os.environ, "CC": "/nowhere/cc"})

    assert bare.name.endswith("-py3-none-any.whl")
    said = scores_of(unpacked(bare, tmp_path / "plain"))
    assert said.startswith("python ")
    assert said.split(maxsplit=1)[1] == scores_of(with_it).split(maxsplit=1)[1]
