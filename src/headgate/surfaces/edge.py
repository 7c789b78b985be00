"""The edge: a request's bytes come in, an answer's bytes go out. Plain ASGI, on the hot path.

A caller that hangs up cancels its call, in every mode; the status goes out only once a model speaks.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from random import getrandbits
from typing import Any

from msgspec import Struct

from headgate.core.call import Call
from headgate.core.events import Open, Receipt, Reply
from headgate.core.faults import Fault, InternalError, InvalidField, TooLarge
from headgate.core.principal import Principal
from headgate.core.seams import Events, Writer
from headgate.dialects.strict import read_object
from headgate.engine.levels import rate_headers
from headgate.runtime import Runtime
from headgate.surfaces.connection import Exchange
from headgate.surfaces.faults import Headers, Surface, body_of, headers_of, status_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

KEEP_ALIVE = 15.0
"""Seconds of silence after which a stream carries a comment, so that proxies and phones hold the line."""

_LINGER_BYTES = 8 * 1024 * 1024
_LINGER_SECONDS = 2.0
_BUG = "something went wrong inside Headgate; the request id helps to find it"
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_JSON = (b"content-type", b"application/json")
_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

log = logging.getLogger("headgate")


class HungUp(Exception):
    """The caller is gone."""


class Endpoint(Struct, frozen=True):
    """One path that asks a model. `surface` is whose words its errors use; `stream` forces the mode.

    `forwarded` picks the caller's headers that go on to an upstream of the same dialect. `prepare` completes a call
    before it is admitted; `finish` is given the bytes that end an answer before they are sent.
    """

    name: str
    surface: Surface
    parse: Callable[[dict[str, Any], bytes], Call]
    writer: Callable[[Call], Writer]
    whole: Callable[[Call, Reply], bytes]
    stream: bool | None = None
    forwarded: Callable[[dict[str, str]], dict[str, str]] | None = None
    prepare: Callable[[Runtime, Principal, Call], Awaitable[None]] | None = None
    finish: Callable[[Runtime, Principal, Call, bytes], Awaitable[None]] | None = None


class Edge:
    """Answers model endpoints for one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._max_body = runtime.config.server.max_body

    def handler(self, endpoint: Endpoint) -> Handler:
        """The ASGI application of one endpoint."""

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            await self._handle(endpoint, scope, receive, send)

        return handle

    async def _handle(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = id_of(scope["headers"])
        who: Principal | None = None
        exchange = scope.get("headgate.exchange")
        response = Response(send, request_id) if exchange is None else DirectResponse(exchange, request_id)
        line = Line(scope, receive)
        try:
            who = await self._runtime.identify(scope["headers"])
            body = await read_body(receive, self._max_body)
            call = endpoint.parse(read_object(body), body)
            call.id = request_id
            call.surface = endpoint.name
            call.address = self._runtime.address(scope.get("client"), scope["headers"])
            if endpoint.forwarded is not None:
                call.headers = endpoint.forwarded({k.decode(): v.decode("latin-1") for k, v in scope["headers"]})
            if endpoint.stream is not None:
                call.stream = endpoint.stream
            with line:
                await self._answer(endpoint, who, call, response)
        except Fault as fault:
            if not response.started:
                await self._refuse(endpoint, who, scope, fault, response)
        except HungUp:
            return
        except asyncio.CancelledError:
            if not line.cut:
                raise
        except Exception:
            log.exception("bug", extra={"request_id": request_id})
            if not response.started:
                await response.fault(InternalError(_BUG), endpoint.surface)

    async def _refuse(
        self, endpoint: Endpoint, who: Principal | None, scope: Scope, fault: Fault, response: Response
    ) -> None:
        """Answer a fault that came before the status; one that no gate has written down is written down here."""
        if not fault.recorded:
            gate, address = self._runtime.gate, self._runtime.address(scope.get("client"), scope["headers"])
            await gate.refuse(who, endpoint.name, response.request_id, address, fault)
        await response.fault(fault, endpoint.surface)

    async def _answer(self, endpoint: Endpoint, who: Principal, call: Call, response: Response) -> None:
        if endpoint.prepare is not None:
            await endpoint.prepare(self._runtime, who, call)
        gate = self._runtime.gate
        if call.stream:
            async with aclosing(gate.answer(who, call)) as events:
                await self._stream(endpoint, who, call, events, response)
            return
        opened, reply = await gate.reply(who, call)
        body = endpoint.whole(call, reply)
        if endpoint.finish is not None:
            await endpoint.finish(self._runtime, who, call, body)
        await self._whole(opened, reply, body, response)

    async def _whole(self, opened: Open, reply: Reply, body: bytes, response: Response) -> None:
        entry = reply.entry
        assert entry is not None  # noqa: S101 - the gate's promise
        headers = said_headers(opened)
        headers.append((b"headgate-latency-ms", b"%.1f" % entry.total_ms))
        if entry.cost is not None:
            headers.append((b"headgate-cost-usd", b"%.9f" % (entry.cost / 1e9)))
        await response.whole(200, body, headers)

    async def _stream(self, endpoint: Endpoint, who: Principal, call: Call, events: Events, response: Response) -> None:
        writer = endpoint.writer(call)
        opened = await anext(events)
        assert type(opened) is Open  # noqa: S101 - the gate's promise
        await response.start(200, [*_STREAM, *said_headers(opened)])
        silence = Silence(response)
        try:
            async for event in events:
                data = writer.feed(event)
                if type(event) is Receipt and endpoint.finish is not None:
                    await endpoint.finish(self._runtime, who, call, data)
                if data:
                    await response.write(data)
            await response.end()
        except Fault as fault:
            await response.write(writer.fail(body_of(fault, endpoint.surface, call.id)))
            await response.end()
        finally:
            silence.stop()


class Response:
    """What is sent to one caller."""

    __slots__ = ("_send", "last_write", "request_id", "started")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.started = False
        self.last_write = 0.0

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status: the point of no return."""
        self.started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the caller is slow."""
        self.last_write = time.monotonic()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Close the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole JSON answer."""
        await self.start(status, [*headers, _JSON, (b"content-length", b"%d" % len(body))])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def fault(self, fault: Fault, surface: Surface) -> None:
        """Send a fault as the surface words it. A body that was not read ends the connection."""
        headers = headers_of(fault)
        if isinstance(fault, TooLarge):
            headers.append((b"connection", b"close"))
        await self.whole(status_of(fault, surface), body_of(fault, surface, self.request_id), headers)


class DirectResponse(Response):
    """The same, on Headgate's own server: written straight to the socket."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange, request_id: str) -> None:
        self.request_id = request_id
        self.started = False
        self.last_write = 0.0
        self._exchange = exchange

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status: the point of no return."""
        self.started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        self._exchange.start(status, headers)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the caller is slow."""
        self.last_write = time.monotonic()
        await self._exchange.write(data)

    async def end(self) -> None:
        """Close the body."""
        self._exchange.end()

    async def whole(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole JSON answer."""
        self.started = True
        headers += (_JSON, (b"x-request-id", self.request_id.encode()))
        self._exchange.whole(status, headers, body)


class Silence:
    """Breaks a stream's silence with comments: one timer a stream, which looks only at when something was last sent."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._writing: asyncio.Task[None] | None = None
        response.last_write = time.monotonic()
        self._timer = self._loop.call_later(KEEP_ALIVE, self._look)

    def _look(self) -> None:
        quiet = time.monotonic() - self._response.last_write
        if quiet >= KEEP_ALIVE - 0.1:
            self._writing = self._loop.create_task(self._response.write(b": keep-alive\n\n"))
            quiet = 0.0
        self._timer = self._loop.call_later(KEEP_ALIVE - quiet, self._look)

    def stop(self) -> None:
        """The stream is over."""
        self._timer.cancel()


class Line:
    """The caller's line while its call is answered: when it is cut, the call is cancelled.

    Headgate's own server tells at once; under another one a task waits for `http.disconnect`.
    """

    __slots__ = ("_connection", "_receive", "_task", "_watch", "cut")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._connection = scope.get("headgate.connection")
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
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._hang_up()


def said_headers(opened: Open) -> Headers:
    """What happened, for callers whose body has no room for it."""
    return [
        (b"headgate-model", opened.model.encode()),
        (b"headgate-provider", opened.provider.encode()),
        (b"headgate-cache", opened.cache.encode()),
        *rate_headers(opened.levels),
    ]


def id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The caller's `X-Request-Id` if it is a sane one, else a fresh id."""
    for name, value in headers:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return f"req_{getrandbits(96):024x}"


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises TooLarge past `limit` bytes, having taken in some more so that the answer arrives."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HungUp
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= limit:
        return body
    parts, size = [body], len(body)
    while message.get("more_body") and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > limit:
        await _linger(receive, message)
        raise TooLarge(f"the body is larger than {limit} bytes")
    return b"".join(parts)


async def _linger(receive: Receive, message: MutableMapping[str, Any]) -> None:
    """Take in what the caller is still sending, within bounds: a reset connection would lose the answer."""
    taken = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while message.get("more_body") and taken < _LINGER_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
    except TimeoutError:
        pass


def check_encoding(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a compressed body: it would be unbounded."""
    for name, value in headers:
        if name == b"content-encoding" and value.lower() not in {b"", b"identity"}:
            raise InvalidField("compressed request bodies are not taken", field="content-encoding")
