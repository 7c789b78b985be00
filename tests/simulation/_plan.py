"""A schedule: who calls when, what each upstream attempt does, when the store is out. All of it from one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from headgate.core.faults import (
    ContextTooLong,
    Fault,
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamQuota,
    UpstreamRejected,
    UpstreamTimeout,
)

TOTAL, FIRST, IDLE = 30.0, 10.0, 5.0
"""The clocks of every attempt, in seconds."""

MODELS = {"plain": 1, "twin": 2, "trio": 3}
"""The public models, and how many targets each has."""

USERS = ("ann", "bob", "cat")
ADDRESSES = ("203.0.113.1", "203.0.113.2")
BUG = RuntimeError
BEFORE = (UpstreamDown, UpstreamDown, UpstreamBusy, UpstreamBroken, UpstreamAuth, UpstreamQuota, UpstreamRejected)
BEFORE += (UpstreamMissing, ContextTooLong, UpstreamTimeout, BUG)
AFTER = (UpstreamBroken, UpstreamTimeout, UpstreamDown, BUG)


@dataclass(frozen=True)
class Attempt:
    """What an upstream does when it is asked once: waits, then fails, or says `words` and fails, or ends well."""

    wait: float
    words: int
    gap: float
    before: type[Exception] | None
    after: type[Exception] | None
    retry_after: float | None
    counted: bool


@dataclass(frozen=True)
class Caller:
    """One call. `leaves` is after how many seconds, `full` after how many events, a caller hangs up by itself."""

    number: int
    at: float
    user: str
    key: str
    address: str
    model: str
    stream: bool
    max_tokens: int | None
    size: int
    leaves: float | None
    full: int | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Plan:
    """A whole schedule. The store is `out` in these spans of time; the process is looked at as if killed at `dies`."""

    seed: int
    callers: tuple[Caller, ...]
    tier: dict[str, object]
    own: tuple[tuple[str, str], ...]
    model: dict[str, object]
    service: dict[str, object]
    out: tuple[tuple[float, float], ...]
    torn: float
    dies: float

    def only(self, numbers: set[int]) -> Plan:
        """The same with fewer callers."""
        return replace(self, callers=tuple(caller for caller in self.callers if caller.number in numbers))


def plan_of(seed: int) -> Plan:
    """The schedule of a seed."""
    chance = Random(seed)
    crowd = chance.choice((3, 6, 10, 20))
    rush = chance.choice((0.0, 0.2, 2.0, 20.0, 90.0))
    trouble = chance.choice((0.0, 0.1, 0.4, 0.9))
    users = USERS[: chance.choice((1, 1, 3))]
    models = [chance.choice(list(MODELS))] if chance.random() < 0.5 else list(MODELS)
    return Plan(
        seed=seed,
        callers=tuple(_caller(chance, number, rush, trouble, users, models) for number in range(crowd)),
        tier=_rules(chance, chance.choice((0.0, 0.2, 0.6))),
        own=tuple((kind, str(rule)) for kind, rule in _rules(chance, 0.1).items()),
        model=_rules(chance, 0.1),
        service=_rules(chance, 0.1, "requests_per_address"),
        out=tuple((at, at + chance.choice((0.5, 3.0, 40.0))) for at in (chance.uniform(0, 60),)),
        torn=chance.choice((0.0, 0.0, 0.2)),
        dies=chance.uniform(0, rush + 20),
    )


def _rules(chance: Random, often: float, *without: str) -> dict[str, object]:
    window = chance.choice(("10s", "minute", "day"))
    rules: dict[str, object] = {
        "requests": f"{chance.choice((1, 3, 8))}/{window}",
        "requests_per_address": f"{chance.choice((1, 4))}/minute",
        "tokens": f"{chance.choice((300, 2000, 9000))}/{window}",
        "spend_usd": f"{chance.choice(('0.0005', '0.005', '0.02'))}/{window}",
        "concurrent": chance.choice((1, 2, 5)),
    }
    return {kind: rule for kind, rule in rules.items() if chance.random() < often and kind not in without}


def _caller(chance: Random, number: int, rush: float, trouble: float, users: tuple, models: list[str]) -> Caller:
    user = chance.choice(users)
    return Caller(
        number=number,
        at=chance.uniform(0, rush),
        user=user,
        key=f"{user}-{chance.choice((1, 2))}",
        address=chance.choice(ADDRESSES),
        model=chance.choice(models),
        stream=chance.random() < 0.6,
        max_tokens=chance.choice((None, 5, 60, 800)),
        size=chance.choice((20, 200)),
        leaves=chance.uniform(0, 15) if chance.random() < 0.2 else None,
        full=chance.randrange(1, 6) if chance.random() < 0.15 else None,
        attempts=tuple(_attempt(chance, trouble) for _ in range(9)),
    )


def _attempt(chance: Random, trouble: float) -> Attempt:
    breaks = chance.random() < trouble
    after = breaks and chance.random() < 0.3
    return Attempt(
        wait=chance.choice((0.0, 0.01, 0.5, 4.0, 12.0 if breaks else 1.0)),
        words=chance.choice((1, 3, 20)),
        gap=chance.choice((0.0, 0.0, 0.3, 6.0 if breaks else 1.0)),
        before=chance.choice(BEFORE) if breaks and not after else None,
        after=chance.choice(AFTER) if after else None,
        retry_after=chance.choice((None, None, 0.5, 60.0)),
        counted=chance.random() < 0.8,
    )


def raised(kind: type[Exception], retry_after: float | None) -> Exception:
    """An exception of this kind, as an upstream's adapter raises it."""
    return kind("scripted", retry_after=retry_after) if issubclass(kind, Fault) else kind("scripted")
