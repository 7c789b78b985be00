"""What a caller wishes in headers that few send: answers from the cache or not, and a key that makes a retry safe."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headgate.core.call import Reuse
from headgate.core.faults import InvalidField

_MAX_AGE = re.compile(r"max-age=\"?([0-9]{1,9})\"?")
_KEY = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def wishes(named: Mapping[bytes, bytes]) -> bool:
    """Whether one of the rare headers is among them. Names are in lower case."""
    return b"cache-control" in named or b"idempotency-key" in named


def reuse_of(named: Mapping[bytes, bytes], default: Reuse | None) -> Reuse | None:
    """What `Cache-Control` says (RFC 9111, 5.2.1) over what holds for calls that say nothing.

    `no-store`: nothing is remembered, before or after. `no-cache` and `max-age=0`: the answer is to be a fresh one.
    `max-age=N`: an answer may be so many seconds old; it asks for the cache also where that is off.
    """
    said = [word.strip().lower() for word in named.get(b"cache-control", b"").decode("latin-1").split(",")]
    if "no-store" in said:
        return None
    ages = [int(found[1]) for word in said if (found := _MAX_AGE.fullmatch(word))]
    fresh = "no-cache" in said or 0 in ages
    if any(ages):
        return Reuse(read=not fresh, max_age=min(ages))
    return Reuse(read=False) if fresh and default is not None else default


def key_of(named: Mapping[bytes, bytes]) -> str:
    """The `Idempotency-Key`; empty where there is none. Raises InvalidField for one that is no key."""
    key = named.get(b"idempotency-key")
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise InvalidField("Idempotency-Key must be 1 to 255 printable ASCII characters", field="Idempotency-Key")
    return key.decode()
