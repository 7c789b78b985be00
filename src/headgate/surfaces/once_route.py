"""`OnceRoute`: routes of FastAPI's whose POSTs honour `Idempotency-Key`, as the paths that ask a model do.

Their requests can cost money too, or leave something behind. Without the header they are answered as by any route.
"""

from __future__ import annotations

from fastapi import Request
from fastapi import Response as Answer

from headgate.surfaces.depends import caller_of, runtime_of
from headgate.surfaces.faults import surface_of
from headgate.surfaces.ids import request_id_of
from headgate.surfaces.lines import headers_in, lines_of
from headgate.surfaces.once import once, scope_of
from headgate.surfaces.response import Response
from headgate.surfaces.strict_route import Handler, StrictRoute, body_of
from headgate.surfaces.wishes import key_of

_OWN = (b"content-length", b"content-type")


class Whole(Response):
    """A response that is not sent, but made: `answer` is what FastAPI sends."""

    __slots__ = ("answer",)

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.started = False
        self.last_write = 0.0
        self.answer = Answer()

    async def whole(self, status: int, body: bytes, lines: bytes) -> None:
        """Make the answer, which is JSON."""
        self.started = True
        self.answer = Answer(body, status, media_type="application/json")
        self.answer.raw_headers += headers_in(lines)


class OnceRoute(StrictRoute):
    """A route whose POST is made once for an `Idempotency-Key`. Its answers are whole, and JSON."""

    def get_route_handler(self) -> Handler:
        """The route's handler, behind the key of whoever sent one."""
        handle, path = super().get_route_handler(), self.path
        if "POST" not in (self.methods or ()):
            return handle

        async def handled(request: Request) -> Answer:
            if "idempotency-key" not in request.headers:
                return await handle(request)
            return await _once(request, path, handle)

        return handled


async def _once(request: Request, path: str, handle: Handler) -> Answer:
    scope = request.scope
    who = await caller_of(request)
    key = key_of(dict(scope["headers"]))
    body = await body_of(request)
    runtime = runtime_of(request)
    whose = scope_of(who, runtime.address(scope.get("client"), scope["headers"]))
    asked = b"%b?%b\n%b" % (scope["path"].encode(), scope["query_string"], body)

    async def answer(response: Response) -> None:
        made = await handle(request)
        lines = lines_of([header for header in made.raw_headers if header[0] not in _OWN])
        await response.whole(made.status_code, bytes(made.body), lines)

    whole = Whole(request_id_of(scope))
    await once(runtime.idempotency, (whose, path, key), asked, whole, surface_of(scope), answer)
    return whole.answer
