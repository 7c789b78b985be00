"""`Entry`: one row of the ledger: who asked, what answered, what it cost, how it ended. Refusals too."""

from __future__ import annotations

from msgspec import Struct

from headgate.core.trace import Trace

PASSING = frozenset({"limit", "limit_kind", "attempts", "trace"})
"""The last fields of an Entry: metrics, logs and traces are made of them, and the ledger's table does not keep them."""


class Attempt(Struct, frozen=True):
    """One try at a target (`provider/model`): when it began, how many milliseconds it took, and its fault's code."""

    target: str
    at: float
    ms: float
    error: str = ""


class Entry(Struct, kw_only=True, omit_defaults=True):
    """A call as it is written down. Times are seconds since the epoch, durations milliseconds, money nano-USD.

    `cost` is `None` where the price is unknown, never 0. `price` says which price it was computed from.
    `cache`: `off`, `miss`, or `hit` where the answer was made for another call: `cost` is 0 then, and `saved` is what
    it would have been.
    `status`: `ok`, `refused` (never reached a model), `failed` (no answer), `partial` (cut after the first byte),
    `cancelled` (the caller left). `error` is the fault's code. `estimated` marks token counts that no provider gave.
    `limit` names the limit that refused the call, `limit_kind` what it counts. `attempts` are there where the first one
    failed. `trace` is its place in its caller's trace.
    """

    id: str
    at: float
    request_id: str
    kind: str = "nobody"
    principal: str = ""
    key_id: str = ""
    tier: str = ""
    address: str = ""
    surface: str = ""
    stream: bool = False
    model: str = ""
    provider: str = ""
    target: str = ""
    tries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    cost: int | None = None
    price: str = ""
    cache: str = "off"
    saved: int = 0
    first_ms: float | None = None
    total_ms: float = 0.0
    status: str = "ok"
    finish: str = ""
    error: str = ""
    limit: str = ""
    limit_kind: str = ""
    attempts: tuple[Attempt, ...] = ()
    trace: Trace | None = None

    @property
    def tried(self) -> tuple[Attempt, ...]:
        """Every try at a target."""
        if self.attempts or not self.tries:
            return self.attempts if self.tries else ()
        error = "cancelled" if self.status == "cancelled" else self.error
        return (Attempt(f"{self.provider}/{self.target}", self.at, self.total_ms, error),)

    @property
    def cost_usd(self) -> float | None:
        """The cost in US dollars, or None where the price is unknown."""
        return None if self.cost is None else self.cost / 1e9
