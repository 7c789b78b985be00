"""`Visit`: a search counts like a call: it takes from its caller's limits, and leaves a row in the ledger.

Where a model made the vector of the question, the row of that call is the search's.
"""

from __future__ import annotations

import time
from typing import Any, Self

from fastapi import Request

from headgate.core.call import Call, Prompt
from headgate.core.entry import Entry
from headgate.core.faults import Fault
from headgate.core.knowledge import Origin
from headgate.core.principal import Principal
from headgate.engine.admission import entry_of
from headgate.engine.hold import OURSELVES
from headgate.engine.levels import rate_lines
from headgate.surfaces.depends import runtime_of, taken
from headgate.surfaces.ids import request_id_of
from headgate.surfaces.lines import headers_in

ASKED = f"{OURSELVES}/search"
"""What stands in the ledger for a model. It is none, and limits of models do not count it."""


class Visit:
    """One search, from its admission to its end; `surface` is the ledger's word for it.

    `origin` is for the searcher, `headers` say how the limits stand.
    """

    def __init__(self, request: Request, who: Principal, surface: str) -> None:
        runtime, scope = runtime_of(request), request.scope
        address = runtime.address(scope.get("client"), scope["headers"])
        self.who = who
        self.origin = Origin(request_id_of(scope), address, surface, self._billed)
        self.headers: dict[str, str] = {}
        self._runtime = runtime
        self._start = time.monotonic()
        self._written = False
        call = Call(model=ASKED, understand=_nothing, surface=surface, id=self.origin.request_id, address=address)
        call.trace = runtime.tracer.begin(scope["headers"]) if runtime.tracer is not None else None
        self._entry = entry_of(who, call)

    async def __aenter__(self) -> Self:
        """Admit it. Raises Overloaded, Forbidden, RateLimited, BudgetExhausted, all written down."""
        try:
            levels = await taken(self._runtime, self.who, self.origin.address)
        except Fault as fault:
            await self._refused(fault)
            raise
        self.headers = {name.decode(): value.decode() for name, value in headers_in(rate_lines(levels))}
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Write it down, unless a call of a model for it was."""
        if self._written:
            return
        if error is None:
            entry = self._entry
            entry.provider, entry.cost, entry.total_ms = OURSELVES, 0, self.ms
            await self._runtime.ledger.written(entry)
        elif isinstance(error, Fault) and not error.recorded:
            await self._refused(error)

    @property
    def ms(self) -> float:
        """Milliseconds since it came."""
        return (time.monotonic() - self._start) * 1000

    async def _refused(self, fault: Fault) -> None:
        self._entry.total_ms = self.ms
        await self._runtime.admission.refuse(self._entry, fault)

    def _billed(self, _: Entry) -> None:
        self._written = True


def _nothing(_: dict[str, Any]) -> Prompt:
    return Prompt(messages=())
