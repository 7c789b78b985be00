"""Limits as nouns: a `Rule` as the configuration writes it, a `Want` under a rule, the `Level` of a rule.

Every window slides: a day is any 86,400 seconds, a month any 30 days.
"""

from __future__ import annotations

import re
from decimal import Decimal

from msgspec import Struct

from headgate.core.money import NANO, nano

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_592_000}
KINDS = {
    "requests": "requests",
    "requests_per_address": "requests",
    "tokens": "tokens",
    "spend_usd": "spend",
    "concurrent": "concurrent",
}

_SHORT = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day"}
_PHRASES = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day", 604_800: "a week", 2_592_000: "a month"}
_RATE = re.compile(
    r"\s*([0-9][0-9_]{0,19}(?:\.[0-9]{1,9})?)\s*/\s*([0-9]{0,6})\s*"
    r"(?:(second|minute|hour|day|week|month)s?|(s|m|min|h|d))\s*",
    re.ASCII,
)
_FORMS = '"20/minute", "5/10s", "1000/hour" or "200_000/day" (second, minute, hour, day, week, month)'
_SPEND_FORMS = '"0.50/day" or "200/month", in US dollars (second, minute, hour, day, week, month)'
# Structured fields carry integers of at most 15 digits (RFC 9651, 3.3.1); money is told there in millionths.
_MOST = 10**15 - 1


class Rule(Struct, frozen=True):
    """At most `limit` in any `window` seconds; `limit` is nano-USD for `spend`, and `concurrent` has no window."""

    kind: str
    limit: int
    window: float = 0.0
    per_address: bool = False


class Want(Struct, frozen=True):
    """A wish for `amount` out of `limit` in a sliding window of `window` seconds, counted under `key`.

    `kind`: `requests`, `tokens`, `spend` (nano-USD) or `concurrent` (no window: freed when settled).
    `scope` says whose rule it is, in words for the caller: "tier free", "this address", "the service".
    The numbers of a `private` rule are the operator's own and are not told to callers.
    """

    key: str
    kind: str
    amount: int
    limit: int
    window: float
    scope: str = ""
    private: bool = False


class Level(Struct, frozen=True):
    """How a rule stands: what is left of it, seconds until all of it is free, and until the wanted amount fits.

    `retry_after` is 0 where it fits now. Where it never will (`amount` above `limit`) it is the window;
    for `concurrent`, whose end nobody knows, 1 second.
    """

    want: Want
    left: int
    reset_after: float
    retry_after: float = 0.0

    @property
    def never(self) -> bool:
        """Whether it refuses an amount that no waiting makes fit."""
        return self.retry_after > 0 and self.want.window > 0 and self.want.amount > self.want.limit


def parse_rule(kind: str, text: str | int) -> Rule:
    """One rule under its name in the configuration (a key of `KINDS`).

    Raises ValueError, in words for the configuration's author.
    """
    if kind not in KINDS:
        raise ValueError(f'"{kind}" is no kind of limit; the kinds are {", ".join(KINDS)}')
    if kind == "concurrent":
        return Rule("concurrent", _whole(text))
    forms = _SPEND_FORMS if kind == "spend_usd" else _FORMS
    found = _RATE.fullmatch(text.lower()) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is no limit; write an amount, a slash and a time, as in {forms}")
    window = float(int(found[2] or 1) * SECONDS[found[3] or _SHORT[found[4]]])
    if not window:
        raise ValueError(f"{text!r} has no time in it; write {forms}")
    limit = nano(found[1].replace("_", "")) if kind == "spend_usd" else _count(found[1], forms)
    if limit > (_MOST * 1000 if kind == "spend_usd" else _MOST):
        raise ValueError(f"{text!r} is more than can be counted; leave the limit out instead")
    return Rule(KINDS[kind], limit, window, kind == "requests_per_address")


def _whole(value: str | int) -> int:
    digits = value.strip().replace("_", "") if isinstance(value, str) else value
    if isinstance(digits, str) and digits.isascii() and digits.isdigit():
        digits = int(digits[:16])
    if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= _MOST:
        raise ValueError(f"{value!r} is no number of concurrent requests; write a whole number, as in 8")
    return digits


def _count(digits: str, forms: str) -> int:
    if "." in digits:
        raise ValueError(f'"{digits}" is no whole number; write {forms}')
    return int(digits.replace("_", ""))


def in_words(kind: str, limit: int, window: float) -> str:
    """A rule as people say it: "20 requests a minute", "$0.50 a day", "8 requests at once", "100 documents"."""
    if kind == "concurrent":
        return f"{_counted(limit, 'request')} at once"
    amount = usd(limit) if kind == "spend" else _counted(limit, kind.removesuffix("s"))
    return f"{amount} {_phrase(window)}" if window else amount


def usd(amount: int) -> str:
    """Nano-USD as dollars, with cents and whatever is finer: "$0.50", "$1,200.00", "$0.0004"."""
    text = f"{Decimal(amount) / NANO:,f}"
    whole, _, fraction = text.partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _phrase(window: float) -> str:
    if window in _PHRASES:
        return _PHRASES[int(window)]
    name, size = next((name, size) for name, size in reversed(SECONDS.items()) if window % size == 0)
    return f"in {window / size:,.0f} {name}s"
