"""The journey: one pipeline for every call, whatever surface it came from.

Before the first event a Fault is a clean error and may move to the next target; after it the fault goes in-band.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

from msgspec import structs

from headgate.core.call import Call, Prompt
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.entry import Entry
from headgate.core.events import Open, Receipt, Reply, Usage
from headgate.core.faults import Fault, Unsupported, UpstreamMissing
from headgate.core.principal import Principal
from headgate.core.seams import Counter, Embedder, Events, Provider
from headgate.engine.admission import Admission, entry_of
from headgate.engine.cache import Cache
from headgate.engine.estimate import tokens_of
from headgate.engine.hold import OURSELVES
from headgate.engine.ledger import Ledger
from headgate.engine.routing import begun, first_to_speak, whole


class Gate:
    """Admits calls, has them answered, and writes them down.

    An entry is safe at once, unless the local disk refused it: then the store must take it first.
    """

    def __init__(self, admission: Admission, ledger: Ledger, cache: Cache) -> None:
        self.admission = admission
        self.ledger = ledger
        self.cache = cache

    async def answer(self, who: Principal, call: Call) -> Events:
        """The events of an answer: `Open` first, `Receipt` last, once the ledger row is safe. Raises Faults."""
        hold = await self.admission.admit(who, call)
        with hold:
            call.end_by(hold.began + hold.route.clocks.total)
            if call.reuse is None:
                first, events = await first_to_speak(hold.route, call, hold.system, hold.spoken, begun)
            else:
                call.relay = None  # what is remembered has to come by
                first, events = await self.cache.begun(who, call, hold)
            async with aclosing(events):
                hold.note(first)
                yield hold.opening()
                yield first
                async for event in events:
                    hold.note(event)
                    yield event
        if not hold.safe:
            await self.ledger.flush()
        yield Receipt(hold.entry)

    async def reply(self, who: Principal, call: Call) -> tuple[Open, Reply]:
        """The whole answer, folded, once the ledger row is safe; the same journey in one go. Raises Faults."""
        hold = await self.admission.admit(who, call)
        reply = Reply()
        try:
            call.end_by(hold.began + hold.route.clocks.total)
            if call.reuse is None:
                said = await first_to_speak(hold.route, call, hold.system, hold.spoken, whole)
            else:
                said = await self.cache.whole(who, call, hold)
            reply.take(said)
            hold.took(reply)
        except BaseException as error:  # `with hold` does the same, and costs more
            hold.ended(error)
            raise
        hold.ended(None)
        if not hold.safe:
            await self.ledger.flush()
        reply.entry = hold.entry
        return hold.opening(), reply

    async def embed(
        self, who: Principal, call: Call, wanted: EmbedCall, *, part: bool = False
    ) -> tuple[Open, Embedded, Entry]:
        """The vectors that are wanted, by the same journey; `call` is their envelope, and its `max_tokens` is 0.

        They may be a part of a request that was admitted already. Raises Faults; Unsupported where no target of the
        model can embed.
        """
        hold = await self.admission.admit(who, call, part=part)
        with hold:
            route = hold.route = hold.route.able(Embedder)
            if not route.targets:
                raise Unsupported(f"the model {route.name} makes no embeddings", field="model")

            async def ask(provider: Provider, aimed: Call) -> Embedded:
                asked = structs.replace(
                    wanted, model=aimed.model, clocks=aimed.clocks, deadline=aimed.deadline, trace=aimed.trace
                )
                return await cast("Embedder", provider).embed(asked)

            call.end_by(hold.began + route.clocks.total)
            if call.reuse is None:
                embedded = await first_to_speak(route, call, hold.system, hold.spoken, ask)
            else:
                embedded = await self.cache.embedded(who, call, hold, ask, wanted)
            hold.note(embedded.usage or Usage(wanted.size, 0, estimated=True))
        if not hold.safe:
            await self.ledger.flush()
        return hold.opening(), embedded, hold.entry

    async def count(self, who: Principal, call: Call) -> tuple[Open, int, Entry]:
        """The tokens of the call's prompt, for nothing; the entry says whether they had to be estimated.

        A target that can count is asked, where the model has one. Raises Faults.
        """
        hold = await self.admission.admit(who, call, free=True)
        with hold:
            route = hold.route.able(Counter)
            call.end_by(hold.began + route.clocks.total)
            counted: int | None = None
            if route.targets:
                counted = await first_to_speak(route, call, hold.system, hold.spoken, _count)
            tokens = tokens_of(call.aimed(call.model, hold.system, route.clocks).prompt) if counted is None else counted
            hold.entry.estimated = counted is None
            hold.entry.cost = 0
        if not hold.safe:
            await self.ledger.flush()
        return hold.opening(), tokens, hold.entry

    async def unasked(self, who: Principal, call: Call) -> tuple[Open, Entry]:
        """Admit and write down a call that needs no model after all; it is free, but counts as a request.

        Raises Faults.
        """
        hold = await self.admission.admit(who, call, free=True)
        with hold:
            hold.entry.provider, hold.entry.cost, hold.entry.finish = OURSELVES, 0, "stop"
        if not hold.safe:
            await self.ledger.flush()
        return hold.opening(), hold.entry

    async def refuse(self, who: Principal | None, surface: str, request_id: str, address: str, fault: Fault) -> None:
        """Write down a request that never became a call: nobody's credential, a body that is none."""
        call = Call(model="", understand=_nothing, surface=surface, id=request_id, address=address)
        await self.admission.refuse(entry_of(who, call), fault)


async def _count(provider: Provider, call: Call) -> int | None:
    """The provider's count; None where the server, though of the provider's kind, cannot count."""
    try:
        return await cast("Counter", provider).count(call)
    except UpstreamMissing as missing:
        if call.model in missing.message:  # it is the model that it does not know
            raise
        return None


def _nothing(_: dict[str, Any]) -> Prompt:
    return Prompt(messages=())
