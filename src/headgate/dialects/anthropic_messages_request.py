"""Anthropic's Messages API, asked: a Prompt that came in another dialect becomes a request body.

https://platform.claude.com/docs/en/api/messages. What the API cannot do is Unsupported; what only some models can do
is decided by the version in the model's name, and a name without one is taken for an older model.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from headgate.core.call import (
    CallPart,
    MediaPart,
    Message,
    Part,
    Prompt,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
)
from headgate.core.faults import InvalidField, Unsupported
from headgate.dialects.anthropic_messages import WHOLE

MAX_TOKENS = 8192
"""The bound on an answer where the caller set none: the API wants one. Every current model can say more."""

_ADAPTIVE = (4, 6)
_NO_KNOBS = (4, 7)
_ALWAYS_THINKS = (5, 0)
_LEAST_BUDGET = 1024
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_CHOICES = {"auto": "auto", "required": "any", "none": "none", "named": "tool"}
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")
_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})

_decode = msgspec.json.Decoder().decode


def request(
    prompt: Prompt, model: str, *, stream: bool, max_tokens: int = MAX_TOKENS, native: bool = False
) -> dict[str, Any]:
    """The body for `/v1/messages`. Raises Unsupported for what Anthropic cannot do, InvalidField for nonsense.

    `max_tokens` bounds the answer where the prompt does not. `native` says that the prompt came in this dialect: then
    its extras are Anthropic's own and travel on. Claude 4.7 and later have no sampling knobs, and refuse a request
    that turns them: temperature, top_p and top_k stay out of requests to those.
    """
    _refuse(prompt)
    knobs = native or version(model) < _NO_KNOBS
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": max_tokens if prompt.max_tokens is None else prompt.max_tokens,
        "system": _content(
            [block for m in prompt.messages if m.role == "system" for block in _blocks(m.parts, native)]
        ),
        "messages": _messages(prompt, native),
        "tools": [_tool(tool, native) for tool in prompt.tools],
        "tool_choice": _tool_choice(prompt) if prompt.tools else None,
        "stop_sequences": list(prompt.stop),
        "temperature": prompt.temperature if knobs else None,
        "top_p": prompt.top_p if knobs else None,
        "top_k": prompt.top_k if knobs else None,
        "metadata": {"user_id": prompt.user} if prompt.user else None,
        "stream": stream or None,
    }
    body = {name: value for name, value in body.items() if value is not None and value != []}
    if prompt.format is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": prompt.format.schema or {}}}
    if not (native and prompt.extra.keys() & {"thinking", "output_config"}):
        _think(prompt, model, body)
    return {**body, **prompt.extra} if native else body


def count_request(prompt: Prompt, model: str, *, native: bool = False) -> dict[str, Any]:
    """The body for `/v1/messages/count_tokens`."""
    body = request(prompt, model, stream=False, native=native)
    return {name: value for name, value in body.items() if name in _COUNTED}


def version(model: str) -> tuple[int, int]:
    """The version in a Claude model's name, `claude-sonnet-4-5-20250929` is (4, 5); (0, 0) where there is none."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def arguments(text: str) -> dict[str, Any]:
    """The arguments of a tool call as the object that the API wants; what is not one is kept under `__raw__`."""
    try:
        value = _decode(text or "{}")
        if isinstance(value, str):
            value = _decode(value)
    except (msgspec.DecodeError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {} if value is None else {"__raw__": text}


def _refuse(prompt: Prompt) -> None:
    wanted = {
        "n": (prompt.n or 1) > 1,
        "logprobs": prompt.logprobs or prompt.top_logprobs,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
        "seed": prompt.seed is not None,
        "temperature above 1": (prompt.temperature or 0) > 1,
        "a JSON answer without a schema": prompt.format is not None and prompt.format.kind == "json",
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise Unsupported(f"Anthropic's models do not support {name}", field=name.partition(" ")[0])


def _messages(prompt: Prompt, native: bool) -> list[dict[str, Any]]:
    """The turns. Tool results that follow one another belong into one user turn; a turn without words is left out."""
    out: list[dict[str, Any]] = []
    last = None
    for message in prompt.turns:
        blocks = _blocks(message.parts, native)
        if message.role == "tool" and last == "tool":
            out[-1]["content"].extend(blocks)
        elif blocks:
            role = "assistant" if message.role == "assistant" else "user"
            content = blocks if message.role == "tool" else _content(blocks)
            out.append({"role": role, "content": content, **(message.extra if native else {})})
        else:
            continue
        last = message.role
    return out


def _content(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    """One bare text as a string, more as blocks."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks or None


def _blocks(parts: Iterable[Part], native: bool) -> list[dict[str, Any]]:
    return [block for part in parts if (block := _block(part, native)) is not None]


def _block(part: Part, native: bool) -> dict[str, Any] | None:
    """A part as a content block; None for one that says nothing, or that the API would refuse as empty or unsigned."""
    if native and isinstance(part, TextPart | MediaPart) and WHOLE in part.extra:
        whole: dict[str, Any] = part.extra[WHOLE]
        return whole
    match part:
        case TextPart() | RefusalPart():
            extra = part.extra if isinstance(part, TextPart) else {}
            return {"type": "text", "text": part.text, **_extras(extra, native)} if part.text else None
        case MediaPart():
            return _media(part, native)
        case ThinkingPart():
            if part.redacted:
                return {"type": "redacted_thinking", "data": part.redacted}
            thought = {"type": "thinking", "thinking": part.text, "signature": part.signature}
            return thought if part.signature else None
        case CallPart():
            return {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": arguments(part.arguments)}
        case ResultPart():
            return _result(part, native)


def _extras(extra: dict[str, Any], native: bool) -> dict[str, Any]:
    """Another dialect's extras stay behind, but for `cache_control`, which callers of this vendor use everywhere."""
    if native:
        return extra
    return {"cache_control": extra["cache_control"]} if isinstance(extra.get("cache_control"), dict) else {}


def _id(id_: str) -> str:
    """A tool call's id in the letters that the API allows."""
    return _NO_ID.sub("_", id_) or "_"


def _result(part: ResultPart, native: bool) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(part.id)}
    told = _content(_blocks(part.parts, native))
    if told is not None:
        block["content"] = told
    if part.failed:
        block["is_error"] = True
    return block


def _media(part: MediaPart, native: bool) -> dict[str, Any]:
    if part.kind == "audio":
        raise Unsupported("Anthropic's models do not support audio", field="messages")
    image = part.kind == "image" or part.mime.startswith("image/")
    block: dict[str, Any] = {"type": "image" if image else "document", "source": _source(part, image, native)}
    if part.name and not image:
        block["title"] = part.name
    return {**block, **_extras(part.extra, native)}


def _source(part: MediaPart, image: bool, native: bool) -> dict[str, Any]:
    if part.file_id:
        if not native:
            raise Unsupported("Anthropic's models cannot open a file of another vendor", field="messages")
        return {"type": "file", "file_id": part.file_id}
    if part.url:
        return {"type": "url", "url": part.url}
    if part.mime.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _plain(part.data)}
    if not image and part.mime not in {"", "application/pdf"}:
        raise Unsupported(f"Anthropic's models do not support files of type {part.mime[:100]}", field="messages")
    mime = part.mime or ("image/png" if image else "application/pdf")
    return {"type": "base64", "media_type": mime, "data": part.data}


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidField("a text file must be UTF-8 in base64", field="messages") from None


def _tool(tool: Tool, native: bool) -> dict[str, Any]:
    if not tool.name:
        if native:
            return tool.extra
        raise Unsupported(f"Anthropic's models do not know tools of type {tool.extra.get('type')!r}", field="tools")
    body: dict[str, Any] = {"name": tool.name}
    if tool.description:
        body["description"] = tool.description
    body["input_schema"] = {"type": "object", **(tool.schema or {})}
    if tool.strict is not None:
        body["strict"] = tool.strict
    return {**body, **_extras(tool.extra, native)}


def _tool_choice(prompt: Prompt) -> dict[str, Any] | None:
    choice = prompt.tool_choice
    if choice is None and prompt.parallel_tools is not False:
        return None
    body: dict[str, Any] = {"type": "auto" if choice is None else _CHOICES[choice.mode]}
    if choice is not None and choice.mode == "named":
        body["name"] = choice.name
    if prompt.parallel_tools is False and body["type"] != "none":
        body["disable_parallel_tool_use"] = True
    return body


def _think(prompt: Prompt, model: str, body: dict[str, Any]) -> None:
    """Put the wish to reason into the body, as the model takes it: an effort from Claude 4.6 on, a budget before.

    https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting
    """
    wish = prompt.reasoning
    if wish is None:
        return
    if wish.effort and wish.effort != "none" and wish.effort not in _EFFORTS:
        raise Unsupported(f"Anthropic's models do not know the effort {wish.effort[:50]!r}", field="reasoning_effort")
    display = {} if wish.show is None else {"display": "summarized" if wish.show else "omitted"}
    off = wish.effort == "none" or wish.budget == 0
    if version(model) < _ADAPTIVE:
        if not off:
            _set_budget(prompt, body, display)
        return
    if not off:
        body["thinking"] = {"type": "adaptive", **display}
        effort = _EFFORTS.get(wish.effort)
    else:
        # Thinking cannot be turned off everywhere any more; the least effort is the nearest to it.
        effort = "low" if version(model) >= _ALWAYS_THINKS else None
    if effort == "xhigh" and version(model) < _NO_KNOBS:
        effort = "max"
    if effort is not None:
        body["output_config"] = {**body.get("output_config", {}), "effort": effort}


def _set_budget(prompt: Prompt, body: dict[str, Any], display: dict[str, Any]) -> None:
    """A budget below `max_tokens`: half of it at most where the caller set a bound but no budget."""
    wish = prompt.reasoning
    budget = _BUDGETS["medium"]
    if wish is not None:
        budget = _BUDGETS.get(wish.effort, budget) if wish.budget is None else wish.budget
    if prompt.max_tokens is None:
        body["max_tokens"] += budget
    elif wish is not None and wish.budget is None:
        budget = min(budget, prompt.max_tokens // 2)
        if budget < _LEAST_BUDGET:
            return
    if _continues_thoughtless(prompt.turns):
        return
    body["thinking"] = {"type": "enabled", "budget_tokens": budget, **display}


def _continues_thoughtless(turns: Iterable[Message]) -> bool:
    """Whether the answer continues a turn that used tools without a signed thought: the API then refuses to think."""
    said = [message for message in turns if message.role in {"assistant", "tool"}]
    if not said or said[-1].role != "tool":
        return False
    spoke = next((message for message in reversed(said) if message.role == "assistant"), None)
    return spoke is not None and not any(
        isinstance(p, ThinkingPart) and (p.signature or p.redacted) for p in spoke.parts
    )
