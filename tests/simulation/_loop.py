"""Time that passes only when nobody has anything to do: hours of a schedule take milliseconds, always the same way."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch


class _Selector(selectors.SelectSelector):
    """Nothing comes from outside; to wait is to let time pass."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("everybody waits, and nobody will ever wake them")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of its own time, which threads do not reach: what they are given is done in the loop, later."""

    def __init__(self, chance: Random) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._chance = chance
        self._busy_until = 0.0

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """One thing at a time, as the one thread does that the ledger has."""
        future = self.create_future()
        self._busy_until = max(self.time(), self._busy_until) + self._chance.choice((0.0, 0.01, 0.4))
        self.call_at(self._busy_until, self._work, future, func, args)
        return future

    def _work(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            future.set_exception(error)


@contextmanager
def virtual(seed: int) -> Iterator[VirtualLoop]:
    """A loop whose time is everybody's, and whose chance is everybody's chance."""
    chance = Random(seed)
    loop = VirtualLoop(chance)
    try:
        with (
            patch("time.monotonic", loop.time),
            patch("time.time", lambda: 1_800_000_000 + loop.time()),
            patch("random.uniform", chance.uniform),
        ):
            yield loop
    finally:
        loop.close()
