"""What FastAPI handlers may ask for: the runtime, the caller, and the gate on the caller's behalf."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.events import Reply
from headgate.core.faults import Forbidden, Unauthenticated
from headgate.core.principal import Principal
from headgate.core.seams import Events
from headgate.runtime import Runtime
from headgate.surfaces.credentials import ByBearer, ByKey
from headgate.surfaces.ids import request_id_of


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

    def __init__(self, runtime: Runtime, who: Principal, request_id: str, address: str, path: str) -> None:
        self._runtime = runtime
        self.who = who
        self._request_id = request_id
        self._address = address
        self._path = path

    async def chat(self, prompt: str | Prompt, *, model: str = "", system: str = "", **settings: Any) -> Reply:
        """The whole answer to a prompt; `settings` are fields of `Prompt`, such as `max_tokens` and `temperature`.

        Raises Faults, which the app answers in its own words if nobody catches them.
        """
        _, reply = await self._runtime.gate.reply(self.who, self._call(prompt, model, system, settings))
        return reply

    def stream(self, prompt: str | Prompt, *, model: str = "", system: str = "", **settings: Any) -> Events:
        """The events of the answer as they come: `Text` among them, `Receipt` last. Consume it under `aclosing`."""
        call = self._call(prompt, model, system, settings)
        call.stream = True
        return self._runtime.gate.answer(self.who, call)

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
        )


async def gate_of(request: Request, who: Annotated[Principal, Depends(caller_of)]) -> CallerGate:
    """The gate for whoever sent this request."""
    runtime = runtime_of(request)
    headers = request.scope["headers"]
    address = runtime.address(request.scope.get("client"), headers)
    return CallerGate(runtime, who, request_id_of(request.scope), address, request.scope["path"])


Caller = Annotated[Principal, Depends(caller_of)]
Admin = Annotated[Principal, Depends(admin_of)]
Running = Annotated[Runtime, Depends(runtime_of)]
Gate = Annotated[CallerGate, Depends(gate_of)]
