from pathlib import Path

import pytest

from service.errors import ConfigError
from service.store import Store, load_pepper
from service.store.pepper import load_peppers, pepper_for_new_keys, pepper_id, pepper_in_use
from service.store.pepper_rotation import retire, switch_to

FIRST, SECOND = b"the first pepper", b"a second pepper!"


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


def test_the_newest_pepper_comes_first_and_none_comes_twice(tmp_path: Path) -> None:
    first, second = FIRST.decode(), SECOND.decode()
    assert load_peppers(tmp_path, second, [first, second, first]) == (SECOND, FIRST)
    (tmp_path / "pepper").write_text(second + "\n")
    (tmp_path / "pepper.previous").write_text(f"{first}\n\n{second}\n")
    assert load_peppers(tmp_path, None, ["a third one, of settings"]) == (
        SECOND,
        FIRST,
        b"a third one, of settings",
    )
    assert load_peppers(tmp_path, first, []) == (FIRST,)


def test_a_short_previous_pepper_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^auth\.previous_peppers\[1\]: it has 5 bytes"):
        load_peppers(tmp_path, FIRST.decode(), [SECOND.decode(), "short"])
    load_pepper(tmp_path, None)
    (tmp_path / "pepper.previous").write_text("short\n")
    with pytest.raises(ConfigError, match=r"^auth\.pepper: a line of .*pepper\.previous has 5"):
        load_peppers(tmp_path, None, [])


def test_the_first_pepper_that_a_store_is_asked_for_is_its_own(store: Store) -> None:
    assert pepper_in_use(store, [FIRST]) == FIRST
    assert pepper_in_use(store, [FIRST]) == FIRST
    with pytest.raises(ConfigError, match=r"^auth.pepper: .*another pepper") as refused:
        pepper_in_use(store, [SECOND])
    assert pepper_id(FIRST) in str(refused.value)


def test_within_a_transaction_the_pepper_in_use_is_the_same(store: Store) -> None:
    with store.begin() as connection:
        assert pepper_for_new_keys(connection, [FIRST]) == FIRST
        assert pepper_for_new_keys(connection, [SECOND, FIRST]) == FIRST
        switch_to(connection, SECOND, 0.0)
        assert pepper_for_new_keys(connection, [SECOND, FIRST]) == SECOND
        with pytest.raises(ConfigError, match="another pepper"):
            pepper_for_new_keys(connection, [FIRST])
    assert pepper_in_use(store, [SECOND, FIRST]) == SECOND


def test_a_new_pepper_is_not_in_use_before_the_switch(store: Store) -> None:
    pepper_in_use(store, [FIRST])
    assert pepper_in_use(store, [SECOND, FIRST]) == FIRST
    with store.begin() as connection:
        assert switch_to(connection, SECOND, 0.0)
        assert not switch_to(connection, SECOND, 0.0)
    assert pepper_in_use(store, [SECOND, FIRST]) == SECOND
    assert pepper_in_use(store, [FIRST, SECOND]) == SECOND


def test_a_previous_pepper_is_needed_until_it_is_retired(store: Store) -> None:
    pepper_in_use(store, [FIRST])
    with store.begin() as connection:
        switch_to(connection, SECOND, 0.0)
    with pytest.raises(ConfigError, match="another pepper"):
        pepper_in_use(store, [SECOND])
    with store.begin() as connection:
        retire(connection, pepper_id(FIRST), 1.0)
    assert pepper_in_use(store, [SECOND]) == SECOND
