"""`MemoryLimiter`: limits counted in this process, exactly.

A log of amounts a rule, on the monotonic clock. `reserve` never awaits between looking and taking, so on one event
loop it is one atomic step; it is not for use from several threads.

Up to `exact` entries a log holds every amount at its own moment. Beyond that, amounts share slots of a thousandth of
the window, which leave with their latest member: the limit still holds, what expires may do so that much late.
Only what is admitted is remembered, so a flood of refused callers costs no memory.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf

from msgspec import Struct

from headgate.core.faults import Overloaded
from headgate.core.limit import Level, Want
from headgate.core.seams import Grant, Refusal

EXACT = 10_000
SLOTS = 1_000
MAX_KEYS = 100_000

_COMPACT = 64
_CROWD = 1_000
_POLITE = 1.0


class _Log:
    """What was taken in the last `window` seconds. A place in it is a number that stays, whatever expires before.

    `expires` is when the oldest amount leaves, `latest` when the last one came.
    """

    __slots__ = (
        "_amounts",
        "_base",
        "_exact",
        "_head",
        "_slot",
        "_slot_end",
        "_times",
        "_window",
        "expires",
        "latest",
        "used",
    )

    def __init__(self, window: float, exact: int) -> None:
        self.used = 0
        self.expires = inf
        self.latest = -inf
        self._window = window
        self._slot = window / SLOTS
        self._exact = exact
        self._times = array("d")
        self._amounts: list[int] = []
        self._head = 0
        self._base = 0
        self._slot_end = 0.0

    def expire(self, now: float) -> None:
        """Forget what is `window` seconds old; needed once `expires` has come."""
        times, amounts, window = self._times, self._amounts, self._window
        head, end = self._head, len(times)
        while head < end and times[head] + window <= now:
            self.used -= amounts[head]
            head += 1
        self.expires = times[head] + window if head < end else inf
        if head > _COMPACT and head * 2 > end:
            del times[:head], amounts[:head]
            self._base += head
            head = 0
        self._head = head

    def take(self, now: float, amount: int) -> int:
        """Add an amount; returns its place."""
        times = self._times
        place = len(times)
        self.used += amount
        self.latest = now
        if now < self._slot_end:
            place -= 1
            times[place] = now
            self._amounts[place] += amount
            return self._base + place
        times.append(now)
        self._amounts.append(amount)
        if place == self._head:
            self.expires = now + self._window
        elif place - self._head >= self._exact:
            self._slot_end = now + self._slot
        return self._base + place

    def change(self, place: int, delta: int) -> None:
        """Correct an amount that was taken, unless it has expired since."""
        index = place - self._base
        if index >= self._head:
            self._amounts[index] += delta
            self.used += delta

    def wait(self, now: float, excess: int) -> float:
        """Seconds until `excess` has expired; the whole window where there is not that much in it."""
        for index in range(self._head, len(self._times)):
            excess -= self._amounts[index]
            if excess <= 0:
                return self._times[index] + self._window - now
        return self._window

    def idle(self, now: float) -> bool:
        """Whether it may be forgotten."""
        return self.latest + self._window <= now


class _Gauge:
    """What runs now. Nobody knows when all of it has ended."""

    __slots__ = ("used",)
    expires = inf
    latest = -inf

    def __init__(self) -> None:
        self.used = 0

    def expire(self, now: float) -> None:
        """Nothing expires: it is settled."""

    def take(self, now: float, amount: int) -> int:  # noqa: ARG002 - as _Log
        """Add an amount."""
        self.used += amount
        return 0

    def change(self, place: int, delta: int) -> None:  # noqa: ARG002 - as _Log
        """Correct an amount."""
        self.used += delta

    def wait(self, now: float, excess: int) -> float:  # noqa: ARG002 - as _Log
        """Nobody knows when a call ends."""
        return _POLITE

    def idle(self, now: float) -> bool:  # noqa: ARG002 - as _Log
        """Whether it may be forgotten."""
        return self.used <= 0


_Meter = _Log | _Gauge
_NEW: _Meter = _Gauge()
"""Stands for every meter that was never needed: nothing used. Nothing is ever taken from it."""


class MemoryGrant(Struct, eq=False):
    """Remembers where its amounts stand, until it is settled: each want's meter, and its place there."""

    _taken: list[tuple[Want, _Meter, int]]
    _clock: Callable[[], float]
    _open: bool = True

    @property
    def levels(self) -> Sequence[Level]:
        """How the rules stand at this moment, the grant in them."""
        now = self._clock()
        levels = []
        for want, meter, _ in self._taken:
            if meter.expires <= now:
                meter.expire(now)
            left, reset = want.limit - meter.used, meter.latest + want.window - now
            levels.append(Level(want, left if left > 0 else 0, reset if reset > 0 else 0.0))  # noqa: FURB136 - a call costs more
        return levels

    def settle(self, actual: Mapping[str, int]) -> None:
        """Replace what was reserved by what was used; see `core.seams.Grant`."""
        if not self._open:
            return
        self._open = False
        for want, meter, place in self._taken:
            kind = want.kind
            if kind == "concurrent":
                meter.change(place, -want.amount)
            elif kind in actual:
                meter.change(place, max(0, actual[kind]) - want.amount)


class MemoryLimiter:
    """The Limiter of a single process: at most `max_keys` rules at once, idle ones are swept as new ones come."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, exact: int = EXACT, max_keys: int = MAX_KEYS
    ) -> None:
        self._clock = clock
        self._exact = exact
        self._max_keys = max_keys
        self._meters: dict[str, _Meter] = {}
        self._rounds: deque[str] = deque()

    async def reserve(self, wants: Sequence[Want]) -> Grant | Refusal:
        """Take all wants, or none. Raises Overloaded when `max_keys` rules are in use already."""
        now, meters = self._clock(), self._meters
        missing = 0
        for want in wants:
            meter = meters.get(want.key)
            if meter is None:
                meter = _NEW
                missing += 1
            elif meter.expires <= now:
                meter.expire(now)
            amount = want.amount
            if meter.used + amount > want.limit and amount > 0:
                return Refusal([_level(w, meters.get(w.key, _NEW), now) for w in wants])
        if missing:
            self._open_all(wants, missing, now)
        taken: list[tuple[Want, _Meter, int]] = []
        for want in wants:
            meter = meters[want.key]
            taken.append((want, meter, meter.take(now, want.amount)))
        return MemoryGrant(taken, self._clock)

    async def levels(self, wants: Sequence[Want]) -> Sequence[Level]:
        """How the rules stand, taking nothing."""
        now = self._clock()
        return [_level(want, self._meters.get(want.key, _NEW), now) for want in wants]

    def remember(self, want: Want, ago: float, amount: int) -> None:
        """Count what a process before this one let in `ago` seconds before now; oldest first, before any `reserve`."""
        if amount > 0 and (want.key in self._meters or len(self._meters) < self._max_keys):
            meter = self._meters.get(want.key) or self._open(want)
            meter.take(self._clock() - ago, amount)

    async def reset(self, wants: Sequence[Want]) -> None:
        """Forget what is counted under their keys; what runs settles with meters that nobody asks any more."""
        for want in wants:
            if want.key in self._meters:
                self._meters[want.key] = self._fresh(want)

    def __len__(self) -> int:
        return len(self._meters)

    def _open_all(self, wants: Sequence[Want], missing: int, now: float) -> None:
        """Make the meters that the wants lack; each new one pays for two looks at old ones."""
        self._sweep(now, 2 * missing)
        if len(self._meters) + missing > self._max_keys:
            self._sweep(now, _CROWD)
            if len(self._meters) + missing > self._max_keys:
                raise Overloaded("Too many callers at once.", retry_after=1.0)
        for want in wants:
            if want.key not in self._meters:  # now, since the sweep may have dropped an idle one
                self._open(want)

    def _open(self, want: Want) -> _Meter:
        meter = self._meters[want.key] = self._fresh(want)
        self._rounds.append(want.key)
        return meter

    def _fresh(self, want: Want) -> _Meter:
        return _Gauge() if want.kind == "concurrent" else _Log(want.window, self._exact)

    def _sweep(self, now: float, looks: int) -> None:
        for _ in range(min(looks, len(self._rounds))):
            key = self._rounds.popleft()
            if self._meters[key].idle(now):
                del self._meters[key]
            else:
                self._rounds.append(key)


def _level(want: Want, meter: _Meter, now: float) -> Level:
    meter.expire(now)
    excess = meter.used + want.amount - want.limit
    retry_after = 0.0
    if excess > 0 and want.amount > 0:
        retry_after = meter.wait(now, excess) if want.amount <= want.limit else want.window or _POLITE
    return Level(want, max(0, want.limit - meter.used), max(0.0, meter.latest + want.window - now), retry_after)
