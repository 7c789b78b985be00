"""`Line`: how a call learns that its caller hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from msgspec import Struct

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Line(Struct):
    """The caller's line while its call is answered: when it is cut, the call is cancelled.

    Headgate's own server tells at once; under another one a task waits for `http.disconnect`. The call's task is the
    current one, unless it is known.
    """

    _connection: Any
    _receive: Receive | None
    _task: asyncio.Task[Any] | None = None
    _watch: asyncio.Task[None] | None = None
    cut: bool = False

    def __enter__(self) -> None:
        if self._task is None:
            self._task = asyncio.current_task()
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
        if self.cut and self._task is not None:
            self._task.uncancel()

    def _hang_up(self) -> None:
        self.cut = True
        if self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        assert self._receive is not None  # noqa: S101 - without a connection of ours there is one
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._hang_up()
