"""What FastAPI handlers may ask for: the runtime, the caller, and the gate on the caller's behalf."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.embedding import EmbedCall, Embedded, Purpose
from headgate.core.events import Reply
from headgate.core.faults import Fault, Forbidden, Overloaded, Unauthenticated
from headgate.core.limit import Level
from headgate.core.principal import Principal
from headgate.core.seams import Events, Refusal
from headgate.engine.levels import fault_of
from headgate.runtime import Runtime
from headgate.surfaces.credentials import ByBearer, ByKey
from headgate.surfaces.ids import request_id_of
from headgate.surfaces.line import Line


def runtime_of(request: Request) -> Runtime:
    """What the app is made of."""
    runtime: Runtime = request.app.runtime
    return runtime


async def caller_of(request: Request, _bearer: ByBearer = None, _key: ByKey = None) -> Principal:
    """Who calls. Raises Unauthenticated."""
    identify = runtime_of(request).identify
    headers = request.scope["headers"]
    return identify.known(headers) or await identify.verify(headers)


async def admin_of(request: Request, _bearer: ByBearer = None, _key: ByKey = None) -> Principal:
    """The admin. Raises Unauthenticated for nobody, Forbidden for anybody else."""
    who = await caller_of(request)
    if who.kind == "anonymous":
        raise Unauthenticated("this needs the admin key")
    if not who.is_admin:
        raise Forbidden("this needs the admin key")
    return who


class CallerGate:
    """The gate on behalf of one caller: what it asks is admitted, limited and metered like the caller's own calls."""

    def __init__(self, runtime: Runtime, who: Principal, request: Request) -> None:
        scope = request.scope
        self._runtime = runtime
        self.who = who
        self._request = request
        self._request_id = request_id_of(scope)
        self._address = runtime.address(scope.get("client"), scope["headers"])
        self._path = scope["path"]
        self._trace = runtime.tracer.begin(scope["headers"]) if runtime.tracer is not None else None

    async def chat(self, prompt: str | Prompt, *, model: str = "", system: str = "", **settings: Any) -> Reply:
        """The whole answer to a prompt; `settings` are fields of `Prompt`, such as `max_tokens` and `temperature`.

        Raises Faults, which the app answers in its own words if nobody catches them. If the caller hangs up, the call
        is cancelled and the handler ends with an HTTPException that nobody will see.
        """
        call = self._call(prompt, model, system, settings)
        line = Line(self._request.scope.get("headgate.connection"), self._request.receive)
        line.begin()
        try:
            _, reply = await self._runtime.gate.reply(self.who, call)
        except asyncio.CancelledError:
            if not line.cut:
                raise
            raise HTTPException(499, "the caller hung up") from None
        finally:
            line.end()
        return reply

    def stream(self, prompt: str | Prompt, *, model: str = "", system: str = "", **settings: Any) -> Events:
        """The events of the answer as they come: `Text` among them, `Receipt` last. Consume it under `aclosing`."""
        call = self._call(prompt, model, system, settings)
        call.stream = True
        return self._runtime.gate.answer(self.who, call)

    async def embed(
        self, texts: str | Sequence[str], *, model: str = "", dimensions: int | None = None, purpose: Purpose = ""
    ) -> Embedded:
        """One vector for each text, in their order. Raises Faults, as `chat` does."""
        inputs = (texts,) if isinstance(texts, str) else tuple(texts)
        call = self._call(Prompt(messages=tuple(Message("user", (TextPart(text),)) for text in inputs)), model, "", {})
        call.max_tokens = 0
        wanted = EmbedCall(model=model, inputs=inputs, dimensions=dimensions, purpose=purpose)
        _, embedded, _ = await self._runtime.gate.embed(self.who, call, wanted)
        return embedded

    def _call(self, prompt: str | Prompt, model: str, system: str, settings: dict[str, Any]) -> Call:
        if isinstance(prompt, str):
            said = [Message("system", (TextPart(system),))] if system else []
            prompt = Prompt(messages=(*said, Message("user", (TextPart(prompt),))), **settings)
        meant = prompt
        return Call(
            model=model,
            understand=lambda _: meant,
            max_tokens=meant.max_tokens,
            n=meant.n or 1,
            id=self._request_id,
            surface=self._path,
            address=self._address,
            reuse=self._runtime.reuse,
            trace=self._trace,
        )


async def gate_of(request: Request, who: Annotated[Principal, Depends(caller_of)]) -> CallerGate:
    """The gate for whoever sent this request. Its body is read by now, so that what comes next is a hang-up."""
    if not request._stream_consumed:  # noqa: SLF001 - Starlette has no other way to ask
        await request.body()
    return CallerGate(runtime_of(request), who, request)


async def admitted_of(request: Request, who: Annotated[Principal, Depends(caller_of)]) -> Principal:
    """The caller, with this request taken from its limits. Raises RateLimited, which is written down."""
    runtime = runtime_of(request)
    address = runtime.address(request.scope.get("client"), request.scope["headers"])
    try:
        await taken(runtime, who, address)
    except Fault as fault:
        surface = request.scope["path"].strip("/").partition("/")[0]
        await runtime.gate.refuse(who, surface, request_id_of(request.scope), address, fault)
        raise
    return who


async def taken(runtime: Runtime, who: Principal, address: str) -> Sequence[Level]:
    """How the caller's limits stand with one more request in them. Raises Overloaded, Forbidden, RateLimited."""
    if runtime.draining:
        raise Overloaded("this process is stopping; ask again, and another one answers")
    admission = runtime.admission
    grant = await admission.limiter.reserve(admission.rules.wants(who, "", address, 0, 0))
    if isinstance(grant, Refusal):
        raise fault_of(grant)
    grant.settle({})
    return grant.levels


Caller = Annotated[Principal, Depends(caller_of)]
Admitted = Annotated[Principal, Depends(admitted_of)]
Admin = Annotated[Principal, Depends(admin_of)]
Running = Annotated[Runtime, Depends(runtime_of)]
Gate = Annotated[CallerGate, Depends(gate_of)]
