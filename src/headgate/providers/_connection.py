"""One keep-alive HTTP/1.1 connection to an upstream: it carries one exchange at a time, and the clocks of it.

The clocks share one loop timer a connection, which is moved lazily: arriving bytes only store the time, and the timer,
when it rings, looks whether something is really overdue. A connection at rest has a clock as well, its expiry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf
from time import monotonic
from typing import cast

import httptools

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamBroken, UpstreamDown, UpstreamFault, UpstreamTimeout
from headgate.providers._bounds import Bounds
from headgate.row import row_here

_JOIN_LIMIT = 64 * 1024
_NO_NAMES: Mapping[bytes, int] = {}
_TOO_SLOW = {
    "first_event": "the upstream did not begin to answer in time",
    "idle": "the upstream fell silent in the middle of its answer",
    "total": "the upstream's answer took too long",
    "deadline": "the time allowed for this request ran out",
}


class Connection(asyncio.BufferedProtocol):
    """What is heard of the current exchange: `status` (0 until the head is there), the headers, the body.

    `closed` says that there will be no other. `lost` is called once, when the socket is gone. `inbox` is where reads
    go, one at a time; all connections of an event loop may share it. Its size bounds what a slow reader's stream holds.
    `relay`, set for one exchange, is offered what comes while somebody waits for `news`.
    """

    __slots__ = (
        "_alarm",
        "_alarm_at",
        "_answering",
        "_bare",
        "_bounds",
        "_clocks",
        "_done",
        "_doubtful",
        "_end",
        "_ends",
        "_fault",
        "_fields",
        "_inbox",
        "_informational",
        "_keep",
        "_loop",
        "_lost",
        "_names",
        "_parser",
        "_parts",
        "_paused",
        "_rests",
        "_row",
        "_since",
        "_size",
        "_speaking",
        "_transport",
        "_until_close",
        "_used",
        "_waiter",
        "_waiting",
        "closed",
        "on_body",
        "on_header",
        "relay",
        "status",
    )

    def __init__(self, bounds: Bounds, lost: Callable[[Connection], None], inbox: memoryview) -> None:
        self._bounds = bounds
        self._lost = lost
        self._inbox = inbox
        self._loop = asyncio.get_running_loop()
        self._row = row_here()
        self._parts: list[bytes] = []
        self._fields: dict[bytes, bytes] = {}
        # httptools calls the list and the dict themselves: no Python frame for each piece and each header
        self.on_body = self._parts.append
        self.on_header = self._fields.setdefault
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._used = False
        self._doubtful = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf
        self.closed = False
        self._paused = False
        self._rests = True
        self._begin(monotonic(), Clocks(), inf, "total")

    def _begin(self, now: float, clocks: Clocks, ends: float, end: str) -> None:
        """Forget the last exchange."""
        self.status = 0
        self._names = _NO_NAMES
        self.relay: Callable[[bytes], bool] | None = None
        self._parts.clear()
        self._fields.clear()
        self._clocks = clocks
        self._ends = ends
        self._end = end
        self._since = now
        self._answering = False
        self._speaking = False
        self._done = False
        self._keep = False
        self._until_close = False
        self._fault: UpstreamFault | None = None
        self._size = self._bare = self._waiting = self._informational = 0

    @property
    def stale(self) -> bool:
        """Whether the connection died without a word, most likely while it rested: nobody has worked on the request."""
        return self._doubtful and not self._answering

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The answer's headers, their names in lower case."""
        values = [*self._fields.values()]
        return {name: values[place] for name, place in self._names.items()}

    def header(self, name: bytes) -> bytes:
        """One of them by its name in lower case; empty where it is not there. To make all of them ready costs more."""
        return [*self._fields.values()][self._names[name]] if name in self._names else b""

    def over(self) -> bool:
        """Whether the body has come to its end, and all of it was read."""
        return self._done and not self._parts and self._fault is None

    def send(
        self, head: bytes, body: bytes, now: float, clocks: Clocks, ends: float, end: str, *, soon: bool = False
    ) -> None:
        """Begin an exchange that must be over at the monotonic second `ends`, on the account of the clock `end`.

        `head` is the request's up to the number of bytes in its body, which is added. `soon`: write it in a Row,
        because many write now.
        """
        self._doubtful = self._used and now - self._since >= self._bounds.doubt
        self._used = True
        self._begin(now, clocks, ends, end)
        self._rests = False
        if self.closed:
            self._fail(UpstreamDown("the upstream closed the connection"))
            return
        if len(body) > _JOIN_LIMIT:
            self._transport.write(b"%b%d\r\n\r\n" % (head, len(body)))
            self._transport.write(body)
        elif soon:
            self._row.write(self._transport, b"%b%d\r\n\r\n%b" % (head, len(body), body))
        else:
            self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        due = now + clocks.first_event
        self._watch(due if due < ends else ends)  # noqa: FURB136 - a call costs more

    def news(self) -> asyncio.Future[None] | None:
        """What comes true when there is more to `take`; None where there is already, were it the end or a fault."""
        if self._parts or self._done or self._fault is not None:
            return None
        self._waiter = self._loop.create_future()
        return self._waiter

    def whole(self) -> bytes:
        """The whole body of an answer that has begun, if it came at once and plain; else nothing: it is to be taken."""
        parts = self._parts
        if not self._done or len(parts) != 1 or self._fault is not None or b"content-encoding" in self._names:
            return b""
        return parts.pop() if len(parts[0]) <= self._bounds.body else b""

    def began(self) -> None:
        """Make sure, once there is news, that the answer has a head. Raises UpstreamDown, -Broken, -Timeout."""
        if self._fault is not None and not self.status:
            raise self._fault

    def take(self) -> bytes:
        """The next bytes of the body, all that came since the last call; empty at its end. Only where there is news.

        Raises UpstreamBroken, UpstreamTimeout.
        """
        if not self._parts:
            if self._fault is not None:
                raise self._fault
            return b""
        chunk = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting = 0
        if self._paused:
            self._resume()
        self._size += len(chunk)
        if self._size > self._bounds.body:
            raise UpstreamBroken(f"the upstream sent an answer of more than {self._bounds.body} bytes")
        return chunk

    def rest(self) -> bool:
        """End the exchange; True if the connection is fit for another one, which must then begin before it expires."""
        fit = self._done and self._keep and not self.closed and not self._transport.get_write_buffer_size()
        if fit:
            self._rests = True
            self._since = monotonic()
            self._watch(self._since + self._bounds.rest)
            if self._paused:
                self._resume()
        return fit

    def close(self) -> None:
        """Hang up at once."""
        if not self.closed:
            self.closed = True
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the next read goes."""
        return self._inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Parse one read. Reads without any body are bounded in a row: heads, trailers, chunk extensions."""
        if self._done or self._rests:
            self._keep = False
            self.close()
            return
        self._answering = True
        self._bare += nbytes
        try:
            self._parser.feed_data(self._inbox[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._done:
                self._fail(UpstreamBroken("the upstream sent something that is not HTTP"))
                return
            self._keep = False
        if self._done:
            self._wake()
        elif self._parts:
            self._heard(nbytes)
        elif self._bare > self._bounds.head:
            self._fail(UpstreamBroken(f"the upstream sent a head of more than {self._bounds.head} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: the end of a body that has no other, else a fault."""
        self.closed = True
        del self._parser  # it refers to this object
        if self._alarm is not None:
            self._alarm.cancel()
        if not self._done and not self._rests:
            if self._until_close and exc is None:
                self._done = True
                self._wake()
            elif self.status:
                self._fail(UpstreamBroken("the upstream broke off in the middle of its answer"))
            else:
                self._fail(UpstreamDown("the upstream closed the connection without an answer"))
        self._lost(self)

    # what httptools calls

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self._done:
            raise _Nonsense

    def on_headers_complete(self) -> None:
        """Take the status and the headers, or pass over an informational answer."""
        status = self._parser.get_status_code()
        bounds = self._bounds
        large = self._bare > bounds.head and sum(map(len, self._fields.values())) > bounds.head
        if large or len(self._fields) > bounds.headers:
            self._fail(UpstreamBroken(f"the upstream sent a head of more than {bounds.head} bytes"))
            raise _Nonsense
        if status < 200:
            self._informational += 1
            if self._informational > bounds.informational or status == 101:
                self._fail(UpstreamBroken(f"the upstream answered {status} and not the request"))
                raise _Nonsense
            self._fields.clear()
            return
        self._names = names = _places(b"\n".join(self._fields))
        if b"transfer-encoding" in names:
            if self.header(b"transfer-encoding").strip().lower() != b"chunked":
                self._fail(UpstreamBroken("the upstream used a transfer coding other than chunked"))
                raise _Nonsense
        else:
            self._until_close = b"content-length" not in names
        self.status = status
        if status >= 300:
            self._ends = min(self._ends, monotonic() + self._bounds.error_seconds)
            self._watch(self._ends)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an informational one."""
        if self.status:
            self._done = True
            self._keep = self._parser.should_keep_alive()

    # clocks and backpressure

    def _heard(self, size: int) -> None:
        """Body bytes came: note the time, hold back an upstream that is faster than its reader, wake the reader."""
        self._since = monotonic()
        self._bare = 0
        if not self._speaking:
            self._speaking = True
            self._watch(self._since + self._clocks.idle)
        if self.relay is not None and self._waiter is not None and self._relayed(self.relay):
            return
        self._waiting += size
        if self._waiting >= self._bounds.buffer and not self._paused and not self.closed:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _relayed(self, relay: Callable[[bytes], bool]) -> bool:
        """Whether what came is on its way to the caller already, so that who waits for it need not be woken."""
        parts = self._parts
        chunk = parts[0] if len(parts) == 1 else b"".join(parts)
        size = self._size + len(chunk)
        if size > self._bounds.body or not relay(chunk):
            return False
        parts.clear()
        self._size = size
        return True

    def _resume(self) -> None:
        """Read on; the time that the reader took is not the upstream's silence."""
        self._paused = False
        if not self.closed:
            self._transport.resume_reading()
            self._since = monotonic()
            self._watch(self._since + (self._bounds.rest if self._rests else self._clocks.idle))

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, fault: UpstreamFault) -> None:
        if self._fault is None:
            self._fault = fault
        self._wake()
        self.close()

    def _watch(self, due: float) -> None:
        """Make sure that the timer rings no later than `due`."""
        if due < self._alarm_at and not self.closed:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = due
            self._alarm = self._loop.call_later(max(due - monotonic(), 0.001), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._alarm_at = inf
        due, clock = self._due()
        if monotonic() < due:
            self._watch(due)
        elif self._rests:
            self.close()
        else:
            self._fail(UpstreamTimeout(_TOO_SLOW[clock], details={"clock": clock}))

    def _due(self) -> tuple[float, str]:
        """When the next clock runs out, and which."""
        if self._rests:
            return self._since + self._bounds.rest, "rest"
        if self._done:
            return inf, ""
        if self._paused:
            return self._ends, self._end
        if self._speaking:
            return min((self._since + self._clocks.idle, "idle"), (self._ends, self._end))
        return min((self._since + self._clocks.first_event, "first_event"), (self._ends, self._end))


@lru_cache(maxsize=64)
def _places(names: bytes) -> Mapping[bytes, int]:
    """Where each header stands, by its name in lower case: an upstream sends the same ones again and again."""
    places: dict[bytes, int] = {}
    for place, name in enumerate(names.lower().split(b"\n") if names else ()):
        places.setdefault(name, place)
    return places


class _Nonsense(Exception):
    """Stops the parser; the fault is set where it is raised."""
