"""Where limits are counted."""

from pathlib import Path

import pytest

from service.errors import ConfigError
from service.gateway.redis_link import RedisAddress
from service.settings import RedisLimits, Settings, load, redacted

MINIMAL = """
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: m, upstream: local, tier: 1}]
"""


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "watchgate.yaml"
    path.write_text(text + MINIMAL)
    return load(path)


def test_several_workers_cannot_count_each_for_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^gateway\.workers: limits\.kind: memory counts in one"):
        loaded(tmp_path, "gateway: {workers: 2}\n")


def test_several_workers_count_in_a_redis(tmp_path: Path) -> None:
    limits = "limits: {kind: redis, url: 'redis://r', gateways: 2}\n"
    settings = loaded(tmp_path, "gateway: {workers: 2}\n" + limits)
    assert isinstance(settings.limits, RedisLimits)
    with pytest.raises(ConfigError, match=r"^limits\.gateways: .*gateway\.workers alone is 3"):
        loaded(tmp_path, "gateway: {workers: 3}\n" + limits)


@pytest.mark.parametrize(
    ("when_away", "tiers"),
    [("{}", {0, 1}), ("{1: refuse}", {0}), ("{0: refuse, 3: share}", {1, 3})],
)
def test_tiers_that_are_not_named_keep_their_default(
    tmp_path: Path, when_away: str, tiers: set[int]
) -> None:
    limits = loaded(
        tmp_path,
        f"limits: {{kind: redis, url: 'redis://r', gateways: 1, when_away: {when_away}}}\n",
    ).limits
    assert isinstance(limits, RedisLimits)
    assert limits.share_tiers == tiers


def test_the_password_is_not_shown(tmp_path: Path) -> None:
    text = "limits: {kind: redis, url: 'rediss://me:secret@r:1/2', gateways: 1}\n"
    shown = redacted(loaded(tmp_path, text))
    assert shown["limits"]["url"] == "rediss://**********@r:1/2"


@pytest.mark.parametrize(
    "url", ["http://r", "redis://", "redis://r:0", "redis://r/x", "unix://", "redis://r:99999"]
)
def test_an_address_that_cannot_be_used_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"^limits\.url: expected a"):
        loaded(tmp_path, f"limits: {{kind: redis, url: '{url}', gateways: 1}}\n")


@pytest.mark.parametrize("url", ["redis://r?password=p", "unix:///s?db=1&password=p"])
def test_a_password_is_not_taken_where_it_would_be_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"^limits\.url: expected no option") as refused:
        loaded(tmp_path, f"limits: {{kind: redis, url: '{url}', gateways: 1}}\n")
    assert "password=p" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://r", RedisAddress("r")),
        ("redis://:p%40ss@r:7/3", RedisAddress("r", 7, password="p@ss", db=3)),
        ("rediss://me:p@[::1]", RedisAddress("::1", username="me", password="p", is_tls=True)),
        ("unix:///run/r.sock?db=2", RedisAddress(path="/run/r.sock", db=2)),
    ],
)
def test_an_address_is_read(tmp_path: Path, url: str, address: RedisAddress) -> None:
    limits = loaded(tmp_path, f"limits: {{kind: redis, url: '{url}', gateways: 1}}\n").limits
    assert isinstance(limits, RedisLimits)
    assert RedisAddress.of(limits.url) == address
