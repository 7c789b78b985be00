"""The sockets to one upstream: pooled keep-alive HTTP/1.1 behind the `Wire` seam.

Nothing that an upstream does may hang a caller, fill memory or pass for an answer. Redirects are never followed.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from time import monotonic
from urllib.parse import urlsplit

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamDown, UpstreamRejected, UpstreamTimeout
from headgate.core.seams import Ask, Chunks
from headgate.providers._bounds import BOUNDS, Bounds
from headgate.providers._connection import Connection
from headgate.providers._inflate import inflate_for
from headgate.providers._pool import Pool
from headgate.providers._refusals import fits, refusal

_CROWD = 8  # with more exchanges than that at once, requests are written together
_HEADS_LIMIT = 256
_PATH = re.compile(r"/[\x21-\x7e]*")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class HttpWire:
    """A `Wire` to `base_url`, such as `https://api.openai.com/v1`; a path in it stands before every Ask's own.

    `headers` go with every request, an Ask's of the same name win. `tls` replaces the system's certificate
    authorities. Callers beyond the bound on connections wait in line, within their deadline.
    Raises ValueError for an address or a header that cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds = BOUNDS,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ValueError("a base URL is http:// or https://, a host, and perhaps a port and a path")
        self._host = url.hostname
        self._secure = url.scheme == "https"
        self._port = url.port or (443 if self._secure else 80)
        self._prefix = url.path.rstrip("/")
        self._tls = tls
        self._bounds = bounds
        self._inbox = memoryview(bytearray(bounds.buffer))
        self._headers = {
            "host": url.netloc,
            "user-agent": "headgate",
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
        } | {name.lower(): value for name, value in (headers or {}).items()}
        self._heads: dict[tuple[str, str, tuple[tuple[str, str], ...]], bytes] = {}
        self._pool = Pool(self._dial, bounds.connections)
        self._head(Ask(path="/", body=b""))

    async def chunks(self, ask: Ask, clocks: Clocks, deadline: float) -> Chunks:
        """The body of a 2xx answer of the right type, one item for each read from the socket. See `Wire.chunks`."""
        connection = await self._answered(ask, clocks, deadline)
        try:
            inflate = inflate_for(connection.header(b"content-encoding"), self._bounds)
            if inflate is None:
                connection.relay = ask.relay
            while True:
                if (news := connection.news()) is not None:
                    await news
                chunk = connection.take()
                if not chunk:
                    break
                if inflate is None:
                    yield chunk
                else:
                    for piece in inflate.feed(chunk):
                        yield piece
            if inflate is not None:
                inflate.close()
        finally:
            self._pool.give(connection)

    async def fetch(self, ask: Ask, clocks: Clocks, deadline: float) -> bytes:
        """The whole body of a 2xx answer of the right type. See `Wire.fetch`."""
        connection = await self._answered(ask, clocks, deadline)
        try:
            return connection.whole() or await self._gathered(connection)
        finally:
            self._pool.give(connection)

    async def _gathered(self, connection: Connection) -> bytes:
        """The whole body of an answer that has begun, in pieces perhaps, and compressed."""
        inflate = inflate_for(connection.header(b"content-encoding"), self._bounds)
        parts: list[bytes] = []
        while not connection.over():
            if (news := connection.news()) is not None:
                await news
            chunk = connection.take()
            parts += inflate.feed(chunk) if inflate is not None else (chunk,)
        if inflate is not None:
            inflate.close()
        return b"".join(parts)

    async def _answered(self, ask: Ask, clocks: Clocks, deadline: float) -> Connection:
        """A connection on which the answer has begun. One from the pool that proves dead is replaced, once."""
        head = self._heads.get((ask.method, ask.path, ask.headers)) or self._head(ask)
        now = monotonic()
        ends, end = now + clocks.total, "total"
        if deadline < ends:
            ends, end = deadline, "deadline"
        connection = self._pool.rested()
        while True:
            if connection is None:
                connection = await self._connection(clocks, ends, end)
                now = monotonic()
            try:
                connection.send(head, ask.body, now, clocks, ends, end, soon=self._pool.lent() > _CROWD)
                if (news := connection.news()) is not None:
                    await news
                connection.began()
                if 200 <= connection.status < 300 and fits(connection.header(b"content-type"), ask.stream):
                    return connection
                raise await refusal(connection, ask.stream, self._bounds)
            except BaseException as error:
                self._pool.give(connection)
                if not (connection.stale and isinstance(error, UpstreamDown)):
                    raise
            self._pool.distrust()
            connection = None

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        await self._pool.aclose()

    async def _connection(self, clocks: Clocks, ends: float, end: str) -> Connection:
        """A connection when there is none at rest."""
        patience = ends - monotonic()
        if patience <= 0:
            raise UpstreamTimeout("the time allowed for this request ran out", details={"clock": end})
        try:
            return await self._pool.take(patience, clocks.connect)
        except TimeoutError:
            clock = "connect" if clocks.connect <= patience else end
            raise UpstreamTimeout("no connection to the upstream in time", details={"clock": clock}) from None
        except OSError as error:
            raise UpstreamDown(f"no connection to the upstream: {_reason(error)}") from error

    async def _dial(self, lost: Callable[[Connection], None]) -> Connection:
        """Open a socket; both event loops set TCP_NODELAY themselves."""
        context = None
        if self._secure:
            context = self._tls or await asyncio.to_thread(system_tls)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._bounds, lost, self._inbox),
            self._host,
            self._port,
            ssl=context,
            server_hostname=self._host if context else None,
        )
        return connection

    def _head(self, ask: Ask) -> bytes:
        """The request's head up to the length of its body, kept for the next request of the same kind."""
        path = self._prefix + ask.path
        if not _PATH.fullmatch(path):
            raise UpstreamRejected("the upstream's address would hold a character that no address may")
        headers = self._headers | {name.lower(): value for name, value in ask.headers}
        lines = [f"{ask.method} {path} HTTP/1.1"]
        for name, value in headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.strip()):
                raise ValueError(f"the header {name!r} holds a character that no header may")
            lines.append(f"{name}: {value.strip()}")
        head = "\r\n".join([*lines, "content-length: "]).encode("latin-1")
        if len(self._heads) >= _HEADS_LIMIT:
            self._heads.clear()
        self._heads[ask.method, ask.path, ask.headers] = head
        return head


@functools.cache
def system_tls() -> ssl.SSLContext:
    """The TLS settings that all wires share: the system's certificate authorities (or SSL_CERT_FILE), HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _reason(error: OSError) -> str:
    """Why there is no connection, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "no TLS"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else type(error).__name__
