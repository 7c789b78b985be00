"""The breaker: a target that keeps failing is passed over until a trial call succeeds. No paid probes.

It counts calls, each once whatever its retries, and only faults that are the target's own: an upstream that finds fault
with a caller's request is well. A target with a good record is not condemned for a few odd requests in a row.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from headgate.core.faults import (
    Fault,
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamFault,
    UpstreamMissing,
    UpstreamQuota,
    UpstreamRedirected,
    UpstreamTimeout,
)

BLAMED = (
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamQuota,
    UpstreamRedirected,
    UpstreamTimeout,
)

RECORD = 20
"""How many calls a target is judged by."""


class Breaker:
    """Closed while calls succeed, then open for `cooldown` seconds, then one trial at a time.

    It opens once `failures` calls in a row failed, and with them at least half of the last `record`. The cooldown
    doubles with each failed trial, up to `longest` seconds.
    """

    def __init__(
        self,
        failures: int = 5,
        cooldown: float = 5.0,
        longest: float = 60.0,
        record: int = RECORD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._cooldown = cooldown
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._record: deque[bool] = deque(maxlen=record)
        self._wait = cooldown
        self._open_until: float | None = None
        self._trial = False
        self.last_fault: Fault | None = None

    @property
    def state(self) -> str:
        """`closed`: calls may go; `open`: they may not; `half_open`: one trial may."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    @property
    def tripped(self) -> bool:
        """Whether calls are passed over now, or only a trial is let through."""
        return self._open_until is not None

    def allows(self) -> bool:
        """Whether a call may go to the target; in the half-open state the first to ask is the trial."""
        if self._open_until is None:
            return True
        if self._trial or self._clock() < self._open_until:
            return False
        self._trial = True
        return True

    def opens_in(self) -> float:
        """Seconds until the next trial may be made; 0 where calls may go now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def succeeded(self) -> None:
        """A call was answered: close."""
        self._failures = 0
        self._record.append(True)
        self._wait = self._cooldown
        self._open_until = None
        self._trial = False

    def failed(self, fault: Fault) -> bool:
        """A call ended with a fault: count it if it is the target's own, and say so."""
        if isinstance(fault, UpstreamFault) and not isinstance(fault, BLAMED):
            self.succeeded()  # an upstream that finds fault with a request is well
        if not isinstance(fault, BLAMED):
            self._trial = False
            return False
        self.last_fault = fault
        self._failures += 1
        self._record.append(False)
        if self._trial:
            self._wait = min(self._longest, self._wait * 2)
        if self._trial or (self._failures >= self._most and 2 * self._record.count(False) >= len(self._record)):
            self._open_until = self._clock() + max(self._wait, min(self._longest, fault.retry_after or 0.0))
        self._trial = False
        return True

    def left(self) -> None:
        """The caller hung up: nothing is learned, and a trial is free for the next one."""
        self._trial = False
