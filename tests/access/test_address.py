"""The client's address: the socket's unless a trusted proxy vouches for another."""

from __future__ import annotations

import pytest

from headgate.access.address import client_address, networks

TRUSTED = networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])


def address(peer, *forwarded, trusted=TRUSTED):
    headers = [(b"host", b"x"), *((b"x-forwarded-for", each.encode("latin-1")) for each in forwarded)]
    return client_address(None if peer is None else (peer, 1234), headers, trusted)


def test_without_trusted_proxies_the_header_is_not_believed():
    assert address("127.0.0.1", "6.6.6.6", trusted=()) == "127.0.0.1"


def test_a_stranger_cannot_claim_another_address():
    assert address("203.0.113.9", "6.6.6.6") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1, 10.2.3.4"], "198.51.100.1"),
        (["nonsense, 198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6", "198.51.100.1,10.9.9.9"], "198.51.100.1"),
        (["198.51.100.1,192.0.2.7"], "198.51.100.1"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["2a00:1450::1"], "2a00:1450::1"),
        (["[2a00:1450::1]:443"], "2a00:1450::1"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
    ],
)
def test_behind_a_trusted_proxy_the_rightmost_foreign_hop_is_the_client(forwarded, client):
    assert address("10.0.0.1", *forwarded) == client


@pytest.mark.parametrize(
    "forwarded", ["", " ", "unknown", "198.51.100.1,", "198.51.100.1, é", "1.2.3", "198.51.100.1 10.0.0.2", "_hidden"]
)
def test_a_malformed_header_leaves_the_sockets_address(forwarded):
    assert address("10.0.0.1", forwarded) == "10.0.0.1"


def test_a_proxy_that_forwards_nothing_is_the_client():
    assert address("10.0.0.1") == "10.0.0.1"


def test_a_peer_in_mapped_form_is_recognised():
    assert address("::ffff:10.0.0.1", "198.51.100.1") == "198.51.100.1"


def test_a_unix_socket_has_no_address():
    assert address(None, "198.51.100.1") == ""


def test_a_network_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        networks(["10.0.0.300/8"])
