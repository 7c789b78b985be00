"""The client's address: the socket's, or what the configured proxies in front of us say.

A proxy appends to `X-Forwarded-For` the address it was called from. Read from the right, the first hop that is not one
of our proxies is the client; whatever stands left of it the client may have made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]


def networks(cidrs: Iterable[str]) -> Networks:
    """Trusted proxies, written as addresses or CIDRs. Raises ValueError naming the one that is neither."""
    return tuple(ip_network(cidr.strip(), strict=False) for cidr in cidrs)


def peer_address(client: tuple[str, int] | None, _headers: Iterable[tuple[bytes, bytes]] = ()) -> str:
    """The address of the socket's peer, as ASGI's scope has it ("" for a Unix socket), whatever headers say."""
    return client[0] if client is not None else ""


def client_address(
    client: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]], trusted_proxies: Networks = ()
) -> str:
    """The address of a caller; `client` is the socket's peer.

    A malformed `X-Forwarded-For` is not believed: the socket's address stands.
    """
    peer = peer_address(client)
    if not trusted_proxies:
        return peer
    hop = _parse(peer)
    if hop is None or not _trusted(hop, trusted_proxies):
        return peer
    chain = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
    for text in reversed(chain.split(",") if chain else []):
        hop = _parse(text.strip())
        if hop is None:
            return peer
        if not _trusted(hop, trusted_proxies):
            break
    return str(hop)


def _trusted(address: Address, proxies: Networks) -> bool:
    return any(address in network for network in proxies)


def _parse(text: str) -> Address | None:
    """An address, also with a port behind it; one of IPv4 that is written as IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
