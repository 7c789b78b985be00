"""`Line`: how a call learns that its caller hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Line:
    """The caller's line while its call is answered: when it is cut, the call is cancelled.

    Headgate's own server tells at once; under another one a task waits for `http.disconnect`. The call's `task` is the
    current one, unless it is set. It may be used again, for the next call by the same connection.
    """

    __slots__ = ("_connection", "_receive", "_watch", "cut", "task")

    def __init__(self, connection: Any, receive: Receive | None = None) -> None:
        self._connection = connection
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self.task: asyncio.Task[Any] | None = None
        self.cut = False

    def begin(self) -> None:
        """The call is being answered from here on."""
        if self.task is None:
            self.task = asyncio.current_task()
        if self._connection is not None:
            self._connection.answering = self
            if self._connection.gone:
                self.hang_up()
        else:
            self._watch = asyncio.create_task(self._wait())

    def end(self) -> None:
        """It is no more, however that ended."""
        if self._connection is not None:
            self._connection.answering = None
        elif self._watch is not None:
            self._watch.cancel()
        if self.cut and self.task is not None:
            self.task.uncancel()

    def hang_up(self) -> None:
        """The caller is gone."""
        self.cut = True
        if self.task is not None:
            self.task.cancel()

    async def _wait(self) -> None:
        assert self._receive is not None  # noqa: S101 - without a connection of ours there is one
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.hang_up()
