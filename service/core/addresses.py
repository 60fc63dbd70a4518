"""Where a request comes from: the address of the caller, behind proxies that are trusted."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_LAST_IPV4: Final = 2**32 - 1


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks such as `10.0.0.0/8`, or single addresses.

    Raises:
        ValueError: one is neither, or has bits set beyond its prefix.
    """
    return tuple(_network(text) for text in texts)


def _network(text: str) -> Network:
    """Read a network; one of IPv4 that is written as of IPv6 is of IPv4, as addresses are."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & _LAST_IPV4, network.prefixlen - 96))
    return network


def address_of(text: str) -> Address | None:
    """Read an address; None: it is none. One of IPv4 that is written as of IPv6 is of IPv4."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Say whether an address is of one of the networks; one that is not known is of none."""
    return address is not None and any(address in network for network in networks)


def source_address(
    peer: str, forwarded: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """Return the address of the caller; None: it cannot be told.

    `peer` is the other end of the connection, `forwarded` are the values of `X-Forwarded-For` in
    the order of their lines. Each trusted proxy appends whom it was called by: what stands to the
    left of an address that is not trusted was written by somebody who is not.
    """
    address = address_of(peer)
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and is_within(address, trusted):
        address = address_of(hops.pop())
    return address
