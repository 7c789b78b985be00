"""`JwtVerifier`: a signed token (RFC 7519, RFC 8725) becomes a Principal.

The algorithm is the key's, never the token's; keys come from the configuration or from the address named there, never
from the token (`jwk`, `jku`, `x5u` and `x5c` are not read). What was verified is remembered until it expires.
"""

from __future__ import annotations

import binascii
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from headgate.access.jwks import TIMEOUT, TTL, Jwks, pinned
from headgate.core.faults import Fault, Forbidden, Unauthenticated, Unavailable
from headgate.core.key import digest
from headgate.core.principal import Principal

MAX_TOKEN = 8192
MAX_LEEWAY = 30.0
SECRET_BYTES = 32
MAX_NAME = 255
REMEMBERED = 10_000
FOREVER = 2**53
"""A number of seconds beyond any clock, with which a float can still count."""

INVALID: Final = "The token is not valid."
_REASONS: Final[tuple[tuple[type[PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token is meant for another audience."),
    (jwt.InvalidIssuerError, "The token comes from another issuer."),
    (jwt.MissingRequiredClaimError, "The token lacks a required claim."),
)

_PEM_KINDS: Final[dict[type, Any]] = {
    RSAPublicKey: RSAAlgorithm,
    EllipticCurvePublicKey: ECAlgorithm,
    Ed25519PublicKey: OKPAlgorithm,
}


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """Who may sign tokens, with one of `secret` (HS256), `public_key` (PEM) and `jwks_url`, and what they must say.

    `issuer` and `audience` are checked where they are given. The caller's id is `user_prefix` and the claim
    `user_claim`; the tier is the claim `tier_claim` where the token has it, else `tier`. `leeway` forgives so many
    seconds of clock difference.
    Raises ValueError for settings that make no sense.
    """

    secret: str = field(default="", repr=False)
    public_key: str = ""
    jwks_url: str = ""
    issuer: str = ""
    audience: str | Sequence[str] = ""
    tier_claim: str = "tier"
    tier: str = "free"
    user_claim: str = "sub"
    user_prefix: str = ""
    leeway: float = 10.0

    def __post_init__(self) -> None:
        if bool(self.secret) + bool(self.public_key) + bool(self.jwks_url) != 1:
            raise ValueError("an issuer of tokens has exactly one of secret, public_key and jwks_url")
        if self.secret:
            _secret_key(self.secret)
        if self.public_key:
            _public_key(self.public_key)
        if self.jwks_url and httpx2.URL(self.jwks_url).scheme not in {"https", "http"}:
            raise ValueError("jwks_url is not an http(s) address")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError(f"leeway is from 0 to {MAX_LEEWAY:.0f} seconds")


class JwtVerifier:
    """Verifies the tokens of several issuers; one that is out of reach does not hinder the others.

    `tiers` are the names that a token may claim. `clock` is the second since the epoch. Close with `aclose`.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        tiers: Collection[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client: httpx2.AsyncClient | None = None
        if any(issuer.jwks_url for issuer in issuers):
            self._client = httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
        self._issuers = tuple(_Checked(issuer, self._client) for issuer in issuers)
        self._tiers = frozenset(tiers)
        self._clock = clock
        self._verified: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def remembered(self, digest: bytes) -> Principal | None:
        """The principal of a token verified before, by its SHA-256 digest, unless it has expired since."""
        found = self._verified.get(digest)
        if found is None:
            return None
        if found[1] <= self._clock():
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return found[0]

    async def verify(self, token: str) -> Principal:
        """The principal of a token.

        Raises Unauthenticated; Forbidden for a tier that does not exist; Unavailable if an issuer's keys cannot be had.
        """
        head, claimed = _peek(token)
        faults: list[Fault] = []
        for issuer in self._issuers:
            if issuer.settings.issuer not in {"", claimed.iss}:
                continue
            try:
                claims = await issuer.claims(token, head.kid)
            except (Unauthenticated, Unavailable) as fault:
                faults.append(fault)
                continue
            principal = self._principal(issuer.settings, claims)
            self._remember(token, principal, min(claims["exp"], FOREVER) + issuer.settings.leeway)
            return principal
        raise max(faults, key=_weight, default=Unauthenticated("The token comes from another issuer."))

    async def aclose(self) -> None:
        """Close the connections to the issuers."""
        if self._client is not None:
            await self._client.aclose()

    def _principal(self, issuer: Issuer, claims: dict[str, Any]) -> Principal:
        user = claims.get(issuer.user_claim)
        if not isinstance(user, str) or not user.isprintable() or not 0 < len(user.strip()) <= len(user) <= MAX_NAME:
            raise Unauthenticated(f"The token's {issuer.user_claim} does not name a user.")
        tier = claims.get(issuer.tier_claim)
        if tier is None:
            tier = issuer.tier
        elif not isinstance(tier, str) or tier not in self._tiers:
            raise Forbidden("The token names a tier that does not exist here.")
        return Principal(kind="user", id=issuer.user_prefix + user, tier=tier)

    def _remember(self, token: str, principal: Principal, until: float) -> None:
        # Not for longer than a fetched key is fresh: a key that its issuer withdraws must stop working.
        self._verified[digest(token)] = (principal, min(until, self._clock() + TTL))
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)


class _Checked:
    """An issuer with its keys at hand."""

    def __init__(self, settings: Issuer, client: httpx2.AsyncClient | None) -> None:
        self.settings = settings
        self._jwks: Jwks | None = None
        self._key: PyJWK | None = None
        if settings.jwks_url and client is not None:
            self._jwks = Jwks(settings.jwks_url, client)
        elif settings.secret:
            self._key = _secret_key(settings.secret)
        else:
            self._key = _public_key(settings.public_key)

    async def claims(self, token: str, kid: str) -> dict[str, Any]:
        """The claims of a token that this issuer signed. Raises Unauthenticated, Unavailable."""
        key = self._key if self._jwks is None else await self._jwks.find(kid)
        if key is None:
            raise Unauthenticated(INVALID)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self.settings.audience or None,
                issuer=self.settings.issuer or None,
                leeway=self.settings.leeway,
                options={
                    "require": ["exp", self.settings.user_claim],
                    "verify_aud": bool(self.settings.audience),
                    "verify_iss": bool(self.settings.issuer),
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except (PyJWTError, ValueError, RecursionError) as error:
            raise Unauthenticated(_reason(error)) from None
        if type(claims["exp"]) not in {int, float}:
            raise Unauthenticated(INVALID)
        return claims


class _Head(msgspec.Struct):
    """What is read of a token's header. `crit` names extensions that must be understood; we know none."""

    kid: str = ""
    crit: Any = msgspec.UNSET


class _Claimed(msgspec.Struct):
    iss: str = ""


_head = msgspec.json.Decoder(_Head).decode
_claimed = msgspec.json.Decoder(_Claimed).decode


def _peek(token: str) -> tuple[_Head, _Claimed]:
    """What a token says of itself, before anything of it is believed."""
    if len(token) > MAX_TOKEN:
        raise Unauthenticated("The token is too long.")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise Unauthenticated(INVALID)
    try:
        head, claimed = (urlsafe_b64decode(part + "==") for part in parts[:2])
        seen = _head(head), _claimed(claimed)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        raise Unauthenticated(INVALID) from None
    if seen[0].crit is not msgspec.UNSET:
        raise Unauthenticated("The token demands an extension that is not known here.")
    return seen


def _reason(error: Exception) -> str:
    return next((text for kind, text in _REASONS if isinstance(error, kind)), INVALID)


def _weight(fault: Fault) -> int:
    """Of several issuers' refusals the first that says most counts.

    A wrong claim, since that issuer did sign; one out of reach; a wrong signature.
    """
    if isinstance(fault, Unavailable):
        return 1
    return 0 if fault.message == INVALID else 2


def _secret_key(secret: str) -> PyJWK:
    raw = secret.encode()
    if len(raw) < SECRET_BYTES:
        raise ValueError(f"the secret of an issuer of tokens has {SECRET_BYTES} bytes or more (RFC 7518, 3.2)")
    try:
        key = PyJWK.from_dict({"kty": "oct", "k": urlsafe_b64encode(raw).decode()}, "HS256")
        key.Algorithm.prepare_key(key.key)
    except PyJWTError:
        raise ValueError("the secret of an issuer of tokens is a key of another kind: use public_key") from None
    return key


def _public_key(pem: str) -> PyJWK:
    try:
        loaded: Any = load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError("public_key is not a PEM public key") from None
    algorithm = next((how for kind, how in _PEM_KINDS.items() if isinstance(loaded, kind)), None)
    key = None if algorithm is None else pinned(algorithm.to_jwk(loaded, as_dict=True))
    if key is not None:
        return key
    raise ValueError("public_key is not an RSA (2048 bits or more), P-256 or Ed25519 key")


def mint_token(
    secret: str,
    sub: str,
    tier: str = "",
    ttl: float = 3600.0,
    *,
    issuer: str = "",
    audience: str = "",
    tier_claim: str = "tier",
) -> str:
    """A signed HS256 token, good for `ttl` seconds from now. Raises ValueError for a short secret."""
    now = int(time.time())
    claims = {"sub": sub, tier_claim: tier, "iss": issuer, "aud": audience}
    said: dict[str, Any] = {name: value for name, value in claims.items() if value}
    return jwt.encode({**said, "iat": now, "exp": now + int(ttl)}, _secret_key(secret), algorithm="HS256")
