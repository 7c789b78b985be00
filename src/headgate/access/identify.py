"""`Identify`: a request's headers become a Principal.

Only headers are read, never the query string. A credential that is given must be good: nobody falls back to anonymous.
Refusals don't tell whether a key exists. Header names are lower case, as ASGI has them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hmac import compare_digest

from msgspec import Struct

from headgate.access.jwt import JwtVerifier
from headgate.core.faults import Unauthenticated
from headgate.core.key import MARK, digest
from headgate.core.principal import Principal
from headgate.core.seams import KeyLookup

Headers = Collection[tuple[bytes, bytes]]

ANONYMOUS = Principal(kind="anonymous", id="anonymous", tier="anonymous")

_MISSING = (
    "No credential was given: send an API key or a token as 'Authorization: Bearer …', or a key as 'X-API-Key: …'."
)
_INVALID = "The credential is not valid."


class Seen(Struct):
    """The credential that came last by one connection, and its digest: most bring the same one again and again.

    `named` are the headers that it came in: who brings the very same object again brings the same credential.
    """

    credential: bytes = b""
    digest: bytes = b""
    named: Mapping[bytes, bytes] | None = None

    def digest_of(self, credential: bytes) -> bytes:
        """The credential's digest. A proxy may bring many callers' by one connection: no timing tells of another's."""
        if not compare_digest(credential, self.credential):
            self.credential, self.digest, self.named = credential, digest(credential), None
        return self.digest


class Identify:
    """Knows keys and tokens. `anonymous` is who comes without a credential; None refuses them."""

    def __init__(
        self, keys: KeyLookup, tokens: JwtVerifier | None = None, anonymous: Principal | None = ANONYMOUS
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._anonymous = anonymous

    async def aclose(self) -> None:
        """Close the connections to the issuers of tokens."""
        if self._tokens is not None:
            await self._tokens.aclose()

    def known(
        self, headers: Headers, named: Mapping[bytes, bytes] | None = None, seen: Seen | None = None
    ) -> Principal | None:
        """The caller, where it can be told at once; None where `verify` must be awaited. Raises Unauthenticated.

        `named` are the headers by name, for whom has them so already; `seen` is what the connection brought before.
        """
        if seen is not None and seen.named is named and (principal := self._keys.find(seen.digest)) is not None:
            return principal
        bearer, credential = credentials(headers, dict(headers) if named is None else named)
        if not credential:
            if self._anonymous is None:
                raise Unauthenticated(_MISSING)
            return self._anonymous
        found_by = digest(credential) if seen is None else seen.digest_of(credential)
        principal = self._keys.find(found_by)
        if principal is not None:
            if seen is not None:
                seen.named = named
            return principal
        if self._tokens is None or not bearer or credential.count(b".") != 2 or credential.startswith(MARK.encode()):
            raise Unauthenticated(_INVALID)
        return self._tokens.remembered(found_by)

    async def verify(self, headers: Headers) -> Principal:
        """The caller, whatever it takes. Raises Unauthenticated, Forbidden, Unavailable."""
        principal = self.known(headers)
        if principal is None:
            if self._tokens is None:
                raise Unauthenticated(_INVALID)
            principal = await self._tokens.verify(credentials(headers, dict(headers))[1].decode("latin-1"))
        return principal


def credentials(headers: Headers, named: Mapping[bytes, bytes]) -> tuple[bool, bytes]:
    """Whether the credential came as a bearer's, and its text; empty where there is none.

    Raises Unauthenticated for a doubled header, two that differ, another scheme, or an empty value.
    """
    if len(named) != len(headers):
        _refuse_doubles(headers)
    authorization, key = named.get(b"authorization"), named.get(b"x-api-key")
    if key is not None:
        key = key.strip()
        if not key:
            raise Unauthenticated("The X-API-Key header is empty.")
    if authorization is None:
        return False, key or b""
    if authorization[:7].lower() != b"bearer ":
        raise Unauthenticated("The Authorization header is not of the form 'Bearer …'.")
    token = authorization[7:].strip()
    if not token:
        raise Unauthenticated("The Authorization header is empty.")
    if key is not None and key != token:
        raise Unauthenticated("The Authorization and X-API-Key headers hold different credentials.")
    return True, token


def _refuse_doubles(headers: Headers) -> None:
    names = [name for name, _ in headers]
    for name, shown in ((b"authorization", "Authorization"), (b"x-api-key", "X-API-Key")):
        if names.count(name) > 1:
            raise Unauthenticated(f"The {shown} header is there twice.")
