"""`Direct`: an exchange on the fast lane. It comes with its body whole, and writes to the socket itself.

For uvicorn's protocol it stands where a `RequestResponseCycle` would, and has what that protocol looks at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

Headers = list[tuple[bytes, bytes]]
Lane = dict[tuple[bytes, bytes], Callable[["Direct"], Coroutine[Any, Any, None]]]

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_CLOSE = b"connection: close\r\n"


class Silent:
    """Stands for the event on which a cycle waits for its body; here nobody waits."""

    def set(self) -> None:
        """Nobody to wake."""


class Direct:
    """One request and its response. `connection` tells when the client hangs up.

    HTTP/1.0 knows no chunks: there a body in pieces ends with the connection.
    """

    __slots__ = (
        "_chunked",
        "_close",
        "_default_headers",
        "_flow",
        "_on_response",
        "_write",
        "body",
        "client",
        "connection",
        "disconnected",
        "handler",
        "headers",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )
    message_event = Silent()

    def __init__(
        self,
        connection: Any,
        handler: Callable[[Direct], Coroutine[Any, Any, None]],
        headers: Headers,
        flow: FlowControl,
        default_headers: Headers,
        *,
        chunked: bool,
        keep_alive: bool,
    ) -> None:
        self.connection = connection
        self.handler = handler
        self.headers = headers
        self.client = connection.client
        self.body = b""
        self.keep_alive = keep_alive
        self._chunked = chunked
        self.more_body = True
        self.disconnected = self.response_started = self.response_complete = False
        self._write = connection.transport.write
        self._close = connection.finish
        self._flow = flow
        self._default_headers = default_headers
        self._on_response = connection.on_response_complete

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Write a whole response at once."""
        if not self.disconnected:
            self._write(b"%bcontent-length: %d\r\n\r\n%b" % (self._head(status, headers), len(body), body))
        self._complete()

    def start(self, status: int, headers: Headers) -> None:
        """Write the head of a response whose body comes in pieces."""
        if not self.disconnected:
            self._write(self._head(status, headers) + (_CHUNKED if self._chunked else b"\r\n"))

    async def write(self, data: bytes) -> None:
        """Write a piece of the body; waits while the client is slow."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if not self.disconnected:
            self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """Close the body."""
        if not self.disconnected and self._chunked:
            self._write(b"0\r\n\r\n")
        self._complete()

    def over(self, task: asyncio.Task[None]) -> None:
        """The handler has ended; one that broke off leaves no connection behind that looks alive."""
        if task.cancelled() or task.exception() is not None or not self.response_complete:
            self._close()

    def _head(self, status: int, headers: Headers) -> bytes:
        self.response_started = True
        lines = [STATUS_LINES[status]]
        lines += [b"%b: %b\r\n" % header for header in self._default_headers]
        lines += [b"%b: %b\r\n" % header for header in headers]
        if (b"connection", b"close") in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(_CLOSE)
        return b"".join(lines)

    def _complete(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._close()
        self._on_response()
