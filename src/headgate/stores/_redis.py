"""One connection to a Redis or Valkey server that all callers of a process share.

Commands are written in the order they come, those of one turn of the event loop together, and nobody waits for
another's answer. A server that does not answer in time is taken for down: callers are refused at once, until it has
answered again. Deadlines cost no timer a command: one looks at the oldest.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha1
from importlib import resources
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis
from msgspec import Struct

from headgate.core.faults import Unavailable

PATIENCE = 0.3
PROBE_EVERY = 0.5
OUT_OF_REACH = "a store that this call needs is out of reach"
_REST = 1.0
_LAG = 0.05
_LATE = "the shared store does not answer in time"
_LOST = "the connection to the shared store was lost"

Heard = Callable[[Any], None]
Words = Sequence[str | int | bytes]
log = logging.getLogger("headgate")


class Script(Struct, frozen=True):
    """A Lua script by its text and the digest that servers know it by."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Script:
        """A script of this text."""
        return cls(text, sha1(text.encode()).hexdigest())  # noqa: S324 - the name that Redis gives it

    @classmethod
    def named(cls, name: str) -> Script:
        """One of `stores/lua`."""
        return cls.of(resources.files("headgate.stores").joinpath("lua", f"{name}.lua").read_text("utf-8"))


class Address(Struct, frozen=True):
    """Where a server is, and what it wants to hear first."""

    host: str
    port: int
    path: str
    tls: bool
    greeting: tuple[tuple[str | int, ...], ...]

    @classmethod
    def of(cls, url: str) -> Address:
        """Of `redis://[user:password@]host:port/database`, `rediss://…`, `unix:///path?db=0`; `valkey` for `redis`."""
        parts = urlsplit(url)
        unix = parts.scheme == "unix"
        database = parse_qs(parts.query).get("db", ["0"])[0] if unix else parts.path.strip("/") or "0"
        greeting: list[tuple[str | int, ...]] = []
        if parts.password:
            user = (unquote(parts.username),) if parts.username else ()
            greeting.append(("AUTH", *user, unquote(parts.password)))
        if database != "0":
            greeting.append(("SELECT", database))
        host, port = parts.hostname or "127.0.0.1", parts.port or 6379
        tls = parts.scheme in {"rediss", "valkeys"}
        return cls(host, port, parts.path if unix else "", tls, (*greeting, ("PING",)))


class Redis:
    """Speaks to the server at `url`, which is taught the `scripts`. Belongs to one event loop.

    `watch` keeps asking for the server while it is down.
    """

    def __init__(self, url: str, scripts: Sequence[Script] = (), *, patience: float = PATIENCE) -> None:
        self._address = Address.of(url)
        self._scripts = scripts
        self._patience = patience
        self._link: _Link | None = None
        self._opening: asyncio.Task[_Link] | None = None
        self._rests_until = 0.0
        self.up = True
        self.on_open: Callable[[], None] = _nothing

    async def call(self, words: Words, unheard: Heard | None = None) -> Any:
        """The server's answer; its errors are raised as `hiredis.ReplyError`.

        `unheard` gets the answer where the caller was cancelled before it came. Raises Unavailable within twice
        `patience`; a command whose connection broke is sent once more.
        """
        for last in (False, True):
            link = self._link
            if link is None or link.closed:
                link = await self._opened()
            try:
                answer = await link.ask(words, unheard)
            except _Broken as error:
                self._lost(link)
                if last or error.late:
                    raise self._trip(str(error)) from error
            else:
                if not isinstance(answer, hiredis.ReplyError):
                    return answer
                if last or not str(answer).startswith("NOSCRIPT"):
                    raise answer
                self._lost(link)  # somebody made the server forget our scripts: a new connection teaches it again
        raise AssertionError

    async def run(self, script: Script, words: Words, unheard: Heard | None = None) -> Any:
        """The answer of a script to `words`: the number of keys, the keys, the arguments."""
        return await self.call(("EVALSHA", script.digest, *words), unheard)

    def post(self, script: Script, words: Words, heard: Heard) -> bool:
        """Have a script run without waiting; False where there is no connection. `heard` gets an answer or an error."""
        if self._link is None or self._link.closed:
            return False
        self._link.post(("EVALSHA", script.digest, *words), heard)
        return True

    async def watch(self) -> None:
        """Look after the connection: open it, and while the server is down try it again and again."""
        while True:
            if not self.up or self._link is None or self._link.closed:
                with suppress(Unavailable):
                    self._rests_until = 0.0
                    await self._opened()
            await asyncio.sleep(PROBE_EVERY)

    async def aclose(self) -> None:
        """Send what was posted, and close."""
        if self._opening is not None:
            self._opening.cancel()
        if self._link is not None and not self._link.closed:
            await self._link.drain(self._patience)
        self._lost(self._link)

    async def _opened(self) -> _Link:
        if self._link is not None and not self._link.closed:
            return self._link
        if time.monotonic() < self._rests_until:
            raise Unavailable(OUT_OF_REACH, retry_after=1.0)
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_retrieved)
        return await asyncio.shield(self._opening)

    async def _open(self) -> _Link:
        link: _Link | None = None
        try:
            async with asyncio.timeout(self._patience):
                link = await _connect(self._address, self._patience)
                await _greet(link, [*self._address.greeting, *(("SCRIPT", "LOAD", s.text) for s in self._scripts)])
        except (OSError, _Broken) as error:  # TimeoutError too
            if link is not None:
                link.abort()
            raise self._trip(_LATE if isinstance(error, TimeoutError) else str(error)) from error
        finally:
            self._opening = None
        self._link = link
        if not self.up:
            log.warning("the shared store is back")
        self.up = True
        self._rests_until = 0.0
        self.on_open()
        return link

    def refused(self, error: hiredis.ReplyError) -> Unavailable:
        """A server that answers, but cannot do what it must: full, read only, still loading."""
        self._lost(self._link)
        return self._trip(str(error).partition(" ")[0])

    def _lost(self, link: _Link | None) -> None:
        if link is not None:
            link.abort()
            if self._link is link:
                self._link = None

    def _trip(self, why: str) -> Unavailable:
        """Leave the server alone for a while."""
        if self.up:
            log.error("the shared store is out of reach: %s", why)
        self.up = False
        self._rests_until = time.monotonic() + _REST
        return Unavailable(OUT_OF_REACH, retry_after=1.0)


class _Broken(Exception):
    """No answer will come; `late` where the server had its time."""

    def __init__(self, why: str, *, late: bool = False) -> None:
        super().__init__(why)
        self.late = late


class _Link(asyncio.Protocol):
    """One connection: commands go out in order, answers come back in the same order."""

    def __init__(self, patience: float) -> None:
        self.closed = False
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self._out: list[bytes] = []
        self._waiting: deque[tuple[Heard, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()

    async def ask(self, words: Words, unheard: Heard | None) -> Any:
        """The answer, also where it is an error. Raises _Broken."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def hear(answer: Any) -> None:
            if future.cancelled():
                if unheard is not None:
                    unheard(answer)
            elif isinstance(answer, _Broken):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.post(words, hear)
        return await future

    def post(self, words: Words, heard: Heard) -> None:
        """Send a command; `heard` gets its answer, an error, or _Broken."""
        if self.closed:
            heard(_Broken(_LOST))
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        now = self._loop.time()
        packed: tuple[Any, ...] = tuple(words)
        self._out.append(hiredis.pack_command(packed))
        self._waiting.append((heard, now))
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._patience, self._look, now + self._patience)

    async def drain(self, patience: float) -> None:
        """Wait for the answers to everything sent."""
        self._idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._waiting:
                    await self._idle.wait()
                    self._idle.clear()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(_Broken(_LOST))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Hand out the answers."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                self._waiting.popleft()[0](answer)
        except (hiredis.ProtocolError, IndexError):
            self.abort()
        if not self._waiting:
            self._idle.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell everybody who waits."""
        self._fail(_Broken(_LOST))

    def _flush(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _look(self, due: float) -> None:
        """See whether the oldest command has waited too long. A late look means that it was we who were busy."""
        self._timer = None
        if not self._waiting:
            return
        now = self._loop.time()
        again = self._waiting[0][1] + self._patience
        if now - due > _LAG:
            again = max(again, now + _LAG)
        if again <= now:
            self._fail(_Broken(_LATE, late=True))
            self.abort()
            return
        self._timer = self._loop.call_at(again, self._look, again)

    def _fail(self, why: _Broken) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._waiting.popleft()[0](why)
        self._idle.set()


async def _connect(address: Address, patience: float) -> _Link:
    loop = asyncio.get_running_loop()
    if address.path:
        return (await loop.create_unix_connection(lambda: _Link(patience), address.path))[1]
    context = ssl.create_default_context() if address.tls else None
    return (await loop.create_connection(lambda: _Link(patience), address.host, address.port, ssl=context))[1]


async def _greet(link: _Link, greeting: Sequence[Words]) -> None:
    for words in greeting:
        answer = await link.ask(words, None)
        if isinstance(answer, hiredis.ReplyError):
            raise _Broken(f"it refuses us ({str(answer).partition(' ')[0]})")


def _retrieved(task: asyncio.Task[_Link]) -> None:
    """Somebody may have stopped waiting: its failure is no news."""
    if not task.cancelled():
        task.exception()


def _nothing() -> None:
    """Nobody wants to hear that the connection is open."""
