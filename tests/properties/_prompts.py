"""Prompts nobody wrote by hand, within what a dialect has words for."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Struct

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from properties._answers import NAMES, OBJECTS, SIGNATURES, TEXTS

_DATA = st.sampled_from(["cG5n", "aW1hZ2U="])
_URLS = st.sampled_from(["https://pics.example/cat.png", "https://pics.example/a.jpg?size=1"])
_IDS = st.from_regex(r"call_[a-z0-9]{1,8}", fullmatch=True)
_PARTS = st.lists(TEXTS.map(TextPart), min_size=1, max_size=2)
SCHEMAS = OBJECTS.map(lambda properties: {"type": "object", "properties": properties})
_BOUND = st.none() | st.integers(1, 10**6)
_SHARE = st.none() | st.floats(0, 1)
_PENALTY = st.none() | st.floats(-2, 2)


class Words(Struct, frozen=True):
    """What a dialect can say of a Prompt."""

    signed: bool = False
    refuses: bool = False
    fails: bool = False
    audio: bool = False
    detail: bool = False
    json: bool = True
    named_format: bool = True
    stops: bool = True
    knobs: bool = True
    top_k: bool = False
    strict: tuple[bool | None, ...] = (None, False, True)
    systems: int = 2


def media(words: Words) -> st.SearchStrategy[MediaPart]:
    """Images and files, as data or by URL."""
    detail = st.just({"detail": "auto"} if words.detail else {})
    images = st.builds(MediaPart, st.just("image"), mime=st.just("image/png"), data=_DATA, extra=detail)
    linked = st.builds(MediaPart, st.just("image"), url=_URLS, extra=detail)
    files = st.builds(MediaPart, st.just("file"), mime=st.just("application/pdf"), data=_DATA, name=st.just("a.pdf"))
    sounds = st.builds(MediaPart, st.just("audio"), mime=st.just("audio/wav"), data=_DATA)
    return images | linked | files | sounds if words.audio else images | linked | files


@st.composite
def prompts(draw: Any, words: Words) -> Prompt:
    """A Prompt: a system's words, then rounds of a user, an assistant and its tools."""
    messages = [Message("system", (TextPart(draw(TEXTS)),)) for _ in range(draw(st.integers(0, words.systems)))]
    for _ in range(draw(st.integers(1, 3))):
        messages += draw(_round(words))
    tools = tuple(draw(st.lists(_tools(words), max_size=2)))
    fields = draw(_settings()) if words.knobs else {}
    return Prompt(
        messages=tuple(messages),
        tools=tools,
        tool_choice=draw(_choices(tools)) if tools else None,
        format=draw(_formats(words)),
        max_tokens=draw(st.integers(1, 10**6)),
        temperature=draw(_SHARE),
        top_p=draw(_SHARE),
        reasoning=draw(st.none() | st.sampled_from(["low", "medium", "high"]).map(Reasoning)),
        user=draw(st.just("") | TEXTS),
        stop=tuple(draw(st.lists(TEXTS, max_size=2))) if words.stops else (),
        top_k=draw(st.none() | st.integers(1, 100)) if words.top_k else None,
        **fields,
    )


@st.composite
def _round(draw: Any, words: Words) -> list[Message]:
    user: list[Part] = [*draw(_PARTS), *draw(st.lists(media(words), max_size=1))]
    turns = [Message("user", tuple(draw(st.permutations(user))))]
    if not draw(st.booleans()):
        return turns
    said: list[Part] = list(draw(_PARTS))
    if words.signed and draw(st.booleans()):
        said.insert(0, ThinkingPart(draw(TEXTS), draw(SIGNATURES)))
    if words.refuses and draw(st.booleans()):
        said.append(RefusalPart(draw(TEXTS)))
    ids = draw(st.lists(_IDS, max_size=2, unique=True))
    said += [CallPart(id_, draw(NAMES), msgspec.json.encode(draw(OBJECTS)).decode()) for id_ in ids]
    turns.append(Message("assistant", tuple(said)))
    for id_ in ids:
        failed = words.fails and draw(st.booleans())
        turns.append(Message("tool", (ResultPart(id_, (TextPart(draw(TEXTS)),), failed=failed),)))
    return turns


@st.composite
def _tools(draw: Any, words: Words) -> Tool:
    return Tool(draw(NAMES), draw(st.just("") | TEXTS), draw(SCHEMAS), draw(st.sampled_from(words.strict)))


def _choices(tools: tuple[Tool, ...]) -> st.SearchStrategy[ToolChoice | None]:
    plain = st.sampled_from(["auto", "none", "required"]).map(ToolChoice)
    return st.none() | plain | st.sampled_from([tool.name for tool in tools]).map(lambda n: ToolChoice("named", n))


def _formats(words: Words) -> st.SearchStrategy[Format | None]:
    schemas = st.builds(Format, st.just("schema"), SCHEMAS)
    if words.named_format:
        strict = st.sampled_from(words.strict)
        schemas = st.builds(Format, st.just("schema"), SCHEMAS, NAMES, st.just("") | TEXTS, strict)
    return st.none() | schemas | st.just(Format("json")) if words.json else st.none() | schemas


@st.composite
def _settings(draw: Any) -> dict[str, Any]:
    return {
        "seed": draw(st.none() | st.integers(-(2**31), 2**31)),
        "n": draw(st.none() | st.integers(1, 4)),
        "presence_penalty": draw(_PENALTY),
        "frequency_penalty": draw(_PENALTY),
        "parallel_tools": draw(st.none() | st.booleans()),
        "logprobs": draw(st.none() | st.booleans()),
    }
