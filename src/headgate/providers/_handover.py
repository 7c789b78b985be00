"""`Handover`: from a worker thread to a task, in order, with room for so many items and no more."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from time import monotonic
from typing import Generic, TypeVar

from headgate.core.faults import UpstreamTimeout

T = TypeVar("T")


class Handover(Generic[T]):
    """Made by the task. The thread stops where `put` says that nobody takes any more.

    `ends` is the `time.monotonic()` second until which the thread waits for room.
    """

    def __init__(self, room: int, ends: float) -> None:
        self.closed = False
        self._room = room
        self._ends = ends
        self._items: deque[T] = deque()
        self._lock = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()

    def put(self, item: T) -> bool:
        """From the thread: hand over one item, waiting for room. False where it is not wanted any more."""
        with self._lock:
            while len(self._items) >= self._room and not self.closed:
                if not self._lock.wait(min(max(0.0, self._ends - monotonic()), threading.TIMEOUT_MAX)):
                    self.closed = True
            if self.closed:
                return False
            self._items.append(item)
        self._loop.call_soon_threadsafe(self._filled.set)
        return True

    async def get(self) -> T:
        """From the task: the next item. Raises UpstreamTimeout where the thread gave up on a slow taker."""
        while True:
            with self._lock:
                if self._items:
                    item = self._items.popleft()
                    self._lock.notify()
                    return item
                if self.closed:
                    raise UpstreamTimeout("the answer was not taken in time", details={"clock": "total"})
                self._filled.clear()
            await self._filled.wait()

    def close(self) -> None:
        """From the task: nothing more is wanted."""
        with self._lock:
            self.closed = True
            self._items.clear()
            self._lock.notify()
