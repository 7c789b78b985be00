"""`KeyRing`: every API key that is valid now, in memory.

A key is looked up by its SHA-256 digest in a dict that is never changed, only replaced: no lock, no wait, and no timing
that tells anything, since whoever guesses cannot steer how the digest of a guess compares with a stored one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from math import inf

from headgate.core.key import digest
from headgate.core.principal import Principal
from headgate.core.seams import KeySource

POLL = 0.3
SHORT = 16

_log = logging.getLogger(__name__)


class KeyRing:
    """The keys of the configuration and, of a source, those that are neither expired nor revoked.

    `checked` is the `time.monotonic()` second at which the source was last asked with success; a source out of reach
    leaves the keys as they were.
    """

    def __init__(
        self,
        configured: Mapping[bytes, Principal],
        source: KeySource | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configured: dict[bytes, tuple[Principal, float]] = {}
        self._fixed: frozenset[str] = frozenset()
        self._keys: dict[bytes, tuple[Principal, float]] = {}
        self._digests: dict[str, list[bytes]] = {}
        self._version = 0
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self.checked = time.monotonic()
        self.configure(configured)

    def configure(self, configured: Mapping[bytes, Principal]) -> None:
        """Put other configured keys in the place of those there were; the source's stay."""
        with self._lock:
            stored = {each: found for each, found in self._keys.items() if each not in self._configured}
            self._configured = {each: (principal, inf) for each, principal in configured.items()}
            self._fixed = frozenset(principal.key_id for principal in configured.values())
            self._keys = {**stored, **self._configured}

    def find(self, digest: bytes) -> Principal | None:
        """The principal of a key's digest, or None where no such key is valid now."""
        found = self._keys.get(digest)
        if found is None:
            return None
        principal, until = found
        return principal if until == inf or until > self._clock() else None

    def principals(self) -> list[Principal]:
        """Whose keys there are."""
        return [principal for principal, _ in self._keys.values()]

    def holds(self, principal: Principal) -> bool:
        """Whether a caller's key has not been revoked since; True for callers without a key."""
        return principal.kind != "key" or principal.key_id in self._digests or principal.key_id in self._fixed

    def __len__(self) -> int:
        now = self._clock()
        return sum(until > now for _, until in self._keys.values())

    def refresh(self) -> None:
        """Take over what changed in the source. Blocking, from any thread; raises what the source raises."""
        if self._source is None:
            return
        with self._lock:
            version = self._source.version()
            if version != self._version:
                self._take(self._source, version)
            self.checked = time.monotonic()

    async def watch(self, every: float = POLL) -> None:
        """Refresh for ever, each so many seconds: a key that any process revokes ends here within a second."""
        failing = False
        while self._source is not None:
            try:
                await asyncio.to_thread(self.refresh)
            except Exception as error:  # noqa: BLE001 - whatever a database raises, the next look may succeed
                if not failing:
                    _log.warning("API keys cannot be read, revoked ones may still work: %s", type(error).__name__)
                failing = True
            else:
                failing = False
            await asyncio.sleep(every)

    def _take(self, source: KeySource, version: int) -> None:
        # A version that went back means another database (a restored backup): start over.
        again = version < self._version
        keys = dict(self._configured if again else self._keys)
        digests = {} if again else dict(self._digests)
        for record in source.changed(0 if again else self._version):
            for old in digests.pop(record.id, ()):
                keys.pop(old, None)
            valid = list(record.digests())
            if valid:
                digests[record.id] = [each for each, _ in valid]
                keys.update({each: (record.principal, until) for each, until in valid})
        self._keys, self._digests, self._version = keys, digests, version


def configured_keys(api_keys: str = "", admin_key: str = "") -> dict[bytes, Principal]:
    """The keys of the configuration by digest: `key`, `key:user` or `key:user:tier`, comma separated; and the admin's.

    Raises ValueError, telling a faulty entry by its place and never by its text.
    """
    keys: dict[bytes, Principal] = {}
    for number, entry in enumerate((part.strip() for part in api_keys.split(",")), start=1):
        if not entry:
            continue
        where = f"entry {number} of api_keys"
        text, user, tier = _parts(entry, where)
        name = f"static-{digest(text).hex()[:12]}"
        _add(keys, text, Principal(kind="key", id=user or name, tier=tier or "standard", key_id=name), where)
    if admin_key:
        _add(keys, admin_key, Principal(kind="admin", id="admin", tier="admin", key_id="admin"), "admin_key")
    return keys


def _parts(entry: str, where: str) -> tuple[str, str, str]:
    text, *rest = (part.strip() for part in entry.split(":"))
    if len(rest) > 2:
        raise ValueError(f'{where} is not "key", "key:user" or "key:user:tier"')
    user, tier = (*rest, "", "")[:2]
    return text, user, tier


def _add(keys: dict[bytes, Principal], text: str, principal: Principal, where: str) -> None:
    if not text:
        raise ValueError(f"{where} has no key")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{where} has characters that cannot travel in a header")
    if digest(text) in keys:
        raise ValueError(f"{where} repeats an earlier key")
    if len(text) < SHORT:
        _log.warning("%s is shorter than %d characters and could be guessed", where, SHORT)
    keys[digest(text)] = principal
