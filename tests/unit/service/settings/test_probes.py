"""Where plugins in vLLM tell what probes see."""

from pathlib import Path

import pytest

from service.errors import ConfigError
from service.settings import Settings, load


def loaded(folder: Path, *sockets: str) -> Settings:
    upstreams = [
        f"{{name: u{n}, url: 'http://127.0.0.1:800{n}', probes: {{sockets: {it}}}}}"
        for n, it in enumerate(sockets)
    ]
    path = folder / "watchgate.yaml"
    models = "models: [{name: m, upstream: u0, tier: 1}]"
    path.write_text(f"upstreams: [{', '.join(upstreams)}]\n{models}\n")
    return load(path)


def test_each_upstream_has_a_folder_of_its_own(tmp_path: Path) -> None:
    found = loaded(tmp_path, "/run/a", "/run/b").upstreams
    assert [str(it.probes.sockets) for it in found if it.probes] == ["/run/a", "/run/b"]
    told = r"^upstreams\[1\]\.probes\.sockets: .*upstreams\[0\] has this folder already"
    with pytest.raises(ConfigError, match=told):
        loaded(tmp_path, "/run/a", "/run/a")


def test_a_folder_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path, "/" + "x" * 84)
    with pytest.raises(ConfigError, match="at most 85 bytes"):
        loaded(tmp_path, "/" + "x" * 85)
