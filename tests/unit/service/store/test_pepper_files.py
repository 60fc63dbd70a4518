"""The files of the peppers; processes that are really killed, before each thing that they do."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from service.errors import ConfigError
from service.store.pepper_files import add_pepper, drop_pepper, peppers_in

FIRST, SECOND, THIRD = b"1" * 64, b"2" * 64, b"3" * 64
_FILE_EVENTS = {"open", "os.rename", "os.remove"}


def written(folder: Path, *peppers: bytes) -> None:
    newest, *older = peppers
    (folder / "pepper").write_bytes(newest + b"\n")
    if older:
        (folder / "pepper.previous").write_bytes(b"\n".join(older) + b"\n")


def killed_before(step: int, folder: Path, act: Callable[[], object]) -> bool:
    """Run it in a child that is killed before it touches the folder for the n-th time.

    False: it was through before. The interpreter tells of each step itself (audit events).
    """
    child = os.fork()
    if child == 0:
        count = 0

        def look(event: str, args: tuple[object, ...]) -> None:
            nonlocal count
            if event in _FILE_EVENTS and str(args[0]).startswith(str(folder)):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_new_pepper_comes_before_those_that_there_are(tmp_path: Path) -> None:
    written(tmp_path, SECOND, FIRST)
    made = add_pepper(tmp_path, in_use=SECOND)
    assert len(made) == 64
    assert peppers_in(tmp_path) == (made, SECOND, FIRST)
    assert {path.name for path in tmp_path.iterdir()} == {"pepper", "pepper.previous"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_no_second_pepper_is_made_while_one_waits_for_the_switch(tmp_path: Path) -> None:
    written(tmp_path, FIRST)
    made = add_pepper(tmp_path, in_use=FIRST)
    assert add_pepper(tmp_path, in_use=FIRST) == made
    assert peppers_in(tmp_path) == (made, FIRST)


def test_a_pepper_is_dropped_wherever_it_is_but_never_the_last(tmp_path: Path) -> None:
    written(tmp_path, THIRD, SECOND, FIRST)
    assert drop_pepper(tmp_path, SECOND)
    assert peppers_in(tmp_path) == (THIRD, FIRST)
    assert drop_pepper(tmp_path, THIRD)
    assert peppers_in(tmp_path) == (FIRST,)
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]
    assert not drop_pepper(tmp_path, FIRST)
    assert not drop_pepper(tmp_path, SECOND)


def test_a_process_killed_at_any_step_of_a_rotation_leaves_the_pepper_that_is_in_use(
    tmp_path: Path,
) -> None:
    step, done = 0, False
    while not done:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        written(folder, SECOND, FIRST)
        done = not killed_before(step, folder, partial(add_pepper, folder, SECOND))
        left = peppers_in(folder)
        assert {SECOND, FIRST} <= set(left)
        made = add_pepper(folder, in_use=SECOND)
        assert made == left[0] or left[0] == SECOND
        assert peppers_in(folder) == (made, SECOND, FIRST)
        assert {path.name for path in folder.iterdir()} == {"pepper", "pepper.previous"}
    assert step > 6


@pytest.mark.parametrize(
    ("dropped", "left"),
    [(FIRST, (THIRD, SECOND)), (SECOND, (THIRD, FIRST)), (THIRD, (SECOND, FIRST))],
    ids=["oldest", "between", "newest"],
)
def test_a_process_killed_at_any_step_of_dropping_one_leaves_the_others(
    tmp_path: Path, dropped: bytes, left: tuple[bytes, ...]
) -> None:
    step, done = 0, False
    while not done:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        written(folder, THIRD, SECOND, FIRST)
        done = not killed_before(step, folder, partial(drop_pepper, folder, dropped))
        assert set(left) <= set(peppers_in(folder))
        drop_pepper(folder, dropped)
        assert set(peppers_in(folder)) == set(left)
        assert {path.name for path in folder.iterdir()} == {"pepper", "pepper.previous"}
    assert step > 4


def test_a_pepper_of_several_lines_cannot_be_rotated(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_bytes(b"a pepper that has\na line break\n")
    with pytest.raises(ConfigError, match=r"^auth.pepper: .*must be one line"):
        add_pepper(tmp_path, b"a pepper that has\na line break")
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]
