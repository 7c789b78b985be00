"""`Line`: how a call learns that its caller hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Line:
    """The caller's line while its call is answered: when it is cut, the call is cancelled.

    Headgate's own server tells at once; under another one a task waits for `http.disconnect`.
    """

    __slots__ = ("_connection", "_receive", "_task", "_watch", "cut")

    def __init__(self, connection: Any, receive: Receive | None) -> None:
        self._connection = connection
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self.cut = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI servers run applications in tasks
        self._task = task
        if self._connection is not None:
            self._connection.on_hang_up = self._hang_up
            if self._connection.gone:
                self._hang_up()
        else:
            self._watch = asyncio.create_task(self._wait())

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.on_hang_up = None
        elif self._watch is not None:
            self._watch.cancel()
        if self.cut:
            self._task.uncancel()

    def _hang_up(self) -> None:
        self.cut = True
        self._task.cancel()

    async def _wait(self) -> None:
        assert self._receive is not None  # noqa: S101 - without a connection of ours there is one
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._hang_up()
