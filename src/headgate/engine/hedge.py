"""Hedging: a call whose first target is silent for long is asked of a second one too; the first to speak answers.

It costs what the other would have charged, so it is off unless a model asks for it, and only a share of its calls may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from msgspec import Struct

from headgate.engine.targets import Spoken

T = TypeVar("T")

SAVED = 10.0
"""So many unused hedges may be saved up."""


class Hedge(Struct, eq=False):
    """When a second target is asked: after so many seconds of silence, in at most this share of the calls.

    `credit` is what calls have earned and hedges spend, `asked` how many hedges there were.
    """

    after: float
    share: float
    credit: float = 1.0
    asked: int = 0

    def spend(self) -> bool:
        """Take a hedge, if there is one to be had."""
        if self.credit < 1:
            return False
        self.credit -= 1
        self.asked += 1
        return True


async def hedged(
    hedge: Hedge, ask: Callable[[Spoken], Coroutine[Any, Any, T]], spoken: Spoken, *, more: Callable[[], bool]
) -> T:
    """What the first of two says; `ask` takes on the next target, if there are `more`. Raises the first one's Fault."""
    hedge.credit = min(SAVED, hedge.credit + hedge.share)
    asking: dict[asyncio.Task[T], Spoken] = {}

    def begin() -> None:
        said = Spoken(since=time.time())
        asking[asyncio.create_task(ask(said))] = said

    won: asyncio.Task[T] | None = None
    try:
        begin()
        await asyncio.wait(asking, timeout=hedge.after)
        if not any(task.done() for task in asking) and more() and hedge.spend():
            begin()
        waiting = set(asking)
        while waiting and won is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            won = next((task for task in asking if task in done and task.exception() is None), None)
        return (won or next(iter(asking))).result()
    finally:
        chosen = asking.pop(won) if won is not None else next(iter(asking.values()))
        spoken.target, spoken.since, spoken.speaks = chosen.target, chosen.since, won is not None
        for said in asking.values():
            if len(said.failed) < said.tries:
                said.ended("cancelled")
        every = {id(said): said for said in (chosen, *asking.values())}.values()
        spoken.tries = sum(said.tries for said in every)
        spoken.failed = tuple(attempt for said in every for attempt in said.failed)
        try:
            await _leave(asking)
        except asyncio.CancelledError:
            if won is not None:
                await _close(won.result())
            raise


async def _leave(asking: dict[asyncio.Task[T], Spoken]) -> None:
    """Hang up on the targets that nobody listens to any more, also on one that began to speak in the same instant."""
    for task in asking:
        task.cancel()
    if asking:
        await asyncio.wait(asking)
    for task, said in asking.items():
        if task.cancelled() or task.exception() is not None:
            continue
        said.over(asyncio.CancelledError())
        await _close(task.result())


async def _close(answer: object) -> None:
    """Close an answer that nobody takes, if it is a stream: its first event and the rest."""
    if isinstance(answer, tuple) and isinstance(answer[-1], AsyncGenerator):
        await answer[-1].aclose()
