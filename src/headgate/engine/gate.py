"""The journey: one pipeline for every call, whatever surface it came from.

Before the first event a Fault is a clean error and may move to the next target; after it the fault goes in-band.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Any

from headgate.core.call import Call, Prompt
from headgate.core.events import Open, Receipt, Reply
from headgate.core.faults import Fault
from headgate.core.principal import Principal
from headgate.core.seams import Events
from headgate.engine.admission import Admission, entry_of
from headgate.engine.hold import status_of
from headgate.engine.ledger import Ledger
from headgate.engine.routing import first_to_speak


class Gate:
    """Admits calls, has them answered, and writes them down."""

    def __init__(self, admission: Admission, ledger: Ledger) -> None:
        self.admission = admission
        self.ledger = ledger

    async def answer(self, who: Principal, call: Call) -> Events:
        """The events of an answer: `Open` first, `Receipt` last, once the ledger row is safe. Raises Faults."""
        hold = await self.admission.admit(who, call)
        entry, spoken, route = hold.entry, hold.spoken, hold.route
        try:
            call.deadline = min(call.deadline, time.monotonic() + route.clocks.total)
            first, events = await first_to_speak(route, call, hold.system, spoken)
            target = spoken.target
            assert target is not None  # noqa: S101 - it has just spoken
            async with aclosing(events):
                hold.note(first)
                yield Open(target.model, target.provider_name, entry.cache, hold.levels)
                yield first
                async for event in events:
                    hold.note(event)
                    yield event
            target.breaker.succeeded()
            await self.ledger.written(hold.close("ok"))
        except Fault as fault:
            fault.recorded = True
            spoke = entry.first_ms is not None
            if spoke and spoken.target is not None:
                spoken.target.breaker.failed(fault)
            await self.ledger.written(hold.close(status_of(fault, spoke=spoke), fault, len(call.body)))
            raise
        finally:
            if not hold.closed:
                if spoken.target is not None:
                    spoken.target.breaker.left()
                hold.close("cancelled", None, len(call.body))
        yield Receipt(entry)

    async def reply(self, who: Principal, call: Call) -> Reply:
        """The whole answer, folded. Raises Faults."""
        reply = Reply()
        async with aclosing(self.answer(who, call)) as events:
            async for event in events:
                reply.add(event)
        return reply

    async def refuse(self, who: Principal | None, surface: str, request_id: str, address: str, fault: Fault) -> None:
        """Write down a request that never became a call: nobody's credential, a body that is none."""
        call = Call(model="", understand=_nothing, surface=surface, id=request_id, address=address)
        await self.admission.refuse(entry_of(who, call), fault)


def _nothing(_: dict[str, Any]) -> Prompt:
    return Prompt(messages=())
