"""What a value may look like: durations, sizes, rules and secrets, read from what people write.

Durations become seconds, sizes become bytes. A rule ("60/minute") keeps its words, once it is found sound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from headgate.core.limit import parse_rule

_SECONDS = {
    "ms": 0.001, "millisecond": 0.001, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800, "month": 2_592_000,
}  # fmt: skip
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_QUANTITY = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]*)")
UNLIMITED = "unlimited"


class Secret(str):
    """Text whose repr hides it: a resolved `env:` or `file:` reference inside a provider's raw settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


def duration(value: object) -> float:
    """Seconds of "500 ms", "30 s", "5m", "1 h", or of a number. Raises ValueError."""
    return _quantity(value, _SECONDS, "s", 'must be a duration such as "30 s", "500 ms" or "1 h"')


def size(value: object) -> int:
    """Bytes of "20 MiB", "1 MB", or of a number. Raises ValueError."""
    return int(_quantity(value, _BYTES, "b", 'must be a size such as "20 MiB" or "500 kB"'))


def share(value: object) -> float:
    """A part of the whole: "5%", or a number from 0 to 1. Raises ValueError."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        found = float(text[:-1]) / 100 if text.endswith("%") else float(text or value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found <= 1 or isinstance(value, bool):
        raise ValueError('must be a share such as "5%" or 0.05')
    return found


def _quantity(value: object, units: Mapping[str, float], bare: str, words: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number, unit = float(value), bare
    else:
        match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError(words)
        number, unit = float(match[1]), match[2].lower() or bare
    factor = units.get(unit) or units.get(unit.removesuffix("s"))
    if factor is None or not 0 < number < float("inf"):
        raise ValueError(words)
    return number * factor


def _rules(value: object) -> object:
    """One rule or several; "unlimited" is none."""
    if isinstance(value, str):
        return () if value == UNLIMITED else (value,)
    return value


def _sound(kind: str) -> AfterValidator:
    """Whether each rule can be read; it stays in the operator's words."""

    def check(rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            parse_rule(kind, rule)
        return rules

    return AfterValidator(check)


def _words(value: object) -> object:
    """A list, or text with commas, as environment variables have it."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _count(value: object) -> object:
    return None if value == UNLIMITED else value


def text_of(secret: SecretStr | None) -> str:
    """The secret itself, or empty text."""
    return secret.get_secret_value() if secret else ""


@dataclass(frozen=True)
class Says:
    """How the reference names a type."""

    words: str


Duration = Annotated[float, BeforeValidator(duration), Says("duration")]
Size = Annotated[int, BeforeValidator(size), Says("size")]
Part = Annotated[float, BeforeValidator(share), Says("share")]
Names = Annotated[tuple[str, ...], BeforeValidator(_words), Says("list of text")]
Rules = Annotated[tuple[str, ...], BeforeValidator(_rules), _sound("requests"), Says("rules")]
MoneyRules = Annotated[tuple[str, ...], BeforeValidator(_rules), _sound("spend_usd"), Says("rules, in US dollars")]
Count = Annotated[int | None, BeforeValidator(_count), Says("whole number")]
Hidden = Annotated[SecretStr | None, Says("secret")]
