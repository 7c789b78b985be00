"""Targets: one model at one provider, how it does, and whose fault it is when it fails.

A caller's fault condemns nobody. A refused or used-up key condemns that key, where there are others; a model that is
missing, slow or broken condemns itself.

What lives long and changes with every call is a dataclass: to set its fields is fast, a Struct's is not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from headgate.core.entry import Attempt
from headgate.core.faults import Fault, UpstreamAuth, UpstreamBusy, UpstreamMissing, UpstreamQuota
from headgate.core.seams import Provider
from headgate.engine.breaker import Breaker

RETRIES_SHARE = 0.2
RETRIES_LEAST = 3
"""Of the calls under way at a provider so many may be retries: a share of them, and at least so many."""

SMOOTHING = 0.2
"""How much the newest latency counts in the smoothed one."""

REFUSED_REST = 60.0
LONGEST_REST = 3600.0
"""Seconds that a key rests for a model: one that the model is refused to, and the most that an upstream can ask for."""


@dataclass(slots=True, eq=False)
class Key:
    """One of our credentials at a provider: its place in the configuration, and what asks with it."""

    name: str
    provider: Provider
    breaker: Breaker = field(default_factory=lambda: Breaker(failures=1, record=1, cooldown=60.0, longest=3600.0))


@dataclass(slots=True, eq=False)
class Upstream:
    """A provider as the router sees it. `active` calls are under way there, `retrying` of them are asked again."""

    name: str
    keys: tuple[Key, ...]
    active: int = 0
    retrying: int = 0
    turn: int = 0

    @classmethod
    def of(cls, name: str, *providers: Provider) -> Upstream:
        """A provider with one key for each of these."""
        return cls(name, tuple(Key(str(number), provider) for number, provider in enumerate(providers, 1)))

    def may_retry(self) -> bool:
        """Whether one more of the calls may be asked again."""
        return self.retrying < max(RETRIES_LEAST, self.active * RETRIES_SHARE)


@dataclass(slots=True, eq=False)
class Target:
    """One model at one provider.

    `busy` calls are under way. `latency` is the smoothed time to the first event in seconds, 0 while unknown, last
    renewed at the monotonic second `heard_at`. `resting` says until when a key is not used for this model.
    """

    upstream: Upstream
    model: str
    breaker: Breaker = field(default_factory=Breaker)
    busy: int = 0
    calls: int = 0
    failures: int = 0
    latency: float = 0.0
    heard_at: float = 0.0
    resting: dict[Key, float] = field(default_factory=dict)
    _twins: dict[type[Any], Target] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`provider/model`."""
        return f"{self.upstream.name}/{self.model}"

    @property
    def provider(self) -> Provider:
        """The provider, with its first key."""
        return self.upstream.keys[0].provider

    def beside(self, ability: type[Any]) -> Target:
        """The same for another kind of question, with a health of its own.

        Who asks for vectors of a model that cannot embed does not keep others from its words.
        """
        if ability not in self._twins:
            self._twins[ability] = Target(self.upstream, self.model)
        return self._twins[ability]

    def key(self) -> Key | None:
        """The next key in turn that may be used now, or None."""
        upstream = self.upstream
        if len(upstream.keys) == 1:
            return upstream.keys[0]
        now = time.monotonic()
        for _ in upstream.keys:
            upstream.turn = (upstream.turn + 1) % len(upstream.keys)
            key = upstream.keys[upstream.turn]
            if self.resting.get(key, 0.0) <= now and key.breaker.allows():
                return key
        return None

    def rests_for(self, key: Key) -> float:
        """Seconds until the key may be used for this model."""
        return max(key.breaker.opens_in(), self.resting.get(key, 0.0) - time.monotonic(), 0.0)

    def begun(self) -> None:
        """A call is aimed at it."""
        self.busy += 1
        self.calls += 1
        self.upstream.active += 1

    def spoke(self, key: Key, began: float) -> None:
        """It began to answer a call that was made at the monotonic second `began`."""
        now = time.monotonic()
        self.latency += (now - began - self.latency) * (SMOOTHING if self.latency else 1.0)
        self.heard_at = now
        if len(self.upstream.keys) > 1:
            key.breaker.succeeded()

    def refused(self, key: Key, fault: Fault) -> bool:
        """An attempt failed; whether it was for the key, and another one may do better."""
        if len(self.upstream.keys) == 1:
            return False
        if not _concerns_key(fault):
            key.breaker.left()
            return False
        if isinstance(fault, UpstreamBusy):
            key.breaker.left()
            self.resting[key] = time.monotonic() + min(LONGEST_REST, max(1.0, fault.retry_after or 0.0))
        elif isinstance(fault, UpstreamAuth) and fault.status == 403:  # perhaps for this model only
            key.breaker.left()
            self.resting[key] = time.monotonic() + REFUSED_REST
        else:
            key.breaker.failed(fault)
        return True

    def keyless(self) -> Fault:
        """What to say while no key may be used: the kind that passes soonest."""
        key = min(self.upstream.keys, key=self.rests_for)
        wait = max(0.001, self.rests_for(key))
        last = key.breaker.last_fault
        if key.breaker.tripped and last is not None:
            return type(last)(last.message, retry_after=wait)
        fault = UpstreamBusy("the upstream is busy and asks to come back later", retry_after=wait)
        fault.status = 429
        return fault

    def ended(self, error: BaseException | None) -> None:
        """A call is over, well or with this error: each is counted once, whatever its attempts."""
        self.busy -= 1
        self.upstream.active -= 1
        if error is None:
            self.breaker.succeeded()
        elif not isinstance(error, Fault):
            self.breaker.left()
        elif len(self.upstream.keys) > 1 and _concerns_key(error):
            self.failures += 1
            self.breaker.left()
        elif isinstance(error, UpstreamMissing) and self.model not in error.message:
            self.breaker.succeeded()  # it misses something else that the caller named
        else:
            self.failures += self.breaker.failed(error)


class Spoken(Struct):
    """Which target answers, and how many attempts it took to find it; filled in while the router works.

    `failed` are the attempts that failed, `since` is when the newest one began, in seconds since the epoch.
    """

    target: Target | None = None
    tries: int = 0
    failed: tuple[Attempt, ...] = ()
    since: float = 0.0
    speaks: bool = False

    def ended(self, error: str) -> None:
        """The attempt that is under way has ended, with this fault's code if with any."""
        now = time.time()
        name = self.target.name if self.target is not None else ""
        self.failed += (Attempt(name, self.since, (now - self.since) * 1000, error),)
        self.since = now

    def over(self, error: BaseException | None) -> None:
        """The answer is over; a target that never spoke has been judged by then."""
        if self.speaks and self.target is not None:
            self.speaks = False
            self.target.ended(error)


def _concerns_key(fault: Fault) -> bool:
    return isinstance(fault, (UpstreamAuth, UpstreamQuota)) or (isinstance(fault, UpstreamBusy) and fault.status == 429)
