"""The models that clients talk to: what each of them says, in no vendor's words. `_dialects` says it in theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

from msgspec import Struct


class Says(Struct, frozen=True):
    """An answer: a thought, words, calls of tools. `breaks` says how it goes wrong in the middle, if it does."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    thought: str = ""
    end: Literal["stop", "length", "filter"] = "stop"
    breaks: Literal["", "reset", "silence", "error"] = ""


class Refuses(Struct, frozen=True):
    """An error status, with OpenAI's type for it. `wait` is its Retry-After, in seconds."""

    status: int
    type: str
    wait: int | None = None


HELLO = 'Hello. Grüße, 世界 🌍 — "quoted"\n\tand done.'
TOKENS = (11, 7)
WEATHER = "get_weather"
PARIS = {"city": "Paris"}
NESTED = {"city": "Paris", "opts": {"unit": "C", "days": [1, 2]}}
ROME = {"city": "Rome"}
VECTOR = [1.0, 2.0, 3.0]
PERSON = '{"name":"Ada","age":36,"tags":["x","ü"]}'

# What a model says at first, and what once it is given the results of its tools.
MODELS: dict[str, tuple[Says | Refuses, ...]] = {
    "hello": (Says(HELLO),),
    "weather": (Says(calls=((WEATHER, PARIS),)), Says("It is 18 degrees in Paris.")),
    "two": (Says(calls=((WEATHER, NESTED), (WEATHER, ROME))), Says("Paris 18, Rome 24.")),
    "looks": (Says("Let me look.", calls=((WEATHER, ROME),)), Says("It is 24 degrees in Rome.")),
    "person": (Says(PERSON),),
    "eyes": (Says("I see a small red square."),),
    "thinker": (Says("The answer is 42.", thought="Let me think."),),
    "short": (Says("This is cut", end="length"),),
    "prude": (Says("", end="filter"),),
    "bad": (Refuses(400, "invalid_request_error"),),
    "locked": (Refuses(401, "authentication_error"),),
    "missing": (Refuses(404, "not_found_error"),),
    "busy": (Refuses(429, "rate_limit_error", 7),),
    "down": (Refuses(500, "server_error"),),
    "overloaded": (Refuses(529, "overloaded_error"),),
    "resets": (Says("This breaks off", breaks="reset"),),
    "stops": (Says("This breaks off", breaks="silence"),),
    "fails": (Says("This breaks off", breaks="error"),),
    "vectors": (Says("I only make vectors."),),
}

RED = "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR42mP4z8AARwzEcQCukw/xOF6MEQAAAABJRU5ErkJggg=="
"""A PNG, red, 4 by 4."""


async def listen(stream: AsyncIterator[Any], heard: list[Any]) -> None:
    """Add what a stream says to what was heard, so that it is known also where the stream ends with an exception."""
    async for said in stream:
        heard.append(said)  # noqa: PERF401 - one by one is the point
