"""`Flight`: one answer on its way to everybody who asked for it.

It is in a task of its own, so that no caller who leaves takes it from the others; when the last one has left, it is
cancelled. The upstream is read at the pace of the fastest listener; slower ones read what was kept for them, and one
that is left too far behind is cut off. One listener pays: the first, or whoever is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from copy import copy

import msgspec

from headgate.core.embedding import Embedded
from headgate.core.events import Event, Extra, Refusal, Text, Thinking, ToolArgs, Usage, Verbatim
from headgate.core.faults import Fault, Overloaded
from headgate.engine.hold import Hold
from headgate.engine.targets import Spoken

Said = Event | Embedded
"""What a model says: the events of an answer, or vectors."""

Saying = AsyncGenerator[Said, None]
Start = Callable[[], Awaitable[tuple[Said, Saying]]]

AHEAD = 64 * 1024
"""Bytes that may be read before anybody takes them."""

BEHIND = 4 * AHEAD
"""Bytes that a slow listener may always be behind."""

EVENT = 64
"""Bytes that an event counts for beside its words."""

_encode = msgspec.json.Encoder().encode


class _Listener:
    """Somebody who takes the answer; `at` is the number of the next event to take."""

    __slots__ = ("at", "cut", "hold")

    def __init__(self, hold: Hold) -> None:
        self.hold = hold
        self.at = 0
        self.cut = False


class Flight:
    """One answer, which is kept if it has at most `most` bytes; it can be joined while nothing of it is lost.

    `spoken` says who answers; where the answer turns out to be a remembered one (`recalled`), nobody pays.
    """

    def __init__(self, most: int) -> None:
        self.spoken = Spoken(since=time.time())
        self.over = False
        self.task: asyncio.Task[None] | None = None
        self.fault: Exception | None = None
        self._most = most
        self._room = max(most, BEHIND)
        self._said: list[Said] = []
        self._ends: list[int] = []
        self._dropped = 0
        self._before = 0
        self._total = 0
        self._usage: Usage | None = None
        self._listeners: list[_Listener] = []
        self._payer: _Listener | None = None
        self._left = False
        self._news = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether somebody may still join: nothing of the answer is lost, and it did not fail."""
        return not self._left and not self._dropped and self.fault is None

    @property
    def answer(self) -> list[Said] | None:
        """The whole answer once it is over; None where it failed, or is too large to be kept."""
        return self._said if self.over and self.open and self._total <= self._most else None

    def recalled(self, spoken: Spoken) -> None:
        """The answer is a remembered one: nobody pays for it."""
        self.spoken.target = spoken.target
        self._payer = None
        for listener in self._listeners:
            listener.hold.entry.cache = "hit"

    async def run(self, start: Start) -> None:
        """Bring the answer to its listeners."""
        ended: BaseException | None = None
        try:
            first, rest = await start()
            async with aclosing(rest):
                self._say(first)
                async for event in rest:
                    await self._keep_pace()
                    self._say(event)
        except Exception as error:  # noqa: BLE001 - it is raised again at every listener
            self.fault = ended = error
        except BaseException as error:
            ended = error
            raise
        finally:
            self.spoken.over(ended)
            self.over = True
            self._tell()

    async def events(self, hold: Hold) -> Saying:
        """The whole answer for one more listener. Raises Faults; Overloaded for one who is too slow."""
        listener = _Listener(hold)
        hold.spoken = self.spoken
        self._join(listener)
        try:
            while not listener.cut:
                if listener.at < self._end:
                    listener.at += 1
                    self._taken.set()
                    yield self._said[listener.at - 1 - self._dropped]
                elif not self.over:
                    await self._news.wait()
                elif self.fault is not None:
                    raise copy(self.fault) if isinstance(self.fault, Fault) else self.fault
                else:
                    return
            raise Overloaded("this answer is shared with others, and was not taken fast enough")
        finally:
            self._leave(listener)

    @property
    def _end(self) -> int:
        return self._dropped + len(self._said)

    def _join(self, listener: _Listener) -> None:
        pays = not self._listeners and not self.over
        listener.hold.entry.cache = "miss" if pays else "hit"
        if pays:
            self._payer = listener
        self._listeners.append(listener)

    def _leave(self, listener: _Listener) -> None:
        """Somebody has all of it, or wants no more; who leaves before the end has another pay, if there is one."""
        self._listeners.remove(listener)
        early = not (self.over and listener.at == self._end)
        if listener is self._payer and early:
            if self._listeners:
                self._payer = self._listeners[0]
                listener.hold.entry.cache, self._payer.hold.entry.cache = "hit", "miss"
            elif self._usage is not None:
                listener.hold.note(self._usage)
        if not self._listeners and not self.over:
            self._left = True
            if self.task is not None:
                self.task.cancel()

    def _say(self, event: Said) -> None:
        if isinstance(event, Usage):
            self._usage = event
        self._total += weight(event)
        self._said.append(event)
        self._ends.append(self._total)
        if self._total - self._before > self._room:
            self._trim()
        self._tell()

    def _trim(self) -> None:
        """Let go of what everybody has, and of those who are too far behind."""
        for listener in self._listeners:
            if listener.at < self._end and self._total - self._ends[listener.at - self._dropped] > self._room:
                listener.cut = True
        taken = min((listener.at for listener in self._listeners if not listener.cut), default=self._end)
        if gone := taken - self._dropped:
            self._before = self._ends[gone - 1]
            del self._said[:gone], self._ends[:gone]
            self._dropped = taken

    def _tell(self) -> None:
        """Wake everybody who waits now."""
        self._news.set()
        self._news.clear()

    async def _keep_pace(self) -> None:
        while self._untaken > AHEAD:
            self._taken.clear()
            await self._taken.wait()

    @property
    def _untaken(self) -> int:
        """The bytes that not even the fastest listener has taken."""
        at = max((listener.at for listener in self._listeners), default=self._end) - self._dropped
        return self._total - (self._ends[at - 1] if at > 0 else self._before)


def weight(said: Said) -> int:
    """About how many bytes it takes to keep."""
    match said:
        case Verbatim():
            return EVENT + len(said.data)
        case Text() if said.logprobs is not None:
            return EVENT + len(said.text) + len(_encode(said.logprobs))
        case Text() | Thinking() | Refusal():
            return EVENT + len(said.text)
        case ToolArgs():
            return EVENT + len(said.json)
        case Extra():
            return EVENT + len(_encode(said.value))
        case Embedded():
            return EVENT + 8 * sum(map(len, said.vectors))
    return EVENT
