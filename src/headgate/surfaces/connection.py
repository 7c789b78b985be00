"""One client connection: uvicorn's protocol, with what it lacks.

Bounds on the head, deadlines for what a client began to send, the news that it hung up, told at once; and a fast lane:
a request for a model with a body of usual size goes to its handler without ASGI between.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headgate.access.identify import Seen
from headgate.core.faults import Fault, InvalidField, TooLarge, TooSlow
from headgate.row import row_here
from headgate.surfaces.direct import STATUS_LINES, Direct, Lane
from headgate.surfaces.exchange import Socket, exchange_of
from headgate.surfaces.faults import body_of, surface_of
from headgate.surfaces.head import Head, head_in
from headgate.surfaces.ids import id_of
from headgate.surfaces.line import Line
from headgate.surfaces.lines import Headers, lines_of
from headgate.surfaces.response import CLOSE

HEAD_BYTES = 64 * 1024
"""Most bytes of a request line and its headers."""

HEADERS = 200
"""Most headers of a request."""

BODY_RATE = 16 * 1024
"""Bytes a second that keep a slow body alive beyond its deadline."""

KEEP_ALIVE = 75.0
"""Seconds that a connection may rest between two requests."""

LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 1024 * 1024
"""How much of a refused body is let pass, so that its sender comes to read why it was refused."""

LANE_BYTES = 256 * 1024
"""Largest body that is taken in before its caller is known."""

LESSONS = 4
"""So many heads of a connection are remembered, one after the other: if all of them differ, so will the next."""

CROWD = 8
"""With more answers than that in the making, whole ones are written together."""

_IDLE, _HEAD, _BODY, _LINGER = range(4)
_LARGE_HEAD = "the request's line and headers are too large"


class Connection(HttpToolsProtocol):
    """One client connection. `answering` is the line of the call that is being answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = self.url = b""
        self.lane: Lane = getattr(self.app, "lane", {})
        self.line = Line(self)
        self.answering: Line | None = None
        self.gone = False
        self.stopping = False
        self.phase = _HEAD
        self.since = 0.0
        self.taken = 0
        self._rest: asyncio.Future[Direct | None] | None = None
        self._defaults: Headers = []
        self._default_lines = b""
        self._row = row_here()
        self.seen = Seen()
        self._head: Head | None = None
        self._lessons = LESSONS
        self._fresh = b""
        self._lacking = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects: its head is awaited."""
        super().connection_made(transport)
        self._socket = Socket(transport, self.finish)
        self.since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: cancel the call it was waiting for."""
        self.gone = True
        super().connection_lost(exc)
        if self.answering is not None:
            self.answering.hang_up()
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes arrive; a head beyond its bound is refused."""
        if self.phase == _LINGER:
            self.taken += len(data)
            if self.taken > LINGER_BYTES:
                self.transport.close()
            return
        if self._lacking:
            self._more(data)
            return
        if self.phase == _IDLE and self._head is not None and self._again(self._head, data):
            return
        if self.phase == _HEAD:
            self.taken += len(data)
            if self.taken > HEAD_BYTES and len(data) < self.taken:
                self.refuse(431, TooLarge(_LARGE_HEAD))
                return
        begins = self.phase == _IDLE or (self.phase == _HEAD and self.taken == len(data))
        self._fresh = data if begins and self._lessons else b""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self._stay(data[wish.args[0] :])
        except httptools.HttpParserError:
            self.refuse(400, InvalidField("this is not a valid HTTP request"))

    def _again(self, head: Head, data: bytes) -> bool:
        """Whether the data begin with the head that came before, and so with a request of which no more is to parse."""
        length, body = head.body_in(data)
        if not 0 <= length <= LANE_BYTES or not self.cycle.response_complete:
            return False
        self.url, self.headers = head.url, head.headers
        direct = Direct(self, head.handler, head.named)
        direct.keep_alive = not self.stopping
        self.cycle = direct  # type: ignore[assignment]  # it has what the protocol looks at
        if len(body) == length:
            direct.body = body
            self._complete()
        else:
            self.phase, self.since, self.taken = _BODY, self.loop.time(), 0
            self._lacking = length
            self._more(body)
        return True

    def _more(self, data: bytes) -> None:
        """A piece of the body of a request whose head was known; what comes after it belongs to the next one."""
        cycle: Any = self.cycle
        body = data[: self._lacking]
        cycle.body += body
        self.taken += len(body)
        self._lacking -= len(body)
        if self._lacking:
            return
        self._complete()
        if len(body) < len(data):
            self.data_received(data[len(body) :])

    def _stay(self, rest: bytes) -> None:
        """Pass over a wish to speak another protocol (RFC 9110, 7.8): the parser has left out the body, so once more.

        Some clients wish for HTTP/2 whenever there is no TLS.
        """
        if self.method == b"CONNECT":
            return
        fields = b"".join(b"%b: %b\r\n" % (k, v) for k, v in self.headers if k not in {b"connection", b"upgrade"})
        self.data_received(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (self.method, self.url, fields, rest))

    def on_message_begin(self) -> None:
        """A request begins."""
        if self.phase == _LINGER:
            return
        self.url = b""
        self.headers: Headers = []
        self.phase, self.since = _HEAD, self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head, or of the trailers, which are let pass."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is in: the body's deadline begins."""
        if self.phase == _LINGER:
            return
        # No head is larger than what was taken in so far; only where that is much is it worth measuring.
        if (self.taken > HEAD_BYTES and self._head_size() > HEAD_BYTES) or len(self.headers) > HEADERS:
            self.refuse(431, TooLarge(_LARGE_HEAD))
            return
        self.phase, self.since, self.taken = _BODY, self.loop.time(), 0
        fresh, self._fresh = self._fresh, b""
        self.method = self.parser.get_method()
        if self.parser.should_upgrade() and self.method != b"CONNECT":
            return
        waiting = self.cycle is not None and not self.cycle.response_complete
        named = dict(self.headers)
        self.expect_100_continue = b"expect" in named and named[b"expect"].lower() == b"100-continue"
        if not waiting and self._direct(named, fresh):
            return
        exchange = exchange_of(self, self.method, self._socket, lasting=not self.stopping)
        self.cycle = exchange
        if waiting:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
        else:
            self._start_asgi_task(exchange, self.app)

    def _head_size(self) -> int:
        return sum(len(name) + len(value) for name, value in self.headers) + len(self.url)

    def _direct(self, named: dict[bytes, bytes], fresh: bytes) -> bool:
        """Whether the request takes the fast lane; others have a body that must wait for the caller to be known.

        What it came in, if it was the first there, tells how its head looks.
        """
        handler = self.lane.get((self.method, self.url))
        if handler is None or self.expect_100_continue:
            return False
        length = named.get(b"content-length", b"")
        if not length.isdigit() or int(length) > LANE_BYTES:
            return False
        direct = Direct(self, handler, named)
        lasting = self.parser.should_keep_alive()
        if not lasting or b"connection" in named:  # else it cannot be HTTP/1.0; the parser makes a text of the version
            direct.chunked = self.parser.get_http_version() != "1.0"
        direct.keep_alive = lasting and direct.chunked and not self.stopping
        self.cycle = direct  # type: ignore[assignment]  # it has what the protocol looks at
        if fresh and direct.keep_alive:
            self._head = head_in(fresh, self.url, self.headers, handler)
            self._lessons -= 1
        return True

    def default_lines(self) -> bytes:
        """The lines of the server's own headers, which are another list once a second."""
        if self._defaults is not self.server_state.default_headers:
            self._defaults = self.server_state.default_headers
            self._default_lines = lines_of(self._defaults)
        return self._default_lines

    def on_body(self, body: bytes) -> None:
        """A piece of the body; one that nobody waits for any more is bounded too."""
        if self.phase == _LINGER:
            return
        self.taken += len(body)
        if isinstance(self.cycle, Direct):
            self.cycle.body += body
        elif self.cycle is not None:
            super().on_body(body)
            if self.cycle.response_complete and self.taken > LINGER_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        """The request is in."""
        if self.phase == _LINGER:
            return
        if not self.parser.should_upgrade():
            self._complete()

    def _complete(self) -> None:
        self.phase, self.taken = _IDLE, 0
        cycle: Any = self.cycle
        if type(cycle) is Direct:
            cycle.more_body = False
            if self._rest is None:
                self.loop.create_task(self._answer(cycle))
            else:
                self._rest.set_result(cycle)
                self._rest = None
        elif cycle is not None:
            super().on_message_complete()

    async def _answer(self, direct: Direct | None) -> None:
        """Answer a request, and those that follow while nothing else does: a task for each would cost more.

        Where the handler breaks off, no connection is left behind that looks alive.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is one
        while direct is not None:
            self.line.task = task
            self.tasks.add(task)
            try:
                await direct.handler(direct)
            finally:
                self.tasks.discard(task)
                if not direct.response_complete:
                    self.finish()
            if self.gone or not direct.keep_alive or self._rest is not None:
                return
            direct.body = b""  # nobody keeps it while the connection rests
            self._rest = self.loop.create_future()
            direct = await self._rest

    def on_response_complete(self) -> None:
        """The answer is out: the next request may be answered, or awaited."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            exchange, app = self.pipeline.pop()
            self._start_asgi_task(exchange, app)
        elif self.phase == _IDLE:
            self.since = self.loop.time()

    def shutdown(self) -> None:
        """The service stops: what is being asked here, or still will be, is the last."""
        self.stopping = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def check(self, now: float, head: float, body: float) -> None:
        """End the connection if its client takes longer than so many seconds to send what it began."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (answering and self.phase == _HEAD):
            self.since = now  # it is not the client who is slow
            return
        waited = now - self.since
        if self.phase == _HEAD and waited > head:
            if self.headers is not None:
                self.refuse(408, TooSlow("the request's headers did not arrive in time"))
            else:
                self.transport.close()
        elif self.phase == _BODY and waited > body + self.taken / BODY_RATE:
            if self.cycle is not None and self.cycle.response_started:
                self.transport.close()
            else:
                self.refuse(408, TooSlow("the request's body did not arrive in time"))
        elif (self.phase == _IDLE and waited > KEEP_ALIVE and not answering) or (
            self.phase == _LINGER and waited > LINGER_SECONDS
        ):
            self.transport.close()

    def refuse(self, status: int, fault: Fault) -> None:
        """Answer what is not yet a request, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()
            return
        request_id = id_of(dict(self.headers or ()))
        content = body_of(fault, surface_of({"path": (self.url or b"").decode("latin-1")}), request_id)
        head = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n"
        self._row.flush()
        self.transport.write(STATUS_LINES[status] + head % (len(content), request_id.encode(), CLOSE) + content)
        self.phase = _BODY
        self.finish()

    def write_soon(self, data: bytes) -> None:
        """Write in a Row, if many write now; by then no other answer of this connection can have begun."""
        if len(self.tasks) > CROWD:
            self._row.write(self.transport, data)
        else:
            self.transport.write(data)

    def finish(self) -> None:
        """Close; where the client is still sending, only after it had the time to read why (RFC 9112, 9.6)."""
        self._row.flush()
        if self.phase == _IDLE or self.transport.is_closing() or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.phase, self.since, self.taken = _LINGER, self.loop.time(), 0
        self.transport.write_eof()
        self.flow.resume_reading()
