"""The edge: a request's bytes come in, an answer's bytes go out. Plain ASGI, on the hot path.

A caller that hangs up cancels its call, in every mode; the status goes out only once a model speaks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import aclosing
from functools import lru_cache, partial
from typing import Any, final

from msgspec import Struct

from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import Open, Receipt, Reply
from headgate.core.faults import Fault, InternalError, InvalidField, InvalidJson, Overloaded, TooLarge
from headgate.core.money import NANO
from headgate.core.principal import Principal
from headgate.core.seams import Events, Writer
from headgate.dialects.strict import read_object
from headgate.engine.gate import Gate
from headgate.engine.levels import rate_form, rate_lines
from headgate.runtime import Runtime
from headgate.surfaces.direct import Direct
from headgate.surfaces.faults import Surface, body_of
from headgate.surfaces.ids import request_id_of
from headgate.surfaces.line import Line
from headgate.surfaces.lines import Headers
from headgate.surfaces.once import once, scope_of
from headgate.surfaces.response import Response, Silence, id_line
from headgate.surfaces.wishes import key_of, reuse_of, wishes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

_LINGER_BYTES = 8 * 1024 * 1024
_LINGER_SECONDS = 2.0
_BUG = "something went wrong inside Headgate; the request id helps to find it"
_STOPPING = "this process is stopping; ask again, and another one answers"
_FULL = "too many requests are being answered at once; ask again in a moment"
_DROPPED = b"headgate-dropped-messages: %d\r\n"
_STREAM = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"

log = logging.getLogger("headgate")


class HungUp(Exception):
    """The caller is gone."""


class Endpoint(Struct, frozen=True):
    """One path that asks a model. `surface` is whose words its errors use; `stream` forces the mode.

    `glance`, where there is one, may know the call of a body without the work of `parse`, which reads all of it.
    `ask`, where there is one, may answer a call in its own way; without, or with None from it, the gate does.
    `forwarded` picks the caller's headers that go on to an upstream of the same dialect. `prepare` completes a call
    before it is admitted; `finish` is given the bytes that end an answer before they are sent.
    """

    name: str
    surface: Surface
    parse: Callable[[dict[str, Any], bytes], Call]
    writer: Callable[[Call], Writer]
    whole: Callable[[Call, Reply], bytes]
    glance: Callable[[bytes], Call | None] | None = None
    stream: bool | None = None
    forwarded: Callable[[dict[str, str]], dict[str, str]] | None = None
    ask: Callable[[Runtime, Principal, Call], Awaitable[Events | None]] | None = None
    prepare: Callable[[Runtime, Principal, Call], Awaitable[None]] | None = None
    finish: Callable[[Runtime, Principal, Call, bytes], Awaitable[None]] | None = None


@final
class OneShot(Struct, frozen=True):
    """One path that asks for something else than words, which comes whole: vectors, a count.

    `ask` goes to the gate, and brings what the headers say, the ledger row and the body.
    """

    name: str
    surface: Surface
    parse: Callable[[dict[str, Any], bytes], Call]
    ask: Callable[[Gate, Principal, Call], Awaitable[tuple[Open, Entry, bytes]]]
    forwarded: Callable[[dict[str, str]], dict[str, str]] | None = None
    glance: None = None
    stream: bool = False


class Arrival(Struct, frozen=True):
    """A request as it came by ASGI, as `Direct` is one: its headers, also by name, the socket's peer.

    Its body is still to be asked for, and nobody knows what the connection brought before.
    """

    headers: Headers
    named: dict[bytes, bytes]
    client: Any
    receive: Any
    body: None = None
    seen: None = None


Arrived = Arrival | Direct


class Edge:
    """Answers model endpoints for one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._max_body = runtime.config.server.max_body
        self._most = runtime.config.server.max_in_flight
        self._tracer = runtime.tracer
        self._heartbeat = runtime.config.server.heartbeat

    def handler(self, endpoint: Endpoint | OneShot) -> Handler:
        """The ASGI application of one endpoint."""

        def handle(scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
            line = Line(scope.get("headgate.connection"), receive)
            headers = scope["headers"]
            arrival = Arrival(headers, dict(headers), scope.get("client"), receive)
            return self._handle(endpoint, arrival, Response(send, request_id_of(scope)), line)

        return handle

    def direct(self, endpoint: Endpoint | OneShot) -> Callable[[Direct], Coroutine[Any, Any, None]]:
        """The same endpoint's handler on the fast lane."""

        def handle(direct: Direct) -> Coroutine[Any, Any, None]:
            return self._handle(endpoint, direct, direct, direct.connection.line)

        return handle

    async def _handle(self, endpoint: Endpoint | OneShot, arrival: Arrived, response: Response, line: Line) -> None:
        who: Principal | None = None
        runtime = self._runtime
        runtime.in_flight += 1
        try:
            if runtime.draining or runtime.in_flight > self._most:
                raise Overloaded(_STOPPING if runtime.draining else _FULL)
            identify = runtime.identify
            who = identify.known(arrival.headers, arrival.named, arrival.seen) or await identify.verify(arrival.headers)
            body = arrival.body
            if body is None:
                body = await read_body(arrival.receive, self._max_body)
            elif len(body) > self._max_body:
                raise TooLarge(f"the body is larger than {self._max_body} bytes")
            call = self._call(endpoint, arrival, body, response.request_id)
            if wishes(arrival.named):
                call.reuse = reuse_of(arrival.named, call.reuse)
                if key := key_of(arrival.named):
                    await self._once(endpoint, who, call, key, body, response)
                    return
            line.begin()
            try:
                await self._answer(endpoint, who, call, response)
            finally:
                line.end()
        except Fault as fault:
            if not response.started:
                await self._refuse(endpoint, who, arrival, fault, response)
        except HungUp:
            return
        except asyncio.CancelledError:
            if line.cut:
                return
            if response.started:
                raise
            await response.fault(Overloaded(_STOPPING), endpoint.surface)  # only the end of the drain cancels us
        except Exception:
            log.exception("bug", extra={"request_id": response.request_id})
            if not response.started:
                await response.fault(InternalError(_BUG), endpoint.surface)
        finally:
            runtime.in_flight -= 1

    def _call(self, endpoint: Endpoint | OneShot, arrival: Arrived, body: bytes, request_id: str) -> Call:
        """The call that the request asks for. Raises Faults."""
        call = endpoint.glance(body) if endpoint.glance is not None else None
        if call is None:
            call = endpoint.parse(read_object(body), body)
        call.id = request_id
        call.surface = endpoint.name
        call.address = self._runtime.address(arrival.client, arrival.headers)
        if self._tracer is not None:
            call.trace = self._tracer.begin(arrival.headers)
        if endpoint.forwarded is not None:
            call.headers = endpoint.forwarded({k.decode(): v.decode("latin-1") for k, v in arrival.headers})
        if endpoint.stream is not None:
            call.stream = endpoint.stream
        if self._runtime.reuse is not None:
            call.reuse = self._runtime.reuse
        return call

    async def _refuse(
        self, endpoint: Endpoint | OneShot, who: Principal | None, arrival: Arrived, fault: Fault, response: Response
    ) -> None:
        """Answer a fault that came before the status; one that no gate has written down is written down here."""
        if isinstance(fault, InvalidJson) and (coding := coding_of(arrival.headers)):
            fault = InvalidField(f"bodies are taken uncompressed, not as {coding}", field="content-encoding")
        if not fault.recorded:
            gate, address = self._runtime.gate, self._runtime.address(arrival.client, arrival.headers)
            await gate.refuse(who, endpoint.name, response.request_id, address, fault)
        await response.fault(fault, endpoint.surface)

    async def _once(
        self, endpoint: Endpoint | OneShot, who: Principal, call: Call, key: str, body: bytes, response: Response
    ) -> None:
        claimed = (scope_of(who, call.address), endpoint.name, key)
        answer = partial(self._answer, endpoint, who, call)
        await once(self._runtime.idempotency, claimed, body, response, endpoint.surface, answer)

    def _answer(
        self, endpoint: Endpoint | OneShot, who: Principal, call: Call, response: Response
    ) -> Coroutine[Any, Any, None]:
        """Answer a call; no coroutine of its own, since every piece of a stream would come through it."""
        if type(endpoint) is OneShot:
            return self._one_shot(endpoint, who, call, response)
        if call.stream:
            return self._stream(endpoint, who, call, response)
        return self._whole(endpoint, who, call, response)

    async def _one_shot(self, endpoint: OneShot, who: Principal, call: Call, response: Response) -> None:
        opened, entry, body = await endpoint.ask(self._runtime.gate, who, call)
        await response.whole(200, body, told(opened, entry) + id_line(endpoint.surface, call.id))

    async def _whole(self, endpoint: Endpoint, who: Principal, call: Call, response: Response) -> None:
        own = await self._own(endpoint, who, call) if endpoint.prepare or endpoint.ask else None
        opened, reply = await self._runtime.gate.reply(who, call) if own is None else await folded(own)
        body = endpoint.whole(call, reply)
        if endpoint.finish is not None:
            await endpoint.finish(self._runtime, who, call, body)
        assert reply.entry is not None  # noqa: S101 - the gate's promise
        await response.whole(200, body, told(opened, reply.entry) + id_line(endpoint.surface, call.id))

    async def _stream(self, endpoint: Endpoint, who: Principal, call: Call, response: Response) -> None:
        own = await self._own(endpoint, who, call) if endpoint.prepare or endpoint.ask else None
        call.relay = response.short if own is None else None
        async with aclosing(own or self._runtime.gate.answer(who, call)) as events:
            writer = endpoint.writer(call)
            opened = await anext(events)
            assert type(opened) is Open  # noqa: S101 - the gate's promise
            data = writer.feed(await anext(events))  # which came with the first
            await response.start(200, _STREAM + said(opened) + id_line(endpoint.surface, call.id), data)
            silence = Silence(response, self._heartbeat)
            try:
                async for event in events:
                    data = writer.feed(event)
                    if type(event) is Receipt:
                        if endpoint.finish is not None:
                            await endpoint.finish(self._runtime, who, call, data)
                    elif data:
                        await response.write(data)
                await response.end(data)
            except Fault as fault:
                await response.end(writer.fail(body_of(fault, endpoint.surface, call.id)))
            finally:
                silence.stop()

    async def _own(self, endpoint: Endpoint, who: Principal, call: Call) -> Events | None:
        """Complete the call, and have the endpoint answer it where it has a way of its own."""
        if endpoint.prepare is not None:
            await endpoint.prepare(self._runtime, who, call)
        return await endpoint.ask(self._runtime, who, call) if endpoint.ask is not None else None


async def folded(events: Events) -> tuple[Open, Reply]:
    """An answer's beginning, and all the rest in one."""
    reply = Reply()
    async with aclosing(events):
        opened = await anext(events)
        assert type(opened) is Open  # noqa: S101 - so all answers begin
        async for event in events:
            reply.add(event)
    return opened, reply


def said(opened: Open) -> bytes:
    """What happened, as header lines, for callers whose body has no room for it."""
    lines = _origin(opened.model, opened.provider, opened.cache) + rate_lines(opened.levels)
    return lines + _DROPPED % opened.dropped if opened.dropped else lines


@lru_cache(maxsize=4096)
def _origin(model: str, provider: str, cache: str) -> bytes:
    return f"headgate-model: {model}\r\nheadgate-provider: {provider}\r\nheadgate-cache: {cache}\r\n".encode()


def told(opened: Open, entry: Entry) -> bytes:
    """The same of an answer that is whole, and what it took."""
    form, numbers = rate_form(opened.levels)
    form += b"headgate-latency-ms: %d.%d\r\n"
    numbers += divmod(int(entry.total_ms * 10), 10)
    if entry.cost is not None:
        form += b"headgate-cost-usd: %d.%09d\r\n"
        numbers += divmod(entry.cost, NANO)
    lines = _origin(opened.model, opened.provider, opened.cache) + form % numbers
    if opened.dropped:
        lines += _DROPPED % opened.dropped
    if entry.estimated:
        lines += b"headgate-estimated: true\r\n"
    return lines


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
        await linger(receive, message)
        raise TooLarge(f"the body is larger than {limit} bytes")
    return b"".join(parts)


async def linger(receive: Receive, message: MutableMapping[str, Any]) -> None:
    """Take in what the caller is still sending, within bounds: a reset connection would lose the answer."""
    taken = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while message.get("more_body") and taken < _LINGER_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
    except TimeoutError:
        pass


def coding_of(headers: list[tuple[bytes, bytes]]) -> str:
    """How the body is compressed; empty where it is not. Compressed ones would have no bounds, and are not taken."""
    found = (value.strip().lower() for name, value in headers if name == b"content-encoding")
    return ", ".join(value[:40].decode("ascii", "replace") for value in found if value not in {b"", b"identity"})
