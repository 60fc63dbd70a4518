"""Where the store is, and for how long gateways do without it."""

import json
from pathlib import Path

import pytest

from service.core.tiers import staleness_bounds
from service.errors import ConfigError
from service.settings import Settings, load, redacted

SMALL = """
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: m, upstream: local, tier: 1}]
store: """
PASSWORD = "open-sesame"


def loaded(folder: Path, **store: object) -> Settings:
    path = folder / "watchgate.yaml"
    path.write_text(SMALL + json.dumps(store))
    return load(path)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://watchgate:{PASSWORD}@db.example.org:5432/watchgate",
        f"postgresql://watchgate:{PASSWORD}@[::1]/watchgate?sslmode=verify-full&sslrootcert=/ca",
    ],
)
def test_postgresql_is_taken_and_shown_without_its_password(tmp_path: Path, url: str) -> None:
    settings = loaded(tmp_path, url=url)
    assert settings.store.url == url
    shown = redacted(settings)["store"]["url"]
    assert shown == url.replace(f"watchgate:{PASSWORD}", "**********")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgres://u:{PASSWORD}@h/db", "expected sqlite:///PATH or postgresql://USER"),
        (f"postgresql+psycopg://u:{PASSWORD}@h/db", "expected sqlite:///PATH or postgresql://"),
        ("sqlite://", "expected sqlite:///PATH or postgresql://"),
        (f"postgresql://u:{PASSWORD}@/db", "expected a host in ASCII"),
        (f"postgresql://u:{PASSWORD}@@h/db", "an @ in a password is written as %40"),
        (f"postgresql://u:{PASSWORD}@h:99999/db", "a port from 1 to 65535"),
        (f"postgresql://u:{PASSWORD}@h:5432", "expected the name of a database"),
        (f"postgresql://u:{PASSWORD}@h/db/more", "expected the name of a database"),
        (f"postgresql://u@h/db?password={PASSWORD}", "no option after the \\? but: sslcert"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_words_without_its_password(
    tmp_path: Path, url: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^store.url: .*{words}") as told:
        loaded(tmp_path, url=url)
    assert PASSWORD not in str(told.value)


def test_tiers_bound_by_themselves_how_old_the_word_of_the_store_may_be(tmp_path: Path) -> None:
    changes = loaded(tmp_path).store.max_staleness_s
    assert staleness_bounds(changes) == [86_400, 3_600, 300, 60, 60]


@pytest.mark.parametrize(
    ("written", "bounds"),
    [
        ({"1": 600, "0": 7200.5}, [7200.5, 600, 300, 60, 60]),
        (45, [45] * 5),
        ("45", [45] * 5),
    ],
)
def test_settings_change_the_bound_of_some_tiers_or_of_all(
    tmp_path: Path, written: object, bounds: list[float]
) -> None:
    changes = loaded(tmp_path, max_staleness_s=written).store.max_staleness_s
    assert staleness_bounds(changes) == bounds


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("WATCHGATE_STORE__MAX_STALENESS_S", "30", [30] * 5),
        ("WATCHGATE_STORE__MAX_STALENESS_S", '{"0": 30}', [30, 600, 300, 60, 60]),
        ("WATCHGATE_STORE__MAX_STALENESS_S__1", "30", [86_400, 30, 300, 60, 60]),
    ],
)
def test_the_environment_changes_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, bounds: list[float]
) -> None:
    monkeypatch.setenv(name, value)
    changes = loaded(tmp_path, max_staleness_s={"1": 600}).store.max_staleness_s
    assert staleness_bounds(changes) == bounds


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (0, "store.max_staleness_s: expected seconds over 0, or a mapping of tiers to seconds"),
        ("soon", "store.max_staleness_s: expected seconds over 0"),
        ([1], "store.max_staleness_s: expected seconds over 0"),
        ({"1": 0}, "store.max_staleness_s.1: must be greater than 0"),
        ({"5": 60}, "store.max_staleness_s.5: must be less than or equal to 4"),
    ],
)
def test_bounds_that_cannot_be_are_refused(tmp_path: Path, written: object, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, max_staleness_s=written)
    assert str(error.value).startswith(told)
