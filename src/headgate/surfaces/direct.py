"""`Direct`: an exchange on the fast lane. It comes with its body whole, and writes to the socket itself.

For uvicorn's protocol it stands where a `RequestResponseCycle` would, and has what that protocol looks at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from headgate.access.identify import Seen
from headgate.surfaces.ids import id_of
from headgate.surfaces.lines import Headers
from headgate.surfaces.response import CLOSE, Response

Lane = dict[tuple[bytes, bytes], Callable[["Direct"], Coroutine[Any, Any, None]]]

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

_JSON = b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n\r\n"


class Silent:
    """Stands for the event on which a cycle waits for its body; here nobody waits."""

    def set(self) -> None:
        """Nobody to wake."""


class Direct(Response):
    """One request and its response. `connection` tells when the client hangs up.

    HTTP/1.0 knows no chunks: there a body in pieces ends with the connection.
    """

    __slots__ = (
        "_flow",
        "_write",
        "body",
        "chunked",
        "client",
        "connection",
        "disconnected",
        "handler",
        "headers",
        "keep_alive",
        "more_body",
        "named",
        "relayed",
        "response_complete",
        "seen",
    )
    message_event = Silent()
    receive: Any = None

    def __init__(
        self, connection: Any, handler: Callable[[Direct], Coroutine[Any, Any, None]], named: dict[bytes, bytes]
    ) -> None:
        self.connection = connection
        self.client = connection.client
        self.seen: Seen = connection.seen
        self.handler = handler
        self.headers: Headers = connection.headers
        self.named = named
        self.request_id = id_of(named)
        self.body = b""
        self.keep_alive = self.chunked = True
        self.last_write = 0.0
        self.relayed = 0
        self.more_body = True
        self.disconnected = self.started = self.response_complete = False
        self._write = connection.transport.write
        self._flow: FlowControl = connection.flow

    @property
    def response_started(self) -> bool:
        """What the protocol calls `started`."""
        return self.started

    async def whole(self, status: int, body: bytes, lines: bytes) -> None:
        """Write a whole JSON answer at once."""
        self.started = True
        if not self.disconnected:
            self.connection.write_soon(self._said(status, lines, _JSON % len(body), body))
        self._complete()

    async def start(self, status: int, lines: bytes, data: bytes = b"") -> None:
        """Write the head of a response whose body comes in pieces, and the first: the point of no return."""
        self.started = True
        if not self.disconnected:
            end = _CHUNKED if self.chunked else b"\r\n\r\n"
            self._write(self._said(status, lines, end, self._piece(data) if data else b""))

    async def write(self, data: bytes) -> None:
        """Write a piece of the body; waits while the client is slow."""
        self.last_write = time.monotonic()
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if not self.disconnected:
            self._write(self._piece(data))

    @property
    def short(self) -> Direct:
        """See the base class."""
        return self

    def relay(self, piece: bytes) -> bool:
        """Write a piece of the body now; False, having written nothing, while the client is slow or gone."""
        if self._flow.write_paused or self.disconnected:
            return False
        self.relayed += 1
        self.last_write = time.monotonic()
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)  # a call of _piece costs more
        return True

    async def end(self, data: bytes = b"") -> None:
        """Write the last piece, and close the body."""
        last = self._piece(data) if data else b""
        if not self.disconnected:
            self._write(last + b"0\r\n\r\n" if self.chunked else last)
        self._complete()

    def _piece(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data

    def _said(self, status: int, lines: bytes, end: bytes, body: bytes = b"") -> bytes:
        """The head, which the lines `end` on the body's length end, and the body where it is whole."""
        if lines.endswith(CLOSE):
            self.keep_alive = False
        elif not self.keep_alive:
            lines += CLOSE
        defaults = self.connection.default_lines()
        return b"".join((STATUS_LINES[status], defaults, lines, b"x-request-id: ", self.request_id.encode(), end, body))

    def _complete(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self.connection.finish()
        self.connection.on_response_complete()
