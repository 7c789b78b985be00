"""Answers and prompts nobody wrote by hand: strategies for Hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from headgate.core.events import (
    Begin,
    Done,
    Event,
    Refusal,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
)

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=4
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
SIGNATURES = st.text("abcXYZ019+/=", min_size=1, max_size=10)


@st.composite
def usages(draw: Any) -> Usage:
    """Tokens whose parts are not more than the whole."""
    tokens_in, tokens_out = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    cached = draw(st.integers(0, tokens_in))
    return Usage(tokens_in, tokens_out, cached, reasoning=draw(st.integers(0, tokens_out)))


@st.composite
def answers(draw: Any, *, signed: bool, refusing: bool = True) -> list[Event]:
    """The events of an answer of one choice: thoughts, words and tool calls in any order, the calls' pieces mixed.

    `signed` says that thoughts have signatures and may be opaque; `refusing` that it may decline.
    """
    said: list[Event] = []
    for kind in draw(st.lists(st.sampled_from(["think", "speak"]), max_size=4)):
        said += draw(_thoughts(signed=signed)) if kind == "think" else [Text(text) for text in draw(_pieces)]
    if refusing and draw(st.booleans()):
        said += [Refusal(text) for text in draw(_pieces)]
    calls = draw(_calls())
    usage = [draw(usages())]
    done = Done("tool" if calls else draw(st.sampled_from(["stop", "length", "filter"])))
    return [Begin("id1", "model-1"), *said, *calls, done, *usage]


_pieces = st.lists(TEXTS, min_size=1, max_size=3)


@st.composite
def _thoughts(draw: Any, *, signed: bool) -> list[Event]:
    if signed and draw(st.booleans()):
        return [Thinking(redacted=draw(SIGNATURES))]
    told: list[Event] = [Thinking(text) for text in draw(_pieces)]
    return [*told, Thinking(signature=draw(SIGNATURES))] if signed else told


@st.composite
def _calls(draw: Any) -> list[Event]:
    """Calls that begin in order; once one has begun, pieces of its arguments may come until the answer's end."""
    waiting: list[list[Event]] = []
    for index in range(draw(st.integers(0, 3))):
        written = json.dumps(draw(OBJECTS))
        cut = sorted(draw(st.lists(st.integers(1, len(written)), max_size=2)))
        pieces = [written[a:b] for a, b in zip([0, *cut], [*cut, len(written)], strict=True) if a < b]
        call: list[Event] = [ToolCall(index, f"call_{index}", draw(NAMES))]
        waiting.append([*call, *(ToolArgs(index, piece) for piece in pieces)])
    said: list[Event] = []
    begun = 0
    while any(waiting):
        open_ = [index for index in range(min(begun + 1, len(waiting))) if waiting[index]]
        index = draw(st.sampled_from(open_))
        begun = max(begun, index + 1)
        said.append(waiting[index].pop(0))
    return said
