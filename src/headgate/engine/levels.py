"""How limits are told to people and programs: headers, the fault of a refusal, and lines for `/me` and `explain`.

`RateLimit` and `RateLimit-Policy` are draft-ietf-httpapi-ratelimit-headers-11; the draft's registry has no unit for
tokens or money, so theirs are our own words. `x-ratelimit-*` are OpenAI's
(https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from math import ceil

from msgspec import Struct

from headgate.core.faults import BudgetExhausted, LimitReached, RateLimited
from headgate.core.limit import Level, Want, in_words
from headgate.core.money import NANO
from headgate.core.seams import Refusal

_UNITS = {"tokens": ';qu="tokens"', "spend": ';qu="micro-usd"', "concurrent": ';qu="concurrent-requests"'}
_NANO_PER_MICRO = 1000
_LINES = b"%bratelimit: %b\r\nratelimit-policy: %b\r\n"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")


def rate_lines(levels: Sequence[Level]) -> bytes:
    """The header lines of an answer, from the tightest rule of each kind; none without rules. Private ones stay out."""
    form, numbers = rate_form(levels)
    return form % numbers


def rate_form(levels: Sequence[Level]) -> tuple[bytes, tuple[int | bytes, ...]]:
    """The same as a format and what it is to be filled with, for whom has more to fill in behind."""
    tightest: Level | None = None
    for level in levels:
        want = level.want
        if want.private:
            continue
        if tightest is None:
            tightest = level
        elif want.kind != tightest.want.kind:
            return _several(levels)
        elif _tighter(level, tightest):
            tightest = level
    if tightest is None:
        return b"", ()
    told, openai, state = _numbers(tightest)
    return told.alone, openai + state


def _several(levels: Iterable[Level]) -> tuple[bytes, tuple[int | bytes, ...]]:
    """The same of rules of more than one kind."""
    tightest: dict[str, Level] = {}
    for level in levels:
        want, other = level.want, tightest.get(level.want.kind)
        if not want.private and (other is None or _tighter(level, other)):
            tightest[want.kind] = level
    told, openai, states = zip(*map(_numbers, tightest.values()), strict=True)
    return _form(told), tuple(chain(*openai, *states))


def _tighter(level: Level, other: Level) -> bool:
    return level.left < other.left or (level.left == other.left and level.retry_after > other.retry_after)


def _numbers(level: Level) -> tuple[_Told, tuple[int | bytes, ...], tuple[int, ...]]:
    """How a rule is told, and the numbers for OpenAI's headers and for `ratelimit`."""
    want = level.want
    told = _told(want.scope, want.kind, want.limit, want.window)
    left, reset = level.left // told.divisor, ceil(level.reset_after)
    openai = (left, duration(reset)) if told.openai else ()
    if level.retry_after and not level.never:
        reset = ceil(level.retry_after)
    return told, openai, (left, reset) if want.window else (left,)


class _Told(Struct, frozen=True, eq=False):
    """A rule's part in the headers, but for its numbers: formats, and one that is `alone` the whole of them."""

    openai: bytes
    state: bytes
    policy: bytes
    alone: bytes
    divisor: int


@lru_cache(maxsize=4096)
def _form(rules: tuple[_Told, ...]) -> bytes:
    """The format of the header lines of these rules, for OpenAI's numbers and then those of `ratelimit`."""
    openai = b"".join(rule.openai for rule in rules)
    return _LINES % (openai, b", ".join(rule.state for rule in rules), b", ".join(rule.policy for rule in rules))


def name_of(want: Want) -> str:
    """A rule's name in headers, errors and the admin's requests: `tier-free-requests-60s`."""
    return _name(want.scope, want.kind, want.window)


def _name(scope: str, kind: str, window: float) -> str:
    return _UNSAFE.sub("-", "-".join((scope, kind, f"{window:.0f}s") if window else (scope, kind)))


@lru_cache(maxsize=4096)
def _told(scope: str, kind: str, limit: int, window: float) -> _Told:
    name = f'"{_name(scope, kind, window)}"'
    divisor = _NANO_PER_MICRO if kind == "spend" else 1
    policy = f"{name};q={limit // divisor}{_UNITS.get(kind, '')}" + (f";w={window:.0f}" if window else "")
    state = f"{name};r=%d" + (";t=%d" if window else "")
    openai = ""
    if kind in {"requests", "tokens"}:
        openai = (
            f"x-ratelimit-limit-{kind}: {limit}\r\nx-ratelimit-remaining-{kind}: %d\r\nx-ratelimit-reset-{kind}: %b\r\n"
        )
    parts = (openai.encode(), state.encode(), policy.encode())
    return _Told(*parts, _LINES % parts, divisor)


@lru_cache(maxsize=4096)
def duration(seconds: int) -> bytes:
    """Whole seconds as OpenAI's headers write them: `1s`, `6m0s`, `24h0m0s`."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minute, second)
    return b"%dm%ds" % (minute, second) if minutes else b"%ds" % second


def retry_after_header(seconds: float) -> tuple[bytes, bytes]:
    """`Retry-After` in whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3)."""
    return b"retry-after", b"%d" % max(1, ceil(seconds))


def fault_of(refusal: Refusal, *, answered: bool = True) -> LimitReached:
    """The refusal as a fault: named for, and as long as, the rule that refuses for longest.

    `answered`: the call has an answer, whose length the caller may bound.
    """
    worst = refusal.worst
    kind = BudgetExhausted if worst.want.kind == "spend" else RateLimited
    wait = None if worst.never else worst.retry_after
    fault = kind(_sentence(worst, answered=answered), retry_after=wait, details=_details(worst))
    fault.levels = refusal.levels
    return fault


def _details(level: Level) -> dict[str, object]:
    """What programs are told of the rule that refused; of a private one only whose it is."""
    want = level.want
    told: dict[str, object] = {"limit": want.scope}
    if not want.private:
        told["limit"] = name_of(want)
        told["rule"] = f"{want.scope}: {in_words(want.kind, want.limit, want.window)}"
    if want.window:
        told["frees_in"] = None if level.never else round(level.retry_after, 3)
    return told


def _sentence(level: Level, *, answered: bool) -> str:
    want = level.want
    if want.private:
        if level.never:
            return f"This request may take more than the whole budget of {want.scope}."
        return f"The budget of {want.scope} is used up. Try again in {_about(level.retry_after)}."
    rule = f"{in_words(want.kind, want.limit, want.window)} ({want.scope})"
    advice = ": ask for less, or set max_tokens" if answered else ""
    if level.never and want.kind == "tokens" and want.limit:
        return f"This request may take {want.amount:,} tokens, and the limit is {rule}{advice}."
    if level.never and want.kind == "spend" and want.limit:
        return f"This request may cost more than the whole budget of {rule}{advice}."
    if want.kind == "concurrent":
        return f"Too many requests at once: the limit is {rule}."
    what = "Budget used up" if want.kind == "spend" else "Rate limit reached"
    return f"{what}: the limit is {rule}." + ("" if level.never else f" Try again in {_about(level.retry_after)}.")


def _about(seconds: float) -> str:
    return duration(max(1, ceil(seconds))).decode()


class LevelView(Struct, frozen=True, kw_only=True):
    """A limit for people. `limit`, `used` and `left` are in `unit`.

    That is `requests`, `tokens`, `USD`, `requests at once`, `documents`, or `bytes` of documents. `refuses` says that
    it lets no call in now, `frees_in` in how many seconds it does again (0: it does now), and `resets_in` when all of
    it is free; both are None where nobody knows, as for `concurrent` and for documents, and `frees_in` also where
    waiting does not help. `left` may be more than `limit` where the operator allowed more. `private` marks what only
    operators see.
    """

    name: str
    scope: str
    rule: str
    unit: str
    limit: float
    used: float
    left: float
    refuses: bool
    frees_in: float | None
    resets_in: float | None
    private: bool = False


def views(levels: Iterable[Level], *, private: bool = False) -> list[LevelView]:
    """The limits for `/me`, or with the private ones, for `explain` and the operator; of wants of 1 each."""
    return [_view(level.want, level) for level in levels if private or not level.want.private]


def _view(want: Want, level: Level) -> LevelView:
    units = {"spend": "USD", "concurrent": "requests at once"}
    unit = NANO if want.kind == "spend" else 1
    refuses = level.retry_after > 0
    return LevelView(
        name=name_of(want),
        scope=want.scope,
        rule=in_words(want.kind, want.limit, want.window),
        unit=units.get(want.kind, want.kind),
        limit=want.limit / unit,
        used=max(0, want.limit - level.left) / unit,
        left=level.left / unit,
        refuses=refuses,
        frees_in=round(level.retry_after, 3) if not refuses or (want.window and not level.never) else None,
        resets_in=round(level.reset_after, 3) if want.window else None,
        private=want.private,
    )


def room_view(scope: str, unit: str, limit: int, used: int) -> LevelView:
    """A limit on what is kept, `documents` or their `bytes`: it frees as they are deleted."""
    refuses = used >= limit
    return LevelView(
        name=_name(scope, unit, 0),
        scope=scope,
        rule=in_words(unit, limit, 0),
        unit=unit,
        limit=limit,
        used=used,
        left=max(0, limit - used),
        refuses=refuses,
        frees_in=None if refuses else 0.0,
        resets_in=None,
    )
