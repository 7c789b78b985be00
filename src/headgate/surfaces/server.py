"""The HTTP server: uvicorn on uvloop and httptools, over our own connections.

One sweep a second looks at the deadlines of all of them; a request costs no timer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType
from typing import Any

import uvicorn

from headgate.runtime import Busy
from headgate.surfaces.connection import Connection

_uvicorn = logging.getLogger("uvicorn.error")
_PATIENCE = 5.0
"""Seconds for the event loop to close. Everything is closed and written down by then: nobody waits for it longer."""

_LAST_WORDS = 2.0
"""Seconds in which a cancelled answer tells its caller, and is written down."""


class Server(uvicorn.Server):
    """Serves until told to stop; `on_stop` hears of it first, while requests are still being answered.

    `on_start` is given, once the application is open, what tells how busy the server is.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: float,
        head: float,
        body: float,
        on_start: Callable[[Callable[[], Busy]], None],
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._drain = drain
        self._head = head
        self._body = body
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's form
        """SIGTERM or SIGINT: drain; a second SIGINT stops at once. To stop when told to is a success."""
        self._on_stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application, then listen."""
        await super().startup(sockets)
        _uvicorn.setLevel(logging.WARNING)
        if self.started:
            self._on_start(self.busy)

    def busy(self) -> Busy:
        """What there is to do now, counted when somebody asks."""
        connections = [each for each in self.server_state.connections if isinstance(each, Connection)]
        cycles = [each.cycle for each in connections if each.cycle is not None and not each.cycle.response_complete]
        return Busy(len(connections), len(cycles), sum(cycle.response_started for cycle in cycles))

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second; once a second the deadlines are looked at."""
        if counter % 10 == 0:
            self._check_deadlines()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers end within the drain, cancel those that don't, close the application.

        Until the last of them has ended, whoever asks is told so, on a new connection too: a balancer that has not
        heard of it yet sees a 503 and not a refused connection.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._drain
        await asyncio.sleep(0)  # what has just come in begins, and is among the tasks
        running = set(self.server_state.tasks)
        while running and not self.force_exit and loop.time() < ends:
            for connection in list(self.server_state.connections):
                connection.shutdown()
            await asyncio.wait(running, timeout=0.05)
            running &= self.server_state.tasks
            self._check_deadlines()
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._cancel()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await self._cancel()  # what came in meanwhile: once the ledger is closed, nobody may be told anything
        await self.lifespan.shutdown()
        watchdog = threading.Timer(_PATIENCE, os._exit, (0,))
        watchdog.daemon = True
        watchdog.start()

    async def _cancel(self) -> None:
        """Cancel what is being answered, and wait for its last words."""
        await asyncio.sleep(0)  # a connection accepted just now is made, and what has just come in begins
        late = list(self.server_state.tasks)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_LAST_WORDS)

    def _check_deadlines(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.check(now, self._head, self._body)


def fast() -> bool:
    """Whether the quick event loop and parser are there; without them a request costs several times the CPU."""
    return find_spec("uvloop") is not None and find_spec("httptools") is not None


def serve(
    app: Any,
    listener: socket.socket,
    *,
    drain: float,
    head: float,
    body: float,
    on_start: Callable[[Callable[[], Busy]], None],
    on_stop: Callable[[], None],
) -> None:
    """Serve the application on a bound socket until SIGTERM or SIGINT; blocks. Times are in seconds."""
    config = uvicorn.Config(
        app,
        loop="uvloop" if fast() else "asyncio",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
    )
    for name in ("uvicorn", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _uvicorn.setLevel(logging.CRITICAL)  # the app says itself why it cannot start
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        Server(config, drain, head, body, on_start, on_stop).run(sockets=[listener])
    except SystemExit:
        sys.exit(1)
