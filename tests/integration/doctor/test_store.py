import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from service.doctor.store import store
from service.settings import Settings
from service.store import load_pepper, open_store
from service.store.heartbeats import beat
from service.store.pepper import pepper_in_use, register
from service.store.pepper_files import add_pepper
from tests.integration.doctor.settings_of import settings_of, statuses


@pytest.fixture
def installed(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path)
    with closing(open_store(settings.store.url)) as made:
        pepper_in_use(made, [load_pepper(settings.data_dir, None)])
    return settings


def found(settings: Settings) -> dict[str, str]:
    return statuses(list(store(settings)))


def change(settings: Settings, statement: str) -> None:
    with closing(open_store(settings.store.url)) as opened, opened.begin() as connection:
        connection.execute(text(statement))


def test_a_store_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert found(settings) == {"reached": "could-not-check"}
    assert not settings.data_dir.exists()


def test_todays_store_under_its_pepper_is_well(installed: Settings) -> None:
    assert found(installed) == dict.fromkeys(["reached", "schema", "pepper", "clock"], "ok")


def test_before_the_first_key_any_pepper_is_right(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    open_store(settings.store.url).close()
    assert found(settings)["pepper"] == "ok"


def test_another_pepper_than_that_of_the_keys_is_a_problem(installed: Settings) -> None:
    (installed.data_dir / "pepper").write_text("x" * 64)
    assert found(installed)["pepper"] == "problem"


def test_a_pepper_that_waits_for_its_switch_is_no_problem(installed: Settings) -> None:
    in_use = load_pepper(installed.data_dir, None)
    add_pepper(installed.data_dir, in_use)
    assert load_pepper(installed.data_dir, None) != in_use
    assert found(installed)["pepper"] == "ok"


def test_a_previous_pepper_that_is_missing_is_a_problem(installed: Settings) -> None:
    newest = add_pepper(installed.data_dir, load_pepper(installed.data_dir, None))
    with closing(open_store(installed.store.url)) as opened, opened.begin() as connection:
        register(connection, newest, time.time())
    assert found(installed)["pepper"] == "ok"
    (installed.data_dir / "pepper.previous").unlink()
    assert found(installed)["pepper"] == "problem"


def test_a_pepper_that_is_gone_is_a_problem_and_is_not_made_anew(installed: Settings) -> None:
    (installed.data_dir / "pepper").unlink()
    assert found(installed)["pepper"] == "problem"
    assert not (installed.data_dir / "pepper").exists()


def test_an_older_schema_is_told_of_and_left_as_it_is(installed: Settings) -> None:
    change(installed, "UPDATE alembic_version SET version_num = '0001'")
    before = (installed.data_dir / "watchgate.db").read_bytes()
    assert found(installed) == {"reached": "ok", "schema": "could-not-check"}
    assert (installed.data_dir / "watchgate.db").read_bytes() == before


def test_a_newer_schema_is_a_problem_unless_it_is_for_this_version_too(installed: Settings) -> None:
    change(installed, "UPDATE alembic_version SET version_num = '9999'")
    assert found(installed)["schema"] == "ok"
    change(installed, "UPDATE meta SET readable_from = '9998'")
    assert found(installed)["schema"] == "problem"


def test_what_is_no_database_is_a_problem(installed: Settings) -> None:
    (installed.data_dir / "watchgate.db").write_bytes(b"not a database" * 1000)
    assert found(installed)["reached"] == "problem"


def test_a_sign_of_life_of_the_future_tells_of_a_clock_that_was_set_back(
    installed: Settings,
) -> None:
    with closing(open_store(installed.store.url)) as opened, opened.begin() as connection:
        beat(connection, "screener", time.time() + 3600, 0.0)
    assert found(installed)["clock"] == "problem"
