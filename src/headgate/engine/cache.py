"""The cache: what was answered before answers again, and what is being asked by several callers is asked once.

A question is the same when the same surface was asked the same thing, parameter by parameter, of the same targets under
the same system prompt, by the same tenant (`Route.shared`: by anybody). What any surface would say to it again is kept:
the events of the answer, with the bytes that travel untouched. Only answers that ended well are kept: not what was cut,
by a limit on its length either, and nothing that failed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from hashlib import sha256
from os import urandom
from typing import Any, cast

import msgspec
from msgspec import Struct

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.events import Begin, Done, Event, Extra, Refusal, Text, Thinking, ToolArgs, ToolCall, Usage, Verbatim
from headgate.core.faults import InternalError
from headgate.core.principal import Principal
from headgate.core.seams import CacheStore, Events, Provider
from headgate.engine.flight import Flight, Said, Saying
from headgate.engine.hold import Hold
from headgate.engine.routing import Route, begun, first_to_speak
from headgate.engine.targets import Spoken, Target

VERSION = 1
"""Part of every key: to be raised when the same question may have another answer, or answers are kept otherwise."""

PATIENCE = 30.0
"""Seconds for which one process waits for the answer that another is having made, before it asks itself."""

GOOD = frozenset({"stop", "tool"})
"""How an answer that is kept may have ended."""

Ask = Callable[[Provider, Call], Awaitable[tuple[Said, Saying]]]

log = logging.getLogger("headgate")
_canonical = msgspec.json.Encoder(order="sorted").encode


class Remembered(Struct, frozen=True, array_like=True):
    """An answer as it is kept: when it was given (epoch seconds), by which target, and all that was said."""

    at: float
    target: str
    said: list[Begin | Verbatim | Text | Thinking | Refusal | ToolCall | ToolArgs | Extra | Usage | Done | Embedded]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Remembered).decode


class Cache:
    """Answers of a store, and answers on their way. Belongs to one event loop.

    `ttl` seconds is how long an answer is kept, `max_entry` the most bytes of one; both may be changed at any time.
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        ttl: float = 3600.0,
        max_entry: int = 1 << 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ttl = ttl
        self.max_entry = max_entry
        self._store = store
        self._clock = clock
        self._name = urandom(8).hex()
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begun(self, who: Principal, call: Call, hold: Hold) -> tuple[Event, Events]:
        """The first event of an answer, and the rest, which whoever takes it closes. Raises Faults.

        `call.reuse` says what may be remembered. The hold is told who answers, and whether this call pays.
        """
        said, saying = await self._begun(key_of(who, call, hold), call, hold, begun)
        return cast("Event", said), cast("Events", saying)

    async def whole(self, who: Principal, call: Call, hold: Hold) -> list[Event]:
        """All events of an answer at once. Raises Faults."""
        first, rest = await self.begun(who, call, hold)
        async with aclosing(rest):
            return [first, *[event async for event in rest]]

    async def embedded(
        self,
        who: Principal,
        call: Call,
        hold: Hold,
        embed: Callable[[Provider, Call], Awaitable[Embedded]],
        wanted: EmbedCall,
    ) -> Embedded:
        """The vectors that are wanted, which `embed` brings from a provider. Raises Faults."""

        async def ask(provider: Provider, aimed: Call) -> tuple[Said, Saying]:
            return await embed(provider, aimed), _again([])

        said, saying = await self._begun(key_of(who, call, hold, wanted), call, hold, ask)
        async with aclosing(saying):
            async for _ in saying:
                pass
        return cast("Embedded", said)

    async def aclose(self) -> None:
        """Wait until what has ended is kept."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _begun(self, key: str, call: Call, hold: Hold, ask: Ask) -> tuple[Said, Saying]:
        saying = await self._saying(key, call, hold, ask)
        try:
            return await anext(saying), saying
        except StopAsyncIteration:
            raise InternalError("the provider said nothing") from None
        except BaseException:
            await saying.aclose()
            raise

    async def _saying(self, key: str, call: Call, hold: Hold, ask: Ask) -> Saying:
        reuse = call.reuse
        assert reuse is not None  # noqa: S101 - others are not brought here
        if not reuse.read:
            return self._depart(key, call, hold, ask).events(hold)
        flight = self._joinable(key)
        if flight is None:
            found = await self._recall(key, hold.route, reuse.max_age)
            if found is not None:
                hold.spoken, hold.entry.cache = found[0], "hit"
                return _again(found[1])
            flight = self._joinable(key)
        if flight is None:
            flight = self._flights[key] = self._depart(key, call, hold, ask)
        return flight.events(hold)

    def _joinable(self, key: str) -> Flight | None:
        """The answer that is on its way; one that has ended counts until it is kept, and only if it will be."""
        flight = self._flights.get(key)
        if flight is None or not flight.open:
            return None
        return None if flight.over and not ended_well(flight.answer) else flight

    def _depart(self, key: str, call: Call, hold: Hold, ask: Ask) -> Flight:
        """A flight that has begun; whoever made it takes its events at once."""
        flight = Flight(self.max_entry)
        flight.task = asyncio.create_task(self._fly(flight, key, call, hold, ask))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(partial(self._landed, key, flight))
        return flight

    def _landed(self, key: str, flight: Flight, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an answer could not be remembered", exc_info=error)

    async def _fly(self, flight: Flight, key: str, call: Call, hold: Hold, ask: Ask) -> None:
        route, system = hold.route, hold.system

        async def start() -> tuple[Said, Saying]:
            found = await self._elsewhere(key, call, route)
            if found is None:
                return await first_to_speak(route, call, system, flight.spoken, ask)
            flight.recalled(found[0])
            saying = _again(found[1])
            return await anext(saying), saying

        try:
            await flight.run(start)
            if flight.spoken.tries and ended_well(flight.answer):
                await self._keep(key, flight)
        finally:
            if call.reuse is not None and call.reuse.read:
                await self._store.claim(key, self._name, 0.0)

    async def _elsewhere(self, key: str, call: Call, route: Route) -> tuple[Spoken, list[Said]] | None:
        """Be the one process that asks; or, where another was, take what it has got meanwhile."""
        reuse = call.reuse
        if reuse is None or not reuse.read:
            return None
        until, pause = min(time.monotonic() + PATIENCE, call.deadline), 0.02
        while not await self._store.claim(key, self._name, PATIENCE) and time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.2)
            found = await self._recall(key, route, reuse.max_age)
            if found is not None:
                return found
        return await self._recall(key, route, reuse.max_age)

    async def _recall(self, key: str, route: Route, max_age: float) -> tuple[Spoken, list[Said]] | None:
        value = await self._store.get(key)
        if value is None:
            return None
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # whoever wrote it, it is no answer of ours
            kept = _decode(value)
            target = _target(route, kept.target)
            if target is not None and kept.said and self._clock() - kept.at <= min(self.ttl, max_age):
                return Spoken(target), list(kept.said)
        return None

    async def _keep(self, key: str, flight: Flight) -> None:
        said, target = flight.answer, flight.spoken.target
        if said is None or target is None:
            return
        try:
            value = _encode(Remembered(self._clock(), target.name, said))  # type: ignore[arg-type]  # Open, Receipt: ours
        except (TypeError, ValueError):  # half a surrogate pair, or a number that JSON has not
            return
        if len(value) <= self.max_entry:
            await self._store.put(key, value, self.ttl)


def key_of(who: Principal, call: Call, hold: Hold, wanted: EmbedCall | None = None) -> str:
    """The name of a question: the same for those that may have the same answer."""
    route = hold.route
    asked: Any = call.fields if call.body else wanted or call.prompt
    question = (
        VERSION,
        "" if route.shared else who.tenant,
        call.surface,
        call.dialect,
        call.stream,
        route.name,
        [target.name for target in route.targets],
        hold.system,
        asked,
        call.max_tokens,
        call.bounded,
        call.n,
        call.headers,
    )
    return sha256(_canonical(question)).hexdigest()


def ended_well(said: list[Said] | None) -> bool:
    """Whether an answer is a whole one that may be given again."""
    if not said:
        return False
    ends = [event.reason for event in said if isinstance(event, Done)]
    return GOOD.issuperset(ends) if ends else isinstance(said[0], Embedded)


def _target(route: Route, name: str) -> Target | None:
    return next((target for target in route.targets if target.name == name), None)


async def _again(said: list[Said]) -> Saying:
    for event in said:
        yield event
