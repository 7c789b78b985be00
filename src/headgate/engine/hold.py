"""`Hold`: what admission set aside for one call. It watches the answer go by and is closed once, without waiting."""

from __future__ import annotations

import time

from msgspec import Struct

from headgate.core.call import Call, System
from headgate.core.entry import Attempt, Entry
from headgate.core.events import Done, Event, Open, Reply, Text, Thinking, ToolArgs, Usage, Verbatim
from headgate.core.faults import CallerFault, Fault, InternalError, ServerFault
from headgate.core.seams import Grant
from headgate.engine.ledger import Ledger
from headgate.engine.prices import Prices
from headgate.engine.routing import Route
from headgate.engine.targets import Spoken
from headgate.engine.worst import text_bytes

OURSELVES = "headgate"
TOKEN = 4  # bytes of English text a token, for answers whose provider did not count


class Hold(Struct, eq=False):
    """One admitted call: its route, its ledger entry in the making, and the amounts reserved for it.

    `dropped` entries of its conversation were left out. `safe` says, once it is closed, that the entry is. It `began`
    at that monotonic second.
    """

    entry: Entry
    route: Route
    system: System | None
    spoken: Spoken
    dropped: int
    began: float
    _call: Call
    _grant: Grant
    _ledger: Ledger
    _prices: Prices
    safe: bool = False
    _bytes: int = 0
    _usage: Usage | None = None

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.ended(error)

    def ended(self, error: BaseException | None) -> None:
        """Close: how the block ended is how the call did."""
        if self.entry.cache != "hit":
            self.spoken.over(error)
        if error is None:
            self._close("ok", "")
        elif isinstance(error, Fault):
            spoke = self.entry.first_ms is not None
            error.recorded = True
            self._close(status_of(error, spoke=spoke), error.code)
        else:
            bug = isinstance(error, Exception)
            self._close("failed" if bug else "cancelled", InternalError.code if bug else "")

    def opening(self) -> Open:
        """What may be said once a target speaks, or Headgate itself does where none had to be asked."""
        target = self.spoken.target
        model, provider = (self.route.name, OURSELVES) if target is None else (target.model, target.upstream.name)
        return Open(model, provider, self.entry.cache, self._grant.levels, self.dropped)

    def note(self, event: Event) -> None:
        """Take from an event what the ledger wants to know."""
        entry = self.entry
        if entry.first_ms is None:
            entry.first_ms = (time.monotonic() - self.began) * 1000
        if type(event) is Verbatim:
            self._bytes += event.frames * TOKEN  # a frame carries about a token
        elif isinstance(event, Text):
            self._bytes += len(event.text)
        elif isinstance(event, Done):
            entry.finish = event.raw or event.reason
        elif isinstance(event, Usage):
            self._usage = event
        elif isinstance(event, Thinking):
            self._bytes += len(event.text)
        elif isinstance(event, ToolArgs):
            self._bytes += len(event.json)

    def took(self, reply: Reply) -> None:
        """Take from a whole answer what the ledger wants to know."""
        entry = self.entry
        entry.first_ms = entry.total_ms = (time.monotonic() - self.began) * 1000
        if (done := reply.done) is not None:
            entry.finish = done.raw or done.reason
        self._usage = reply.usage
        if reply.usage is None:
            self._bytes = sum(choice.size for choice in reply.choices)

    def _close(self, status: str, error: str) -> None:
        """Settle what the call used, and post its entry. Never waits, so that no hang-up can skip it."""
        entry, usage = self.entry, self._usage
        if status != "ok":
            entry.status, entry.error = status, error
        if usage is not None:
            self._count(usage)
        spoke = entry.first_ms is not None
        if spoke and (status != "ok" or usage is None):  # what was counted before the end may be too little
            entry.tokens_in = entry.tokens_in or text_bytes(self._call) // TOKEN
            relayed = self._call.relay.relayed if self._call.relay is not None else 0
            entry.tokens_out = max(entry.tokens_out, self._bytes // TOKEN + relayed, 1 if usage is None else 0)
            entry.estimated = True
        target = self.spoken.target
        if target is not None:
            entry.provider, entry.target, entry.tries = target.upstream.name, target.model, self.spoken.tries
            if self.spoken.failed and entry.cache != "hit":
                entry.attempts = self._attempts(status, error)
            if spoke:
                self._charge(entry)
        if not entry.total_ms:
            entry.total_ms = (time.monotonic() - self.began) * 1000
        used = entry.tokens_in + entry.tokens_out
        if entry.cache == "hit":
            used, entry.tries, entry.saved, entry.cost = 0, 0, entry.cost or 0, 0
        self._grant.settle({"tokens": used, "spend": entry.cost or 0})
        self.safe = self._ledger.post(entry)

    def _count(self, usage: Usage) -> None:
        """Write down what the provider counted; an entry begins with nothing."""
        entry = self.entry
        entry.tokens_in, entry.tokens_out = usage.tokens_in, usage.tokens_out
        if usage.cached or usage.cache_write or usage.reasoning:
            entry.cached, entry.cache_write, entry.reasoning = usage.cached, usage.cache_write, usage.reasoning
        if usage.estimated:
            entry.estimated = True

    def _attempts(self, status: str, error: str) -> tuple[Attempt, ...]:
        spoken = self.spoken
        if len(spoken.failed) < spoken.tries:
            spoken.ended("cancelled" if status == "cancelled" else error)
        return spoken.failed

    def _charge(self, entry: Entry) -> None:
        price = self._prices.find(entry.provider, entry.target)
        if price is not None:
            entry.cost = price.cost(entry.tokens_in, entry.tokens_out, entry.cached, entry.cache_write)
            entry.price = price.source


def status_of(fault: Fault, *, spoke: bool) -> str:
    """How a call that ended with this fault is written down."""
    if spoke:
        return "partial"
    return "refused" if isinstance(fault, CallerFault | ServerFault) else "failed"
