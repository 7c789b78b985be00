"""What stands around every request outside the fast lane: an id in every response, a bound on every body, HEAD."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate.core.faults import TooLarge
from headgate.surfaces.edge import linger
from headgate.surfaces.faults import body_of, status_of, surface_of
from headgate.surfaces.ids import SETTLED, id_of


class Envelope:
    """Plain ASGI around `app`. Bodies have at most `limit` bytes, read or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; HEAD is GET without the body, which the server leaves out."""
        request_id = id_of(dict(scope["headers"]))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        scope = {**scope, "method": method, SETTLED: request_id}
        exchange = _Exchange(scope, receive, send, self._limit)
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left = limit
        self._limit = limit
        self._told = False

    async def receive(self) -> Message:
        """The next piece of the body. Raises TooLarge, whatever the app makes of it."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            await linger(self._receive, message)
            raise self._too_large
        return message

    async def send(self, message: Message) -> None:
        """Send with the id; where the body was too large, that is the answer."""
        if self._told:
            return
        if message["type"] == "http.response.start":
            if self._left < 0:
                self._told = True
                await self._refuse()
                return
            headers = message.setdefault("headers", [])
            if not any(name == b"x-request-id" for name, _ in headers):
                message["headers"] = [*headers, (b"x-request-id", self._scope[SETTLED].encode())]
        await self._send(message)

    async def _refuse(self) -> None:
        request_id: str = self._scope[SETTLED]
        surface = surface_of(self._scope)
        body = body_of(self._too_large, surface, request_id)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
        ]
        status = status_of(self._too_large, surface)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    @property
    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._limit} bytes")
