"""Routing: a public model name finds its targets, and the first of them to speak answers.

Before the first event a fault may be tried again or moved to the next target; after it nothing is ever retried.
Retries share a budget per provider, so that a failing upstream is not asked many times more than a healthy one.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from operator import length_hint
from typing import Any, TypeVar

from msgspec import Struct, structs

from headgate.core.call import Call, Clocks, System
from headgate.core.events import Event
from headgate.core.faults import Fault, InternalError, NotFound, Then, UpstreamFault
from headgate.core.seams import Events, Provider
from headgate.engine.hedge import Hedge, hedged
from headgate.engine.history import Window
from headgate.engine.strategies import Order
from headgate.engine.targets import Spoken, Target, Upstream

T = TypeVar("T")

RETRIES = 2
BACKOFF = 0.25
BACKOFF_MOST = 8.0
PATIENCE = 2.0
MOST_DIRECT = 10_000

_NAME = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")  # it travels in headers, and is kept


class Route(Struct, frozen=True, eq=False):
    """A public model name, its targets in order, and what the operator says about it.

    `order` says in which order a call asks them, where `strategy` wants another. `prompt` gives the text of the
    operator's system prompt as it is now. `max_tokens` is the most that an answer may have, `default_max_tokens` the
    most for a caller who names no bound. `shared` answers are cached for all callers.
    `window` says what becomes of conversations that are too long; without one the upstream does.
    """

    name: str
    targets: tuple[Target, ...]
    clocks: Clocks = Clocks()
    prompt: Callable[[], str] | None = None
    max_tokens: int | None = None
    default_max_tokens: int | None = None
    strategy: str = "order"
    order: Order | None = None
    hedge: Hedge | None = None
    shared: bool = False
    window: Window | None = None

    def system(self, policy: str) -> System | None:
        """The operator's system prompt under a tier's policy."""
        text = self.prompt() if self.prompt is not None else ""
        if not text and policy != "forbid":
            return None
        return System(text, policy)  # type: ignore[arg-type]

    def able(self, ability: type[Any]) -> Route:
        """The same with only those targets whose provider has an ability (a Protocol of the seams)."""
        able = tuple(t.beside(ability) for t in self.targets if isinstance(t.provider, ability))
        return structs.replace(self, targets=able, hedge=None)


class Routes:
    """All public names, and the providers that `provider/model` may name directly.

    `targets` are all that were ever asked, by name: each has one health, whatever names lead to it.
    """

    def __init__(
        self,
        named: Mapping[str, Route],
        upstreams: Mapping[str, Upstream],
        *,
        default: str = "",
        direct: bool = True,
        targets: dict[str, Target] | None = None,
    ) -> None:
        self.named = dict(named)
        self.upstreams = dict(upstreams)
        self.default = default
        self.direct = direct
        self.targets = {t.name: t for route in named.values() for t in route.targets} if targets is None else targets
        self._direct: dict[str, Route] = {}

    def find(self, model: str) -> Route:
        """The route of a name a caller sent; the default one for an empty name. Raises NotFound."""
        route = self.named.get(model or self.default) or self._direct.get(model)
        if route is not None:
            return route
        provider_name, slash, asked = (model or self.default).partition("/")
        upstream = self.upstreams.get(provider_name)
        if not self.direct or not slash or not _NAME.fullmatch(asked) or upstream is None:
            raise unknown(model)
        name = f"{provider_name}/{asked}"
        target = self.targets.get(name) or Target(upstream, asked)
        route = Route(name, (target,))
        if len(self.targets) < MOST_DIRECT:
            self._direct[name] = route
            self.targets[name] = target
        return route

    def public(self) -> list[str]:
        """The names to show: the configured ones, and the default where it is asked for directly."""
        names = list(self.named)
        return names if not self.default or self.default in names else [self.default, *names]

    def all(self) -> Sequence[Route]:
        """Every route in use: the named ones, then those asked for directly."""
        return [*self.named.values(), *self._direct.values()]


def unknown(model: str) -> NotFound:
    """The fault of a name that is no model's, or none of those that this caller may know of."""
    return NotFound(f"the model {model[:100]!r} does not exist here: /v1/models lists those that do", field="model")


def first_to_speak(
    route: Route, call: Call, system: System | None, spoken: Spoken, ask: Callable[[Provider, Call], Awaitable[T]]
) -> Coroutine[Any, Any, T]:
    """What `ask` (`begun` or `whole`) brings from the first target that speaks. Raises the last Fault if none does."""
    targets = iter(route.targets if route.order is None else route.order(route.targets))
    if route.hedge is None:
        return _first(targets, route, call, system, spoken, ask)

    def leg(said: Spoken) -> Coroutine[Any, Any, T]:
        return _first(targets, route, call, system, said, ask)

    return hedged(route.hedge, leg, spoken, more=lambda: length_hint(targets) > 0)


async def _first(
    targets: Iterator[Target],
    route: Route,
    call: Call,
    system: System | None,
    spoken: Spoken,
    ask: Callable[[Provider, Call], Awaitable[T]],
) -> T:
    """The same of the targets that are left; each that is asked is taken from them."""
    last: Fault | None = None
    for target in targets:
        if last is not None and time.monotonic() >= call.deadline:
            break
        if not target.breaker.allows():
            continue
        target.begun()
        try:
            answer = await _asked(target, call.aimed(target.model, system, route.clocks), spoken, ask)
        except Fault as fault:
            target.ended(fault)
            if fault.then is Then.STOP:
                raise
            last = fault
        except BaseException as error:
            target.ended(error)
            raise
        else:
            spoken.speaks = True
            return answer
    raise last or _all_tripped(route)


async def _asked(target: Target, call: Call, spoken: Spoken, ask: Callable[[Provider, Call], Awaitable[T]]) -> T:
    """What one target brings: asked again after a pause, or at once with another key. Raises its last Fault."""
    spoken.target = target
    upstream = target.upstream
    retries = 0
    key = target.key()
    try:
        while True:
            if key is None:
                raise target.keyless()
            spoken.tries += 1
            began = time.monotonic()
            try:
                answer = await ask(key.provider, call)
            except Fault as said:
                fault = said
                spoken.ended(fault.code)
            except BaseException:
                key.breaker.left()
                raise
            else:
                target.spoke(key, began)
                return answer
            if target.refused(key, fault):
                key = target.key()
                if key is not None and time.monotonic() < call.deadline:
                    continue
                fault = target.keyless() if key is None else fault
            pause = _pause(fault, retries, target, call)
            if pause is None:
                raise fault
            upstream.retrying += not retries
            retries += 1
            await asyncio.sleep(pause)
            spoken.since = time.time()
            if target.breaker.tripped:  # by others, meanwhile
                raise fault
            key = target.key()
    finally:
        upstream.retrying -= retries > 0


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


def whole(provider: Provider, call: Call) -> Awaitable[Sequence[Event]]:
    """All events of a provider's answer at once. Raises Faults."""
    # Asked for by name: isinstance against a Protocol would cost more than the rest of the router.
    answer: Callable[[Call], Awaitable[Sequence[Event]]] | None = getattr(provider, "answer", None)
    return _gathered(provider, call) if answer is None else answer(call)


async def _gathered(provider: Provider, call: Call) -> Sequence[Event]:
    async with aclosing(provider.events(call)) as events:
        return [event async for event in events]


def _pause(fault: Fault, attempt: int, target: Target, call: Call) -> float | None:
    """Seconds to wait before the same target is asked again, or None where it must not be.

    Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), at least what the upstream
    asked for; a caller is never kept waiting long for it, but told to come back.
    """
    if fault.then is not Then.AGAIN or attempt >= RETRIES or target.breaker.tripped:
        return None
    if not attempt and not target.upstream.may_retry():
        return None
    pause = random.uniform(0, min(BACKOFF_MOST, BACKOFF * 2**attempt))  # noqa: S311 - spreads load, guards nothing
    if fault.retry_after is not None:
        if fault.retry_after > PATIENCE:
            return None
        pause = max(pause, fault.retry_after)
    if time.monotonic() + pause >= call.deadline:
        return None
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
