"""Money is counted in whole nano-USD (a billionth of a dollar); prices in pico-USD a token, so that sums are exact."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

NANO = 1_000_000_000


class Price(Struct, frozen=True):
    """What one token costs, in pico-USD (USD per million tokens x 10^6).

    `cached` and `cache_write` fall back to `input` where the vendor names no price of their own.
    `above` prices a prompt longer than so many tokens, in the vendor's steps, longest first. `source` says where from.
    """

    input: int
    output: int
    cached: int | None = None
    cache_write: int | None = None
    request: int = 0
    above: tuple[tuple[int, Price], ...] = ()
    source: str = ""

    def cost(self, tokens_in: int, tokens_out: int, cached: int = 0, cache_write: int = 0) -> int:
        """The cost of a call in nano-USD, rounded half up; `cached` and `cache_write` are parts of `tokens_in`."""
        if self.above:
            for longer_than, price in self.above:
                if tokens_in > longer_than:
                    return price.cost(tokens_in, tokens_out, cached, cache_write)
        pico = tokens_in * self.input + tokens_out * self.output + self.request
        if cached or cache_write:
            read = self.input if self.cached is None else self.cached
            write = self.input if self.cache_write is None else self.cache_write
            fresh = max(0, tokens_in - cached - cache_write)
            pico += (fresh - tokens_in) * self.input + cached * read + cache_write * write
        return (pico + 500) // 1000

    def most(self, tokens_in: int, tokens_out: int) -> int:
        """The most that up to so many tokens may cost, in nano-USD, whatever is cached of them."""
        steps = [self, *(price for longer_than, price in self.above if tokens_in > longer_than)]
        dearest = max(p.input_most * tokens_in + p.output * tokens_out + p.request for p in steps)
        return (dearest + 999) // 1000

    @property
    def input_most(self) -> int:
        """The dearest that a token of the prompt may be."""
        return max(self.input, self.cached or 0, self.cache_write or 0)


def per_million(usd: float | str | Decimal) -> int:
    """USD per million tokens, as pico-USD a token."""
    return int((Decimal(str(usd)) * 1_000_000).to_integral_value())


def nano(usd: float | str | Decimal) -> int:
    """US dollars as nano-USD."""
    return int((Decimal(str(usd)) * NANO).to_integral_value())
