"""Where plugins in vLLM tell what probes see."""

import json
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


def test_probes_are_required_only_where_the_settings_say_so(tmp_path: Path) -> None:
    (upstream,) = loaded(tmp_path, "/run/a").upstreams
    assert upstream.probes_required is False
    (upstream,) = loaded(tmp_path, "/run/a, required: true").upstreams
    assert upstream.probes_required is True
    assert upstream.model_copy(update={"probes": None}).probes_required is None


LISTEN = {
    "host": "0.0.0.0",  # noqa: S104  (as in a pod)
    "port": 9470,
    "cert_file": "tls.crt",
    "key_file": "tls.key",
    "ca_file": "ca.crt",
}


def with_probes(folder: Path, *probes: dict[str, object], **more: object) -> Settings:
    upstreams = [
        {"name": f"u{n}", "url": f"http://127.0.0.1:800{n}", "probes": it}
        for n, it in enumerate(probes)
    ]
    models = [{"name": "m", "upstream": "u0", "tier": 1}]
    path = folder / "watchgate.yaml"
    path.write_text(json.dumps({"upstreams": upstreams, "models": models, **more}))
    return load(path)


def test_plugins_of_other_machines_have_a_port_and_files_beside_the_settings(
    tmp_path: Path,
) -> None:
    (upstream,) = with_probes(tmp_path, {"listen": LISTEN}).upstreams
    assert upstream.probes is not None
    assert upstream.probes.sockets is None
    assert upstream.probes.listen is not None
    assert upstream.probes.listen.port == 9470
    assert upstream.probes.listen.ca_file == tmp_path / "ca.crt"


@pytest.mark.parametrize("probes", [{}, {"sockets": "/run/a", "listen": LISTEN}])
def test_there_is_one_way_in_and_no_other(tmp_path: Path, probes: dict[str, object]) -> None:
    told = r"^upstreams\[0\]\.probes: expected either sockets, .* or listen, "
    with pytest.raises(ConfigError, match=told):
        with_probes(tmp_path, probes)


@pytest.mark.parametrize("missing", LISTEN)
def test_nothing_of_a_listener_is_left_to_guesses(tmp_path: Path, missing: str) -> None:
    listen = {name: value for name, value in LISTEN.items() if name != missing}
    told = rf"^upstreams\[0\]\.probes\.listen\.{missing}: required, and missing"
    with pytest.raises(ConfigError, match=told):
        with_probes(tmp_path, {"listen": listen})


def test_two_upstreams_do_not_share_a_port_nor_one_with_the_gateway(tmp_path: Path) -> None:
    other: dict[str, object] = {"listen": {**LISTEN, "port": 9471}}
    with_probes(tmp_path, {"listen": LISTEN}, other)
    told = r"^upstreams\[1\]\.probes\.listen\.port: 9470 is taken by upstreams\[0\]\.probes\."
    with pytest.raises(ConfigError, match=told):
        with_probes(tmp_path, {"listen": LISTEN}, {"listen": LISTEN})
    with pytest.raises(ConfigError, match=r"listen\.port: 9470 is taken by gateway\.port"):
        with_probes(tmp_path, {"listen": LISTEN}, gateway={"port": 9470})


def test_several_processes_cannot_share_the_port_of_probes(tmp_path: Path) -> None:
    more: dict[str, object] = {
        "gateway": {"workers": 2},
        "limits": {"kind": "redis", "url": "redis://r", "gateways": 2},
    }
    with_probes(tmp_path, {"sockets": "/run/a"}, **more)
    told = (
        r"^upstreams\[0\]\.probes\.listen: .*set workers to 1 and run more gateways, or use sockets"
    )
    with pytest.raises(ConfigError, match=told):
        with_probes(tmp_path, {"listen": LISTEN}, **more)
