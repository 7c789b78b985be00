"""Routing: a public model name finds its targets, and the first of them to speak answers.

Before the first event a fault may be tried again or moved to the next target; after it nothing is ever retried.
Retries share a budget per target, so that a failing upstream is not asked many times more than a healthy one.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from msgspec import Struct, structs

from headgate.core.call import Call, Clocks, System
from headgate.core.entry import Attempt
from headgate.core.events import Event
from headgate.core.faults import Fault, InternalError, NotFound, Then, UpstreamFault
from headgate.core.seams import Events, Provider
from headgate.engine.breaker import Breaker

T = TypeVar("T")

RETRIES = 2
BACKOFF = 0.25
BACKOFF_MOST = 8.0
PATIENCE = 2.0

_NAME = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")  # it travels in headers, and is kept


class Target(Struct, eq=False):
    """One model at one provider. `retries` is the budget that calls earn and retries spend."""

    provider_name: str
    provider: Provider
    model: str
    breaker: Breaker
    retries: float = 3.0

    @property
    def name(self) -> str:
        """`provider/model`."""
        return f"{self.provider_name}/{self.model}"


class Route(Struct, frozen=True, eq=False):
    """A public model name, its targets in order, and what the operator says about it.

    `prompt` gives the text of the operator's system prompt as it is now. `max_tokens` is the most that an answer may
    have, `default_max_tokens` the most for a caller who names no bound. `shared` answers are cached for all callers.
    """

    name: str
    targets: tuple[Target, ...]
    clocks: Clocks = Clocks()
    prompt: Callable[[], str] | None = None
    max_tokens: int | None = None
    default_max_tokens: int | None = None
    shared: bool = False

    def system(self, policy: str) -> System | None:
        """The operator's system prompt under a tier's policy."""
        text = self.prompt() if self.prompt is not None else ""
        if not text and policy != "forbid":
            return None
        return System(text, policy)  # type: ignore[arg-type]

    def able(self, ability: type[Any]) -> Route:
        """The same with only those targets whose provider has an ability (a Protocol of the seams)."""
        return structs.replace(self, targets=tuple(t for t in self.targets if isinstance(t.provider, ability)))


class Routes:
    """All public names, and the providers that `provider/model` may name directly."""

    def __init__(
        self,
        named: Mapping[str, Route],
        providers: Mapping[str, Provider],
        *,
        default: str = "",
        direct: bool = True,
        breaker: Callable[[], Breaker] = Breaker,
    ) -> None:
        self.named = dict(named)
        self.providers = dict(providers)
        self.default = default
        self.direct = direct
        self._breaker = breaker
        self._direct: dict[str, Route] = {}

    def find(self, model: str) -> Route:
        """The route of a name a caller sent; the default one for an empty name. Raises NotFound."""
        route = self.named.get(model or self.default) or self._direct.get(model)
        if route is not None:
            return route
        provider_name, slash, upstream = (model or self.default).partition("/")
        provider = self.providers.get(provider_name)
        if not self.direct or not slash or not _NAME.fullmatch(upstream) or provider is None:
            raise NotFound(f"the model {model[:100]!r} does not exist here", field="model")
        target = Target(provider_name, provider, upstream, self._breaker())
        route = Route(f"{provider_name}/{upstream}", (target,))
        if len(self._direct) < 10_000:
            self._direct[route.name] = route
        return route

    def public(self) -> list[str]:
        """The names to show: the configured ones, and the default where it is asked for directly."""
        names = list(self.named)
        return names if not self.default or self.default in names else [self.default, *names]

    def all(self) -> Sequence[Route]:
        """Every route in use: the named ones, then those asked for directly."""
        return [*self.named.values(), *self._direct.values()]


class Spoken(Struct):
    """Which target answers, and how many attempts it took to find it; filled in while the router works.

    `failed` are the attempts that failed, `since` is when the one after them began, in seconds since the epoch.
    """

    target: Target | None = None
    tries: int = 0
    failed: tuple[Attempt, ...] = ()
    since: float = 0.0

    def ended(self, error: str) -> None:
        """The attempt that is under way has ended, with this fault's code if with any."""
        now = time.time()
        name = self.target.name if self.target is not None else ""
        self.failed += (Attempt(name, self.since, (now - self.since) * 1000, error),)
        self.since = now


async def first_to_speak(
    route: Route, call: Call, system: System | None, spoken: Spoken, ask: Callable[[Provider, Call], Awaitable[T]]
) -> T:
    """What `ask` (`begun` or `whole`) brings from the first target that speaks. Raises the last Fault if none does."""
    last: Fault | None = None
    for target in route.targets:
        if not target.breaker.allows():
            continue
        aimed = call.aimed(target.model, system, route.clocks)
        target.retries = min(10.0, target.retries + 0.2)
        attempt = 0
        while True:
            spoken.target, spoken.tries = target, spoken.tries + 1
            try:
                return await ask(target.provider, aimed)
            except Fault as fault:
                last = fault
                spoken.ended(fault.code)
                pause = _pause(fault, attempt, target, call)
                if pause is None:
                    target.breaker.failed(fault)
                if fault.then is Then.STOP:
                    raise
                if pause is None:
                    break
            attempt += 1
            await asyncio.sleep(pause)
            if target.breaker.tripped:  # by others, meanwhile
                break
            spoken.since = time.time()
    raise last or _all_tripped(route)


async def begun(provider: Provider, call: Call) -> tuple[Event, Events]:
    """The first event of a provider's answer, and the rest, which whoever takes it closes. Raises Faults."""
    events = provider.events(call)
    try:
        return await anext(events), events
    except StopAsyncIteration:
        raise InternalError("the provider said nothing") from None
    except BaseException:
        await events.aclose()
        raise


async def whole(provider: Provider, call: Call) -> Sequence[Event]:
    """All events of a provider's answer at once. Raises Faults."""
    # Asked for by name: isinstance against a Protocol would cost more than the rest of the router.
    answer: Callable[[Call], Awaitable[Sequence[Event]]] | None = getattr(provider, "answer", None)
    if answer is not None:
        return await answer(call)
    async with aclosing(provider.events(call)) as events:
        return [event async for event in events]


def _pause(fault: Fault, attempt: int, target: Target, call: Call) -> float | None:
    """Seconds to wait before the same target is asked again, or None where it must not be.

    Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), at least what the upstream
    asked for; a caller is never kept waiting long for it, but told to come back.
    """
    if fault.then is not Then.AGAIN or attempt >= RETRIES or target.retries < 1 or target.breaker.tripped:
        return None
    pause = random.uniform(0, min(BACKOFF_MOST, BACKOFF * 2**attempt))  # noqa: S311 - spreads load, guards nothing
    if fault.retry_after is not None:
        if fault.retry_after > PATIENCE:
            return None
        pause = max(pause, fault.retry_after)
    if time.monotonic() + pause >= call.deadline:
        return None
    target.retries -= 1
    return pause


def _all_tripped(route: Route) -> Fault:
    """What callers hear while every target of a route is being spared."""
    wait = min((target.breaker.opens_in() for target in route.targets), default=1.0)
    last = route.targets[0].breaker.last_fault if route.targets else None
    said = type(last) if last is not None else InternalError
    fault = said(
        f"every target of {route.name} has been failing; they are tried again soon", retry_after=max(1.0, wait)
    )
    if isinstance(fault, UpstreamFault) and isinstance(last, UpstreamFault):
        fault.status = last.status
    return fault
