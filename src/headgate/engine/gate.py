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
from headgate.engine.hold import Hold
from headgate.engine.ledger import Ledger
from headgate.engine.routing import begun, first_to_speak, whole


class Gate:
    """Admits calls, has them answered, and writes them down."""

    def __init__(self, admission: Admission, ledger: Ledger) -> None:
        self.admission = admission
        self.ledger = ledger

    async def answer(self, who: Principal, call: Call) -> Events:
        """The events of an answer: `Open` first, `Receipt` last, once the ledger row is safe. Raises Faults."""
        hold = await self.admission.admit(who, call)
        with hold:
            call.deadline = min(call.deadline, time.monotonic() + hold.route.clocks.total)
            first, events = await first_to_speak(hold.route, call, hold.system, hold.spoken, begun)
            async with aclosing(events):
                hold.note(first)
                yield hold.opening()
                yield first
                async for event in events:
                    hold.note(event)
                    yield event
        await self._written(hold)
        yield Receipt(hold.entry)

    async def reply(self, who: Principal, call: Call) -> tuple[Open, Reply]:
        """The whole answer, folded, once the ledger row is safe; the same journey in one go. Raises Faults."""
        hold = await self.admission.admit(who, call)
        reply = Reply()
        with hold:
            call.deadline = min(call.deadline, time.monotonic() + hold.route.clocks.total)
            for event in await first_to_speak(hold.route, call, hold.system, hold.spoken, whole):
                hold.note(event)
                reply.add(event)
        await self._written(hold)
        reply.entry = hold.entry
        return hold.opening(), reply

    async def _written(self, hold: Hold) -> None:
        """Entries are safe at once, unless the local disk refused them: then the store must take them first."""
        if not hold.safe:
            await self.ledger.flush()

    async def refuse(self, who: Principal | None, surface: str, request_id: str, address: str, fault: Fault) -> None:
        """Write down a request that never became a call: nobody's credential, a body that is none."""
        call = Call(model="", understand=_nothing, surface=surface, id=request_id, address=address)
        await self.admission.refuse(entry_of(who, call), fault)


def _nothing(_: dict[str, Any]) -> Prompt:
    return Prompt(messages=())
