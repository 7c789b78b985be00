"""`Entry`: one row of the ledger: who asked, what answered, what it cost, how it ended. Refusals too."""

from __future__ import annotations

from msgspec import Struct


class Entry(Struct, kw_only=True):
    """A call as it is written down. Times are seconds since the epoch, durations milliseconds, money nano-USD.

    `cost` is `None` where the price is unknown, never 0. `price` says which price it was computed from.
    `cache`: `off`, `miss`, or `hit` where the answer was made for another call: `cost` is 0 then, and `saved` is what
    it would have been.
    `status`: `ok`, `refused` (never reached a model), `failed` (no answer), `partial` (cut after the first byte),
    `cancelled` (the caller left). `error` is the fault's code. `estimated` marks token counts that no provider gave.
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

    @property
    def cost_usd(self) -> float | None:
        """The cost in US dollars, or None where the price is unknown."""
        return None if self.cost is None else self.cost / 1e9
