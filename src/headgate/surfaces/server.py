"""The HTTP server: uvicorn on uvloop and httptools, over our own connections.

One sweep a second looks at the deadlines of all of them; a request costs no timer.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType
from typing import Any

import uvicorn

from headgate.surfaces.connection import Connection


class Server(uvicorn.Server):
    """Serves until told to stop; `on_stop` hears of it first, while requests are still being answered."""

    def __init__(self, config: uvicorn.Config, head: float, body: float, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._head = head
        self._body = body
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT: drain; a second SIGINT stops at once."""
        self._on_stop()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second; once a second the deadlines are looked at."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now, self._head, self._body)
        return await super().on_tick(counter)


def fast() -> bool:
    """Whether the quick event loop and parser are there; without them a request costs several times the CPU."""
    return find_spec("uvloop") is not None and find_spec("httptools") is not None


def serve(
    app: Any, listener: socket.socket, *, drain: float, head: float, body: float, on_stop: Callable[[], None]
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
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(drain)),
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.WARNING)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Server(config, head, body, on_stop).run(sockets=[listener])
