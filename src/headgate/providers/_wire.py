"""The sockets to one upstream: pooled keep-alive HTTP/1.1 behind the `Wire` seam.

Nothing that an upstream does may hang a caller, fill memory or pass for an answer. Redirects are never followed.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import ssl
from collections.abc import Callable, Mapping
from time import monotonic
from urllib.parse import urlsplit

import msgspec

from headgate.core.call import Clocks
from headgate.core.faults import Fault, UpstreamBroken, UpstreamDown, UpstreamFault, UpstreamRejected, UpstreamTimeout
from headgate.core.seams import Answered, Ask, Chunks
from headgate.providers._connection import Connection
from headgate.providers._inflate import Inflate
from headgate.providers._pool import Pool

CONNECTIONS = 1024
ERROR_LIMIT = 64 * 1024

_HEADS_LIMIT = 256
_STREAMS = frozenset(
    {"text/event-stream", "application/x-ndjson", "application/stream+json", "application/vnd.amazon.eventstream"}
)
_PATH = re.compile(r"/[\x21-\x7e]*")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class HttpWire:
    """A `Wire` to `base_url`, such as `https://api.openai.com/v1`; a path in it stands before every Ask's own.

    `headers` go with every request, an Ask's of the same name win. `tls` replaces the system's certificate
    authorities. `connections` bounds the sockets; callers beyond it wait in line, within their deadline.
    Raises ValueError for an address or a header that cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ValueError("a base URL is http:// or https://, a host, and perhaps a port and a path")
        self._host = url.hostname
        self._secure = url.scheme == "https"
        self._port = url.port or (443 if self._secure else 80)
        self._prefix = url.path.rstrip("/")
        self._tls = tls
        self._headers = {
            "host": url.netloc,
            "user-agent": "headgate",
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
        } | {name.lower(): value for name, value in (headers or {}).items()}
        self._heads: dict[tuple[str, str, tuple[tuple[str, str], ...]], bytes] = {}
        self._pool = Pool(self._dial, connections)
        self._head(Ask(path="/", body=b""))

    async def chunks(self, ask: Ask, clocks: Clocks, deadline: float) -> Chunks:
        """The body of a 2xx answer of the right type, one item for each read from the socket. See `Wire.chunks`."""
        head = self._heads.get((ask.method, ask.path, ask.headers)) or self._head(ask)
        ends, end = min((monotonic() + clocks.total, "total"), (deadline, "deadline"))
        retried = False
        while True:
            connection = (None if retried else self._pool.rested()) or await self._connection(clocks, ends, end)
            try:
                connection.send(b"%b%d\r\n\r\n" % (head, len(ask.body)), ask.body, clocks, ends, end)
                await connection.answered()
                headers = connection.headers
                if not 200 <= connection.status < 300 or not _fits(headers.get(b"content-type", b""), ask.stream):
                    raise await _misfit(connection, ask.stream)
                coding = headers.get(b"content-encoding", b"identity")
                inflate = None if coding == b"identity" else Inflate(coding.decode("latin-1").strip().lower())
                while chunk := await connection.read():
                    if inflate is None:
                        yield chunk
                    else:
                        for piece in inflate.feed(chunk):
                            yield piece
                if inflate is not None:
                    inflate.close()
            except UpstreamDown:
                if retried or not connection.stale:
                    raise
                retried = True
            else:
                return
            finally:
                self._pool.give(connection)

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
            lambda: Connection(lost),
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


def _media_type(content_type: bytes) -> str:
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def _fits(content_type: bytes, stream: bool) -> bool:
    """Whether this type is what was asked for."""
    kind = _media_type(content_type)
    return kind in _STREAMS if stream else not kind or _is_json(kind)


def _is_json(kind: str) -> bool:
    return kind in ("application/json", "text/json") or kind.endswith("+json")


async def _misfit(connection: Connection, stream: bool) -> Answered | UpstreamFault:
    """What to raise for an answer with another status or type than was asked for."""
    body = await _bounded(connection)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in connection.headers.items()}
    if not 200 <= connection.status < 300:
        return Answered(connection.status, headers, body)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    status = _error_status(body) if stream and _is_json(kind) else None
    if status is not None:
        return Answered(status, headers, body)
    wanted = "a stream" if stream else "JSON"
    return UpstreamBroken(f"the upstream answered with {kind[:80] or 'no content type'}, not {wanted}")


async def _bounded(connection: Connection) -> bytes:
    """The first ERROR_LIMIT bytes of an error's body; what cannot be read of it is left out."""
    parts, size = [], 0
    try:
        coding = connection.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        inflate = None if coding == "identity" else Inflate(coding)
        while size < ERROR_LIMIT and (chunk := await connection.read()):
            for piece in inflate.feed(chunk) if inflate else (chunk,):
                parts.append(piece)
                size += len(piece)
                if size >= ERROR_LIMIT:
                    break
    except Fault:
        pass
    return b"".join(parts)[:ERROR_LIMIT]


def _error_status(body: bytes) -> int | None:
    """The status that an error inside a 200 claims, 502 if it claims none; None if this is no error."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or not value.get("error"):
        return None
    error = value["error"]
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else 502


def _reason(error: OSError) -> str:
    """Why there is no connection, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "no TLS"
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else type(error).__name__
