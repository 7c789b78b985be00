"""One client connection, and one exchange on it: uvicorn's protocol, with what it lacks.

Bounds on the head, deadlines for what a client began to send, the news that it hung up, told at once; and for the fast
lane answers written straight to the socket, head and body in one write.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 64 * 1024
"""Most bytes of a request line and its headers."""

BODY_RATE = 16 * 1024
"""Bytes a second that keep a slow body alive beyond its deadline."""

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

_IDLE, _HEAD, _BODY = range(3)
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_CLOSE = b"connection: close\r\n"

Headers = list[tuple[bytes, bytes]]


class Exchange(RequestResponseCycle):
    """A request and its response. The fast lane writes with `whole`, or with `start`, `write` and `end`."""

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Write a whole response at once."""
        if not self.disconnected:
            self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (self._head(status, headers), len(body), body))
        self._complete()

    def start(self, status: int, headers: Headers) -> None:
        """Write the head of a response whose body comes in pieces."""
        if not self.disconnected:
            self.transport.write(self._head(status, headers) + _CHUNKED)

    async def write(self, data: bytes) -> None:
        """Write a piece of the body; waits while the client is slow."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """Close the body."""
        if not self.disconnected:
            self.transport.write(b"0\r\n\r\n")
        self._complete()

    def _head(self, status: int, headers: Headers) -> bytes:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINES[status]]
        lines += [b"%b: %b\r\n" % header for header in self.default_headers]
        lines += [b"%b: %b\r\n" % header for header in headers]
        if (b"connection", b"close") in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(_CLOSE)
        return b"".join(lines)

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


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
        exchange = self._exchange()
        waiting = self.cycle is not None and not self.cycle.response_complete
        self.cycle = exchange
        if waiting:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
        else:
            self._start_asgi_task(exchange, self.app)

    def _exchange(self) -> Exchange:
        """The exchange that a complete head begins, with its ASGI scope."""
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        exchange = Exchange(
            scope=scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        scope["headgate.connection"] = self
        scope["headgate.exchange"] = exchange
        return exchange

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
            head = b"content-type: application/json\r\ncontent-length: %d\r\n%b\r\n" % (len(content), _CLOSE)
            self.transport.write(STATUS_LINES[status] + head + content)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are for its own users
        """Answer what is not HTTP."""
        self.refuse(400, "this is not a valid HTTP request")
