"""Keys fetched from an issuer: cached, rotated, pinned to one algorithm, and never from anywhere else."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from access._issuer import EC, ED, OTHER_RSA, RSA, Published, jwk, rsa_key
from headgate.access.jwks import COOLDOWN, LIMIT, STALE, TTL, Jwks, key_set, pinned
from headgate.core.faults import Unavailable

pytestmark = pytest.mark.anyio

ONE, TWO = jwk(RSA, "one"), jwk(OTHER_RSA, "two")


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def published():
    with Published(ONE) as published:
        yield published


@pytest.fixture
async def jwks(published, clock):
    async with httpx2.AsyncClient() as client:
        yield Jwks(published.url, client, clock)


async def test_keys_are_fetched_once_while_fresh(jwks, published, clock):
    assert (await jwks.find("one")).algorithm_name == "RS256"
    clock.now = TTL - 1
    assert await jwks.find("one") is not None
    assert published.hits == 1
    clock.now = TTL
    await jwks.find("one")
    assert published.hits == 2


async def test_a_rotated_key_is_found_at_once_and_the_withdrawn_one_is_gone(jwks, published):
    await jwks.find("one")
    published.publish(TWO)
    assert await jwks.find("two") is not None
    assert await jwks.find("one") is None


async def test_made_up_key_ids_do_not_make_us_ask_again_and_again(jwks, published, clock):
    for number in range(50):
        assert await jwks.find(f"made-up-{number}") is None
    assert published.hits == 2
    assert await jwks.find("one") is not None
    clock.now = COOLDOWN
    published.publish(ONE, TWO)
    assert await jwks.find("two") is not None
    assert published.hits == 3


async def test_a_key_id_is_an_exact_name(jwks):
    for kid in ("ONE", "one ", "on", "one\x00", "../one"):
        assert await jwks.find(kid) is None
    assert await jwks.find("one") is not None


async def test_no_key_id_means_the_only_key(jwks, published, clock):
    assert await jwks.find("") is not None
    published.publish(ONE, TWO)
    clock.now = TTL
    assert await jwks.find("") is None


async def test_known_keys_outlive_an_issuer_out_of_reach_but_not_for_ever(jwks, published, clock):
    await jwks.find("one")
    published.status = 500
    clock.now = TTL
    assert await jwks.find("one") is not None
    assert published.hits == 2
    assert await jwks.find("one") is not None
    assert published.hits == 2, "a failing issuer is left alone for a while"
    with pytest.raises(Unavailable):
        await jwks.find("two")
    clock.now = STALE + 1
    with pytest.raises(Unavailable):
        await jwks.find("one")
    published.status = 200
    clock.now += COOLDOWN
    assert await jwks.find("one") is not None


async def test_an_issuer_that_never_answered_is_unavailable(clock):
    async with httpx2.AsyncClient() as client:
        with pytest.raises(Unavailable) as caught:
            await Jwks("http://127.0.0.1:9/jwks.json", client, clock).find("one")
    assert caught.value.retry_after == COOLDOWN


async def test_many_callers_make_one_fetch(jwks, published):
    published.hold = threading.Event()
    asyncio.get_running_loop().call_later(0.1, published.hold.set)
    found = await asyncio.gather(*(jwks.find("one") for _ in range(20)))
    assert all(key is not None for key in found)
    assert published.hits == 1


async def test_the_caller_who_fetches_may_leave_without_harm_to_the_others(jwks, published):
    published.hold = threading.Event()
    first, second = (asyncio.create_task(jwks.find("one")) for _ in range(2))
    async with asyncio.timeout(10):
        while not published.hits:  # noqa: ASYNC110 - the server is a thread
            await asyncio.sleep(0.01)
    first.cancel()
    published.hold.set()
    assert await second is not None
    assert first.cancelled()


async def test_a_known_key_does_not_wait_for_a_slow_issuer(jwks, published, clock):
    await jwks.find("one")
    clock.now = TTL
    published.hold = threading.Event()
    slow = asyncio.create_task(jwks.find("one"))
    async with asyncio.timeout(10):
        while published.hits < 2:  # noqa: ASYNC110 - the server is a thread
            await asyncio.sleep(0.01)
        assert await jwks.find("one") is not None
    assert not slow.done()
    published.hold.set()
    assert await slow is not None


async def test_a_redirect_is_not_followed(jwks, published):
    with Published(TWO) as elsewhere:
        published.status, published.headers = 302, {"Location": elsewhere.url}
        with pytest.raises(Unavailable):
            await jwks.find("two")
        assert elsewhere.hits == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"keys": []}',
        b'{"keys": 5}',
        b'{"keys": [null, 5, {}]}',
        b"\xff",
        b"[" * 100_000,
        b'{"keys": [' + b" " * LIMIT + b"]}",
    ],
)
async def test_a_document_without_usable_keys_is_a_failure(jwks, published, body):
    published.body = body
    with pytest.raises(Unavailable):
        await jwks.find("one")


async def test_a_compressed_document_is_not_unpacked(jwks, published):
    published.headers = {"Content-Encoding": "gzip"}
    assert await jwks.find("one") is not None


def test_every_kind_of_key_has_one_algorithm():
    keys = key_set(json.dumps({"keys": [ONE, jwk(EC, "e", "ES256"), jwk(ED, "d", "EdDSA")]}).encode())
    assert {kid: key.algorithm_name for kid, key in keys.items()} == {"one": "RS256", "e": "ES256", "d": "EdDSA"}


def test_unusable_keys_do_not_spoil_the_good_one():
    spoilt = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {**ONE, "kid": "encryption", "use": "enc"},
        {**ONE, "kid": "other-algorithm", "alg": "PS256"},
        {**ONE, "kid": "symmetric", "alg": "HS256"},
        {**ONE, "kid": "none", "alg": "none"},
        {**ONE, "kid": "sign-only", "key_ops": ["sign"]},
        {**ONE, "kid": "odd-ops", "key_ops": 5},
        {**ONE, "kid": "no-number", "n": 5},
        {**ONE, "kid": "no-base64", "n": "é!"},
        {**jwk(EC, "wrong-point", "ES256"), "x": "AAAA"},
        jwk(ec.generate_private_key(ec.SECP384R1()), "other-curve", "ES256"),
        jwk(rsa_key(1024), "short"),
        {"kid": "no-kind"},
        {"kid": "odd-kind", "kty": []},
    ]
    assert list(key_set(json.dumps({"keys": [*spoilt, ONE]}).encode())) == ["one"]


def test_the_first_of_two_keys_with_one_id_counts():
    keys = key_set(json.dumps({"keys": [ONE, {**TWO, "kid": "one"}]}).encode())
    assert keys["one"].key.public_numbers() == RSA.public_key().public_numbers()


def test_a_published_private_key_is_only_used_as_a_public_one():
    assert not hasattr(pinned({**ONE, "d": "AQAB"}).key, "sign")
