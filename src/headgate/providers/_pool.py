"""The connections to one upstream: at most `limit`, and callers beyond that wait in line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from headgate.core.faults import UpstreamBusy, UpstreamDown
from headgate.providers._connection import Connection


class Pool:
    """Lends connections, the most recently used first. `dial` opens one and tells `lost` when it is gone."""

    def __init__(self, dial: Callable[[Callable[[Connection], None]], Awaitable[Connection]], limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._places = 0
        self._resting: list[Connection] = []
        self._open: set[Connection] = set()
        self._line: deque[asyncio.Future[Connection | None]] = deque()
        self._shut = False
        self._empty = asyncio.Event()

    def lent(self) -> int:
        """How many connections are in use."""
        return len(self._open) - len(self._resting)

    def rested(self) -> Connection | None:
        """A connection that is ready at once, if there is one; those hung up in this instant are passed over."""
        while self._resting:
            connection = self._resting.pop()
            if not connection.closed:
                return connection
        return None

    def distrust(self) -> None:
        """One at rest proved dead: those beside it most likely are, and nobody is to find out one by one."""
        for connection in tuple(self._resting):
            connection.close()

    async def take(self, patience: float, connect: float) -> Connection:
        """Open a connection, or wait up to `patience` seconds in line for a place; opening takes `connect` at most.

        Raises UpstreamBusy if no place came free, TimeoutError or OSError if there is no connection.
        """
        if self._shut:
            raise UpstreamDown("the connections to the upstream are shut")
        if self._places < self._limit:
            self._places += 1
        else:
            if self._resting:
                self._resting.pop(0).close()
            connection = await self._turn(patience)
            if connection is not None:
                return connection
        try:
            async with asyncio.timeout(min(connect, patience)):
                connection = await self._dial(self._forget)
        except BaseException:
            self._vacate()
            raise
        self._open.add(connection)
        if connection.closed:
            self._forget(connection)
        elif self._shut:
            connection.close()
        return connection

    def give(self, connection: Connection) -> None:
        """Take a connection back after an exchange; one that is unfit for another is hung up."""
        if self._shut or not connection.rest():
            connection.close()
            return
        waiter = self._next() if self._line else None
        if waiter is None:
            self._resting.append(connection)
        else:
            waiter.set_result(connection)

    async def aclose(self) -> None:
        """Hang up every connection, also those in use."""
        self._shut = True
        self._empty.clear()
        for connection in tuple(self._open):
            connection.close()
        if self._open:
            await self._empty.wait()

    async def _turn(self, patience: float) -> Connection | None:
        """Wait in line for a connection that others have done with, or (None) for the place of one that is gone."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        try:
            async with asyncio.timeout(patience):
                return await waiter
        except TimeoutError:
            self._hand_on(waiter)
            raise UpstreamBusy("too many calls to this upstream at once") from None
        except BaseException:
            self._hand_on(waiter)
            raise

    def _hand_on(self, waiter: asyncio.Future[Connection | None]) -> None:
        """Leave the line; what was handed over in the same instant goes to the next."""
        if not waiter.done() or waiter.cancelled():
            if waiter in self._line:
                self._line.remove(waiter)
            return
        connection = waiter.result()
        if connection is None:
            self._vacate()
        else:
            self.give(connection)

    def _next(self) -> asyncio.Future[Connection | None] | None:
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                return waiter
        return None

    def _vacate(self) -> None:
        waiter = self._next()
        if waiter is None:
            self._places -= 1
        else:
            waiter.set_result(None)

    def _forget(self, connection: Connection) -> None:
        """A socket is gone, whoever closed it; one that was never lent has no place to leave."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        if not self._open:
            self._empty.set()
        if connection in self._resting:
            self._resting.remove(connection)
        self._vacate()
