"""An API key: the text its owner holds, and the record that we keep of it.

The text is `hg_`, 32 random base62 characters (190 bits) and their CRC-32 as six more, so that a typing error or a
leaked key in a repository is told from other words without a look-up. Only its SHA-256 digest is kept: the text is
far too random to be guessed from it, so no slow hash is needed.
"""

from __future__ import annotations

import secrets
import string
import zlib
from collections.abc import Iterator
from hashlib import sha256

from msgspec import Struct

from headgate.core.principal import Principal

MARK = "hg_"
SHOWN = len(MARK) + 8
"""How many characters of a key are kept readable, so that its owner can tell it from others."""

_RANDOM = 32
_CHECK = 6
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def mint() -> str:
    """A new API key's text."""
    body = MARK + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return body + _checksum(body)


def looks_like_key(text: str) -> bool:
    """Whether the text has the form of a minted key and its checksum is right; says nothing about its validity."""
    if not text.startswith(MARK) or len(text) != len(MARK) + _RANDOM + _CHECK or not text.isascii():
        return False
    return text.endswith(_checksum(text[:-_CHECK]))


def digest(text: str | bytes) -> bytes:
    """The SHA-256 of a key or token, under which it is kept and found."""
    return sha256(text.encode() if isinstance(text, str) else text).digest()


def _checksum(body: str) -> str:
    rest = zlib.crc32(body.encode("ascii"))
    letters = ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, 62)
        letters = _BASE62[digit] + letters
    return letters


class KeyRecord(Struct, frozen=True, kw_only=True):
    """What is kept of a key. Times are seconds since the epoch.

    `prefix` is the readable beginning of the text. `user` owns the key; a key without one stands for itself.
    `scopes`, `models` and `limits` are the Principal's. After a rotation the text before it, known by `previous`,
    is good until `previous_until`.
    """

    id: str
    prefix: str
    digest: bytes
    created: float
    user: str = ""
    tier: str = "standard"
    name: str = ""
    scopes: frozenset[str] = frozenset()
    models: tuple[str, ...] | None = None
    limits: tuple[tuple[str, str], ...] = ()
    expires: float | None = None
    revoked: float | None = None
    previous: bytes = b""
    previous_until: float = 0.0

    @property
    def principal(self) -> Principal:
        """Who calls with this key."""
        return Principal(
            kind="key",
            id=self.user or self.id,
            tier=self.tier,
            key_id=self.id,
            scopes=self.scopes,
            models=self.models,
            limits=self.limits,
        )

    def digests(self) -> Iterator[tuple[bytes, float]]:
        """The digests that open this key, each with the second at which it stops; none once it is revoked."""
        if self.revoked is not None:
            return
        end = float("inf") if self.expires is None else self.expires
        yield self.digest, end
        if self.previous:
            yield self.previous, min(end, self.previous_until)
