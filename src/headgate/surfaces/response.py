"""What is sent to one caller, by ASGI or on the fast lane, and the comments that break a stream's silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headgate.core.faults import Fault, TooLarge
from headgate.surfaces.direct import Direct
from headgate.surfaces.faults import Headers, Surface, body_of, headers_of, status_of

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")


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
    """The same on the fast lane: written straight to the socket."""

    __slots__ = ("_direct",)

    def __init__(self, direct: Direct, request_id: str) -> None:
        self.request_id = request_id
        self.started = False
        self.last_write = 0.0
        self._direct = direct

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status: the point of no return."""
        self.started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        self._direct.start(status, headers)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the caller is slow."""
        self.last_write = time.monotonic()
        await self._direct.write(data)

    async def end(self) -> None:
        """Close the body."""
        self._direct.end()

    async def whole(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole JSON answer."""
        self.started = True
        headers += (_JSON, (b"x-request-id", self.request_id.encode()))
        self._direct.whole(status, headers, body)


class Silence:
    """Breaks a stream's silence with comments: one timer a stream, which looks only at when something was last sent."""

    def __init__(self, response: Response, heartbeat: float) -> None:
        self._response = response
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._writing: asyncio.Task[None] | None = None
        response.last_write = time.monotonic()
        self._timer = self._loop.call_later(heartbeat, self._look)

    def _look(self) -> None:
        quiet = time.monotonic() - self._response.last_write
        if quiet >= self._heartbeat * 0.99:
            if self._writing is None or self._writing.done():  # a caller who reads nothing needs no second comment
                self._writing = self._loop.create_task(self._response.write(b": keep-alive\n\n"))
            quiet = 0.0
        self._timer = self._loop.call_later(self._heartbeat - quiet, self._look)

    def stop(self) -> None:
        """The stream is over."""
        self._timer.cancel()
        if self._writing is not None:
            self._writing.cancel()
