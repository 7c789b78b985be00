"""What is sent to one caller, and the comments that break a stream's silence. Headers are lines, as written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headgate.core.call import Relay
from headgate.core.faults import Fault, TooLarge
from headgate.surfaces.faults import Surface, body_of, headers_of, status_of
from headgate.surfaces.lines import headers_in

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"content-type: application/json\r\n"
CLOSE = b"connection: close\r\n"


def id_line(surface: Surface, request_id: str) -> bytes:
    """The request's id under the name that Anthropic's clients look for (https://platform.claude.com/docs/en/api/errors)."""
    return b"request-id: %b\r\n" % request_id.encode() if surface == "anthropic" else b""


class Response:
    """What is sent to one caller; here by ASGI, on the fast lane by `Direct`."""

    __slots__ = ("_send", "last_write", "request_id", "started")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.started = False
        self.last_write = 0.0

    @property
    def short(self) -> Relay | None:
        """The way on which pieces of a stream are written at once, where there is one."""
        return None

    async def start(self, status: int, lines: bytes, data: bytes = b"") -> None:
        """Send the status, and the first piece of the body where it is there: the point of no return."""
        self.started = True
        headers = [*headers_in(lines), (b"x-request-id", self.request_id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if data:
            await self.write(data)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the caller is slow."""
        self.last_write = time.monotonic()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Close the body, after its last piece."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def whole(self, status: int, body: bytes, lines: bytes) -> None:
        """Send a whole JSON answer."""
        await self.start(status, b"%b%bcontent-length: %d\r\n" % (lines, JSON, len(body)))
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def fault(self, fault: Fault, surface: Surface) -> None:
        """Send a fault as the surface words it. A body that was not read ends the connection."""
        lines = headers_of(fault) + id_line(surface, self.request_id) + (CLOSE if isinstance(fault, TooLarge) else b"")
        await self.whole(status_of(fault, surface), body_of(fault, surface, self.request_id), lines)


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
