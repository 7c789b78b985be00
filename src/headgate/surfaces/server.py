"""The HTTP server: uvicorn on uvloop and httptools, with what it lacks.

Deadlines for receiving a head and a body, bounds on the head, and the news that a caller hung up, told at once.
One sweep a second looks at all connections; a request costs no timer.
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

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""Most bytes of a request line and its headers."""

BODY_RATE = 16 * 1024
"""Bytes a second that keep a slow body alive beyond its deadline."""

_IDLE, _HEAD, _BODY = range(3)

log = logging.getLogger("headgate")


class Connection(HttpToolsProtocol):
    """One client connection. `on_hang_up` is called when it is lost while a call is answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_hang_up: Callable[[], None] | None = None
        self.gone = False
        self.phase = _HEAD
        self.since = 0.0
        self.taken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects: its head is awaited."""
        super().connection_made(transport)
        self.since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: cancel the call it was waiting for."""
        self.gone = True
        super().connection_lost(exc)
        if self.on_hang_up is not None:
            self.on_hang_up()

    def data_received(self, data: bytes) -> None:
        """Bytes arrive; a head beyond its bound is refused."""
        if self.phase == _HEAD:
            self.taken += len(data)
            if self.taken > HEAD_BYTES and len(data) < self.taken:
                self.refuse(431, "the request's headers are too large")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.phase, self.since = _HEAD, self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is in: the body's deadline begins."""
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > HEAD_BYTES:
            self.refuse(431, "the request's headers are too large")
            return
        self.phase, self.since, self.taken = _BODY, self.loop.time(), 0
        self.scope["headgate.connection"] = self  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.taken += len(body)
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is in."""
        self.phase, self.taken = _IDLE, 0
        if self.cycle is not None:
            super().on_message_complete()

    def check(self, now: float, head: float, body: float) -> None:
        """End the connection if its client takes longer than so many seconds to send what it began."""
        waited = now - self.since
        if self.phase == _HEAD and waited > head:
            if self.headers is not None:
                self.refuse(408, "the request's headers did not arrive in time")
            else:
                self.transport.close()
        elif self.phase == _BODY and waited > body + self.taken / BODY_RATE:
            self.refuse(408, "the request's body did not arrive in time")

    def refuse(self, status: int, message: str) -> None:
        """Answer what is not yet a request, and close."""
        self.phase = _IDLE
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not busy:
            content = msgspec.json.encode({"error": message, "error_code": "bad_request", "details": None})
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
                % (status, _PHRASES[status], len(content), content)
            )
        self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are for its own users
        """Answer what is not HTTP."""
        self.refuse(400, "this is not a valid HTTP request")


_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


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
