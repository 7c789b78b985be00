"""What stands around the gate in a schedule: scripted upstreams, a store that fails, a limiter that is checked."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random

from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import Done, Text, Usage
from headgate.core.faults import Unavailable, UpstreamTimeout
from headgate.core.limit import Level, Want
from headgate.core.seams import Events, Grant, Limiter, Refusal
from headgate.engine.breaker import Breaker
from headgate.engine.routing import RETRIES
from simulation._plan import Attempt, Caller, raised


class Store:
    """A ledger's store: out in some spans of time, and sometimes it keeps the entries but its answer is lost."""

    def __init__(self, out: Sequence[tuple[float, float]], torn: float, chance: Random) -> None:
        self.rows: dict[str, Entry] = {}
        self.torn = torn
        self._out = out
        self._chance = chance

    def write(self, entries: Sequence[Entry]) -> None:
        """Keep them, each id once."""
        if any(begin <= time.monotonic() < end for begin, end in self._out):
            raise Unavailable("out")
        for entry in entries:
            self.rows.setdefault(entry.id, entry)
        if self._chance.random() < self.torn:
            raise Unavailable("the answer was lost")


@dataclass
class Asked:
    """One attempt that an upstream saw, and the words it said and billed."""

    target: str
    words: int = 0
    tokens_in: int = 0
    counted: bool = False


class Upstream:
    """A provider whose every attempt is in the caller's plan; it keeps to its clocks, as real ones do."""

    def __init__(self, name: str, callers: Mapping[str, Caller], asked: dict[str, list[Asked]]) -> None:
        self.name = name
        self.breaker = Breaker(failures=2, cooldown=3.0, clock=time.monotonic)
        self.busy = self.most_busy = 0
        self.retries = self.most_retries = 0
        self._callers = callers
        self._asked = asked

    async def events(self, call: Call) -> Events:
        """Do as the plan says."""
        caller = self._callers[call.id]
        before = self._asked[call.id]
        assert not (caller.stream and any(asked.words for asked in before)), "asked again after the first event"
        again = sum(asked.target == self.name for asked in before)
        assert again <= RETRIES, "asked too often"
        attempt = caller.attempts[len(before) % len(caller.attempts)]
        asked = Asked(self.name)
        before.append(asked)
        assert self.breaker.opens_in() == 0, "asked while it is spared"
        self.busy += 1
        self.retries += again > 0
        self.most_busy, self.most_retries = max(self.most_busy, self.busy), max(self.most_retries, self.retries)
        try:
            async with aclosing(self._play(call, caller, attempt, asked)) as events:
                async for event in events:
                    yield event
        finally:
            self.busy -= 1
            self.retries -= again > 0

    async def _play(self, call: Call, caller: Caller, attempt: Attempt, asked: Asked) -> Events:
        await _wait(attempt.wait, call.clocks.first_event, call.deadline)
        if attempt.before is not None:
            raise raised(attempt.before, attempt.retry_after)
        asked.tokens_in = caller.size // 2
        for _ in range(min(attempt.words, call.max_tokens or attempt.words)):
            asked.words += 1
            yield Text("word")
            await _wait(attempt.gap, call.clocks.idle, call.deadline)
        if attempt.after is not None:
            raise raised(attempt.after, None)
        yield Done("stop")
        if attempt.counted:
            asked.counted = True
            yield Usage(asked.tokens_in, asked.words)


async def _wait(seconds: float, clock: float, deadline: float) -> None:
    patience = min(clock, deadline - time.monotonic())
    await asyncio.sleep(max(0.0, min(seconds, patience)))
    if seconds > patience:
        raise UpstreamTimeout("scripted")


class Watched:
    """A limiter beside a plain list of what was taken: each decision must be the one that the list says."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._taken: dict[str, list[list[float]]] = defaultdict(list)
        self.open = 0

    async def reserve(self, wants: Sequence[Want]) -> Grant | Refusal:
        """As the limiter does, checked."""
        now = time.monotonic()
        fits = [not want.amount or self.used(want, now) + want.amount <= want.limit for want in wants]
        granted = await self._limiter.reserve(wants)
        assert isinstance(granted, Refusal) is (not all(fits)), f"{wants} with {[self.used(w, now) for w in wants]}"
        if isinstance(granted, Refusal):
            for level, fit in zip(granted.levels, fits, strict=True):
                self._check_wait(level, fit, now)
            return granted
        places = []
        for want in wants:
            places.append([now, want.amount])
            self._taken[want.key].append(places[-1])
        self.open += 1
        return WatchedGrant(granted, wants, places, self)

    async def levels(self, wants: Sequence[Want]) -> Sequence[Level]:
        """As the limiter says."""
        return await self._limiter.levels(wants)

    def used(self, want: Want, at: float) -> float:
        """What stands against a rule at a moment."""
        taken = self._taken[want.key]
        return sum(amount for when, amount in taken if not want.window or when + want.window > at)

    def _check_wait(self, level: Level, fit: bool, now: float) -> None:
        want = level.want
        assert (level.retry_after > 0) is (not fit), level
        if not fit and want.window and want.amount <= want.limit:
            free = now + level.retry_after + 1e-6
            assert self.used(want, free) + want.amount <= want.limit, f"{level} does not fit when it says"
            early = now + level.retry_after - 1e-3
            assert self.used(want, early) + want.amount > want.limit, f"{level} fits earlier than it says"

    async def check_idle(self, now: float) -> None:
        """Nothing runs: nothing that is concurrent is taken."""
        assert not self.open, "a grant was never settled"
        for key, taken in self._taken.items():
            if "|concurrent|" in key:
                assert not any(amount for _, amount in taken), key
                [level] = await self.levels([Want(key, "concurrent", 1, 100, 0.0)])
                assert level.left == 100, f"{key} leaks"


class WatchedGrant:
    """A grant that may be settled once, and never for more than was set aside."""

    def __init__(self, grant: Grant, wants: Sequence[Want], places: list[list[float]], watched: Watched) -> None:
        self._grant = grant
        self._wants = wants
        self._places = places
        self._watched = watched
        self._settled = False

    @property
    def levels(self) -> Sequence[Level]:
        """As the grant says."""
        return self._grant.levels

    def settle(self, actual: Mapping[str, int]) -> None:
        """As the grant does, checked."""
        assert not self._settled, "settled twice"
        self._settled = True
        self._watched.open -= 1
        for want, place in zip(self._wants, self._places, strict=True):
            used = 0 if want.kind == "concurrent" else actual.get(want.kind, want.amount)
            assert used <= want.amount, f"{used} used of {want}"
            place[1] = used
        self._grant.settle(actual)
