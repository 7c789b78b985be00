"""`Jwks`: an issuer's public keys, fetched from its configured address and kept (RFC 7517).

Each key is pinned to one algorithm by its own type and curve; a token never chooses. An unknown key id makes one
fetch, then none for a while; while the issuer is out of reach the keys that are known go on working.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from headgate.core.faults import Unavailable

TTL = 600.0
"""Seconds for which fetched keys are fresh."""
STALE = 24 * 3600.0
"""Seconds for which fetched keys are used while no newer ones can be had."""
COOLDOWN = 5.0
"""Seconds between two fetches that an unknown key id or a failure caused."""
TIMEOUT = 5.0
LIMIT = 256 * 1024

_ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_RSA_BITS = 2048

_log = logging.getLogger(__name__)


class _Document(msgspec.Struct):
    keys: list[Any]


_decode = msgspec.json.Decoder(_Document).decode


class Jwks:
    """The keys behind one address. `clock` counts seconds that never go back."""

    def __init__(self, url: str, client: httpx2.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._client = client
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: dict[str, PyJWK] = {}
        self._fetched = float("-inf")
        self._next_fetch = float("-inf")
        self._next_miss = float("-inf")
        self._failed = False

    async def find(self, kid: str) -> PyJWK | None:
        """The key with exactly this id; without an id, the only key there is. None if the issuer has no such key.

        Raises Unavailable if that cannot be told, since the issuer's keys cannot be fetched.
        """
        known = self._known(kid)
        # Whoever finds a fetch under way does not wait for it with a known key.
        if known is not None and (self._clock() < self._next_fetch or self._lock.locked()):
            return known
        async with self._lock:
            await self._fetch_if_due(kid)
        known = self._known(kid)
        if known is None and self._failed:
            raise Unavailable("The token cannot be checked now: its issuer is out of reach.", retry_after=COOLDOWN)
        return known

    def _known(self, kid: str) -> PyJWK | None:
        if self._clock() - self._fetched > STALE:
            return None
        if not kid:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _fetch_if_due(self, kid: str) -> None:
        now = self._clock()
        if now < self._next_fetch:
            if self._known(kid) is not None or now < self._next_miss:
                return
            self._next_miss = now + COOLDOWN
        try:
            keys = await self._fetch()
        except (httpx2.HTTPError, OSError, ValueError) as error:
            _log.warning("keys of %s cannot be fetched: %s: %s", self.url, type(error).__name__, error)
            self._failed = True
            self._next_fetch = self._next_miss = self._clock() + COOLDOWN
        else:
            self._keys, self._failed = keys, False
            self._fetched = self._clock()
            self._next_fetch = self._fetched + TTL

    async def _fetch(self) -> dict[str, PyJWK]:
        body = bytearray()
        # Asked for and read as plain bytes: nothing small can unpack into something big.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            asyncio.timeout(TIMEOUT),
            self._client.stream("GET", self.url, headers=headers, follow_redirects=False) as response,
            aclosing(response.aiter_raw()) as chunks,
        ):
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            async for chunk in chunks:
                body += chunk
                if len(body) > LIMIT:
                    raise ValueError(f"more than {LIMIT} bytes")
        return key_set(bytes(body))


def key_set(document: bytes) -> dict[str, PyJWK]:
    """The usable keys of a JWK set by their ids. Raises ValueError if there are none."""
    try:
        entries = _decode(document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("not a JWK set") from None
    keys: dict[str, PyJWK] = {}
    for entry in entries:
        key = pinned(entry) if isinstance(entry, dict) else None
        if key is not None:
            kid = entry.get("kid")
            keys.setdefault(kid if isinstance(kid, str) else "", key)
    if not keys:
        raise ValueError("no RS256, ES256 or EdDSA signing key in the JWK set")
    return keys


def pinned(jwk: Mapping[str, Any]) -> PyJWK | None:
    """A public signing key, bound to the one algorithm of its type and curve; None for any other key."""
    kind = jwk.get("kty")
    fields = _PUBLIC.get(kind) if isinstance(kind, str) else None
    if fields is None or not all(isinstance(jwk.get(field), str) for field in fields):
        return None
    public = {field: jwk[field] for field in fields}
    algorithm = _ALGORITHMS.get((public["kty"], public.get("crv", "")))
    named = "EdDSA" if jwk.get("alg") == "Ed25519" else jwk.get("alg", algorithm)
    if algorithm is None or named != algorithm or jwk.get("use", "sig") != "sig":
        return None
    uses = jwk.get("key_ops", ["verify"])
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    try:
        key = PyJWK.from_dict(public, algorithm)
    except (PyJWTError, ValueError):
        return None
    return None if algorithm == "RS256" and key.key.key_size < _RSA_BITS else key
