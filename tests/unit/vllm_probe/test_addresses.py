"""Gateways of other machines: how they are named, and what is wrong with how they are."""

from pathlib import Path

import pytest

from vllm_probe.addresses import Addresses, Certificates, Gateways, gateways_of
from vllm_probe.errors import ProbeError
from vllm_probe.plugin import way_of
from vllm_probe.sockets import SocketFolder

BY_TLS = {
    "WATCHGATE_PROBE_GATEWAYS": "gateways.llm:9470",
    "WATCHGATE_PROBE_CERT": "/etc/plugin/tls.crt",
    "WATCHGATE_PROBE_KEY": "/etc/plugin/tls.key",
    "WATCHGATE_PROBE_CA": "/etc/plugin/ca.crt",
}


def test_hosts_and_ports_are_read() -> None:
    assert gateways_of("gateways.llm.svc:9470, 10.0.0.7:1,[fd00::7]:65535,") == [
        Gateways("gateways.llm.svc", 9470),
        Gateways("10.0.0.7", 1),
        Gateways("fd00::7", 65535),
    ]


@pytest.mark.parametrize(
    "named",
    ["gateways", ":9470", "gateways:", "gateways:0", "a:65536", "a:x", "fd00::7:1", "a..b:1"],
)
def test_what_is_no_host_and_port_is_refused_with_an_example(named: str) -> None:
    with pytest.raises(ProbeError, match="expected host:port, such as"):
        gateways_of(f"fine:1,{named}")


def test_a_name_that_stands_for_nothing_now_has_no_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = Certificates(Path("cert"), Path("key"), Path("ca"))
    way = Addresses(gateways_of("127.0.0.1:9470,nobody.invalid:9470"), files)
    for _ in range(2):
        assert [str(it) for it in way.places()] == ["127.0.0.1 (127.0.0.1, port 9470)"]
    assert [it.getMessage().split(":")[0] for it in caplog.records] == [
        "nobody.invalid has no address"
    ]


def test_the_same_address_is_the_same_place_each_time() -> None:
    files = Certificates(Path("cert"), Path("key"), Path("ca"))
    way = Addresses(gateways_of("127.0.0.1:9470"), files)
    assert set(way.places()) == set(way.places())


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    files = Certificates(tmp_path / "cert", tmp_path / "key", tmp_path / "ca")
    with pytest.raises(OSError, match=f"cannot be used: .*{files.cert}"):
        files.context()
    for file in (files.cert, files.key, files.ca):
        file.write_text("nothing")
    with pytest.raises(OSError, match="the plugin's own certificates cannot be used"):
        files.context()


def test_gateways_are_found_in_the_way_that_the_environment_names() -> None:
    assert isinstance(way_of({"WATCHGATE_PROBE_SOCKETS": "/run/probes"}), SocketFolder)
    assert isinstance(way_of(BY_TLS), Addresses)
    assert way_of({}) is None


def test_two_ways_at_once_are_refused() -> None:
    with pytest.raises(ProbeError, match="set one of them"):
        way_of({**BY_TLS, "WATCHGATE_PROBE_SOCKETS": "/run/probes"})


@pytest.mark.parametrize("missing", list(BY_TLS)[1:])
def test_addresses_without_all_certificates_are_refused(missing: str) -> None:
    environ = {name: value for name, value in BY_TLS.items() if name != missing}
    with pytest.raises(ProbeError, match=f"GATEWAYS needs {missing}: "):
        way_of(environ)
