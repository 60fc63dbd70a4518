from pathlib import Path

import pytest

from service.errors import ConfigError
from service.store import load_pepper


def test_the_configured_pepper_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    assert load_pepper(tmp_path, "a configured pepper") == b"a configured pepper"
    assert list(tmp_path.iterdir()) == []


def test_a_pepper_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    pepper = load_pepper(data_dir, None)
    assert len(pepper) == 64
    assert load_pepper(data_dir, None) == pepper
    assert [path.name for path in data_dir.iterdir()] == ["pepper"]
    assert (data_dir / "pepper").stat().st_mode & 0o777 == 0o600
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_peppers_differ(tmp_path: Path) -> None:
    assert load_pepper(tmp_path / "a", None) != load_pepper(tmp_path / "b", None)


def test_a_short_pepper_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("\n")
    with pytest.raises(ConfigError, match=r"^auth.pepper: .*pepper has 0 bytes"):
        load_pepper(tmp_path, None)
    with pytest.raises(ConfigError, match=r"^auth.pepper: .*at least 16"):
        load_pepper(tmp_path, "short")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^auth.pepper: .*file/pepper"):
        load_pepper(tmp_path / "file", None)
