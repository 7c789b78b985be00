"""A call with an `Idempotency-Key` is made once; who sends it again is given the same answer.

What was answered once a model was asked is kept, failures too; a refusal is not, nor is what asks the caller to come
back. Such a call runs to its end although its caller hangs up, so that the retry gets what was paid for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import sha256

from headgate.core.faults import Fault, KeyInUse, KeyReused, UpstreamFault
from headgate.core.principal import Principal
from headgate.stores.idempotency import LARGEST, Claim, IdempotencyTable, Kept
from headgate.surfaces.faults import Surface
from headgate.surfaces.response import Response

REPLAYED = b"idempotent-replayed: true\r\n"
PIECE = 64 * 1024

_KEPT = (b"headgate-", b"content-type:", b"cache-control:", b"x-accel-buffering:")
_NAME = "Idempotency-Key"
_IN_USE = "a call with this Idempotency-Key is being made; ask again in a moment"
_TOO_LARGE = "the call with this Idempotency-Key was made; its answer was too large to be kept"
_REUSED = "this Idempotency-Key came with another body before"

log = logging.getLogger("headgate")


class Recorder(Response):
    """A response that is kept before its end is sent."""

    __slots__ = ("_keep", "_lines", "_parts", "_response", "_size", "_status")

    def __init__(self, response: Response, keep: Callable[[int, bytes, bytes], Awaitable[None]]) -> None:
        self.request_id = response.request_id
        self.started = False
        self.last_write = 0.0
        self._response = response
        self._keep = keep
        self._status = 0
        self._lines = b""
        self._parts: list[bytes] = []
        self._size = 0

    async def start(self, status: int, lines: bytes, data: bytes = b"") -> None:
        """Send the status, and the first piece."""
        self.started = True
        self._status, self._lines = status, lines
        self._note(data)
        await self._response.start(status, lines, data)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; comments are not kept."""
        if not data.startswith(b":"):
            self._note(data)
        await self._response.write(data)
        self.last_write = self._response.last_write

    async def end(self, data: bytes = b"") -> None:
        """Keep it, and close the body."""
        self._note(data)
        whole = self._size <= LARGEST
        await self._keep(self._status if whole else -1, self._lines, b"".join(self._parts) if whole else b"")
        await self._response.end(data)

    def _note(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= LARGEST:
            self._parts.append(data)

    async def whole(self, status: int, body: bytes, lines: bytes) -> None:
        """Keep it, and send it."""
        self.started = True
        fits = len(body) <= LARGEST
        await self._keep(status if fits else -1, lines, body if fits else b"")
        await self._response.whole(status, body, lines)


async def once(
    table: IdempotencyTable,
    claimed: tuple[str, str, str],
    body: bytes,
    response: Response,
    surface: Surface,
    answer: Callable[[Response], Awaitable[None]],
) -> None:
    """Have `answer` make the call unless it was made; `claimed` are whose key it is, the route and the key.

    Raises KeyInUse, KeyReused, Unavailable, and Faults of a call that leave the key free.
    """
    digest = sha256(body).hexdigest()
    found = await asyncio.to_thread(table.begin, *claimed, digest)
    if isinstance(found, Kept):
        await _replay(found, digest, response)
        return
    try:
        await answer(Recorder(response, lambda *kept: _keep(table, found, *kept)))
    except UpstreamFault as fault:
        await Recorder(response, lambda *kept: _keep(table, found, *kept)).fault(fault, surface)
    except BaseException:
        await _free(table, found)
        raise


def scope_of(who: Principal, address: str) -> str:
    """Whose keys they are: a tenant's; callers without a name are told apart by their addresses."""
    return f"{who.tenant}@{address}" if who.kind == "anonymous" else who.tenant


async def _replay(kept: Kept, digest: str, response: Response) -> None:
    if kept.digest != digest:
        raise KeyReused(_REUSED, field=_NAME)
    if kept.status == 0:
        raise KeyInUse(_IN_USE, field=_NAME, retry_after=1.0)
    if kept.status < 0:
        raise KeyInUse(_TOO_LARGE, field=_NAME)
    lines = REPLAYED + kept.headers.encode("latin-1")
    if b"content-type: " not in lines:
        await response.whole(kept.status, kept.body, lines)
        return
    await response.start(kept.status, lines)
    for at in range(0, len(kept.body), PIECE):
        await response.write(kept.body[at : at + PIECE])
    await response.end()


async def _keep(table: IdempotencyTable, claim: Claim, status: int, lines: bytes, body: bytes) -> None:
    """Keep an answer, unless it refuses the call or asks the caller to come back: then the key is free."""
    headers = lines.splitlines(keepends=True)
    if 400 <= status < 500 or any(line.startswith(b"retry-after:") for line in headers):
        await _free(table, claim)
        return
    told = b"".join([line for line in headers if line.startswith(_KEPT)]).decode("latin-1")
    try:
        await asyncio.to_thread(table.keep, claim, status, told, body)
    except Fault as fault:
        log.warning("the answer to an Idempotency-Key could not be kept: %s", fault.message)


async def _free(table: IdempotencyTable, claim: Claim) -> None:
    try:
        await asyncio.to_thread(table.give_up, claim)
    except Fault as fault:
        log.warning("an Idempotency-Key stays in use until its lease ends: %s", fault.message)
