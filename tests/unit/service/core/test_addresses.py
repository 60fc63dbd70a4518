import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.addresses import address_of, networks_of, source_address

TRUSTED = networks_of(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1", "10.9.9.9,192.0.2.7"], "198.51.100.1"),
        ("10.0.0.1", ["10.2.2.2"], "10.2.2.2"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", [" 2001:db8::1 "], "2001:db8::1"),
    ],
)
def test_the_source_is_whom_the_last_trusted_proxy_was_called_by(
    peer: str, forwarded: list[str], source: str
) -> None:
    assert str(source_address(peer, forwarded, TRUSTED)) == source


@pytest.mark.parametrize("hop", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4:80", "[::1]"])
def test_what_is_no_address_is_no_source(hop: str) -> None:
    assert source_address("10.0.0.1", [f"10.1.1.1, {hop}"], TRUSTED) is None
    assert source_address(hop, ["198.51.100.1"], TRUSTED) is None


@given(st.lists(st.text(max_size=40), max_size=4))
def test_a_caller_that_is_not_trusted_cannot_say_where_it_is(forwarded: list[str]) -> None:
    assert source_address("203.0.113.9", forwarded, TRUSTED) == address_of("203.0.113.9")


@given(st.lists(st.text(max_size=40), max_size=4))
def test_what_a_caller_wrote_itself_does_not_count_behind_a_proxy(forged: list[str]) -> None:
    seen = [*forged, "203.0.113.9"]
    assert source_address("10.0.0.1", seen, TRUSTED) == address_of("203.0.113.9")
    assert source_address("10.0.0.1", [", ".join(seen)], TRUSTED) == address_of("203.0.113.9")


def test_a_network_of_ipv4_may_be_written_as_of_ipv6() -> None:
    assert networks_of(["::ffff:10.0.0.0/104"]) == networks_of(["10.0.0.0/8"])
    assert networks_of(["::ffff:0:0/96"]) == networks_of(["0.0.0.0/0"])
    assert networks_of(["::/0"]) != networks_of(["0.0.0.0/0"])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "host", ""])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks_of([text])
