"""`IdempotencyTable`: which calls with an Idempotency-Key are being made, and what the others were answered.

A call that is being made is leased: its process renews the lease, and when it dies the key is free as the lease ends.
What was answered is kept for a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from os import urandom
from threading import Lock

from msgspec import Struct

from headgate.core.seams import Database

LEASE = 30.0
"""Seconds for which a call that is being made holds its key without being renewed."""
HOURS = 24
"""For how long an answer is kept."""
LARGEST = 8 * 1024 * 1024
"""Bytes of one answer."""
MOST = 1000
"""Kept answers of one scope; past it the oldest tenth makes room."""

_TAKE = """
INSERT INTO idempotency (scope, route, key, digest, holder, expires, status, headers, body)
VALUES (?, ?, ?, ?, ?, ?, 0, '', ?)
ON CONFLICT (scope, route, key) DO UPDATE SET
    digest = excluded.digest, holder = excluded.holder, expires = excluded.expires, status = 0
WHERE idempotency.expires <= ?
"""
_READ = "SELECT digest, status, headers, body FROM idempotency WHERE scope = ? AND route = ? AND key = ?"
_MINE = "WHERE scope = ? AND route = ? AND key = ? AND holder = ? AND status = 0"
_KEEP = f"UPDATE idempotency SET status = ?, headers = ?, body = ?, expires = ? {_MINE}"  # noqa: S608 - our own words
_GIVE_UP = f"DELETE FROM idempotency {_MINE}"  # noqa: S608 - our own words
_RENEW = "UPDATE idempotency SET expires = ? WHERE holder LIKE ? AND status = 0"
_EXPIRE = "DELETE FROM idempotency WHERE expires <= ?"
_HELD = "SELECT COUNT(*) FROM idempotency WHERE scope = ? AND status <> 0"
_PRUNE = """
DELETE FROM idempotency WHERE scope = ? AND status <> 0 AND expires <= (
    SELECT expires FROM idempotency WHERE scope = ? AND status <> 0 ORDER BY expires DESC LIMIT 1 OFFSET ?
)
"""


class Kept(Struct, frozen=True):
    """What a call was answered. `status` is 0 while it is being made, -1 where its answer was too large to be kept.

    `headers` are lines, as they are written.
    """

    digest: str
    status: int
    headers: str = ""
    body: bytes = b""


class Claim(Struct, frozen=True):
    """The right to make the call with a key."""

    scope: str
    route: str
    key: str
    holder: str

    @property
    def words(self) -> tuple[str, str, str, str]:
        """What its row is found by."""
        return self.scope, self.route, self.key, self.holder


class IdempotencyTable:
    """Keys on any `Database`. Blocking: call from a worker thread. `scope` is whose key it is."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._name = urandom(8).hex()
        self._lock = Lock()
        self._claims = 0
        self._running: set[str] = set()

    def begin(self, scope: str, route: str, key: str, digest: str) -> Claim | Kept:
        """A claim where the call may be made now; else what there is of it. Raises Unavailable."""
        claim = Claim(scope, route, key, self._new_holder())
        while True:
            now = self._clock()
            if self._database.run((_TAKE, (scope, route, key, digest, claim.holder, now + LEASE, b"", now))):
                self._running.add(claim.holder)
                return claim
            rows = self._database.rows(_READ, (scope, route, key))
            if rows:  # else it was given up this instant
                was, status, headers, body = rows[0]
                return Kept(was, status, headers, bytes(body))

    def keep(self, claim: Claim, status: int, headers: str, body: bytes) -> None:
        """Keep what the call was answered, as `Kept` has it; old answers make room.

        Nothing happens where the lease was lost.
        """
        self._running.discard(claim.holder)
        now = self._clock()
        kept = (status, headers, body, now + HOURS * 3600)
        self._database.run((_KEEP, (*kept, *claim.words)))
        self._database.run((_EXPIRE, (now,)))
        if self._database.rows(_HELD, (claim.scope,))[0][0] > MOST:
            self._database.run((_PRUNE, (claim.scope, claim.scope, MOST * 9 // 10)))

    def give_up(self, claim: Claim) -> None:
        """The call was not made: the key is free again."""
        self._running.discard(claim.holder)
        self._database.run((_GIVE_UP, claim.words))

    def renew(self) -> None:
        """Prolong the leases of the calls that this process is making."""
        if self._running:
            self._database.run((_RENEW, (self._clock() + LEASE, f"{self._name}:%")))

    def _new_holder(self) -> str:
        with self._lock:
            self._claims += 1
            return f"{self._name}:{self._claims}"
