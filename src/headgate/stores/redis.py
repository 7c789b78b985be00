"""`RedisLimiter`: limits counted by a Redis or Valkey server, exactly, for all processes that share it.

One script takes all wants of a call or none, by the server's clock; another, which nobody waits for, settles. A limit
is never exceeded; what leaves its window may do so a thousandth of the window late.

When a process dies, its concurrent calls are freed as their lease ends, since nobody renews it any more. Tokens and
money that it had reserved stay counted until their window has passed: the model may have used them. The same holds for
a settlement whose connection broke before its answer: sent twice it might give back twice.

While the server is down, calls under a limit are refused; or, if the operator wants it so (`local`), each process
counts its share of the limits in its own memory. Money stays closed even then: nobody knows what is left of a budget.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from os import urandom

import hiredis
from msgspec import Struct, structs

from headgate.core.faults import Unavailable
from headgate.core.limit import Level, Want
from headgate.core.seams import Grant, Refusal
from headgate.stores._redis import OUT_OF_REACH, PATIENCE, Redis, Script
from headgate.stores.memory import MemoryLimiter

LEASE = 20.0
PREFIX = "{headgate}:"
"""In braces, so that on a cluster all keys of a call are in one place."""
SCRIPTS = ("reserve", "settle", "renew", "reset")

_MICRO = 1_000_000
_MOST = 4 * 10**18
_UNSENT = 10_000
_RENEWED = 500
_CLOSED = f"{OUT_OF_REACH}, and a budget is not spent blindly"


class RedisGrant:
    """What the server counts for one call. `places` are the slots of its amounts; none for what is concurrent."""

    __slots__ = ("_limiter", "id", "levels", "places", "wants")

    def __init__(
        self, limiter: RedisLimiter, id_: str, wants: Sequence[Want], places: Sequence[str], levels: Sequence[Level]
    ) -> None:
        self.id = id_
        self.wants = wants
        self.places = places
        self.levels = levels
        self._limiter: RedisLimiter | None = limiter

    def settle(self, actual: Mapping[str, int]) -> None:
        """Replace what was reserved by what was used; see `core.seams.Grant`."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.settle(self, actual)


class _Settlement(Struct, frozen=True):
    """What a grant gives back or uses more: `changes` are (key, slot or nothing, difference)."""

    grant: str
    changes: tuple[tuple[str, str, int], ...]

    def words(self) -> list[str | int]:
        keys = [PREFIX + key for key, _, _ in self.changes]
        arguments = [word for _, slot, difference in self.changes for word in (slot, difference)]
        return [len(keys), *keys, self.grant, *arguments]

    def freeing(self) -> _Settlement:
        """The part that does no harm when it is done twice."""
        return _Settlement(self.grant, tuple(change for change in self.changes if not change[1]))


class RedisLimiter:
    """The Limiter of processes that share a server. `watch` must run beside it.

    `local` counts here while the server is down, each of `share` processes with its part of a limit; without it calls
    are refused. `lease` is the seconds after which a dead process's concurrent calls are freed. `scripts` stand in for
    `SCRIPTS` where a test makes time pass.
    """

    def __init__(
        self,
        url: str,
        *,
        local: bool = False,
        share: int = 1,
        lease: float = LEASE,
        patience: float = PATIENCE,
        scripts: Sequence[Script] = (),
    ) -> None:
        scripts = scripts or [Script.named(name) for name in SCRIPTS]
        self._reserve, self._settle, self._renew, self._reset = scripts
        self._redis = Redis(url, scripts, patience=patience)
        self._redis.on_open = self._send_unsent
        self._fallback = MemoryLimiter() if local else None
        self._share = share
        self._lease = lease
        self._patience = patience
        self._name = urandom(6).hex()
        self._grants = 0
        self._running: dict[str, list[str]] = {}
        self._unsent: deque[_Settlement] = deque(maxlen=_UNSENT)
        self._ahead = 0.0

    @property
    def degraded(self) -> bool:
        """Whether the server is out of reach."""
        return not self._redis.up

    @property
    def local(self) -> bool:
        """Whether calls are let in while it is."""
        return self._fallback is not None

    async def reserve(self, wants: Sequence[Want]) -> Grant | Refusal:
        """Take all wants, or none. Raises Unavailable."""
        if not wants:
            return RedisGrant(self, "", (), (), ())
        self._grants += 1
        id_ = f"{self._name}:{self._grants}"
        try:
            answer = await self._asked(id_, wants, lambda answer: self._unheard(id_, wants, answer))
        except Unavailable:
            outcome = await self._local(wants).reserve(self._shares(wants))
            return _whole(wants, outcome) if isinstance(outcome, Refusal) else outcome
        if answer[0] == 0:
            return Refusal(_levels(wants, answer, granted=False))
        return self._granted(id_, wants, answer)

    async def levels(self, wants: Sequence[Want]) -> Sequence[Level]:
        """How the rules stand, taking nothing. Raises Unavailable."""
        if not wants:
            return ()
        try:
            return _levels(wants, await self._asked("", wants, None), granted=False)
        except Unavailable:
            return await self._local(wants).levels(self._shares(wants))

    async def reset(self, wants: Sequence[Want]) -> None:
        """Forget what is counted under their keys, for all processes. Raises Unavailable."""
        if not wants:
            return
        words: list[str | int] = [len(wants), *(PREFIX + want.key for want in wants)]
        try:
            await self._redis.run(self._reset, [*words, *(int(want.window * _MICRO) for want in wants)])
        except hiredis.ReplyError as error:
            raise self._redis.refused(error) from error

    def settle(self, grant: RedisGrant, actual: Mapping[str, int]) -> None:
        """Send what a grant gives back, or keep it until the server can be reached."""
        self._running.pop(grant.id, None)
        changes = []
        for want, place in zip(grant.wants, grant.places, strict=True):
            if want.kind == "concurrent":
                changes.append((want.key, "", 0))
            elif difference := min(max(0, actual.get(want.kind, want.amount)), _MOST) - want.amount:
                changes.append((want.key, place, difference))
        if changes:
            self._send(_Settlement(grant.id, tuple(changes)))

    async def watch(self) -> None:
        """Keep the connection, and renew the leases of running calls."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._redis.watch())
            group.create_task(self._keep_renewing())

    async def aclose(self) -> None:
        """Send what is settled, and close the connection."""
        await self._redis.aclose()

    async def _asked(
        self, id_: str, wants: Sequence[Want], unheard: Callable[[object], None] | None
    ) -> Sequence[int | str]:
        """The script's answer; a second time where the server's clock has moved so far that the first seemed late."""
        for last in (False, True):
            deadline = int((time.monotonic() + self._ahead + 2 * self._patience) * _MICRO) if self._ahead else 0
            words: list[str | int] = [len(wants)]
            words += [PREFIX + want.key for want in wants]
            words += (id_, int(self._lease * _MICRO), deadline)
            for want in wants:
                words += (int(want.window * _MICRO), want.amount, want.limit - want.amount)
            try:
                answer: Sequence[int] = await self._redis.run(self._reserve, words, unheard)
            except hiredis.ReplyError as error:  # out of memory, read only, still loading: its words are the operator's
                raise self._redis.refused(error) from error
            self._ahead = max(self._ahead, answer[1] / _MICRO - time.monotonic())
            if answer[0] >= 0 or last:
                break
            self._ahead = answer[1] / _MICRO - time.monotonic()
        if answer[0] < 0:
            raise Unavailable(OUT_OF_REACH, retry_after=1.0)
        return answer

    def _granted(self, id_: str, wants: Sequence[Want], answer: Sequence[int | str]) -> RedisGrant:
        held = [want.key for want in wants if want.kind == "concurrent"]
        if held:
            self._running[id_] = held
        return RedisGrant(
            self, id_, wants, [str(place) for place in answer[4::3]], _levels(wants, answer, granted=True)
        )

    def _unheard(self, id_: str, wants: Sequence[Want], answer: object) -> None:
        """Give back what was taken for a caller who has left meanwhile."""
        if isinstance(answer, list) and answer[0] == 1:
            self._granted(id_, wants, answer).settle({want.kind: 0 for want in wants})

    def _local(self, wants: Sequence[Want]) -> MemoryLimiter:
        if self._fallback is None:
            raise Unavailable(OUT_OF_REACH, retry_after=1.0)
        if any(want.amount < 0 or (want.kind == "spend" and want.amount) for want in wants):
            raise Unavailable(_CLOSED, retry_after=1.0)
        return self._fallback

    def _shares(self, wants: Sequence[Want]) -> list[Want]:
        return [structs.replace(want, limit=want.limit // self._share) for want in wants]

    def _send(self, settlement: _Settlement) -> None:
        def heard(answer: object) -> None:
            if isinstance(answer, Exception) and (rest := settlement.freeing()).changes:
                self._unsent.append(rest)

        if not self._redis.post(self._settle, settlement.words(), heard):
            self._unsent.append(settlement)

    def _send_unsent(self) -> None:
        for _ in range(len(self._unsent)):
            self._send(self._unsent.popleft())
        self._send_leases()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            self._send_leases()

    def _send_leases(self) -> None:
        held = [(PREFIX + key, id_) for id_, keys in self._running.items() for key in keys]
        for start in range(0, len(held), _RENEWED):
            some = held[start : start + _RENEWED]
            words: list[str | int] = [
                len(some),
                *(key for key, _ in some),
                int(self._lease * _MICRO),
                *(id_ for _, id_ in some),
            ]
            self._redis.post(self._renew, words, _ignored)


def _levels(wants: Sequence[Want], answer: Sequence[int | str], *, granted: bool) -> list[Level]:
    """The levels that an answer tells: after its first two values, three for each rule."""
    levels = []
    for index, want in enumerate(wants):
        used, reset, wait = answer[2 + 3 * index : 5 + 3 * index]
        retry_after = 0.0 if granted else int(wait) / _MICRO  # of a grant it is the slot
        levels.append(Level(want, max(0, want.limit - int(used)), int(reset) / _MICRO, retry_after))
    return levels


def _whole(wants: Sequence[Want], refusal: Refusal) -> Refusal:
    """What a share refused, told of the rules themselves: what does not fit the share may fit them later."""
    levels = [structs.replace(level, want=want) for want, level in zip(wants, refusal.levels, strict=True)]
    return Refusal(levels)


def _ignored(answer: object) -> None:
    """A lease that was not renewed is renewed the next time."""
