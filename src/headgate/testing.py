"""What Headgate is tested with, for tests of your own: scripted upstreams, wires, providers, and a clock that stands.

```python
async with ScriptedUpstream([stream_head(), chunk(frame), 0.1, Upset.RESET]) as upstream:
    provider = connect(Options(base_url=upstream.url), wire)
    ...
    assert upstream.requests[0].path == "/v1/chat/completions"
    await upstream.connections[0].closed.wait()
```
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from enum import Enum
from time import monotonic
from typing import Self, TypeVar, cast

import httptools
from msgspec import Struct, field

from headgate.core.call import Call, Clocks
from headgate.core.events import Event
from headgate.core.faults import Fault
from headgate.core.knowledge import Collection, Found, Origin, Results, Search
from headgate.core.principal import Principal
from headgate.core.seams import Ask, Chunks, Events

T = TypeVar("T")

LAST_CHUNK = b"0\r\n\r\n"


class Upset(Enum):
    """Ways for an upstream to end a connection, or not to: TCP FIN, TCP RST, silence until the client hangs up."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


class SeenRequest(Struct):
    """A request as an upstream received it; header names are lower-cased."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class SeenConnection:
    """A client's connection: its requests, the bytes `sent` into it, and `closed`, set when the client is gone."""

    def __init__(self) -> None:
        self.requests: list[SeenRequest] = []
        self.sent = 0
        self.opened_at = monotonic()
        self.closed_at: float | None = None
        self.closed = asyncio.Event()


Step = bytes | float | Upset | Iterable["Step"] | Callable[[SeenRequest], "Iterable[Step]"]
Script = Iterable[Step]


def whole(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A complete answer, JSON unless `headers` say otherwise; its length is given unless they give one."""
    fields = {"content-type": "application/json", "content-length": str(len(body))} | dict(headers or {})
    return _head(status, fields) + body


def stream_head(headers: Mapping[str, str] | None = None) -> bytes:
    """The head of a chunked answer, Server-Sent Events unless `headers` say otherwise."""
    return _head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"} | dict(headers or {}))


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked answer (RFC 9112 7.1). `LAST_CHUNK` ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class ScriptedUpstream:
    """A real TCP server on 127.0.0.1 whose answers are scripted byte for byte.

    Each request plays the next script, the last one again and again. A script is a sequence of steps: bytes are sent,
    numbers are pauses in seconds, an Upset ends the connection, iterables (endless ones too) are played, and functions
    are called with the request for more steps. After a script without an Upset the connection takes another request.
    `greeting` is played when a client connects. With `tls` the server speaks TLS.
    """

    def __init__(self, *scripts: Script, greeting: Script = (), tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[SeenRequest] = []
        self.connections: list[SeenConnection] = []
        self._scripts = list(scripts)
        self._greeting = greeting
        self._tls = tls
        self._sessions: list[_Session] = []

    def then(self, *steps: Step) -> Self:
        """Add a script for one more request."""
        self._scripts.append(steps)
        return self

    @property
    def port(self) -> int:
        """Where it listens."""
        return cast("int", self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Its base URL, without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for session in self._sessions:
            await session.end()

    def _session(self) -> _Session:
        seen = SeenConnection()
        session = _Session(seen, self._greeting, self._script_for)
        self.connections.append(seen)
        self._sessions.append(session)
        return session

    def _script_for(self, request: SeenRequest) -> Script:
        self.requests.append(request)
        if not self._scripts:
            return (whole(b"{}"),)
        return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]


class _Session(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, seen: SeenConnection, greeting: Script, script_for: Callable[[SeenRequest], Script]) -> None:
        self._seen = seen
        self._greeting = greeting
        self._script_for = script_for
        self._over = asyncio.Event()
        self._over.set()
        self._inbox: asyncio.Queue[SeenRequest] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._parser = httptools.HttpRequestParser(self)
        self._request = SeenRequest()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._over.clear()
        self._player = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        with contextlib.suppress(httptools.HttpParserError):  # what is not HTTP gets no answer, a greeting at most
            self._parser.feed_data(data)

    def eof_received(self) -> None:
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._gone()
        self._player.cancel()
        self._over.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def end(self) -> None:
        if not self._over.is_set():
            self._transport.abort()
            await self._over.wait()

    def _gone(self) -> None:
        if self._seen.closed_at is None:
            self._seen.closed_at = monotonic()
            self._seen.closed.set()

    # what httptools calls

    def on_message_begin(self) -> None:
        self._request = SeenRequest()

    def on_url(self, url: bytes) -> None:
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self._request.method = self._parser.get_method().decode("latin-1")
        self._seen.requests.append(self._request)
        self._inbox.put_nowait(self._request)

    # playing

    async def _run(self) -> None:
        await self._play(self._greeting, SeenRequest())
        while True:
            request = await self._inbox.get()
            await self._play(self._script_for(request), request)

    async def _play(self, steps: Iterable[Step], request: SeenRequest) -> None:
        for step in steps:
            if isinstance(step, bytes):
                self._transport.write(step)
                self._seen.sent += len(step)
                await self._writable.wait()
            elif isinstance(step, (int, float)):
                await asyncio.sleep(step)
            elif isinstance(step, Upset):
                await self._upset(step)
            else:
                await self._play(step(request) if callable(step) else step, request)

    async def _upset(self, step: Upset) -> None:
        if step is Upset.CLOSE:
            self._transport.close()
        elif step is Upset.RESET:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        await asyncio.Event().wait()


class ScriptedWire:
    """A Wire without sockets: each call plays the next script of chunks, the last one again and again.

    Numbers are pauses in seconds; exceptions (Answered, Faults) are raised. `asks` are the requests,
    `hung_up` counts the generators that were closed before their end.
    """

    def __init__(self, *scripts: Sequence[bytes | float | Exception]) -> None:
        self.asks: list[Ask] = []
        self.hung_up = 0
        self.closed = False
        self._scripts = list(scripts)

    async def fetch(self, ask: Ask, clocks: Clocks, deadline: float) -> bytes:
        """Play the next script, and give it whole."""
        async with aclosing(self.chunks(ask, clocks, deadline)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def chunks(self, ask: Ask, clocks: Clocks, deadline: float) -> Chunks:  # noqa: ARG002 - the seam's signature
        """Play the next script."""
        self.asks.append(ask)
        try:
            for step in _next(self._scripts):
                if isinstance(step, bytes):
                    if ask.relay is None or not ask.relay(step):
                        yield step
                elif isinstance(step, Exception):
                    raise step
                else:
                    await asyncio.sleep(step)
        except (GeneratorExit, asyncio.CancelledError):
            self.hung_up += 1
            raise

    async def aclose(self) -> None:
        """Remember it."""
        self.closed = True


class ScriptedProvider:
    """A Provider that says what it is told: each call plays the next script of events, the last one again and again.

    Numbers are pauses in seconds; Faults are raised. `calls` are the calls it was asked, `hung_up` counts those that
    were left before their end.
    """

    def __init__(self, *scripts: Sequence[Event | float | Fault], dialect: str = "") -> None:
        self.dialect = dialect
        self.calls: list[Call] = []
        self.hung_up = 0
        self._scripts = list(scripts)

    async def events(self, call: Call) -> Events:
        """Play the next script."""
        self.calls.append(call)
        try:
            for step in _next(self._scripts):
                if isinstance(step, (int, float)):
                    await asyncio.sleep(step)
                elif isinstance(step, Fault):
                    raise step
                else:
                    yield step
        except (GeneratorExit, asyncio.CancelledError):
            self.hung_up += 1
            raise


class ScriptedSearches:
    """Finds what it is told to, by tenant. `asked` are the searches, each with who made it."""

    def __init__(self, **found: Sequence[Found]) -> None:
        self.asked: list[tuple[Principal, Search]] = []
        self._found = found

    async def search(self, who: Principal, wanted: Search, *, origin: Origin) -> Results:  # noqa: ARG002
        """Those of the caller's passages that are similar enough."""
        self.asked.append((who, wanted))
        found = [each for each in self._found.get(who.id, ()) if each.similarity >= wanted.min_similarity]
        return Results(found=tuple(found[: wanted.k]), mode="lexical")

    async def collections(self, who: Principal) -> Sequence[Collection]:
        """Those that the caller's passages are in."""
        return [
            Collection(name=name) for name in dict.fromkeys(each.collection for each in self._found.get(who.id, ()))
        ]


def _next(scripts: list[Sequence[T]]) -> Sequence[T]:
    if not scripts:
        return ()
    return scripts.pop(0) if len(scripts) > 1 else scripts[0]


class FrozenClock:
    """A clock that only moves when told to; call it for the time, in seconds."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
